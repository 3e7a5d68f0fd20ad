"""Where other nodes knock: accepts connections, and lets only so many in that have not shown who they are."""

import asyncio
import logging
import socket
import ssl
from asyncio import AbstractEventLoop, Task, TimerHandle
from collections import Counter
from collections.abc import Callable

from app.transport.limits import DoorLimits, LinkLimits
from app.transport.link import Link, Stage

_log = logging.getLogger("carecord.transport")

_PAUSE_SECONDS = 0.2  # after the system refused to accept: out of file descriptors, say
_UNREADABLE = (OSError, ssl.SSLError, TimeoutError)  # what a handshake with anybody may end in


class Door:
    """A listening socket. A connection counts as a stranger's until it is up, by address and in all."""

    def __init__(
        self,
        limits: tuple[DoorLimits, LinkLimits],
        tls: ssl.SSLContext,
        make: Callable[[], Link],
        loop: AbstractEventLoop,
    ) -> None:
        self._limits, self._link_limits = limits
        self._tls = tls
        self._make = make
        self._loop = loop
        self._socket: socket.socket | None = None
        self._strangers: Counter[str] = Counter()
        self._resuming: TimerHandle | None = None
        self._entering: set[Task[None]] = set()
        self.turned_away = 0

    @property
    def strangers(self) -> int:
        return self._strangers.total()

    def open(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chooses where 0 is given."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server(
            (host, port), family=family, backlog=self._limits.backlog, reuse_port=False
        )
        listening.settimeout(0)
        self._socket = listening
        self._listen(listening)
        return int(listening.getsockname()[1])

    async def close(self) -> None:
        """Accept nobody any more, and drop whoever is still in the handshake."""
        if self._resuming is not None:
            self._resuming.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        await asyncio.sleep(
            0
        )  # who was just admitted begins, so that its socket is somebody's to close
        tasks = list(self._entering)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self, listening: socket.socket) -> None:
        # Not `sock_accept`: cancelled at the wrong moment it loses a connection and never closes it.
        self._resuming = None
        self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            for _ in range(self._limits.backlog):
                connection, address = listening.accept()
                self._admit(connection, str(address[0]))
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as refused:
            _log.warning("cannot accept connections: %s", refused.strerror)
            self._loop.remove_reader(listening)
            self._resuming = self._loop.call_later(_PAUSE_SECONDS, self._listen, listening)

    def _admit(self, connection: socket.socket, address: str) -> None:
        crowded = self.strangers >= self._limits.strangers
        if crowded or self._strangers[address] >= self._limits.strangers_an_address:
            self.turned_away += 1
            connection.close()
            return
        connection.setblocking(False)  # noqa: FBT003  # socket's own signature
        self._strangers[address] += 1
        task = self._loop.create_task(self._enter(connection, address))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _enter(self, connection: socket.socket, address: str) -> None:
        link = self._make()
        try:
            await self._loop.connect_accepted_socket(
                lambda: link,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=self._link_limits.handshake_seconds,
                ssl_shutdown_timeout=self._link_limits.close_seconds,
            )
            await link.settled
        except _UNREADABLE:
            _log.info("a handshake with %s failed", address)
        finally:
            if link.stage not in {Stage.UP, Stage.ENDED}:
                link.abort()
            self._strangers[address] -= 1
            if not self._strangers[address]:
                del self._strangers[address]
