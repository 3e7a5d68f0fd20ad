"""Every role at every node against every root, every id against every other viewer, and the gate's own word."""

import base64
import itertools

import pytest

from app.auth.sessions import Role, Session
from app.graphql.schema.policy import Reach, Subject, Viewer
from states.groups import Group
from states.identity import Party
from states.signed import PROVEN_TRANSACTION
from states.tearoff import open_tearoff
from tests.simulation.neighbours import ADA
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DR_MORA,
    DR_REED,
    EVE_HERSELF,
    READ_OWN,
    RESOURCE,
    ROOTS,
    GraphVillage,
    Who,
    at,
)

STAFF = {
    (name, role): Who(name, role)
    for name in ("Mercy", "Riverside", "Agent")
    for role in (Role.PRIVACY_OFFICER, Role.OPERATOR, Role.AUDITOR)
}
OTHER_AT_RIVERSIDE = Who("Riverside", Role.CLINICIAN, bytes(16).hex(), "other")
PATIENT_AT_HOSPITAL = Who("Mercy", Role.PATIENT, "MRN 4711", "ada")
NO_PERSON = Who("Agent", Role.PATIENT, None, "nobody")

OVERSIGHT = {"patients", "consents", "disclosures", "disclosureRequests"}
SEEN: dict[Who, set[str]] = {
    ADA_HERSELF: {
        "patients",
        "records",
        "consents",
        "restrictions",
        "disclosures",
        "whoLooked",
        "transactions",
        "states",
        "flows",
        "transferPermits",
    },
    EVE_HERSELF: set(),
    NO_PERSON: set(),
    DR_MORA: {"patients", "records", "flows"},
    DR_REED: {"patients", "consents", "disclosures", "flows"},
    OTHER_AT_RIVERSIDE: set(),
    PATIENT_AT_HOSPITAL: set(),
    STAFF["Mercy", Role.PRIVACY_OFFICER]: OVERSIGHT | {"restrictions", "readingLog"},
    STAFF["Riverside", Role.PRIVACY_OFFICER]: OVERSIGHT | {"readingLog"},
    STAFF["Agent", Role.PRIVACY_OFFICER]: set(),
    STAFF["Mercy", Role.OPERATOR]: {"flows"},
    STAFF["Riverside", Role.OPERATOR]: {"flows"},
    STAFF["Agent", Role.OPERATOR]: {"flows"},
    STAFF["Mercy", Role.AUDITOR]: {"transactions", "states"},
    STAFF["Riverside", Role.AUDITOR]: {"transactions", "states"},
    STAFF["Agent", Role.AUDITOR]: {"transactions", "states"},
}
CASES = [(who, root) for who in SEEN for root in ROOTS if root != "lookAlarms"]


@pytest.fixture(scope="module")
def world() -> GraphVillage:
    told = GraphVillage()
    told.tell_the_story()
    return told


@pytest.mark.parametrize(
    ("who", "root"), CASES, ids=lambda case: case if isinstance(case, str) else case.user_id
)
def test_a_role_sees_its_own_roots_and_nothing_else(
    world: GraphVillage, who: Who, root: str
) -> None:
    assert bool(world.nodes(who, root)) is (root in SEEN[who])


def ids_of(world: GraphVillage, who: Who) -> dict[str, str]:
    """Every id that a viewer is shown at the roots, with the root that shows it."""
    return {str(at(row, "id")): root for root in ROOTS for row in world.nodes(who, root)}


def test_an_id_opens_for_whom_it_is_listed_and_is_null_for_everybody_else(
    world: GraphVillage,
) -> None:
    listed = {who: ids_of(world, who) for who in SEEN}
    met = 0
    for shown_to, asks in itertools.permutations(SEEN, 2):
        if shown_to.node != asks.node:
            continue
        ids = list(listed[shown_to])
        query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
        answers = at(world.ask(asks, query, {"ids": ids}), "nodes")
        expected = [{"id": each} if each in listed[asks] else None for each in ids]
        assert answers == expected, (shown_to, asks)
        met += sum(answer is None for answer in expected)
    assert met > 20


def test_an_id_of_another_node_names_nothing(world: GraphVillage) -> None:
    record = str(world.first(DR_MORA, "records")["id"])
    assert world.ask(ADA_HERSELF, "query($id: ID!) { node(id: $id) { id } }", {"id": record}) == {
        "node": None
    }


@pytest.mark.parametrize("forged", ["", "x", "AAAA", "AVyl01kk", "ä", "A" * 600])
def test_a_forged_id_names_nothing(world: GraphVillage, forged: str) -> None:
    query = "query($id: ID!) { node(id: $id) { id } }"
    assert world.ask(ADA_HERSELF, query, {"id": forged}) == {"node": None}


def test_content_is_read_through_the_gate_and_the_reading_is_in_the_log(
    world: GraphVillage,
) -> None:
    own = at(world.ask(DR_MORA, READ_OWN), "records", "nodes", 0, "content")
    assert base64.b64decode(str(at(own, "bytes"))).decode() == RESOURCE
    query = "{ disclosures(first: 5) { nodes { items(first: 5) { nodes { content(purpose: %s) { bytes refusal } } } } } }"  # noqa: E501
    right = world.ask(DR_REED, query % '"TREAT"')
    content = at(right, "disclosures", "nodes", 0, "items", "nodes", 0, "content")
    assert base64.b64decode(str(at(content, "bytes"))).decode() == RESOURCE
    wrong = world.ask(DR_REED, query % '"HRESCH"')
    content = at(wrong, "disclosures", "nodes", 0, "items", "nodes", 0, "content")
    assert content == {"bytes": None, "refusal": "Nothing available."}
    log = world.ask(STAFF["Riverside", Role.PRIVACY_OFFICER], ROOTS["readingLog"])
    assert at(log, "readingLog", "nodes", 0, "outcome") == "REFUSED"
    assert at(log, "readingLog", "nodes", 0, "rule") == "SAME_PURPOSE"


