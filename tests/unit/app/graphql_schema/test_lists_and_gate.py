"""The two ways out of a node side by side: rows by the listings, bytes by the gate, in every state of a consent."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import pytest

from app.access import Deny, GateRule, Permit
from app.auth.sessions import Role
from states.state import StateRef, TransactionId
from states.subjects.terms import TERMS
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DR_MORA,
    DR_REED,
    GraphVillage,
    Who,
    at,
)
from tests.unit.app.graphql_schema.test_what_ended import (
    consent_over,
    cut_off,
    dead,
    read_until,
    restored,
    withdraw,
)
from tests.unit.app.graphql_schema.test_who_sees_what import SEEN

ALL = "query { %s(status: ALL) { nodes { id } } }"
LISTS = {
    "record": ("records", ALL % "records"),
    "consent": ("consents", ALL % "consents"),
    "restriction": ("restrictions", ALL % "restrictions"),
    "disclosure": ("disclosures", "{ disclosures { nodes { id } } }"),
    "disclosed-item": ("disclosures", "{ disclosures { nodes { items { nodes { id } } } } }"),
}
KINDS = tuple(LISTS)
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
ONE = {
    kind: f"query($id: ID!) {{ {kind}(id: $id) {{ id }} }}"
    for kind in ("record", "consent", "restriction", "disclosure")
}
"""Kinds with a root of their own for one of them."""
ROWS = {
    "record": "SELECT tx, idx, custodian, NULL, patient, '', NULL, 0, 1 FROM record",
    "consent": "SELECT tx, idx, custodian, grantee, patient, '', terms, \"end\","
    " consumed_seq IS NULL AND closed_at IS NULL FROM statement WHERE grantee IS NOT NULL",
    "restriction": "SELECT tx, idx, custodian, NULL, patient, '', NULL, 0, 1 FROM statement"
    " WHERE grantee IS NULL",
    "disclosure": "SELECT tx, 0, custodian, recipient, patient, purpose, NULL, 0, 1"
    " FROM disclosure",
    "disclosed-item": "SELECT i.tx, i.item, custodian, recipient, patient, purpose, NULL, 0, 1"
    " FROM disclosure_item i JOIN disclosure d ON d.tx = i.tx",
}


class Held(NamedTuple):
    """A row of a node, as it lies there."""

    tx: bytes
    idx: int
    custodian: str
    other: str | None
    patient: str | None
    purpose: str
    terms: bytes | None
    end: int
    lives: int


@dataclass(frozen=True)
class Look:
    """One viewer's node, without what shows it."""

    world: GraphVillage
    who: Who

    def held(self, kind: str) -> list[Held]:
        rows = self.world.village.nodes[self.who.node].db.execute(ROWS[kind]).fetchall()
        return [Held(*row) for row in rows]

    def id_of(self, kind: str, row: Held) -> str:
        keys = (row.tx,) if kind == "disclosure" else (row.tx, row.idx)
        return self.world.desks[self.who.node].api.ids.seal(kind, *keys)

    def listed(self, kind: str) -> set[str]:
        root, query = LISTS[kind]
        nodes = at(self.world.ask(self.who, query), root, "nodes")
        assert isinstance(nodes, list)
        if kind == "disclosed-item":
            nodes = [item for each in nodes for item in _list(at(each, "items", "nodes"))]
        return {str(at(each, "id")) for each in nodes}

    def opens(self, kind: str, row: Held) -> set[GateRule | None]:
        """What the gate says of the bytes: None where it permits them, else its reason."""
        gate = self.world.desks[self.who.node].assembly.gate
        session, tx = self.world.session(self.who), TransactionId(row.tx)
        if kind == "record":
            decisions = [gate.may_open_own(session, StateRef(tx, row.idx), "TREAT")]
        else:
            items = range(2) if kind == "disclosure" else (row.idx,)
            decisions = [gate.may_open(session, tx, item, row.purpose) for item in items]  # type: ignore[arg-type]
        assert all(isinstance(each, Permit | Deny) for each in decisions)
        return {each.rule if isinstance(each, Deny) else None for each in decisions}

    def is_due(self, kind: str, row: Held) -> bool:
        """Whether this viewer is to be shown the row, from the row and the gate alone."""
        me = self.world.party(self.who.node)
        if kind not in SHOWN.get(self.who, ()):
            return False
        if self.who.role is Role.PATIENT:
            return row.patient == self.who.person
        if self.who.role is Role.PRIVACY_OFFICER:
            parties = (row.custodian, row.other)
            return me in (parties if kind in {"consent", "disclosure"} else parties[:1])
        if kind == "consent":
            now = self.world.village.clock.now
            return bool(row.lives) and now < row.end and self._names(row)
        # Of a disclosure whose items were withdrawn it is shown that there is nothing in it any more.
        rules = {None, GateRule.NOT_WITHDRAWN} if kind == "disclosure" else {None}
        return bool(self.opens(kind, row) & rules)

    def _names(self, row: Held) -> bool:
        assert row.terms is not None
        person = TERMS.decode(row.terms).person
        assert person is not None
        return row.other == self.world.party(self.who.node) and person.hex() == self.who.person


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


