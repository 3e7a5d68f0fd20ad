"""Lines of "who looked" that do not stand as the others do: each is shown, with its mark."""

import pytest

from app.gate import Opened
from app.readings.alarms import Alarm, Reported
from app.storage.database import transaction
from app.storage.flow_store import SqliteFlowStore
from states.state import TransactionId
from tests.simulation.restoring import greet, image_of, put_back
from tests.unit.app.graphql_schema.graph_world import ADA_HERSELF, DR_REED, GraphVillage, at

LOOKED = """query($first: Int!, $after: String) { whoLooked(first: $first, after: $after) {
  nodes { id number mark outcome reader { shownAs } items { category } evidence }
  pageInfo { hasNextPage endCursor } } }"""
ALARMS = "{ lookAlarms { nodes { kind first last } } }"
ONE = "query($id: ID!) { node(id: $id) { ... on Look { id number mark evidence } } }"


@pytest.fixture
def world() -> GraphVillage:
    world = GraphVillage()
    world.publish()
    world.grant()
    world.request()
    return world


def read(world: GraphVillage) -> None:
    riverside = world.village.nodes["Riverside"]
    (tx,) = riverside.db.execute("SELECT tx FROM disclosure").fetchone()
    opened = riverside.gate.read_record(world.session(DR_REED), TransactionId(tx), 0, "TREAT")
    assert isinstance(opened, Opened)
    riverside.report_readings()
    world.village.settle()
    world.village.pass_time(1_000)


def lines(world: GraphVillage, size: int = 50) -> list[dict[str, object]]:
    """The lines about readings, the newest first, page by page."""
    found: list[dict[str, object]] = []
    after: object = None
    while True:
        page = at(world.ask(ADA_HERSELF, LOOKED, {"first": size, "after": after}), "whoLooked")
        nodes = at(page, "nodes")
        assert isinstance(nodes, list)
        found += nodes
        if not at(page, "pageInfo", "hasNextPage"):
            return [each for each in found if each["outcome"] == "READ"]
        after = at(page, "pageInfo", "endCursor")


def test_a_line_that_its_organisation_lost_is_shown_and_said_to_be_lost(
    world: GraphVillage,
) -> None:
    read(world)
    image = image_of(world.village, "Riverside")
    read(world)
    put_back(world.village, "Riverside", image, ["Mercy", "Agent"])
    greet(world.village, "Riverside")
    world.village.settle()
    read(world)
    found = lines(world)
    assert [(each["number"], each["mark"]) for each in found] == [(2, None), (2, "LOST"), (1, None)]
    assert all(each["items"] == [{"category": "LABORATORY"}] for each in found)
    assert lines(world, size=1) == found
    alarms = at(world.ask(ADA_HERSELF, ALARMS), "lookAlarms", "nodes")
    assert alarms == [{"kind": "RESTORED", "first": 2, "last": 2}]


def test_lines_that_contradict_are_both_shown_each_by_its_own_id(world: GraphVillage) -> None:
    read(world)
    image = image_of(world.village, "Riverside")
    read(world)
    with transaction(image):
        SqliteFlowStore(image).new_incarnation(bytes(16))
    riverside = world.village.nodes["Riverside"]
    image.backup(riverside.db)  # an older disk under a node that does not know it
    greet(world.village, "Riverside")
    world.village.settle()
    read(world)
    found = lines(world)
    marks = [(each["number"], each["mark"]) for each in found]
    assert marks == [(2, "CONTRADICTED"), (2, "CONTRADICTED"), (1, None)]
    for each in found:
        node = at(world.ask(ADA_HERSELF, ONE, {"id": each["id"]}), "node")
        assert node == {key: each[key] for key in ("id", "number", "mark", "evidence")}
    assert len({str(each["evidence"]) for each in found}) == 3
    kinds = at(world.ask(ADA_HERSELF, ALARMS), "lookAlarms", "nodes")
    assert isinstance(kinds, list)
    assert {each["kind"] for each in kinds} == {"CONTRADICTED", "FORKED"}


def test_an_alarm_about_a_whole_organisation_is_shown_to_whoever_has_to_do_with_it(
    world: GraphVillage,
) -> None:
    agent = world.village.nodes["Agent"]
    with transaction(agent.db) as db:
        for name in ("Riverside", "Northside"):
            Reported(db, 1, world.village.party(name)).leave_out()
        Reported(db, 1, world.village.party("Riverside")).alarm(Alarm.FORGED, b"")
    alarms = at(world.ask(ADA_HERSELF, ALARMS), "lookAlarms", "nodes")
    assert alarms == [{"kind": "LEFT_OUT", "first": 0, "last": 1}]
