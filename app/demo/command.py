"""One demonstration at a time, run until it is over or Ctrl-C, and what it came to."""

import asyncio
import signal

from app.demo.performance import PROCESSES, Options, perform
from app.demo.story import STEPS
from app.demo.telling import Teller
from app.operations.ownership import owning

EVERY = tuple(f"{step.name}:{process}" for process in PROCESSES for step in STEPS)
"""Where a process can be killed."""


def run(options: Options) -> bool:
    """Run the demonstration; return whether all that was expected was found.

    Raises FolderOwned and FolderRefused where it cannot begin, NodeFailed where a process of it ends.
    """
    teller = Teller(quiet=options.as_json)
    try:
        options.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with owning(options.folder.parent):
            return asyncio.run(_run(options, teller))
    except KeyboardInterrupt:  # pressed before or after the story; the nodes have stopped
        return teller.passed


async def _run(options: Options, teller: Teller) -> bool:
    task = asyncio.current_task()
    assert task is not None, "we run in one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await perform(options, teller)
    except asyncio.CancelledError:
        if options.is_judged:
            return False  # it was not finished
        raise KeyboardInterrupt from None
    teller.verdict()
    return teller.passed
