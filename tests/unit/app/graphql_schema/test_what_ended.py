"""Lists after what permitted them has ended: revoked, withdrawn, out of time, out of touch with the notary."""

from collections.abc import Callable

import pytest

from app.auth.sessions import Role
from flows.subjects.enrolment import Practitioner
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
        "INSERT OR REPLACE INTO liveness (tx, idx, at, heard, live, statement)"
        " SELECT consent_tx, consent_idx, at, at, 0, x'' FROM disclosure"
    )


def restored(world: GraphVillage) -> None:
    """The recipient was, and no custodian has answered yet."""
    node = world.village.nodes["Riverside"]
    node.db.execute("INSERT INTO unconfirmed SELECT DISTINCT custodian, x'' FROM disclosure")


ENDS: tuple[End, ...] = (
    GraphVillage.revoke,
    withdraw,
    read_until,
    consent_over,
    cut_off,
    dead,
    restored,
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
        "INSERT OR REPLACE INTO liveness (tx, idx, at, heard, live, statement)"
        " SELECT consent_tx, consent_idx, at + 1, at + 1, 1, x'' FROM disclosure"
    )
    assert len(items(world, DR_REED)) == 2
    world.village.clock.now += 1
    assert disclosures(world, DR_REED) == []


LOOKED = "{ whoLooked { nodes { outcome organisation { name } reader { shownAs purpose } disclosure { id } } } }"
NOT_THERE = {"code": "NOT_FOUND", "field": ["input", "consent"], "message": "no such consent"}


def _asks(world: GraphVillage, who: Who, consent: object, key: str = "late") -> dict[str, object]:
    fields = {"idempotencyKey": key, "consent": consent, "purpose": "TREAT"}
    return world.try_to(who, "requestDisclosure", fields)


def _looks_refused(world: GraphVillage) -> list[object]:
    world.report()
    found = at(world.ask(ADA_HERSELF, LOOKED), "whoLooked", "nodes")
    assert isinstance(found, list)
    return [each for each in found if at(each, "outcome") == "REFUSED"]


@pytest.mark.parametrize("end", [GraphVillage.revoke, consent_over])
def test_who_asks_under_a_consent_that_has_ended_is_told_nothing_and_the_patient_sees_it(
    world: GraphVillage, end: End
) -> None:
    consent = world.first(DR_REED, "consents")["id"]
    assert _looks_refused(world) == []
    end(world)
    absent = world.desks["Riverside"].api.ids.seal("consent", bytes(32), 0)
    assert _asks(world, DR_REED, consent) == _asks(world, DR_REED, absent)
    assert _asks(world, DR_REED, consent) == {"flow": None, "userErrors": [NOT_THERE]}
    refused = {
        "outcome": "REFUSED",
        "organisation": {"name": "Riverside"},
        "reader": {"shownAs": "Dr A. Reed", "purpose": "TREAT"},
        "disclosure": None,
    }
    assert _looks_refused(world) == [refused] * 2
    assert world.nodes(ADA_HERSELF, "lookAlarms") == []


@pytest.mark.parametrize(
    ("who", "shown_as"),
    [
        (Who("Riverside", Role.CLINICIAN, bytes(16).hex(), "left"), "somebody without a staff entry"),
        (OFFICER_OF_RECIPIENT, "somebody without a staff entry"),
    ],
)  # fmt: skip
def test_who_may_not_ask_at_all_is_shown_to_the_patient_too(
    world: GraphVillage, who: Who, shown_as: str
) -> None:
    consent = world.first(DR_REED, "consents")["id"]
    query = "mutation($input: RequestDisclosureInput!) { requestDisclosure(input: $input) { flow { id } } }"
    fields = {"idempotencyKey": "late", "consent": consent, "purpose": "TREAT"}
    assert world.refused(who, query, {"input": fields}) == "FORBIDDEN"
    assert [at(each, "reader", "shownAs") for each in _looks_refused(world)] == [shown_as]


def test_a_colleague_to_whom_a_consent_is_not_addressed_asks_in_vain_and_the_patient_sees_it(
    world: GraphVillage,
) -> None:
    node, hale = world.village.nodes["Riverside"], bytes(range(40, 56))
    node.enrolments.add_practitioner(node.db, Practitioner(hale, "Dr B. Hale", "clinician"))
    consent = world.first(DR_REED, "consents")["id"]
    said = _asks(world, Who("Riverside", Role.CLINICIAN, hale.hex(), "hale"), consent)
    assert said == {"flow": None, "userErrors": [NOT_THERE]}
    assert [at(each, "reader", "shownAs") for each in _looks_refused(world)] == ["Dr B. Hale"]


def test_an_unknown_purpose_is_a_mistake_whatever_the_consent_is(world: GraphVillage) -> None:
    consent = world.first(DR_REED, "consents")["id"]
    fields = {"idempotencyKey": "odd", "consent": consent, "purpose": "CURIOSITY"}
    living = world.try_to(DR_REED, "requestDisclosure", fields)
    world.revoke()
    assert world.try_to(DR_REED, "requestDisclosure", fields) == living
    assert at(living, "userErrors", 0, "code") == "BAD_USER_INPUT"
    assert _looks_refused(world) == []
