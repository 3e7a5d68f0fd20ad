"""What a patient closes to the staff of her custodian is to them as if it were not there."""

import asyncio
import sqlite3
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from app.auth.sessions import Role
from app.closure import Closure
from app.graphql.schema.listing import find_at
from app.graphql.schema.moment import Snapshots
from app.graphql.schema.record import RECORDS as RECORD_LISTING
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DR_MORA,
    READ_OWN,
    ROOTS,
    GraphVillage,
    Who,
    at,
)

OFFICER = Who("Mercy", Role.PRIVACY_OFFICER)
RECORDS = """query($first: Int, $after: String, $patient: ID, $category: Category, $last: Int) {
  records(first: $first, after: $after, patient: $patient, category: $category, last: $last,
    status: ALL) { nodes { id category } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
NODE = "query($id: ID!) { node(id: $id) { id } }"
EVENTS = "subscription { vaultUpdates(afterSeq: 0) { contract } }"


@pytest.fixture
def world() -> GraphVillage:
    told = GraphVillage()
    told.publish(2)
    told.grant()
    told.request()
    return told


def close(world: GraphVillage, *categories: str) -> None:
    fields = {
        "idempotencyKey": "close",
        "custodian": world.party_id("Agent", "Mercy"),
        "terms": {"categories": list(categories)},
    }
    world.mutate(ADA_HERSELF, "restrict", fields)


def _page(world: GraphVillage, **asked: object) -> object:
    return world.ask(DR_MORA, RECORDS, asked)["records"]


NOTHING = {
    "nodes": [],
    "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "endCursor": None},
}


def test_a_closed_record_is_in_no_list_and_its_id_names_nothing(world: GraphVillage) -> None:
    listed = at(_page(world, first=5), "nodes")
    assert isinstance(listed, list)
    assert len(listed) == 2
    patient = world.first(DR_MORA, "patients")["id"]
    close(world, "LABORATORY")
    for asked in ({"first": 1}, {"last": 1}, {"patient": patient}, {"category": "LABORATORY"}):
        assert _page(world, **asked) == NOTHING
    for each in listed:
        assert world.ask(DR_MORA, NODE, {"id": at(each, "id")}) == {"node": None}
    assert at(world.ask(DR_MORA, READ_OWN), "records", "nodes") == []


def test_no_event_tells_of_a_closed_record(world: GraphVillage) -> None:
    close(world, "LABORATORY")

    async def run() -> None:
        desk = world.desks["Mercy"]
        prepared = world.prepare(DR_MORA, EVENTS)
        stream = desk.engine.stream(prepared, lambda: world.caller(DR_MORA))
        async with aclosing(stream):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(stream)

    asyncio.run(run())


def test_what_made_it_shows_a_closed_record_no_more(world: GraphVillage) -> None:
    published = world.publish(1, "before")
    close(world, "LABORATORY")
    assert at(world.flow(DR_MORA, published), "result", "records") == []


def test_the_patient_and_the_privacy_officer_account_for_a_closed_record(
    world: GraphVillage,
) -> None:
    close(world, "LABORATORY")
    assert len(world.nodes(ADA_HERSELF, "records")) == 2
    (disclosure,) = world.nodes(OFFICER, "disclosures")
    items = at(disclosure, "items", "nodes")
    assert isinstance(items, list)
    assert len(items) == 2
    assert len(world.nodes(OFFICER, "restrictions")) == 1


def test_what_is_not_closed_is_listed_in_whole_pages_around_what_is(world: GraphVillage) -> None:
    """Every second record is closed; each page is full, and the last one says that it is."""
    close(world, "GENETICS")
    for number in range(6):
        world.publish(1, f"more-{number}")
    node = world.village.nodes["Mercy"]
    content = node.db.execute("SELECT content FROM record LIMIT 1").fetchone()[0]
    genetics = content.replace(b"\xaalaboratory", b"\xa8genetics")
    assert genetics != content
    node.db.execute("UPDATE record SET content = ? WHERE created_seq % 2 = 0", (genetics,))
    (left,) = node.db.execute(
        "SELECT count(*) FROM record WHERE content = ?", (content,)
    ).fetchone()
    seen: list[str] = []
    after, more = None, True
    while more:
        page = _page(world, first=2, after=after)
        nodes = at(page, "nodes")
        assert isinstance(nodes, list)
        more = bool(at(page, "pageInfo", "hasNextPage"))
        assert len(nodes) == 2 or not more
        assert all(at(each, "category") == "LABORATORY" for each in nodes)
        seen += [str(at(each, "id")) for each in nodes]
        after = str(at(page, "pageInfo", "endCursor"))
    assert 3 <= left == len(seen) == len(set(seen)) < 8


def test_a_lifted_restriction_lets_the_record_be_listed_again(world: GraphVillage) -> None:
    close(world, "LABORATORY")
    assert at(world.ask(DR_MORA, ROOTS["records"]), "records", "nodes") == []
    restriction = world.first(ADA_HERSELF, "restrictions")["id"]
    fields = {"idempotencyKey": "lift", "restriction": restriction}
    world.mutate(ADA_HERSELF, "liftRestriction", fields)
    assert len(world.nodes(DR_MORA, "records")) == 2


def test_a_snapshot_of_its_own_rules_by_the_statements_in_it(
    world: GraphVillage, tmp_path: Path
) -> None:
    """As in a node with its database in a file: a second, read-only connection lists and rules."""
    desk, path = world.desks["Mercy"], tmp_path / "node.db"
    viewer = desk.api.viewer(world.caller(DR_MORA))
    (tx,) = desk.assembly.db.execute("SELECT tx FROM record LIMIT 1").fetchone()

    def kept() -> None:
        with closing(sqlite3.connect(path)) as file:
            desk.assembly.db.backup(file)

    ruling = Closure(desk.assembly.me, desk.assembly.deciding, desk.assembly.given.parameters)
    snapshots = Snapshots(
        desk.assembly.db,
        world.village.clock,
        lambda: sqlite3.connect(path, isolation_level=None),
        lambda _: 1,
        ruling.ruling,
    )
    kept()
    with closing(snapshots.open()) as moment:
        assert find_at(viewer, moment, RECORD_LISTING, (tx, 0)) is not None
    snapshots.close()
    close(world, "LABORATORY")
    path.unlink()
    kept()
    with closing(snapshots.open()) as moment:
        assert find_at(viewer, moment, RECORD_LISTING, (tx, 0)) is None
    snapshots.close()
