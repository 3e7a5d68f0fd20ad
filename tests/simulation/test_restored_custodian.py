"""A restored custodian shows nobody a patient's records until her agent has told it what she has closed since."""

from dataclasses import replace
from sqlite3 import Connection

import pytest

from app.access import Deny, GateRule, Permit
from app.auth.sessions import Session
from app.vault.aside import recoveries
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from flows.subjects.enrolment import Practitioner
from flows.subjects.record import Published, TransferCustody
from flows.subjects.restriction import Restrict
from states.state import StateRef, TransactionId
from states.subjects.codes import Category
from states.subjects.terms import Terms
from tests.simulation.neighbours import ADA, REED, enrol, permit, publish, result
from tests.simulation.restoring import image_of, put_back
from tests.simulation.test_recovery import connect
from tests.simulation.test_story import granted, reed_signed_in
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=23, double_run=True)


def put_back_alone(village: Village, name: str, image: Connection) -> None:
    """Restore a resident, connected with nobody yet."""
    put_back(village, name, image, [other for other in village.residents if other != name])


def close(village: Village, *categories: Category) -> None:
    closing = Terms("deny", None, None, (), categories, ())
    village.run("Agent", Restrict(ADA, village.party("Mercy"), closing))


def works_at(village: Village, name: str) -> Session:
    """Dr Reed works here, too, and has signed in."""
    node = village.nodes[name]
    node.enrolments.add_practitioner(node.db, Practitioner(REED, "Dr A. Reed", "clinician"))
    return replace(reed_signed_in(village), organisation=node.me)


def own(village: Village, name: str, session: Session, category: Category) -> GateRule | None:
    """Return by which rule a custodian refuses its staff its one record of a category; None where it opens."""
    node = village.nodes[name]
    rows = node.db.execute(
        "SELECT tx, idx FROM record WHERE category = ? AND custodian = ?", (category, node.me)
    )
    ((tx, idx),) = rows.fetchall()
    decision = node.gate.may_open_own(session, StateRef(TransactionId(tx), idx), "TREAT")
    assert isinstance(decision, Permit | Deny)
    return decision.rule if isinstance(decision, Deny) else None


def asked(village: Village, consent: StateRef) -> Disclosed:
    ask = village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
    return result(village, "Riverside", ask, Disclosed)


def test_its_staff_does_not_read_again_what_the_patient_has_closed_to_it(village: Village) -> None:
    granted(village)
    mora = works_at(village, "Mercy")
    image = image_of(village, "Mercy")
    close(village, "laboratory")
    categories: tuple[Category, ...] = ("laboratory", "note")
    before = [own(village, "Mercy", mora, each) for each in categories]
    assert before == [GateRule.NOT_CLOSED, None]
    put_back_alone(village, "Mercy", image)
    for others in ((), ("Riverside", "Northside")):
        for other in others:
            connect(village, "Mercy", other)
        assert [own(village, "Mercy", mora, each) for each in categories] == [GateRule.TOLD] * 2
    connect(village, "Mercy", "Agent")
    assert [own(village, "Mercy", mora, each) for each in categories] == before


def test_a_member_that_the_backup_did_not_know_is_asked_as_soon_as_the_map_names_it(
    village: Village,
) -> None:
    """What it brings is judged like what any other brings; nothing of its patients opens before."""
    granted(village)
    mora = works_at(village, "Mercy")
    image = image_of(village, "Mercy")
    close(village, "laboratory")
    node = put_back(village, "Mercy", image, ("Riverside", "Northside"))
    members = [other.me for other in village.nodes.values()]
    assert node.ask_newcomers(members)
    assert not node.ask_newcomers(members), "once"
    assert {each.peer for each in recoveries(node.db)} == set(members) - {node.me}
    for other in ("Riverside", "Northside"):
        connect(village, "Mercy", other)
    assert own(village, "Mercy", mora, "note") is GateRule.TOLD
    connect(village, "Mercy", "Agent")
    assert own(village, "Mercy", mora, "note") is None
    assert own(village, "Mercy", mora, "laboratory") is GateRule.NOT_CLOSED
    assert not node.ask_newcomers(members), "an answer is not forgotten"


def test_a_node_that_was_never_restored_asks_nobody(village: Village) -> None:
    granted(village)
    members = [other.me for other in village.nodes.values()]
    assert not village.nodes["Mercy"].ask_newcomers(members)


def test_its_staff_does_not_read_again_what_it_has_passed_on(village: Village) -> None:
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Northside", "order book 93")
    enrol(village, "Mercy", "MRN 4711")
    permit(village, "Northside", "Mercy")
    published = publish(village, "Northside", "order book 93", [("laboratory", b"potassium 4.4")])
    worker = works_at(village, "Northside")
    image = image_of(village, "Northside")
    assert own(village, "Northside", worker, "laboratory") is None
    record = StateRef(TransactionId(published.tx), 0)
    move = TransferCustody(record, village.party("Agent"), village.party("Mercy"))
    result(village, "Northside", village.run("Northside", move), Published)
    assert own(village, "Northside", worker, "laboratory") is GateRule.OWN_RECORD
    put_back_alone(village, "Northside", image)
    assert own(village, "Northside", worker, "laboratory") is GateRule.TOLD
    connect(village, "Northside", "Agent")
    assert own(village, "Northside", worker, "laboratory") is GateRule.OWN_RECORD


def test_it_discloses_nothing_that_was_closed(village: Village) -> None:
    consent = granted(village)
    publish(village, "Mercy", "MRN 4711", [("medication", b"iron")])
    image = image_of(village, "Mercy")
    close(village, "laboratory")
    put_back_alone(village, "Mercy", image)
    connect(village, "Mercy", "Riverside")
    refused = asked(village, consent)
    assert refused.outcome == "refused"
    assert "restored from a backup" in refused.words
    connect(village, "Mercy", "Agent")
    assert asked(village, consent).outcome == "disclosed"
    disclosed = village.nodes["Riverside"].db.execute("SELECT category FROM disclosure_item")
    assert disclosed.fetchall() == [("medication",)]


def test_it_releases_no_key_of_what_it_was_about_to_disclose(
    village: Village,
) -> None:
    """In its image the disclosure waits for the notary; the patient closed it since."""
    consent = granted(village)
    village.notary_is_away = True
    flow = village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
    image = image_of(village, "Mercy")
    village.notary_is_away = False
    close(village, "laboratory")
    put_back_alone(village, "Mercy", image)
    connect(village, "Mercy", "Riverside")
    village.pass_time(60_000)
    made = village.nodes["Mercy"].db.execute("SELECT released FROM disclosure").fetchall()
    assert made == [(-1,)]
    assert result(village, "Riverside", flow, Disclosed).outcome == "not-released"
    keys = village.nodes["Riverside"].db.execute("SELECT wrapped FROM disclosure_item").fetchall()
    assert keys == [(None,)]
