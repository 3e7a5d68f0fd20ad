"""Paging while the ledger grows, cursors that open nothing else, and reads of one moment."""

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest

from app.auth.sessions import Role
from app.closure import Asker
from app.graphql.schema.moment import Snapshots
from app.storage.database import open_database
from app.vault.vault import Vault
from states.decision import Ruling
from states.subjects.codes import Purpose
from tests.simulation.neighbours import ADA
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DR_MORA,
    EVE_HERSELF,
    GraphVillage,
    Who,
    at,
)

AUDITOR = Who("Mercy", Role.AUDITOR)
PAGE = """query($first: Int, $after: String, $last: Int, $before: String, $asOf: LedgerSeq) {
  records(first: $first, after: $after, last: $last, before: $before, asOf: $asOf) {
    nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


def nobody_closes(
    db: sqlite3.Connection, patient: str, asker: Asker, purpose: Purpose, now: int
) -> Ruling:
    raise AssertionError((db, patient, asker, purpose, now, "nothing is listed here"))


@pytest.fixture
def world() -> GraphVillage:
    told = GraphVillage()
    for number in range(5):
        told.publish(1, f"publish-{number}")
    return told


def walk(world: GraphVillage, size: int, *, grow: bool) -> list[str]:
    seen: list[str] = []
    after: object = None
    for round_ in range(10):
        page = world.ask(DR_MORA, PAGE, {"first": size, "after": after})["records"]
        nodes = at(page, "nodes")
        assert isinstance(nodes, list)
        seen += [str(at(each, "id")) for each in nodes]
        if not at(page, "pageInfo", "hasNextPage"):
            return seen
        after = at(page, "pageInfo", "endCursor")
        if grow:
            world.publish(1, f"meanwhile-{round_}")
    raise AssertionError("the pages do not end")


def test_pages_show_the_world_of_page_one_though_the_ledger_grows(world: GraphVillage) -> None:
    before = walk(world, 100, grow=False)
    assert len(before) == 5
    assert walk(world, 2, grow=True) == before
    assert len(walk(world, 100, grow=False)) == 7


def test_a_record_that_is_amended_meanwhile_stays_on_the_pages_of_its_moment(
    world: GraphVillage,
) -> None:
    first = world.ask(DR_MORA, PAGE, {"first": 1})["records"]
    rest = world.ask(DR_MORA, PAGE, {"first": 100})["records"]
    oldest = str(at(rest, "nodes", 4, "id"))
    world.mutate(
        DR_MORA,
        "amendRecord",
        {
            "idempotencyKey": "amend",
            "record": oldest,
            "resource": '{"resourceType":"Observation","status":"amended","code":{"text":"x"}}',
        },
    )
    cursor = at(first, "pageInfo", "endCursor")
    later = world.ask(DR_MORA, PAGE, {"first": 100, "after": cursor})["records"]
    nodes = at(later, "nodes")
    assert isinstance(nodes, list)
    assert at(nodes[-1], "id") == oldest


def test_backward_pages_are_the_forward_ones_mirrored(world: GraphVillage) -> None:
    whole = walk(world, 100, grow=False)
    page = world.ask(DR_MORA, PAGE, {"last": 2})["records"]
    assert [at(each, "id") for each in _list(at(page, "nodes"))] == whole[-2:]
    earlier = world.ask(DR_MORA, PAGE, {"last": 2, "before": at(page, "pageInfo", "startCursor")})[
        "records"
    ]
    assert [at(each, "id") for each in _list(at(earlier, "nodes"))] == whole[1:3]
    assert at(earlier, "pageInfo", "hasPreviousPage") is True


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def test_as_of_shows_what_was_known_then(world: GraphVillage) -> None:
    page = world.ask(DR_MORA, PAGE, {"first": 100, "asOf": 2})["records"]
    assert len(_list(at(page, "nodes"))) == 2
    assert world.refused(DR_MORA, PAGE, {"asOf": 999}) == "BAD_USER_INPUT"


def test_a_cursor_is_good_for_its_query_filter_and_reader_only(world: GraphVillage) -> None:
    page = world.ask(DR_MORA, PAGE, {"first": 1})["records"]
    cursor = str(at(page, "pageInfo", "endCursor"))
    tampered = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    assert world.refused(DR_MORA, PAGE, {"after": tampered}) == "BAD_USER_INPUT"
    assert world.refused(DR_MORA, PAGE, {"after": "nonsense"}) == "BAD_USER_INPUT"
    assert world.refused(DR_MORA, PAGE, {"after": cursor, "asOf": 2}) == "BAD_USER_INPUT"
    assert world.refused(ADA_HERSELF, PAGE, {"after": cursor}) == "BAD_USER_INPUT"
    other = "query($after: String) { patients(after: $after) { nodes { id } } }"
    assert world.refused(DR_MORA, other, {"after": cursor}) == "BAD_USER_INPUT"
    assert "Observation" not in cursor


@pytest.mark.parametrize(
    "arguments", [{"first": 0}, {"first": -1}, {"first": 1, "last": 1}, {"after": "x", "last": 1}]
)
def test_page_arguments_that_make_no_sense_are_refused(
    world: GraphVillage, arguments: dict[str, object]
) -> None:
    assert world.refused(DR_MORA, PAGE, arguments) == "BAD_USER_INPUT"


def test_the_default_page_has_twenty_and_says_that_there_is_more() -> None:
    world = GraphVillage()
    world.publish(25)
    page = world.ask(DR_MORA, PAGE, {})["records"]
    assert len(_list(at(page, "nodes"))) == 20
    assert at(page, "pageInfo", "hasNextPage") is True


def test_parties_page_by_name(world: GraphVillage) -> None:
    query = """query($after: String) { parties(first: 2, after: $after) {
      nodes { name } pageInfo { endCursor hasNextPage } } }"""
    names: list[str] = []
    after: object = None
    for _ in range(5):
        page = world.ask(DR_MORA, query, {"after": after})["parties"]
        names += [str(at(each, "name")) for each in _list(at(page, "nodes"))]
        after = at(page, "pageInfo", "endCursor")
        if not at(page, "pageInfo", "hasNextPage"):
            break
    assert names == ["Agent", "Mercy", "Northside", "Notary", "Riverside"]


def test_an_answer_says_which_moment_it_is_of(world: GraphVillage) -> None:
    answer = asyncio.run(world.answer(DR_MORA, "{ me { user } }"))
    assert at(dict(answer.extensions), "consistency", "ledgerSeq") == 5
    as_of = str(at(dict(answer.extensions), "consistency", "asOf"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", as_of)


def test_filters_narrow(world: GraphVillage) -> None:
    query = """query($patient: ID, $category: Category, $custodian: ID, $status: Life!) {
      records(patient: $patient, category: $category, custodian: $custodian, status: $status) {
        nodes { id } } }"""
    patient = world.first(DR_MORA, "patients")["id"]

    def count(**variables: object) -> int:
        found = world.ask(DR_MORA, query, {"status": "ALL", **variables})
        return len(_list(at(found, "records", "nodes")))

    assert count(patient=patient) == 5
    assert count(category="LABORATORY") == 5
    assert count(category="GENETICS") == 0
    assert count(status="PAST") == 0
    assert count(custodian=world.party_id("Mercy", "Mercy")) == 5
    assert count(custodian=world.party_id("Mercy", "Riverside")) == 0
    assert world.refused(DR_MORA, query, {"status": "ALL", "custodian": patient}) == (
        "BAD_USER_INPUT"
    )


@pytest.mark.parametrize("root", ["records", "consents", "restrictions", "disclosures"])
def test_a_filter_by_what_is_no_id_of_a_patient_is_refused(world: GraphVillage, root: str) -> None:
    query = f"query($id: ID) {{ {root}(patient: $id) {{ nodes {{ id }} }} }}"
    elsewhere = world.desks["Agent"].api.ids.seal("patient", "MRN 4711")
    party = world.party_id("Mercy", "Mercy")
    for id_ in ("nobody", "", elsewhere, party):
        assert world.refused(DR_MORA, query, {"id": id_}) == "BAD_USER_INPUT"


def test_an_id_that_names_nothing_or_nothing_for_her_filters_to_nothing_alike(
    world: GraphVillage,
) -> None:
    records = "query($id: ID) { records(patient: $id) { nodes { id } } }"
    disclosures = "query($id: ID) { disclosures(consent: $id) { nodes { id } } }"
    ids = world.desks["Agent"].api.ids
    for who in (ADA_HERSELF, EVE_HERSELF):
        unknown = world.ask(who, records, {"id": ids.seal("patient", "never enrolled")})
        assert unknown == {"records": {"nodes": []}}
        unknown = world.ask(who, disclosures, {"id": ids.seal("consent", bytes(32), 0)})
        assert unknown == {"disclosures": {"nodes": []}}
    hers = ids.seal("patient", ADA.hex())
    assert world.ask(EVE_HERSELF, records, {"id": hers}) == {"records": {"nodes": []}}
    assert world.refused(ADA_HERSELF, disclosures, {"id": hers}) == "BAD_USER_INPUT"


@pytest.mark.parametrize("query", ['states(contract: "recrod/1")', 'parties(kind: "hospitals")'])
def test_a_filter_by_a_name_that_nothing_has_is_refused_with_the_names(
    world: GraphVillage, query: str
) -> None:
    answer = asyncio.run(world.answer(AUDITOR, f"{{ {query} {{ nodes {{ id }} }} }}"))
    assert at(answer.errors[0], "extensions", "code") == "BAD_USER_INPUT"
    message = str(at(answer.errors[0], "message"))
    assert ("record/1" if "states" in query else "hospital, laboratory") in message


def test_a_moment_does_not_move_while_it_is_read_and_moves_when_it_is_renewed(
    tmp_path: Path,
) -> None:
    path = f"{tmp_path}/node.db"
    db = open_database(path)
    Vault.create(db)
    snapshots = Snapshots(db, lambda: 1, lambda: open_database(path), lambda _: 1, nobody_closes)
    moment = snapshots.open()
    assert moment.seq == 0
    insert = "INSERT INTO ledger_tx (tx, status, tearoff, signatures, until, seq, erased) VALUES (?,1,x'',x'',0,?,0)"
    db.execute(insert, (b"a", 1))
    count = "SELECT count(*) FROM ledger_tx"
    assert moment.row(count, {}) == (0,)
    other = snapshots.open()
    assert (other.seq, other.row(count, {})) == (1, (1,))
    moment.renew()
    assert (moment.seq, moment.row(count, {})) == (1, (1,))
    moment.close()
    other.close()
    again = snapshots.open()
    assert again.seq == 1
    again.close()
    snapshots.close()
    db.close()


def test_a_moments_connection_cannot_write(tmp_path: Path) -> None:
    path = f"{tmp_path}/node.db"
    db = open_database(path)
    Vault.create(db)
    snapshots = Snapshots(db, lambda: 1, lambda: open_database(path), lambda _: 1, nobody_closes)
    moment = snapshots.open()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        moment.rows("DELETE FROM ledger_tx", {})
    moment.close()
    snapshots.close()
    db.close()
