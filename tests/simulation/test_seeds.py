"""The network keeps its promises under faults: by seed, the same everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import report, run_many
from tests.simulation.coverage import (
    AT_GATES,
    CONVERSATIONS,
    IN_TURNS,
    NAMES,
    NOT_ASSERTED,
    ONLY_ANSWERS,
    QUESTIONS,
    TOTALS,
    forgotten,
    missing,
)
from tests.simulation.faults import Met
from tests.simulation.mutants import MUTANTS, Mutant, planted
from tests.simulation.run import simulate

ROOT = Path(__file__).parents[2]
SEEDS = 200
NOTICED_WITHIN = 200
FLOOR = 5  # in proportion to 1,000 seeds; the command asserts all of it at 1,000


@pytest.mark.simulation
def test_two_hundred_seeds_keep_every_promise_and_meet_the_faults() -> None:
    met = Met()
    for outcome in run_many(range(1, SEEDS + 1)):
        assert outcome.violation is None, report(outcome)
        met += outcome.met
    assert not missing(met, SEEDS, FLOOR)
    assert not forgotten(met, SEEDS)


def test_no_flow_and_no_responder_is_forgotten() -> None:
    kinds = (CONVERSATIONS, QUESTIONS, ONLY_ANSWERS, NOT_ASSERTED)
    said = [name for each in kinds for name in each if name.endswith("/1")]
    named = {name for each in (CONVERSATIONS, QUESTIONS) for name in each}
    assert {name for name in said if " " not in name} == NAMES
    assert not named & ONLY_ANSWERS
    assert not named & NOT_ASSERTED.keys()


def test_what_does_not_happen_is_missed_and_what_happens_unasserted_is_noticed() -> None:
    lacking = missing(Met(), 1_000)
    assert len(lacking) >= len(AT_GATES) + len(TOTALS) + len(CONVERSATIONS)
    for fault in TOTALS:
        assert any(line.startswith(f"{fault} x in") for line in lacking), fault
    often = Met({(fault, "LETTER", "show-consumed/1"): 60 for fault in IN_TURNS})
    assert forgotten(often, 1_000) == ["LETTER x show-consumed/1"]
    assert not forgotten(often, 2_000)


@pytest.mark.simulation
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_a_planted_fault_is_noticed(mutant: Mutant) -> None:
    # The known seed first: a change of ours may have moved what it met, and then another finds it.
    found, seed = None, mutant.seed
    for seed in (mutant.seed, *range(1, NOTICED_WITHIN + 1)):
        with planted(mutant):
            found = simulate(seed).violation
        if found is not None:
            break
    assert found is not None
    assert simulate(seed).violation is None, "without the fault the seed is well"


def test_a_seed_is_the_same_under_any_hash_seed() -> None:
    traces = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "3"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(traces) == 1
    assert len(traces.pop().splitlines()) > 100
