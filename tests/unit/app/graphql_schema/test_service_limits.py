"""`serviceLimits` is the one list of what a client is held to: it is asked for, whole, and it is what rules."""

from dataclasses import fields

import pytest

from app.auth.sessions import Role
from app.graphql.limits import ServiceLimits
from tests.unit.app.graphql_schema.graph_world import GraphVillage, Who

OPERATOR = Who("Mercy", Role.OPERATOR)
TYPE = '{ __type(name: "ServiceLimits") { fields { name } } }'
MORE = {
    "idsMax": 100,
    "resourcesMax": 100,
    "contentBytesMax": 4 << 20,
    "bodySecondsMax": 20,
    "headerBytesMax": 65_536,
    "headerSecondsMax": 10,
    "connectionsMax": 1_000,
    "idCharsMax": 512,
    "cursorCharsMax": 1_024,
    "idempotencyKeyCharsMax": 64,
    "operationIdCharsMax": 128,
}
"""What is refused elsewhere than where a document is judged."""


@pytest.fixture(scope="module")
def world() -> GraphVillage:
    return GraphVillage()


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def test_a_client_can_ask_for_every_limit(world: GraphVillage) -> None:
    limits = world.desks["Mercy"].api.limits
    rules = {camel(each.name): getattr(limits, each.name) for each in fields(ServiceLimits)}
    (shown,) = world.ask(OPERATOR, f"{{ serviceLimits {{ {' '.join(rules)} }} }}").values()
    assert shown == rules
    assert {name: rules.get(name) for name in MORE} == MORE
    told = world.ask(OPERATOR, TYPE)["__type"]
    assert isinstance(told, dict)
    assert {each["name"] for each in told["fields"]} == set(rules)


def test_nodes_takes_as_many_ids_as_it_says_and_no_more(world: GraphVillage) -> None:
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    most = MORE["idsMax"]
    assert world.ask(OPERATOR, query, {"ids": ["x"] * most}) == {"nodes": [None] * most}
    assert world.refused(OPERATOR, query, {"ids": ["x"] * (most + 1)}) == "LIMIT_EXCEEDED"
