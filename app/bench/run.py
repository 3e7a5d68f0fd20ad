"""Runs benchmarks one after the other, and says in a table what they found."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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
