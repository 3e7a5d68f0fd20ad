"""How uvicorn listens: strict sizes and times, and no client that dawdles over its headers."""

import asyncio
from typing import ClassVar, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.graphql.limits import ServiceLimits
from app.web.gathered import GatheredWrites


class PatientOnlySoLong(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits for a request's headers without end or bound.

    A connection is closed where the headers of its first request, or of a later one once begun,
    are not complete within `header_s_max`, or are longer than `header_bytes_max`.
    """

    header_s_max: ClassVar[float]
    header_bytes_max: ClassVar[int]
    _header_timer: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        gathered = GatheredWrites(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", gathered))
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._header_timer is None:
            return
        # Counted as they arrive: the parser tells of a header only when the whole of it is there.
        self._header_bytes += len(data)
        if self._header_bytes > self.header_bytes_max:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._headers_came()
        super().on_headers_complete()

    def _wait_for_headers(self) -> None:
        self._headers_came()
        self._header_timer = self.loop.call_later(self.header_s_max, self.transport.abort)

    def _headers_came(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
            self._header_bytes = 0


def patient(limits: ServiceLimits) -> type[PatientOnlySoLong]:
    """Return the protocol with a server's limits; uvicorn makes an object of it for each connection."""

    class Patient(PatientOnlySoLong):
        header_s_max = float(limits.header_seconds_max)
        header_bytes_max = limits.header_bytes_max

    return Patient


def listening(app: ASGIApp, limits: ServiceLimits, host: str, port: int) -> uvicorn.Config:
    """Return the configuration under which a node serves `app` in production.

    No header of a proxy is believed; a deployment behind one sets `proxy_headers` and names it.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=patient(limits),
        ws="websockets-sansio",
        ws_max_size=limits.body_bytes_max,
        ws_per_message_deflate=False,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        limit_concurrency=limits.connections_max,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
    )
