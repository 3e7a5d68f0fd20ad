"""Masks cover what the codes say, over the whole lists; being within is inclusion of what is covered."""

from itertools import combinations, product
from random import Random

import pytest

from states.coverage import DataRule, purpose_bit, purpose_bits
from states.subjects.codes import (
    CATEGORIES,
    CONFIDENTIALITIES,
    LABELS,
    PURPOSES,
    SENSITIVITIES,
    Decision,
    Label,
    purpose_covers,
)
from states.subjects.content import Content

PAIRS = ((), *((code,) for code in SENSITIVITIES), *combinations(SENSITIVITIES, 2))
LABELLED = tuple(
    Content("Observation", "", "", "note", tuple(sorted((*level, *sensitivities))), None)
    for level, sensitivities in product(((), *((c,) for c in CONFIDENTIALITIES)), PAIRS)
)


def covered(rule: DataRule) -> frozenset[Content]:
    return frozenset(item for item in LABELLED if rule.covers(item))


@pytest.mark.parametrize("seed", range(4))
def test_a_permit_is_within_a_rule_exactly_if_all_that_it_covers_is(seed: int) -> None:
    random = Random(seed)
    within = 0
    for _ in range(150):
        mine = DataRule("permit", (), _some_labels(random))
        decision: Decision = random.choice(("permit", "deny"))
        theirs = DataRule(decision, (), _some_labels(random))
        assert mine.is_within(theirs) == (covered(mine) <= covered(theirs)), (mine, theirs)
        within += mine.is_within(theirs)
    assert 15 < within < 135


def _some_labels(random: Random) -> tuple[Label, ...]:
    few = random.sample(LABELS, random.choice((0, 1, 1, 2, 2, 3)))
    whole = SENSITIVITIES if random.random() < 0.1 else ()
    return tuple(sorted({*few, *whole}))


def test_naming_every_category_is_naming_none() -> None:
    every = DataRule("permit", CATEGORIES, ())
    none = DataRule("deny", (), ())
    all_but_one = DataRule("deny", CATEGORIES[1:], ())
    assert every.is_within(none)
    assert DataRule("permit", (), ()).is_within(DataRule("deny", CATEGORIES, ()))
    assert not every.is_within(all_but_one)


@pytest.mark.parametrize("named", PURPOSES)
def test_each_purpose_is_covered_as_the_codes_say_but_break_glass_by_name(named: str) -> None:
    (purpose,) = (p for p in PURPOSES if p == named)
    permits, denies = purpose_bits("permit", (purpose,)), purpose_bits("deny", (purpose,))
    for declared in PURPOSES:
        covers = purpose_covers(purpose, declared)
        assert bool(denies & purpose_bit(declared)) == covers
        by_name = declared != "BTG" or purpose == "BTG"
        assert bool(permits & purpose_bit(declared)) == (covers and by_name)


def test_a_denial_without_purposes_is_for_every_one() -> None:
    assert all(purpose_bits("deny", ()) & purpose_bit(purpose) for purpose in PURPOSES)
