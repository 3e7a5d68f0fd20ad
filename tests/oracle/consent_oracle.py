"""The consent decision once more: naive, slow, from the texts alone (consent.md, architecture 7.1).

It imports nothing of the ledger. What a statement covers is a set of points, written out one by one over a small
universe; "at least as specific" is "is a subset of". The universe has members that no statement names (a stranger,
a purpose, a category, a sensitivity), so that a finite list never passes for "everything".
"""

from functools import cache
from itertools import combinations, product
from typing import Literal, NamedTuple, TypedDict

CUSTODIAN_SIDE_ORGANISATIONS = ("riverside", "lakeside", "never-named")
PERSONS = ("reed", "kay", "never-named", None)
ROLES = ("clinician", "pharmacist", "never-named")
PURPOSE_PARENTS = {
    "TREAT": None,
    "COC": "TREAT",
    "ETREAT": "TREAT",
    "BTG": "ETREAT",
    "HRESCH": None,
    "CLINTRCH": "HRESCH",
    "HMARKT": None,  # never named
}
CATEGORIES = ("laboratory", "medication", "note", "imaging")  # imaging is never named
RANKS = ("U", "L", "M", "N", "R", "V")
SENSITIVITY_PARENTS: dict[str, tuple[str, ...]] = {
    "BH": (),
    "PSY": ("BH",),
    "SUD": ("BH",),
    "ETH": (),
    "ETHUD": ("ETH", "SUD"),
    "HIV": (),
    "SDV": (),  # never named
}


class Statement(TypedDict):
    """A consent or a restriction in plain words; an empty set of a field is no condition."""

    name: str
    kind: Literal["consent", "restriction"]
    decision: Literal["permit", "deny"]
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


class Request(TypedDict):
    """Who asks, why, for which one item; a label set without codes is unlabelled."""

    organisation: str
    person: str | None
    role: str
    purpose: str
    category: str
    labels: frozenset[str]


class Answer(NamedTuple):
    """The outcome; the consents that open the item; the statements that may be named for a denial."""

    outcome: Literal["PERMIT", "DENY", "NO_CONSENT"]
    opened_by: frozenset[str] = frozenset()
    closed_by: frozenset[str] = frozenset()


Reader = tuple[str, str | None, str]
Datum = tuple[str, str | None, frozenset[str]]


class Provision(NamedTuple):
    """One permit or one denial with all that it covers, dimension by dimension."""

    statement: Statement
    decision: Literal["permit", "deny"]
    readers: frozenset[Reader]
    purposes: frozenset[str]
    data: frozenset[Datum]


READERS: tuple[Reader, ...] = tuple(product(CUSTODIAN_SIDE_ORGANISATIONS, PERSONS, ROLES))
SENSITIVITY_SETS = tuple(
    frozenset(some) for size in range(3) for some in combinations(SENSITIVITY_PARENTS, size)
)
DATA: tuple[Datum, ...] = tuple(product(CATEGORIES, (None, *RANKS), SENSITIVITY_SETS))


def is_beneath(code: str, named: str) -> bool:
    """5: other labels by subsumption."""
    return code == named or any(is_beneath(parent, named) for parent in SENSITIVITY_PARENTS[code])


def is_for(purpose: str | None, named: str) -> bool:
    """4: a code covers its descendants; never its ancestors."""
    return purpose is not None and (purpose == named or is_for(PURPOSE_PARENTS[purpose], named))


@cache
def readers_of(
    decision: str, organisations: frozenset[str], person: str | None, role: str | None
) -> frozenset[Reader]:
    """Elements AND; absent = everybody; 11.7: an unknown person meets no permit and every denial."""
    found = set()
    for organisation, who, acting_as in READERS:
        if organisations and organisation not in organisations:
            continue
        if role is not None and acting_as != role:
            continue
        unknown_denied = decision == "deny" and who is None
        if person is not None and who != person and not unknown_denied:
            continue
        found.add((organisation, who, acting_as))
    return frozenset(found)


@cache
def purposes_of(decision: str, named: frozenset[str]) -> frozenset[str]:
    """A denial without purposes is for every one; 11.5: BTG needs a permit that says BTG."""
    found = {p for p in PURPOSE_PARENTS if any(is_for(p, name) for name in named)}
    if decision == "permit" and "BTG" not in named:
        found.discard("BTG")
    if decision == "deny" and not named:
        found = set(PURPOSE_PARENTS)
    return frozenset(found)


