"""Cases in the oracle's words, and the same cases as the ledger's values.

`consent`, `denial`, `restriction` and `request` fill in what a test does not care about: everybody at Riverside, for
treatment, everything, from 0 to 1,000; all at one place of one notary's log unless a test says otherwise.
"""

from hashlib import sha256
from typing import TypedDict, Unpack, cast

from states.decision import (
    Judgement,
    LogPlace,
    Outcome,
    Reason,
    Request,
    Statement,
    StatementKind,
    decide,
)
from states.identity import Party
from states.state import StateRef, TransactionId
from states.subjects.codes import Category, Label, Purpose
from states.subjects.content import Content
from states.subjects.terms import Exceptions, Terms
from tests.oracle import consent_oracle as oracle

START, NOON, END = 0, 500, 1_000
NONE: frozenset[str] = frozenset()


class Wording(TypedDict, total=False):
    """What a statement says; everything may be left out."""

    organisations: frozenset[str]
    person: str | None
    role: str | None
    purposes: frozenset[str]
    categories: frozenset[str]
    labels: frozenset[str]
    but_categories: frozenset[str]
    but_labels: frozenset[str]
    start: int
    end: int | None
    in_force_since: int
    notary: str
    at: int
    index: int


def codes(*named: str) -> frozenset[str]:
    return frozenset(named)


def consent(name: str, **said: Unpack[Wording]) -> oracle.Statement:
    return _statement(name, "consent", "permit", {"purposes": codes("TREAT"), **said})


def denial(name: str, **said: Unpack[Wording]) -> oracle.Statement:
    return _statement(name, "consent", "deny", said)


def restriction(name: str, **said: Unpack[Wording]) -> oracle.Statement:
    return _statement(name, "restriction", "deny", {"organisations": NONE, "end": None, **said})


def _statement(name: str, kind: str, decision: str, said: Wording) -> oracle.Statement:
    return cast(
        "oracle.Statement",
        {
            "name": name,
            "kind": kind,
            "decision": decision,
            "organisations": codes("riverside"),
            "person": None,
            "role": None,
            "purposes": NONE,
            "categories": NONE,
            "labels": NONE,
            "but_categories": NONE,
            "but_labels": NONE,
            "start": START,
            "end": END,
            "in_force_since": 0,
            "notary": "north",
            "at": 100,
            "index": 1,
            **said,
        },
    )


class Asking(TypedDict, total=False):
    """What a request says; everything may be left out."""

    organisation: str
    person: str | None
    role: str
    purpose: str
    category: str
    labels: frozenset[str]


def request(**said: Unpack[Asking]) -> oracle.Request:
    found: oracle.Request = {
        "organisation": "riverside",
        "person": "reed",
        "role": "clinician",
        "purpose": "TREAT",
        "category": "laboratory",
        "labels": codes("N"),
    }
    return {**found, **said}


def party(name: str) -> Party:
    return Party(f"did:key:z{name}")


def person_id(name: str | None) -> bytes | None:
    return None if name is None else sha256(name.encode()).digest()[:16]


def ref_of(name: str) -> StateRef:
    return StateRef(TransactionId(sha256(name.encode()).digest()), 0)


def statement_of(s: oracle.Statement) -> Statement:
    """Return the value that a node would build from its vault."""
    parties = tuple(sorted(party(name) for name in s["organisations"]))
    is_consent = s["kind"] == "consent"
    terms = Terms(
        s["decision"],
        person_id(s["person"]),
        s["role"],
        cast("tuple[Purpose, ...]", tuple(sorted(s["purposes"]))),
        cast("tuple[Category, ...]", tuple(sorted(s["categories"]))),
        cast("tuple[Label, ...]", tuple(sorted(s["labels"]))),
        () if is_consent else parties,
    )
    exceptions = Exceptions(
        cast("tuple[Category, ...]", tuple(sorted(s["but_categories"]))),
        cast("tuple[Label, ...]", tuple(sorted(s["but_labels"]))),
    )
    return Statement(
        ref=ref_of(s["name"]),
        kind=StatementKind(s["kind"]),
        grantee=parties[0] if is_consent else None,
        terms=terms,
        start=s["start"],
        end=s["end"],
        place=LogPlace(party(s["notary"]), s["at"], s["index"]),
        exceptions=exceptions,
        in_force_since=s["in_force_since"],
    )


def content_of(category: str, labels: frozenset[str]) -> Content:
    return Content("Observation", "", "", cast("Category", category), tuple(sorted(labels)), None)


def request_of(*asked: oracle.Request) -> Request:
    """Return one request for the items of all of these, which are by one reader for one purpose."""
    first = asked[0]
    same = {(one["organisation"], one["person"], one["role"], one["purpose"]) for one in asked}
    assert len(same) == 1
    return Request(
        grantee=party(first["organisation"]),
        person=person_id(first["person"]),
        role=first["role"],
        purpose=cast("Purpose", first["purpose"]),
        items=tuple(content_of(one["category"], one["labels"]) for one in asked),
    )


def judged(asked: oracle.Request, *said: oracle.Statement, moment: int = NOON) -> Judgement:
    """Judge one item, in both orders of the statements, and hold the oracle to the outcome."""
    held = [statement_of(s) for s in said]
    (judgement,) = decide(request_of(asked), held, "deny", moment).judgements
    assert decide(request_of(asked), held[::-1], "deny", moment).judgements == (judgement,)
    expected = oracle.answer(asked, list(said), moment)
    assert judgement.outcome.name == expected.outcome
    assert set(judgement.opened_by) == {ref_of(name) for name in expected.opened_by}
    return judgement


def brief(judgement: Judgement) -> tuple[Outcome, Reason]:
    return judgement.outcome, judgement.reason
