"""What one turn of the event loop writes to a connection leaves by one call of the system."""

import asyncio
from asyncio import AbstractEventLoop

GATHERED_BYTES_MAX = (
    65_536  # beyond it nothing is held back, so that a fast writer meets its flow control
)


class GatheredWrites:
    """A transport that writes at the end of the loop's turn.

    uvicorn writes an answer's head and its body by themselves: two calls of the system, and a client that is woken
    twice. All else is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > GATHERED_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what is held; what comes after an end is dropped by the transport, as ever."""
        if self._held:
            held, self._held, self._held_bytes = self._held, [], 0
            self._transport.write(b"".join(held))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._held, self._held_bytes = [], 0
        self._transport.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.flush()
        self._transport.set_protocol(protocol)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)
