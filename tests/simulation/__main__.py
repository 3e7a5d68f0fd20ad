"""`python -m tests.simulation`: many seeds, one seed with its trace, or the table of planted faults."""

import argparse
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from tests.simulation.coverage import NOT_ASSERTED, forgotten, missing
from tests.simulation.faults import Met
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.run import Outcome, simulate

PROCESSES = 2
TRACE_LINES = 60
MUTANT_SEEDS = 1_000
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- mutants -->", "<!-- end -->"


def report(outcome: Outcome, lines: int = TRACE_LINES) -> str:
    """Return what is needed to understand a seed's violation and to see it again."""
    return "\n".join(
        (
            f"seed {outcome.seed}: {outcome.violation}",
            f"faults: {outcome.swarm}",
            *outcome.trace[-lines:],
            f"again: .venv/bin/python -m tests.simulation --seed {outcome.seed}",
        )
    )


def run_many(seeds: range) -> Iterator[Outcome]:
    with get_context("fork").Pool(PROCESSES) as pool:
        yield from pool.imap_unordered(simulate, seeds, chunksize=8)


def _many(count: int) -> int:
    begun, met, failed = perf_counter(), Met(), 0
    for outcome in run_many(range(1, count + 1)):
        met += outcome.met
        if outcome.violation is not None:
            failed += 1
            print(report(outcome), file=sys.stderr)  # noqa: T201 - a command
    lacking = missing(met, count)
    for line in lacking:
        print(f"met too seldom: {line}")  # noqa: T201 - as above
    unasserted = forgotten(met, count)
    for line in unasserted:
        print(f"met often, and not asserted: {line}")  # noqa: T201 - as above
    for what, why in NOT_ASSERTED.items():
        print(f"not asserted: {what}: {why}")  # noqa: T201 - as above
    seconds = perf_counter() - begun
    print(f"{count} seeds, {failed} failed, {len(met)} combinations met, {seconds:.0f} s")  # noqa: T201 - as above
    return int(failed > 0 or bool((lacking or unasserted) and count >= 1_000))


def _one(seed: int) -> int:
    outcome = simulate(seed)
    print(report(outcome, len(outcome.trace)))  # noqa: T201 - a command
    return int(outcome.violation is not None)


def _mutants(most: int) -> int:
    rows = ["| planted fault | what it does | seeds until caught | by |", "|---|---|---|---|"]
    for mutant in MUTANTS:
        for seed in range(1, most + 1):
            with planted(mutant):
                found = simulate(seed).violation
            if found is not None:
                rows.append(f"| {mutant.name} | {mutant.what} | {seed} | {found.checker} |")
                break
        else:
            rows.append(f"| {mutant.name} | {mutant.what} | not in {most} | - |")
        print(rows[-1], flush=True)  # noqa: T201 - a command
    text = README.read_text()
    head, rest = text.split(BEGIN)
    README.write_text(head + BEGIN + "\n" + "\n".join(rows) + "\n" + END + rest.split(END)[1])
    return int(any("| not in" in row for row in rows))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="run seeds 1 to this one")
    parser.add_argument("--seed", type=int, help="run one, and print its trace")
    parser.add_argument("--mutants", action="store_true", help="make the table of planted faults")
    given = parser.parse_args()
    if given.seed is not None:
        return _one(given.seed)
    return _mutants(MUTANT_SEEDS) if given.mutants else _many(given.seeds)


if __name__ == "__main__":
    sys.exit(main())
