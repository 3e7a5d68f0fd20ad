"""A notary with its web side: health and numbers only. Its questions come over links between members."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware

from app.config import NotarySettings, WebSettings
from app.graphql.limits import ServiceLimits
from app.node_folder import Opening
from app.notary_node import NotaryNode
from app.operations.health import Alive, health_routes
from app.operations.metrics import NotaryNumbers
from app.web.embedded import EmbeddedServer
from app.web.headers import SecurityHeaders
from notaries.queue import QueueLimits


class NotaryProcess:
    """What `carecord notary` runs: links and web on the event loop, the notary's own thread beside it."""

    def __init__(self, opening: Opening, settings: NotarySettings, web: WebSettings) -> None:
        usual = QueueLimits()
        limits = QueueLimits(
            waiting=settings.queue,
            waiting_of_one=max(settings.queue // 4, 1),
            waiting_bytes=usual.waiting_bytes,
            batch=settings.batch,
        )
        self.node = NotaryNode(opening, limits=limits)
        registry = CollectorRegistry()
        registry.register(NotaryNumbers(self.node))
        alive = Alive("alive", "notary", version("carecord"))
        self.app = Starlette(
            routes=list(health_routes(alive, self.checks, registry)),
            middleware=[Middleware(SecurityHeaders)],
        )
        self._server = EmbeddedServer(self.app, ServiceLimits(), web.host, web.port)

    def checks(self) -> dict[str, bool]:
        """A notary is ready when its thread answers: it can notarise."""
        return {"notarises": self.node.is_ready}

    async def start(self) -> None:
        await self.node.start()
        await self._server.start()

    async def stop(self) -> None:
        """Answer what is queued, then close."""
        await self._server.stop()
        await self.node.stop()
