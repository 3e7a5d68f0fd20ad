"""`carecord demo` and `carecord bench`: what the network does, and how fast, on this machine.

What they run is loaded when they are: no other command pays for it.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.bench import NAMES
from app.cli.exits import CommandFailed, Exit
from app.cli.output import AsJson, show_json, warn

FOLDER = Path(".carecord") / "demo"


def demo(  # noqa: PLR0913  each is an option
    *,
    bundles: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Load FHIR R4 bundles (.json, .json.gz) of a folder, too.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Judge each step, scan all folders, and end.")
    ] = False,
    kill: Annotated[
        bool, typer.Option("--kill", help="As --check; then kill each process at each step.")
    ] = False,
    kill_at: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP:PROCESS", help="As --kill, at this step only; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the moments of --kill.")] = 1,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Put the last demonstration aside, in place of deleting it."),
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where it lives.")] = FOLDER,
    as_json: AsJson = False,
) -> None:
    """Make a notary and four nodes on this machine, with invented patients, and tell and judge their story.

    Each start deletes the last network. It stays until Ctrl-C, but with --check or --kill: exit code 1 where not all
    that was expected was found.
    """
    from app.demo.command import EVERY, AnotherRuns, run  # noqa: PLC0415
    from app.demo.performance import FolderRefused, Options  # noqa: PLC0415
    from app.demo.processes import NodeFailed  # noqa: PLC0415

    named = [*(kill_at or ()), *(EVERY if kill else ())]
    for each in set(named) - set(EVERY):
        raise typer.BadParameter(f"{each} is no step and process, as in {EVERY[0]}")
    if as_json and not (check or named):
        raise typer.BadParameter("--json goes with --check or --kill")
    options = Options(
        folder=folder.resolve(),
        bundles=bundles,
        check=check,
        cases=tuple(
            (step, process) for step, _, process in (each.partition(":") for each in named)
        ),
        keep=keep,
        as_json=as_json,
        seed=seed,
    )
    try:
        passed = run(options)
    except (AnotherRuns, FolderRefused, NodeFailed) as ended:
        code = Exit.FAILED if isinstance(ended, NodeFailed) else Exit.USAGE
        raise CommandFailed(code, str(ended)) from ended
    raise typer.Exit(Exit.OK if passed else Exit.FAILED)


def bench(
    *,
    full: Annotated[bool, typer.Option("--full", help="With 10^7 states as well; long.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"One of {', '.join(NAMES)}; repeatable."),
    ] = None,
    dbos: Annotated[
        str | None,
        typer.Option(
            metavar="PYTHON",
            help="A Python that has DBOS Transact, to measure it beside our flows.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the hot paths on this machine, each beside its primitives of the same minute.

    Exit code 0 whether or not targets are met: the machine is part of the answer.
    """
    unknown = [name for name in only or () if name not in NAMES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(NAMES)}")
    _measure(only or NAMES, full=full, dbos=dbos, as_json=as_json)


def _measure(names: Sequence[str], *, full: bool, dbos: str | None, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415

    from app.bench.run import measure, table  # noqa: PLC0415

    def say(name: str) -> None:
        if not as_json:
            warn(f"measuring: {name}")

    with tempfile.TemporaryDirectory(prefix="carecord-bench-") as folder:
        report = measure(names, say, full=full, folder=Path(folder), dbos=dbos)
    if as_json:
        show_json(report)
    else:
        Console().print(table(report))