OFFICERS = [who for who in SEEN if who.role is Role.PRIVACY_OFFICER]
SHOWN: dict[Who, tuple[str, ...]] = {
    ADA_HERSELF: KINDS,
    DR_MORA: ("record", "disclosure", "disclosed-item", "consent"),
    DR_REED: ("record", "disclosure", "disclosed-item", "consent"),
    **dict.fromkeys(OFFICERS, ("consent", "restriction", "disclosure", "disclosed-item")),
}


def _as_told(world: GraphVillage) -> None:
    """Nothing ended."""


def _close(world: GraphVillage) -> None:
    fields = {
        "idempotencyKey": "close",
        "custodian": world.party_id("Agent", "Mercy"),
        "terms": {"categories": ["LABORATORY"]},
    }
    world.mutate(ADA_HERSELF, "restrict", fields)


def _custodian_restored(world: GraphVillage) -> None:
    """Her agent has not told it yet what she has closed since."""
    node = world.village.nodes["Mercy"]
    node.db.execute("INSERT INTO ledger_recovery SELECT x'', agent, 0 FROM enrolment LIMIT 1")


STATES: dict[str, Callable[[GraphVillage], object]] = {
    "as told": _as_told,
    "revoked": GraphVillage.revoke,
    "restricted": _close,
    "withdrawn": withdraw,
    "out of time": read_until,
    "expired": consent_over,
    "cut off": cut_off,
    "not alive": dead,
    "restored": restored,
    "custodian restored": _custodian_restored,
}


@cache
def world_in(state: str) -> GraphVillage:
    told = GraphVillage()
    told.tell_the_story()
    STATES[state](told)
    return told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", STATES)
def test_what_is_listed_the_gate_permits(state: str, kind: str) -> None:
    """And what it permits is listed: by root and by id, to every viewer."""
    world, rows = world_in(state), 0
    for who in SEEN:
        look = Look(world, who)
        held = look.held(kind)
        due = {look.id_of(kind, row) for row in held if look.is_due(kind, row)}
        assert look.listed(kind) == due, (who, kind)
        ids = [look.id_of(kind, row) for row in held]
        expected = [{"id": each} if each in due else None for each in ids]
        assert world.ask(who, NODES, {"ids": ids})["nodes"] == expected, (who, kind)
        if kind in ONE:
            answers = [world.ask(who, ONE[kind], {"id": each})[kind] for each in ids]
            assert answers == expected, (who, kind)
        rows += len(held)
    assert rows > 0


@pytest.mark.parametrize("kind", ONE)
def test_a_root_for_one_thing_answers_nothing_to_every_id_that_is_not_of_its_kind(
    kind: str,
) -> None:
    world = world_in("as told")
    rows = {each: Look(world, ADA_HERSELF).held(each) for each in KINDS}
    ids = {each: Look(world, ADA_HERSELF).id_of(each, held[0]) for each, held in rows.items()}
    assert world.ask(ADA_HERSELF, ONE[kind], {"id": ids[kind]}) == {kind: {"id": ids[kind]}}
    others = [each for other, each in ids.items() if other != kind]
    elsewhere = world.desks["Mercy"].api.ids.seal(kind, rows[kind][0].tx, 0)
    for each in (*others, elsewhere, "", "AAAA", "ä" * 600):
        assert world.ask(ADA_HERSELF, ONE[kind], {"id": each}) == {kind: None}


@pytest.mark.parametrize("state", STATES)
def test_the_gate_opens_to_clinicians_alone(state: str) -> None:
    """So for everybody else a list is all that there is, and the test above knows whose rows those are."""
    world = world_in(state)
    for who in SEEN:
        if who.role is Role.CLINICIAN:
            continue
        look = Look(world, who)
        for kind in ("record", "disclosed-item"):
            assert all(None not in look.opens(kind, row) for row in look.held(kind))


@pytest.mark.parametrize("state", STATES)
def test_the_gate_opens_to_a_patient_what_is_listed_to_her_and_to_nobody_else(state: str) -> None:
    """Her records: nothing that ends for others ends that. Their ciphertext comes when she reads."""
    world, opened = world_in(state), 0
    for who in SEEN:
        look = Look(world, who)
        gate, session = world.desks[who.node].assembly.gate, world.session(who)
        listed = look.listed("record") if who.role is Role.PATIENT else set()
        for row in look.held("record"):
            decision = gate.may_open_hers(session, StateRef(TransactionId(row.tx), row.idx))
            may = isinstance(decision, Permit) or decision.rule is GateRule.FETCHED
            assert may is (look.id_of("record", row) in listed), who
            opened += may
    assert opened == 2


@pytest.mark.parametrize(
    ("state", "mora", "reed"),
    [("as told", 2, 2), ("revoked", 2, 0), ("restricted", 0, 0), ("withdrawn", 2, 0),
     ("out of time", 2, 0), ("expired", 2, 0), ("cut off", 2, 0), ("not alive", 2, 0),
     ("restored", 2, 0),
     ("custodian restored", 0, 2)],
)  # fmt: skip
def test_each_state_changes_what_the_gate_opens(state: str, mora: int, reed: int) -> None:
    """Else the comparison would compare nothing with nothing."""
    world = world_in(state)
    for who, kind, opened in ((DR_MORA, "record", mora), (DR_REED, "disclosed-item", reed)):
        look = Look(world, who)
        assert sum(None in look.opens(kind, row) for row in look.held(kind)) == opened
