"""Wakes streams after each committed turn.

There are no queues of events. A stream reads what is new from the database's own numbered feed, from its last number
on: so nothing is lost, doubled or kept in memory for a client that is slow, and what it may see is asked at the moment
when it is shown. A broadcast only says "look again".
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from flows.turn import TurnResult


class Listener:
    """One stream's bell; it rings at once if a turn was committed since it was last heard."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def heard(self, seconds_max: float) -> None:
        """Return after a ring, or after `seconds_max` without one."""
        try:
            async with asyncio.timeout(seconds_max):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()


class Broadcast:
    """The node's one bell rope. Everything here belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def publish(self, result: TurnResult) -> None:
        """Wake everybody, if the turn changed something; a watcher of the node's pump."""
        if result.progress or result.finished:
            for listener in self._listeners:
                listener.ring()

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Hear of every turn from now until the block ends."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def __len__(self) -> int:
        return len(self._listeners)
