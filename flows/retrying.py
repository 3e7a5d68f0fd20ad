"""Asking a peer that lost the conversation once more: it was restored from a backup, or is about to be."""

from collections.abc import Callable, Coroutine
from typing import TypeVar

from flows.flow import (
    CounterpartyFailed,
    FlowContext,
    Operation,
    SessionEnded,
    SessionLost,
    Sleep,
)
from flows.services import Moment, Now

T = TypeVar("T")

GONE = (SessionLost, SessionEnded, CounterpartyFailed)  # what is raised where a peer cannot go on
TRIES = 10  # the waits between add up to more than an hour
WAIT_MS = 10_000  # after the first try, then twice as long each time


async def until_answered(
    flow: FlowContext, ask: Callable[[], Coroutine[Operation, object, T]]
) -> T:
    """Ask; where the peer could not go on, again after a while. Raises what the last try raised."""
    for tried in range(TRIES - 1):
        try:
            return await ask()
        except GONE:
            flow.progress("the peer could not go on: asking it again after a while")
            now: Moment = await Now()
            await Sleep(now.at + (WAIT_MS << tried))
    return await ask()
