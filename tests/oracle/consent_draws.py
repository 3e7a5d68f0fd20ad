"""Random small cases for the decision: few codes, so that statements meet each other often.

One generator for two drivers: hypothesis, which shrinks, and a seeded `Random`, which is fast.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple, Protocol, TypeVar

from tests.oracle import consent_oracle as oracle
from tests.oracle.consent_cases import END, NONE, NOON, START, codes

T = TypeVar("T")
Codes = frozenset[str]


class Choose(Protocol):
    """Picks one of these."""

    def __call__(self, of: Sequence[T], /) -> T: ...


class Case(NamedTuple):
    """One reader and purpose, some items, some statements, a moment."""

    asked: list[oracle.Request]
    said: list[oracle.Statement]
    moment: int


def _sets(of: tuple[str, ...], unconditional: int) -> tuple[Codes, ...]:
    """Sets of one or two codes, and often none at all: most statements have few conditions."""
    pairs = tuple(frozenset(some) for size in (1, 2) for some in combinations(of, size))
    return (NONE,) * (unconditional * len(pairs)) + pairs


PURPOSES = _sets(("TREAT", "COC", "ETREAT", "BTG", "HRESCH", "CLINTRCH"), 0)
CATEGORIES = _sets(("laboratory", "medication", "note"), 3)
LABELS = _sets(("U", "N", "R", "V", "BH", "PSY", "SUD", "ETH", "ETHUD", "HIV"), 2)
LEVELS = (NONE, codes("U"), codes("N"), codes("R"), codes("V"))
SENSITIVITIES = _sets(("PSY", "BH", "ETHUD", "ETH", "HIV"), 2)
READERS = ((None, None), (None, None), ("reed", None), (None, "clinician"))
MOMENTS = (START - 1, START, NOON - 1, END - 1, END) + (NOON,) * 15
Kind = Literal["permit", "denial", "restriction"]
KINDS: tuple[Kind, ...] = ("permit", "permit", "denial", "restriction")


def draw_case(choose: Choose) -> Case:
    said = [
        _draw_statement(choose, f"statement {at}") for at in range(choose((0, 1, 2, 3, 4, 5, 6)))
    ]
    organisation = choose(("riverside",) * 5 + ("lakeside",))
    person = choose(("reed", "reed", "reed", "kay", None))
    role = choose(("clinician", "clinician", "pharmacist"))
    purpose = choose(("TREAT",) * 4 + ("COC",) * 4 + ("BTG", "CLINTRCH", "HMARKT"))
    asked: list[oracle.Request] = [
        {
            "organisation": organisation,
            "person": person,
            "role": role,
            "purpose": purpose,
            "category": choose(("laboratory", "medication", "note")),
            "labels": choose(LEVELS) | choose(SENSITIVITIES),
        }
        for _ in range(choose((1, 2, 3, 4)))
    ]
    return Case(asked, said, choose(MOMENTS))


def _draw_statement(choose: Choose, name: str) -> oracle.Statement:
    kind = choose(KINDS)
    permits, ends = kind == "permit", kind != "restriction"
    person, role = choose(READERS)
    notary = choose(("north", "north", "south"))
    at = choose((100, 200, 300))
    everywhere = choose((NONE, codes("riverside"), codes("lakeside", "riverside")))
    somewhere = choose((codes("riverside"),) * 5 + (codes("lakeside"),))
    return {
        "name": name,
        "kind": "consent" if ends else "restriction",
        "decision": "permit" if permits else "deny",
        "organisations": somewhere if ends else everywhere,
        "person": person,
        "role": role,
        "purposes": choose((codes("TREAT"),) * 8 + PURPOSES)
        if permits
        else choose((NONE, choose(PURPOSES))),
        "categories": choose(CATEGORIES),
        "labels": choose(LABELS),
        "but_categories": choose((NONE, NONE, choose(CATEGORIES))) if ends else NONE,
        "but_labels": choose((NONE, NONE, choose(LABELS))) if ends else NONE,
        "start": choose((START,) * 8 + (NOON,)),
        "end": choose((END,) * 8 + (NOON,)) if ends else None,
        "in_force_since": 0 if permits else choose((0,) * 8 + (NOON,)),
        "notary": notary,
        # Between notaries an index says nothing: the southern log is much longer.
        "at": at,
        "index": at + choose((0, 1)) + (100_000 if notary == "south" else 0),
    }


def chooser(pick: Callable[[int], int]) -> Choose:
    """Return a choice by the index that `pick` gives below a bound."""

    def choose(of: Sequence[T], /) -> T:
        return of[pick(len(of))]

    return choose