def test_a_patient_is_shown_who_looked_with_evidence(world: GraphVillage) -> None:
    query = """{ whoLooked { nodes { organisation { name } reader { shownAs } outcome evidence
      items { kind category } } } }"""
    rows = at(world.ask(ADA_HERSELF, query), "whoLooked", "nodes")
    assert isinstance(rows, list)
    read = [row for row in rows if at(row, "outcome") == "READ"]
    assert {str(at(row, "organisation", "name")) for row in read} == {"Mercy", "Riverside"}
    assert all(at(row, "items") for row in read)


PROOFS = "{ transactions { nodes { body { proof groups { group count shown } } } } }"


def _proofs(world: GraphVillage, who: Who) -> list[bytes]:
    rows = at(world.ask(who, PROOFS), "transactions", "nodes")
    assert isinstance(rows, list)
    return [base64.b64decode(str(at(row, "body", "proof"))) for row in rows]


def test_an_auditors_proofs_hold_no_sealed_component(world: GraphVillage) -> None:
    proofs = _proofs(world, STAFF["Mercy", Role.AUDITOR])
    assert len(proofs) == 4
    for proof in proofs:
        proven = PROVEN_TRANSACTION.decode(proof)
        filtered = open_tearoff(proven.tearoff)
        assert filtered.counts[Group.SEALED] > 0
        assert filtered.components(Group.SEALED) == []
        assert b"4548-4" not in proof
        assert b"laboratory" not in proof


def test_a_patients_proofs_are_of_the_same_transactions_and_show_what_is_hers(
    world: GraphVillage,
) -> None:
    hers = [PROVEN_TRANSACTION.decode(each) for each in _proofs(world, ADA_HERSELF)]
    theirs = [
        PROVEN_TRANSACTION.decode(each) for each in _proofs(world, STAFF["Agent", Role.AUDITOR])
    ]
    assert [open_tearoff(each.tearoff).id for each in hers] == [
        open_tearoff(each.tearoff).id for each in theirs
    ]
    assert all(open_tearoff(each.tearoff).components(Group.SEALED) for each in hers)


def test_a_grantee_is_not_told_what_a_consent_leaves_out(world: GraphVillage) -> None:
    query = "{ consents { nodes { exceptions { categories } terms { purposes } } } }"
    assert at(world.ask(DR_REED, query), "consents", "nodes", 0, "exceptions") is None
    hers = at(world.ask(ADA_HERSELF, query), "consents", "nodes", 0, "exceptions")
    assert hers == {"categories": []}


def test_an_operator_sees_flows_without_their_results(world: GraphVillage) -> None:
    query = "{ flows { nodes { kind status result { __typename } } } }"
    rows = at(world.ask(STAFF["Agent", Role.OPERATOR], query), "flows", "nodes")
    assert isinstance(rows, list)
    assert rows
    assert all(at(row, "result") is None for row in rows)


def test_a_session_of_another_organisation_sees_nothing_here(world: GraphVillage) -> None:
    desk = world.desks["Agent"]
    session = world.session(ADA_HERSELF)
    elsewhere = Session(
        session.session_id,
        session.user_id,
        session.role,
        session.person_id,
        world.party("Mercy"),
        session.issued,
        session.expires,
    )
    viewer = Viewer.of(elsewhere, desk.assembly.me, "", at_agent=True)
    assert {viewer.reach(each) for each in Subject} == {Reach.NOTHING}


def test_a_clinician_who_left_the_staff_directory_sees_nothing() -> None:
    world = GraphVillage()
    world.publish()
    assert world.nodes(DR_MORA, "records")
    node = world.village.nodes["Mercy"]
    node.db.execute("UPDATE practitioner SET active = 0")
    assert world.nodes(DR_MORA, "records") == []


def test_a_publication_of_two_patients_shows_each_only_her_own_sealed_components() -> None:
    """Batches of several patients come from elsewhere than the API; the agent holds them all the same."""
    world = GraphVillage()
    world.publish(2)
    agent = world.village.nodes["Agent"]
    agent.db.execute("UPDATE record SET patient = ? WHERE idx = 1", (EVE_HERSELF.person,))
    for who, index in ((ADA_HERSELF, 0), (EVE_HERSELF, 1)):
        (proof,) = _proofs(world, who)
        shown = open_tearoff(PROVEN_TRANSACTION.decode(proof).tearoff).components(Group.SEALED)
        assert len(shown) == 1, who
        assert shown[0][0] == index


@pytest.mark.parametrize("role", list(Role))
def test_a_role_that_may_see_everything_of_a_subject_is_never_one_that_sees_patients_data(
    role: Role,
) -> None:
    """EVERYTHING is for flows, transactions, states, requests and the log: no listing of records has it."""
    me = Party("did:key:zHere")
    viewer = Viewer("u", role, ADA.hex(), me, acts_here=True, at_agent=True, staff_role="x")
    wide = {each for each in Subject if viewer.reach(each) is Reach.EVERYTHING}
    assert not wide & {
        Subject.PATIENT,
        Subject.RECORD,
        Subject.CONSENT,
        Subject.RESTRICTION,
        Subject.DISCLOSURE,
        Subject.LOOK,
    }
