"""A patient reads her own record over GraphQL: fetched while she waits, logged first, withheld with a reason."""

import asyncio
import base64

import pytest

from app.auth.sessions import Role
from app.blobs.sizes import size_class
from app.graphql.limits import CONTENT_BYTES_MAX
from app.graphql.schema import content
from app.graphql.schema.content import BLOB_SIZE_MAX
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DR_MORA,
    DR_REED,
    EVE_HERSELF,
    RESOURCE,
    GraphVillage,
    Who,
    at,
)

READ = """{ records(first: 5) { nodes { id withheld
  content(purpose: "PATRQT") { resource bytes refusal logEntry } } } }"""
ONE = """query($id: ID!) { record(id: $id) { withheld
  content(purpose: "PATRQT") { bytes refusal } } }"""
LOOKED = """{ whoLooked { nodes { outcome organisation { name } reader { shownAs role purpose }
  items { category } bundle } } lookAlarms { nodes { words } } }"""


@pytest.fixture
def world() -> GraphVillage:
    return GraphVillage()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for custodians: what has not come is said to be on its way."""
    monkeypatch.setattr(content, "GET_SECONDS", 0.0)


def first(world: GraphVillage, who: Who = ADA_HERSELF) -> object:
    return at(world.ask(who, READ), "records", "nodes", 0)


def test_what_she_asks_for_is_fetched_while_she_waits(world: GraphVillage) -> None:
    world.publish()

    async def told() -> object:
        asked = asyncio.ensure_future(world.answer(ADA_HERSELF, READ))
        while not asked.done():
            world.village.settle()
            await asyncio.sleep(0)
        return (await asked).data

    shown = at(asyncio.run(told()), "records", "nodes", 0, "content")
    assert base64.b64decode(str(at(shown, "bytes"))).decode() == RESOURCE
    assert at(shown, "resource", "resourceType") == "Observation"
    assert at(shown, "logEntry") == 0


@pytest.mark.usefixtures("at_once")
def test_what_does_not_come_in_time_is_said_to_be_on_its_way_and_is_there_when_she_asks_again(
    world: GraphVillage,
) -> None:
    world.publish()
    refused = at(first(world), "content")
    assert at(refused, "refusal") == "It is being fetched from its custodian. Try again soon."
    assert at(refused, "bytes") is None
    world.village.settle()
    assert at(first(world), "content", "resource", "resourceType") == "Observation"


@pytest.mark.usefixtures("at_once")
def test_asking_often_asks_the_custodian_once(world: GraphVillage) -> None:
    world.publish()
    for _ in range(5):
        first(world)
    agent = world.village.nodes["Agent"]
    (flows,) = agent.db.execute("SELECT count(*) FROM flow WHERE tag = 'fetch-own/1'").fetchone()
    assert flows == 1


@pytest.mark.usefixtures("at_once")
def test_she_sees_that_she_read_it_and_everything_fits(world: GraphVillage) -> None:
    world.publish()
    first(world)
    world.village.settle()
    first(world)
    agent = world.village.nodes["Agent"]
    agent.report_readings()
    agent.report_heads()
    world.village.settle()
    looks = world.ask(ADA_HERSELF, LOOKED)
    hers = {"shownAs": "the patient herself", "role": "patient", "purpose": "PATRQT"}
    lines = at(looks, "whoLooked", "nodes")
    assert isinstance(lines, list)
    assert [at(line, "outcome") for line in lines] == ["READ", "REFUSED"]
    assert at(lines[0], "reader") == hers
    assert at(lines[0], "organisation", "name") == "Agent"
    assert at(lines[0], "items") == [{"category": "LABORATORY"}]
    assert at(lines[0], "bundle") is None, "its evidence alone: a bundle is of what others read"
    assert at(looks, "lookAlarms", "nodes") == []


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "who",
    [
        EVE_HERSELF,
        DR_MORA,
        DR_REED,
        Who("Agent", Role.PATIENT, None, "nobody"),
        Who("Agent", Role.PRIVACY_OFFICER),
        Who("Agent", Role.OPERATOR),
        Who("Agent", Role.AUDITOR),
        Who("Mercy", Role.PATIENT, "MRN 4711", "ada"),
    ],
    ids=lambda who: who.user_id,
)
def test_nobody_else_reads_it_by_its_id(world: GraphVillage, who: Who) -> None:
    world.publish()
    first(world)
    world.village.settle()
    id_ = at(first(world), "id")
    assert world.ask(who, ONE, {"id": id_}) == {"record": None}


def withhold(world: GraphVillage, reason: str, key: str = "withheld") -> dict[str, object]:
    patient = world.first(DR_MORA, "patients")["id"]
    fields = {
        "idempotencyKey": key,
        "patient": patient,
        "resources": [RESOURCE],
        "withhold": reason,
    }
    return world.mutate(DR_MORA, "publishRecords", fields)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("reason", ["HARM", "LAW", "OTHER_PERSON", "TO_BE_DISCUSSED"])
def test_what_is_withheld_is_shown_with_its_reason_until_it_is_released(
    world: GraphVillage, reason: str
) -> None:
    withhold(world, reason)
    shown = first(world)
    assert at(shown, "withheld") == reason
    words = "The custodian withholds this from you, for the reason that it names."
    assert at(shown, "content", "refusal") == words
    record = world.first(DR_MORA, "records")["id"]
    world.mutate(DR_MORA, "releaseToPatient", {"idempotencyKey": "r", "record": record})
    first(world)
    world.village.settle()
    assert at(first(world), "withheld") is None
    assert at(first(world), "content", "resource", "resourceType") == "Observation"


def test_a_reason_for_withholding_does_not_close_it_to_the_custodians_staff(
    world: GraphVillage,
) -> None:
    withhold(world, "HARM")
    shown = at(world.ask(DR_MORA, READ.replace("PATRQT", "TREAT")), "records", "nodes", 0)
    assert at(shown, "withheld") == "HARM"
    assert at(shown, "content", "resource", "resourceType") == "Observation"


def test_only_what_is_withheld_is_released_and_only_by_its_custodian(world: GraphVillage) -> None:
    world.publish()
    record = world.first(DR_MORA, "records")["id"]
    fields = {"idempotencyKey": "r", "record": record}
    said = world.try_to(DR_MORA, "releaseToPatient", fields)
    assert at(said, "userErrors", 0, "code") == "CONFLICT"
    hers = world.first(ADA_HERSELF, "records")["id"]
    mutation = "mutation($input: ReleaseToPatientInput!) { releaseToPatient(input: $input) { flow { id } } }"
    asked = {"input": {"idempotencyKey": "r", "record": hers}}
    assert world.refused(ADA_HERSELF, mutation, asked) == "FORBIDDEN"


@pytest.mark.usefixtures("at_once")
def test_what_is_too_large_is_neither_fetched_nor_logged(world: GraphVillage) -> None:
    world.publish()
    agent = world.village.nodes["Agent"]
    larger = size_class(CONTENT_BYTES_MAX + (1 << 20))
    assert larger > BLOB_SIZE_MAX
    agent.db.execute("UPDATE record SET size_class = ?", (larger,))
    before = agent.db.execute("SELECT count(*) FROM flow").fetchone()
    assert world.refused(ADA_HERSELF, READ) == "LIMIT_EXCEEDED"
    assert agent.db.execute("SELECT count(*) FROM flow").fetchone() == before
    assert agent.db.execute("SELECT count(*) FROM reading").fetchone() == (0,)
