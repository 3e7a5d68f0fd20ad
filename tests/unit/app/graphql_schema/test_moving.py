"""An operator moves a state of her node to another notary; everybody who holds it finds it there."""

import pytest

from app.auth.sessions import Role
from states.state import StateRef, TransactionId
from tests.unit.app.graphql_schema.graph_world import ADA_HERSELF, GraphVillage, Who, at

AGENTS_OPERATOR = Who("Agent", Role.OPERATOR)
MERCYS_OPERATOR = Who("Mercy", Role.OPERATOR)


@pytest.fixture(scope="module")
def world() -> GraphVillage:
    world = GraphVillage(two_notaries=True)
    world.grant("a")
    return world


def state_of(world: GraphVillage) -> StateRef:
    """The consent that Ada gave."""
    agent = world.village.nodes["Agent"]
    tx, idx = agent.db.execute("SELECT tx, idx FROM statement").fetchone()
    return StateRef(TransactionId(tx), idx)


def fields(world: GraphVillage, at_node: str, notary: int, key: str = "k") -> dict[str, object]:
    ref = state_of(world)
    party = world.village.founding.notaries[notary].party
    return {
        "idempotencyKey": key,
        "transaction": ref.tx.hex(),
        "index": ref.index,
        "notary": world.desks[at_node].api.ids.seal("party", party),
    }


def refused(world: GraphVillage, who: Who, change: dict[str, object]) -> tuple[object, object]:
    payload = world.try_to(who, "changeNotary", fields(world, who.node, 1, "no") | change)
    assert payload["flow"] is None
    return at(payload, "userErrors", 0, "code"), at(payload, "userErrors", 0, "field")


def test_what_cannot_be_moved_is_refused_by_field(world: GraphVillage) -> None:
    mercy = world.party_id("Agent", "Mercy")
    first = fields(world, "Agent", 0)["notary"]
    cases: list[tuple[dict[str, object], tuple[str, list[str]]]] = [
        ({"transaction": "00" * 32}, ("NOT_FOUND", ["input", "transaction"])),
        ({"index": 7}, ("NOT_FOUND", ["input", "transaction"])),
        ({"notary": mercy}, ("NOT_FOUND", ["input", "notary"])),
        ({"notary": "x"}, ("NOT_FOUND", ["input", "notary"])),
        ({"notary": first}, ("CONFLICT", ["input", "notary"])),
    ]
    for change, told in cases:
        assert refused(world, AGENTS_OPERATOR, change) == told


def test_who_does_not_own_the_lock_starts_a_flow_that_fails_and_moves_nothing(
    world: GraphVillage,
) -> None:
    world.mutate(MERCYS_OPERATOR, "changeNotary", fields(world, "Mercy", 1))
    (failed,) = world.village.nodes["Mercy"].engine.flows()[:1]
    assert "its owner moves it" in failed.why
    agent = world.village.nodes["Agent"]
    assert agent.vault.is_live(agent.db, state_of(world))


def test_a_moved_state_lives_at_its_new_notary_and_is_moved_once(world: GraphVillage) -> None:
    asked = fields(world, "Agent", 1, "move")
    first = world.mutate(AGENTS_OPERATOR, "changeNotary", asked)
    again = world.mutate(AGENTS_OPERATOR, "changeNotary", asked)
    assert at(first, "flow", "id") == at(again, "flow", "id")
    moved = state_of(world)
    assert moved.tx.hex() != asked["transaction"]
    for name in ("Agent", "Mercy", "Riverside"):
        node = world.village.nodes[name]
        state = node.vault.state(node.db, moved)
        assert state is not None
        assert state.notary == world.village.founding.notaries[1].party
    assert len(world.nodes(ADA_HERSELF, "consents")) == 1
