"""GET /health, /ready and /metrics: for a supervisor on the same machine; nothing in them names a person."""

from collections.abc import Callable, Sequence

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

UNAVAILABLE = 503


class Alive(msgspec.Struct, frozen=True):
    """The process answers: its event loop turns."""

    status: str
    kind: str
    release: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the node can do what it is there for, and which of its conditions hold."""

    ready: bool
    checks: dict[str, bool]


def readiness(checks: dict[str, bool]) -> Readiness:
    return Readiness(all(checks.values()), checks)


def health_routes(
    alive: Alive, checks: Callable[[], dict[str, bool]], registry: CollectorRegistry
) -> Sequence[BaseRoute]:
    """Return the three routes."""
    shown_alive = msgspec.json.encode(alive)

    async def health(_: Request) -> Response:
        return Response(shown_alive, media_type="application/json")

    async def ready(_: Request) -> Response:
        found = readiness(checks())
        status = 200 if found.ready else UNAVAILABLE
        return Response(msgspec.json.encode(found), status, media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)
