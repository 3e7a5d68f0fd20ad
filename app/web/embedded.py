"""A web server on the node's own event loop: it listens once started, and leaves signals to the process."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from app.graphql.limits import ServiceLimits
from app.web.listening import listening

DRAIN_SECONDS = 3  # for answers under way and streams, of the ten in which a node stops
BACKLOG = 512


class _Quiet(uvicorn.Server):
    """uvicorn's server, which by itself would take the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class EmbeddedServer:
    """Serves one application."""

    def __init__(self, app: ASGIApp, limits: ServiceLimits, host: str, port: int) -> None:
        self._config = listening(app, limits, host, port)
        self._config.timeout_graceful_shutdown = DRAIN_SECONDS
        self._server = _Quiet(self._config)
        self._serving: asyncio.Task[None] | None = None
        self.port = port

    async def start(self) -> None:
        """Listen; raises OSError where the port is taken."""
        listener = _listen(self._config.host, self._config.port)
        self.port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise OSError("the web server did not start")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Take no new connection, finish what is under way, cut what takes longer than DRAIN_SECONDS."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)
