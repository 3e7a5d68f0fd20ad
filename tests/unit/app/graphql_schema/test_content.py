"""Content over GraphQL: whole, without holding up others, and refused for its size before it is read."""

import asyncio
import base64
from collections.abc import Iterator

import msgspec
import pytest

from app.auth.sessions import Role
from app.blobs.sizes import size_class
from app.fhir.resource import read_resource
from app.gate import Opened
from app.graphql.limits import CONTENT_BYTES_MAX
from app.graphql.schema.content import BLOB_SIZE_MAX, shown
from app.graphql.schema.context import ApiContext
from flows.subjects.record import PublishRecords
from states.subjects.content import Content
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DR_MORA,
    DR_REED,
    OBSERVATION,
    READ_DISCLOSED,
    READ_OWN,
    GraphVillage,
    Who,
    at,
)

LABORATORY = Content("Observation", "4548-4", "http://loinc.org", "laboratory", ("N",), None)


def publish(world: GraphVillage, resource: bytes) -> None:
    """Past the limits of a GraphQL request, as FHIR takes it in."""
    node, intake = world.village.nodes["Mercy"], world.desks["Mercy"].api.intake
    staged = intake.seal(node.db, "MRN 4711", [read_resource(resource)])
    world.village.run("Mercy", PublishRecords(intake.stage(node.db, staged)))


def readings(world: GraphVillage, node: str) -> list[object]:
    return world.nodes(Who(node, Role.PRIVACY_OFFICER), "readingLog")


@pytest.mark.parametrize("length", [600_000, CONTENT_BYTES_MAX])
def test_a_document_of_many_chunks_comes_whole(length: int) -> None:
    world = GraphVillage()
    empty = msgspec.json.encode(OBSERVATION | {"note": [{"text": ""}]})
    note = "x" * (length - len(empty))
    resource = msgspec.json.encode(OBSERVATION | {"note": [{"text": note}]})
    assert len(resource) == length
    publish(world, resource)
    content = at(world.ask(DR_MORA, READ_OWN), "records", "nodes", 0, "content")
    assert base64.b64decode(str(at(content, "bytes"))) == resource


@pytest.mark.parametrize(
    ("who", "query", "table"),
    [(DR_MORA, READ_OWN, "record"), (DR_REED, READ_DISCLOSED, "disclosure_item")],
)
def test_what_is_too_large_is_refused_and_no_reading_of_it_is_logged(
    who: Who, query: str, table: str
) -> None:
    world = GraphVillage()
    world.publish()
    world.grant()
    world.request()
    node = world.village.nodes[who.node]
    before = readings(world, who.node)
    larger = size_class(CONTENT_BYTES_MAX + (1 << 20))
    assert larger > BLOB_SIZE_MAX
    (fits,) = node.db.execute(f"SELECT size_class FROM {table}").fetchone()
    node.db.execute(f"UPDATE {table} SET size_class = ?", (larger,))
    assert world.refused(who, query) == "LIMIT_EXCEEDED"
    assert readings(world, who.node) == before
    node.db.execute(f"UPDATE {table} SET size_class = ?", (fits,))
    world.ask(who, query)
    assert len(readings(world, who.node)) == len(before) + 1


def test_others_have_the_event_loop_between_two_chunks() -> None:
    world = GraphVillage()
    turns: list[str] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            turns.append(f"chunk {number}")
            yield b"[1]"[number : number + 1]

    async def another() -> None:
        for _ in range(2):
            turns.append("another")
            await asyncio.sleep(0)

    async def run() -> object:
        context = ApiContext(world.desks["Mercy"].api, world.caller(DR_MORA))
        opened = Opened(LABORATORY, world.party("Mercy"), 7, None, 0, chunks())
        task = asyncio.ensure_future(another())
        content = await shown(context, 4_096, lambda: opened)
        await task
        return content.resource

    assert asyncio.run(run()) == [1]
    assert turns == ["chunk 0", "another", "chunk 1", "another", "chunk 2"]


TOLD = "code codeSystem labels"
OWN = "{ records(first: 5) { nodes { category day %s content(purpose: %s) { %s } } } }"
DISCLOSED = """{ disclosures(first: 5) { nodes { items(first: 5) { nodes {
  category day %s content(purpose: %s) { %s } } } } } }"""


def test_what_a_record_says_of_a_patient_is_told_by_a_logged_reading_only() -> None:
    """A list shows category and day, so that one can choose; code and labels are hers alone until somebody reads."""
    world = GraphVillage()
    world.publish()
    world.grant()
    world.request()
    told = {"code": "4548-4", "codeSystem": "http://loinc.org", "labels": ["N"]}
    nothing = dict.fromkeys(told)
    hers = world.ask(ADA_HERSELF, f"{{ records {{ nodes {{ {TOLD} }} }} }}")
    assert at(hers, "records", "nodes") == [told]
    for who, query, path in (
        (DR_MORA, OWN, ("records", "nodes", 0)),
        (DR_REED, DISCLOSED, ("disclosures", "nodes", 0, "items", "nodes", 0)),
    ):
        before = len(readings(world, who.node))
        record = at(world.ask(who, query % (TOLD, '"TREAT"', TOLD)), *path)
        assert {key: at(record, key) for key in told} == nothing
        assert at(record, "content") == told
        assert at(record, "category") == "LABORATORY"
        assert len(readings(world, who.node)) == before + 1