def label_meets(decision: str, named: str, rank: str | None, sensitivities: frozenset[str]) -> bool:
    """11.4: a permit covers at or below, a denial at or above. 11.7: a missing rank meets denials only."""
    if named not in RANKS:
        return any(is_beneath(code, named) for code in sensitivities)
    if rank is None:
        return decision == "deny"
    if decision == "permit":
        return RANKS.index(rank) <= RANKS.index(named)
    return RANKS.index(rank) >= RANKS.index(named)


@cache
def data_of(decision: str, categories: frozenset[str], labels: frozenset[str]) -> frozenset[Datum]:
    """Fields AND, entries OR; unlabelled data is withheld under any label condition (11.4)."""
    found = set()
    for category, rank, sensitivities in DATA:
        if categories and category not in categories:
            continue
        unlabelled = rank is None and not sensitivities
        if labels and unlabelled and decision == "permit":
            continue
        met = any(label_meets(decision, named, rank, sensitivities) for named in labels)
        if labels and not met and not unlabelled:
            continue
        found.add((category, rank, sensitivities))
    return frozenset(found)


def provisions_of(s: Statement) -> list[Provision]:
    """The statement itself; and what a permit leaves out, as denials inside its own frame (11.2)."""
    readers = readers_of(s["decision"], s["organisations"], s["person"], s["role"])
    purposes = purposes_of(s["decision"], s["purposes"])
    data = data_of(s["decision"], s["categories"], s["labels"])
    found = [Provision(s, s["decision"], readers, purposes, data)]
    if s["decision"] == "permit":
        none: frozenset[str] = frozenset()
        if s["but_categories"]:
            left_out = data & data_of("deny", s["but_categories"], none)
            found.append(Provision(s, "deny", readers, purposes, left_out))
        if s["but_labels"]:
            left_out = data & data_of("deny", none, s["but_labels"])
            found.append(Provision(s, "deny", readers, purposes, left_out))
    return found


def is_in_force(s: Statement, moment: int) -> bool:
    """[start, end), and a denial binds from the custodian's word, not from its place in the log."""
    return (
        s["start"] <= moment
        and (s["end"] is None or moment < s["end"])
        and s["in_force_since"] <= moment
    )


def is_later(permit: Statement, denial: Statement) -> bool:
    """By receipt time; at one notary by log index. Equal is not later."""
    if permit["notary"] == denial["notary"]:
        return permit["index"] > denial["index"]
    return permit["at"] > denial["at"]


def prevails(permit: Provision, denial: Provision) -> bool:
    """11.1: later, and at least as specific in every dimension."""
    return (
        is_later(permit.statement, denial.statement)
        and permit.readers <= denial.readers
        and permit.purposes <= denial.purposes
        and permit.data <= denial.data
    )


def answer(request: Request, statements: list[Statement], moment: int) -> Answer:
    """Judge one item."""
    reader = (request["organisation"], request["person"], request["role"])
    rank = next((code for code in reversed(RANKS) if code in request["labels"]), None)
    sensitivities = frozenset(request["labels"] & SENSITIVITY_PARENTS.keys())
    datum = (request["category"], rank, sensitivities)
    assert reader in READERS
    assert datum in DATA
    speaking = [
        provision
        for statement in statements
        if is_in_force(statement, moment)
        for provision in provisions_of(statement)
        if reader in provision.readers and request["purpose"] in provision.purposes
    ]
    framing = [p for p in speaking if p.decision == "permit"]
    permits = [p for p in framing if datum in p.data]
    denials = [p for p in speaking if p.decision == "deny" and datum in p.data]
    opening = [p for p in permits if all(prevails(p, d) for d in denials)]
    if opening:
        return Answer("PERMIT", opened_by=frozenset(p.statement["name"] for p in opening))
    standing = [d for d in denials if not permits or any(not prevails(p, d) for p in permits)]
    if standing:
        return Answer("DENY", closed_by=frozenset(d.statement["name"] for d in standing))
    if framing:  # 3: a permit with conditions on data means nothing but that data
        return Answer("DENY", closed_by=frozenset(p.statement["name"] for p in framing))
    return Answer("NO_CONSENT")
