"""Lists after what permitted them has ended: revoked, withdrawn, out of time, out of touch with the notary."""

from collections.abc import Callable

import pytest

from app.auth.sessions import Role
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DAY_MS,
    DR_REED,
    GraphVillage,
    Who,
    at,
)

OFFICER_OF_RECIPIENT = Who("Riverside", Role.PRIVACY_OFFICER)
OFFICER_OF_CUSTODIAN = Who("Mercy", Role.PRIVACY_OFFICER)
ITEMS = """{ disclosures { nodes { id itemCount items(first: 5) {
  nodes { id kind code labels day } pageInfo { hasNextPage } } } } }"""
NODE = "query($id: ID!) { node(id: $id) { id } }"
LEASE_MS = 3_600_000
End = Callable[[GraphVillage], object]


def _nothing(world: GraphVillage) -> None:
    """It goes on."""


def withdraw(world: GraphVillage) -> None:
    for node in world.village.nodes.values():
        node.db.execute("UPDATE disclosure_item SET withdrawn_at = ?", (world.village.clock.now,))


def read_until(world: GraphVillage) -> None:
    node = world.village.nodes["Riverside"]
    node.db.execute("UPDATE disclosure SET read_until = ?", (world.village.clock.now,))


def consent_over(world: GraphVillage) -> None:
    world.village.clock.now += 8 * DAY_MS


def cut_off(world: GraphVillage) -> None:
    world.village.clock.now += LEASE_MS


def dead(world: GraphVillage) -> None:
    """The notary's newest word is that the consent does not live."""
    node = world.village.nodes["Riverside"]
    node.db.execute(
        "INSERT OR REPLACE INTO liveness (tx, idx, at, live, statement)"
        " SELECT consent_tx, consent_idx, at, 0, x'' FROM disclosure"
    )


ENDS: tuple[End, ...] = (
    GraphVillage.revoke,
    withdraw,
    read_until,
    consent_over,
    cut_off,
    dead,
)


@pytest.fixture
def world() -> GraphVillage:
    told = GraphVillage()
    told.publish(2)
    told.grant()
    told.request()
    return told


def disclosures(world: GraphVillage, who: Who) -> list[object]:
    found = at(world.ask(who, ITEMS), "disclosures", "nodes")
    assert isinstance(found, list)
    return found


def items(world: GraphVillage, who: Who) -> list[object]:
    found: list[object] = []
    for each in disclosures(world, who):
        shown = at(each, "items", "nodes")
        assert isinstance(shown, list)
        found += shown
    return found


@pytest.mark.parametrize("end", [_nothing, *ENDS])
def test_a_recipients_privacy_officer_accounts_for_disclosures_and_lists_no_item(
    world: GraphVillage, end: End
) -> None:
    held = [row[0] for row in world.village.nodes["Riverside"].db.execute(
        "SELECT tx FROM disclosure_item"
    )]  # fmt: skip
    end(world)
    (disclosure,) = disclosures(world, OFFICER_OF_RECIPIENT)
    assert at(disclosure, "itemCount") == len(held) == 2
    assert at(disclosure, "items") == {"nodes": [], "pageInfo": {"hasNextPage": False}}
    for number, tx in enumerate(held):
        id_ = world.desks["Riverside"].api.ids.seal("disclosed-item", tx, number)
        assert world.ask(OFFICER_OF_RECIPIENT, NODE, {"id": id_}) == {"node": None}


@pytest.mark.parametrize("end", [_nothing, *ENDS])
def test_the_patient_and_the_custodians_privacy_officer_account_for_every_item(
    world: GraphVillage, end: End
) -> None:
    end(world)
    assert len(items(world, ADA_HERSELF)) == 2
    assert len(items(world, OFFICER_OF_CUSTODIAN)) == 2


@pytest.mark.parametrize("end", ENDS)
def test_whom_it_was_opened_to_lists_no_item_any_more(world: GraphVillage, end: End) -> None:
    ids = [str(at(each, "id")) for each in items(world, DR_REED)]
    assert len(ids) == 2
    end(world)
    assert items(world, DR_REED) == []
    assert [world.ask(DR_REED, NODE, {"id": each}) for each in ids] == [{"node": None}] * 2


def test_until_its_lease_runs_out_a_recipient_lists_and_a_newer_word_prolongs_it(
    world: GraphVillage,
) -> None:
    node = world.village.nodes["Riverside"]
    (granted,) = node.db.execute("SELECT at FROM disclosure").fetchone()
    world.village.clock.now = granted + LEASE_MS - 1
    assert len(items(world, DR_REED)) == 2
    world.village.clock.now += 1
    assert disclosures(world, DR_REED) == []
    node.db.execute(
        "INSERT OR REPLACE INTO liveness (tx, idx, at, live, statement)"
        " SELECT consent_tx, consent_idx, at + 1, 1, x'' FROM disclosure"
    )
    assert len(items(world, DR_REED)) == 2
    world.village.clock.now += 1
    assert disclosures(world, DR_REED) == []
