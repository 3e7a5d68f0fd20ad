"""`carecord demo`: options, one demonstration at a time, and an exit code."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from app.config import usual_folders
from app.demo.performance import PROCESSES, FolderRefused, Options, perform
from app.demo.processes import NodeFailed
from app.demo.story import STEPS
from app.demo.telling import Teller
from app.operations.ownership import FolderOwned, owner_of, owning

FOLDER = Path(".carecord") / "demo"
EVERY = tuple(f"{step.name}:{process}" for process in PROCESSES for step in STEPS)
PASSED, FAILED, USAGE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration; return 0 if all that was expected was found, 1 if not, 2 if it could not begin."""
    options = _options(arguments)
    teller = Teller(quiet=options.as_json)
    try:
        options.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with owning(options.folder.parent, f"{options.folder.name}.lock"):
            return asyncio.run(_run(options, teller))
    except KeyboardInterrupt:  # pressed before or after the story; the nodes have stopped
        return PASSED if teller.passed else FAILED
    except FolderOwned as owned:
        sys.stderr.write(f"{running(options.folder, owned.owner)}\n")
        return USAGE
    except FolderRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return USAGE
    except NodeFailed as failed:
        sys.stderr.write(f"{failed}\n")
        return FAILED


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


async def _run(options: Options, teller: Teller) -> int:
    task = asyncio.current_task()
    assert task is not None, "we run in one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await perform(options, teller)
    except asyncio.CancelledError:
        if options.is_judged:
            return FAILED  # it was not finished
        raise KeyboardInterrupt from None
    teller.verdict()
    return PASSED if teller.passed else FAILED


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="carecord demo",
        description="A notary and four nodes on this machine, invented patients, and a story that is told and judged.",
        epilog="Each start makes a new network; the last one is deleted. It stays until Ctrl-C, but with --check or "
        "--kill, which exit with 0 if all that was expected was found, else with 1.",
    )
    parser.add_argument(
        "--bundles",
        type=Path,
        metavar="DIR",
        help="load bundles (.json, .json.gz) of a folder, too",
    )
    parser.add_argument(
        "--check", action="store_true", help="judge each step, scan all folders, and end"
    )
    parser.add_argument(
        "--kill", action="store_true", help="as --check; then kill each process at each step"
    )
    parser.add_argument(
        "--kill-at",
        action="append",
        default=[],
        metavar="STEP:PROCESS",
        help="the same at these steps only",
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments of --kill (1)")
    parser.add_argument("--keep", action="store_true", help="put the last demonstration aside")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where it lives ({FOLDER})")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    given = parser.parse_args(list(arguments))
    if given.json and not (given.check or given.kill or given.kill_at):
        parser.error("--json goes with --check or --kill")
    bundles = given.bundles
    if bundles is not None and not bundles.is_dir():
        parser.error(f"{bundles} is no folder")
    return Options(
        folder=given.folder.resolve(),
        bundles=bundles,
        check=given.check,
        cases=_cases(parser, [*given.kill_at, *(EVERY if given.kill else ())]),
        keep=given.keep,
        as_json=given.json,
        seed=given.seed,
    )


def _cases(parser: argparse.ArgumentParser, named: Sequence[str]) -> tuple[tuple[str, str], ...]:
    unknown = [each for each in named if each not in EVERY]
    if unknown:
        parser.error(f"{unknown[0]} is no step and process, as in {EVERY[0]}")
    return tuple((step, process) for step, _, process in (each.partition(":") for each in named))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
