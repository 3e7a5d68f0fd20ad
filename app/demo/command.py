"""One demonstration at a time, run until it is over or Ctrl-C, and what it came to."""

import asyncio
import signal
from pathlib import Path

from app.config import usual_folders
from app.demo.performance import PROCESSES, Options, perform
from app.demo.story import STEPS
from app.demo.telling import Teller
from app.operations.ownership import FolderOwned, owner_of, owning

EVERY = tuple(f"{step.name}:{process}" for process in PROCESSES for step in STEPS)
"""Where a process can be killed."""


class AnotherRuns(Exception):
    """A demonstration runs in the folder; the text says which, and what can be done."""


def run(options: Options) -> bool:
    """Run the demonstration; return whether all that was expected was found.

    Raises AnotherRuns and FolderRefused where it cannot begin, NodeFailed where a process of it ends.
    """
    teller = Teller(quiet=options.as_json)
    try:
        options.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with owning(options.folder.parent, f"{options.folder.name}.lock"):
            return asyncio.run(_run(options, teller))
    except KeyboardInterrupt:  # pressed before or after the story; the nodes have stopped
        return teller.passed
    except FolderOwned as owned:
        raise AnotherRuns(running(options.folder, owned.owner)) from owned


def running(folder: Path, owner: int | None) -> str:
    """Return what to say of a demonstration that runs in `folder` as process `owner`: which, and what can be done."""
    nodes = [
        f"{key} {pid}"
        for key in PROCESSES
        if (pid := owner_of(usual_folders(folder / key).keys)) is not None
    ]
    itself = "" if owner is None else f" as process {owner}"
    end = "" if owner is None else f" or by: kill {owner}"
    return (
        f"A demonstration runs in {folder}{itself}; its nodes: {', '.join(nodes) or 'none yet'}.\n"
        f"End it with Ctrl-C where it was started{end}. Or tell another one beside it: "
        f"carecord demo --folder {folder.with_name(folder.name + '-2')}"
    )


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
