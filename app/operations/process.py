"""A node's process: it starts, serves until SIGTERM or SIGINT, finishes what is under way, and ends in ten seconds."""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Protocol

import uvloop

STOP_SECONDS = 10.0
STUCK_SECONDS = 1.0  # beyond STOP_SECONDS, for what does not even yield to a time limit
STOPPED, STUCK = 0, 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("carecord.process")


THRESHOLDS = (50_000, 20, 50)
"""New containers before a young collection, young before a middle one, middle before one of everything."""


class Service(Protocol):
    """What a process runs."""

    async def start(self) -> None:
        """Begin; raises OSError where an address is taken. What had begun is ended by `stop`."""

    async def stop(self) -> None:
        """Finish what is under way and close. Whatever is committed stays, however this ends."""


def run_service(make: Callable[[], Service]) -> int:
    """Run a service in the foreground until a signal; return the exit code: STOPPED, or STUCK if it took too long."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(make))


def settle_memory() -> None:
    """Tell the garbage collector of a process that has started what it need not look at.

    What is here now stays for ever. What comes is nearly all freed by its count of references: at Python's own
    thresholds the collector takes an eighth of a busy node's time, and finds next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()


async def _run(make: Callable[[], Service]) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told.set)
    service = make()
    try:
        await service.start()
        settle_memory()
        _log.info("started")
        await told.wait()
    except BaseException:
        await _stopped(service)
        raise
    return await _stopped(service)


async def _stopped(service: Service) -> int:
    _log.info("stopping")
    # Everything that was promised is on disk: to end at once loses nothing, to hang would keep a successor out.
    watchdog = threading.Timer(STOP_SECONDS + STUCK_SECONDS, os._exit, (STUCK,))
    watchdog.daemon = True
    watchdog.start()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await service.stop()
    except TimeoutError:
        _log.error("what was under way did not end in %d s", STOP_SECONDS)
        return STUCK
    finally:
        watchdog.cancel()
    _log.info("stopped")
    return STOPPED
