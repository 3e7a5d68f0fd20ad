"""Runs benchmarks one after the other and shows what they found, as a table or as JSON."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from app.bench.document import measure_document
from app.bench.finality import measure_finality
from app.bench.flow_steps import measure_flow_steps
from app.bench.grant import measure_grants
from app.bench.notary import NotaryBench
from app.bench.primitives import Yardstick
from app.bench.publication import measure_publication
from app.bench.resting import measure_resting
from app.bench.result import Report, Result

QUICK = (10_000, 1_000_000)
FULL = (*QUICK, 10_000_000)

Bench = Callable[[Yardstick, bool], Iterator[Result]]
"""Measures one thing beside a yardstick; with True, at full length."""


def _notary(yardstick: Yardstick, full: bool) -> Iterator[Result]:  # noqa: FBT001 - one of a kind
    return NotaryBench(yardstick).run(FULL if full else QUICK)


BENCHES: dict[str, Bench] = {
    "notary": _notary,
    "flows": lambda yardstick, _: measure_flow_steps(yardstick),
    "finality": lambda yardstick, _: measure_finality(yardstick),
    "publication": lambda yardstick, _: measure_publication(yardstick),
    "grants": lambda _yardstick, _: measure_grants(),
    "resting": lambda yardstick, _: measure_resting(yardstick),
    "document": lambda yardstick, _: measure_document(yardstick),
}


def dbos_steps(python: str) -> Result:
    """Return what DBOS Transact does of the like of `flows`, by a Python that has it; raises CalledProcessError."""
    script = Path(__file__).with_name("dbos_steps.py")
    told = subprocess.run(  # noqa: S603 - whoever measures names the Python
        [python, str(script)], check=True, stdout=subprocess.PIPE, text=True
    )
    return Result("DBOS Transact on SQLite, steps of 64 workflows", float(told.stdout), "steps/s")


def measure(
    benches: Sequence[str],
    say: Callable[[str], None],
    *,
    full: bool,
    folder: Path,
    dbos: str | None = None,
) -> Report:
    """Run the named benchmarks; primitives are timed before, between and after them."""
    yardstick = Yardstick(folder)
    yardstick.all()
    results = list[Result]()
    for name in benches:
        say(name)
        results += BENCHES[name](yardstick, full)
        if name == "flows" and dbos is not None:
            results.append(dbos_steps(dbos))
        yardstick.all()
    return Report(yardstick.medians(), tuple(results))


def table(report: Report) -> Table:
    """Return what a person reads."""
    primitives = ", ".join(f"{name} {value:,.0f}" for name, value in report.primitives.items())
    shown = Table("", "value", "ratio", "wanted", "", caption=primitives)
    for each in report.results:
        mark = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[each.met]
        ratio = "" if each.ratio is None else f"{each.ratio:.3g}"
        shown.add_row(each.name, f"{_number(each.value)} {each.unit}", ratio, each.target, mark)
    return shown


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def run(args: Sequence[str] | None = None) -> int:
    """Run as `carecord bench`; returns 0 whether or not targets are met, for the machine is part of the answer."""
    parser = argparse.ArgumentParser(prog="carecord bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--full", action="store_true", help="with 10^7 states as well; long")
    parser.add_argument("--only", action="append", choices=tuple(BENCHES), metavar="NAME")
    parser.add_argument(
        "--dbos",
        metavar="PYTHON",
        help="a Python that has DBOS Transact, to measure it beside our flows",
    )
    options = parser.parse_args(args)
    errors = Console(stderr=True, quiet=options.json)
    with tempfile.TemporaryDirectory(prefix="carecord-bench-") as folder:
        report = measure(
            options.only or tuple(BENCHES),
            lambda name: errors.print(f"measuring: {name}"),
            full=options.full,
            folder=Path(folder),
            dbos=options.dbos,
        )
    if options.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        Console().print(table(report))
    return 0
