"""What a node does now and then, for as long as it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_log = logging.getLogger("carecord.beat")


@dataclass(frozen=True, slots=True)
class Beat:
    """Something done every `seconds()`, asked anew each time; `at_once`: at the start as well."""

    act: Callable[[], Awaitable[None]]
    seconds: Callable[[], float]
    at_once: bool = False

    async def go_on(self) -> None:
        """Beat until cancelled. What an act raises is logged, and the next one tries again."""
        if self.at_once:
            await self._once()
        while True:
            await asyncio.sleep(self.seconds())
            await self._once()

    async def _once(self) -> None:
        try:
            await self.act()
        except Exception:  # noqa: BLE001 - whatever it was is rolled back, and a beat that ended would be missed by nobody
            _log.exception("a beat failed; the next one tries again")


def every(seconds: float, act: Callable[[], Awaitable[None]]) -> Beat:
    """Return a beat that waits first."""
    return Beat(act, lambda: seconds)
