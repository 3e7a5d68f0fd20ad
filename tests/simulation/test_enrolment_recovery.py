"""An enrolment that one side lost comes back from the other, by flow, and with it what is believed by it."""

from contextlib import suppress
from sqlite3 import Connection

import pytest

from app.assembly import Assembly
from app.vault.reader import NotEnrolled
from flows.recovery import Recover
from flows.retrying import WAIT_MS
from flows.store import Status
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment
from tests.simulation.neighbours import ADA, enrol, publish, result
from tests.simulation.restoring import greet, image_of, put_back, until
from tests.simulation.test_recovery import grant_notes, notes, recorded
from tests.simulation.test_story import granted
from tests.simulation.village import Village

LOCAL = "MRN 4711"


@pytest.fixture
def village() -> Village:
    return Village(seed=22, double_run=True)


def of_ada(node: Assembly, custodian: Assembly, local: str) -> object:
    with suppress(NotEnrolled):
        return node.enrolments.of_local(node.db, custodian.me, local)
    return None


def restored(village: Village, name: str, image: Connection, *asks: str) -> Assembly:
    node = put_back(village, name, image, asks)
    greet(village, name)
    village.settle()
    return node


def test_a_custodian_has_its_enrolment_back_from_the_agent(village: Village) -> None:
    image = image_of(village, "Mercy")
    consent = granted(village)
    before = of_ada(village.nodes["Mercy"], village.nodes["Mercy"], LOCAL)
    held = recorded(village.nodes["Mercy"])
    mercy = restored(village, "Mercy", image, "Agent")
    assert before is not None
    assert of_ada(mercy, mercy, LOCAL) == before, (
        "by its own name of her, which the agent never knew"
    )
    assert recorded(mercy) == held
    assert mercy.vault.is_live(mercy.db, consent)
    publish(village, "Mercy", LOCAL, [("note", b"another note")])
    assert recorded(village.nodes["Agent"]) >= recorded(mercy)


def test_an_agent_has_its_enrolments_back_and_speaks_for_her_again(village: Village) -> None:
    image = image_of(village, "Agent")
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", LOCAL)
    lost = publish(village, "Mercy", LOCAL, [("note", b"a note")])
    before = of_ada(village.nodes["Agent"], village.nodes["Mercy"], ADA.hex())
    agent = restored(village, "Agent", image, "Mercy")
    assert before is not None
    assert of_ada(agent, village.nodes["Mercy"], ADA.hex()) == before
    assert lost.tx in recorded(agent)
    again = restored(village, "Mercy", image_of(village, "Mercy"), "Agent")
    assert of_ada(again, again, LOCAL) == before


def test_what_is_delivered_to_a_custodian_that_forgot_the_patient_brings_the_enrolment(
    village: Village,
) -> None:
    image = image_of(village, "Mercy")
    consent = granted(village)
    mercy = restored(village, "Mercy", image)  # it asks nobody
    assert of_ada(mercy, mercy, LOCAL) is None
    later = grant_notes(village).tx
    assert of_ada(mercy, mercy, LOCAL) is not None
    assert later in recorded(mercy)
    assert consent.tx not in recorded(mercy)


def test_a_delivery_whose_bringer_is_restored_while_it_is_asked_whose_it_is_asks_again(
    village: Village,
) -> None:
    """Parked it would be for good: its journal says that the answer was lost, however often it is tried again."""
    image = image_of(village, "Mercy")
    granted(village)
    mercy = restored(village, "Mercy", image)  # it asks nobody
    village.nodes["Agent"].engine.start(notes(village))
    until(village, "SELECT 1 FROM flow WHERE tag = 'take-delivery/1'", "Mercy")
    agent = image_of(village, "Agent")
    until(village, "SELECT 1 FROM flow WHERE tag = 'remind-enrolments/1'", "Agent")
    restored(village, "Agent", agent)
    (row,) = mercy.engine.flows((Status.RUNNING,))
    assert row.tag == "take-delivery/1"
    assert of_ada(mercy, mercy, LOCAL) is None, "it has not been told yet"
    village.pass_time(WAIT_MS)
    assert mercy.engine.flows((Status.RUNNING, Status.OBSERVED)) == []
    assert of_ada(mercy, mercy, LOCAL) is not None
    assert len(recorded(mercy)) == 1


def applied(village: Village) -> bytes:
    """Ada's agent has applied at Mercy, and nobody has taken a turn since."""
    village.nodes["Agent"].given.keys.add_patient(ADA)
    flow = village.run("Mercy", OfferEnrolment(LOCAL))
    code = village.nodes["Mercy"].enrolments.open_offer(
        result(village, "Mercy", flow, EnrolmentOffer)
    )
    return village.nodes["Agent"].engine.start(EnrolPatient(ADA, village.party("Mercy"), code))


@pytest.mark.parametrize("kept", [True, False])
def test_an_enrolment_that_a_restore_cut_in_half_is_whole_or_is_not(
    village: Village,
    kept: bool,  # noqa: FBT001 - both ways
) -> None:
    """The agent has signed and waits; its custodian is restored to after it kept it, its answer lost, or to before."""
    flow = applied(village)
    before = image_of(village, "Mercy")
    mercy = village.nodes["Mercy"]
    village.nodes["Agent"].engine.disconnected(mercy.me)
    greet(village, "Agent")
    until(village, "SELECT 1 FROM enrolment WHERE signed IS NOT NULL", "Agent")
    agent = village.nodes["Agent"]
    assert of_ada(agent, mercy, ADA.hex()) is None, "it does not live before the custodian keeps it"
    until(village, "SELECT 1 FROM enrolment WHERE signed IS NOT NULL", "Mercy")
    assert of_ada(agent, mercy, ADA.hex()) is None
    image = image_of(village, "Mercy") if kept else before
    image.execute("DELETE FROM flow_outbox")
    image.execute("DELETE FROM flow_session")
    mercy = restored(village, "Mercy", image, "Agent")
    row = agent.engine.flow(flow)
    assert row is not None
    assert row.status == (Status.DONE if kept else Status.FAILED), row.why
    assert (of_ada(agent, mercy, ADA.hex()) is not None) is kept
    assert (of_ada(mercy, mercy, LOCAL) is not None) is kept
    if not kept:
        enrol(village, "Mercy", LOCAL)
        assert of_ada(agent, mercy, ADA.hex()) == of_ada(mercy, mercy, LOCAL)


def test_an_application_that_leads_nowhere_any_more_keeps_no_custodian_waiting(
    village: Village,
) -> None:
    """No acknowledgement reaches the agent, but that its session is lost; then the custodian forgets having seen it."""
    flow = applied(village)
    village._turn(village.nodes["Agent"])
    forgetful, first = image_of(village, "Mercy"), image_of(village, "Agent")
    village.settle()
    agent = put_back(village, "Agent", first, ())
    village.unacknowledged.add("Agent")
    greet(village, "Agent")
    until(village, f"SELECT 1 FROM flow WHERE id = x'{flow.hex()}' AND status > 3", "Agent")
    row = agent.engine.flow(flow)
    assert row is not None
    assert row.why.startswith("SessionLost")
    last = image_of(village, "Agent")
    assert last.execute("SELECT seq FROM flow_outbox").fetchall() == [(0,)]
    put_back(village, "Mercy", forgetful, ())
    put_back(village, "Agent", last, ())
    village.unacknowledged.clear()
    greet(village, "Mercy")
    village.settle()
    assert [row.tag for row in village.nodes["Mercy"].engine.flows((Status.RUNNING,))] == []


def test_a_code_used_since_the_restore_does_not_keep_an_enrolment_from_coming_back(
    village: Village,
) -> None:
    """The desk, which has forgotten her, gives a code under another name; she uses it, and then all falls silent."""
    image = image_of(village, "Mercy")
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", LOCAL)
    agent = village.nodes["Agent"]
    before = of_ada(agent, village.nodes["Mercy"], ADA.hex())
    assert before is not None
    mercy = restored(village, "Mercy", image)
    village.run("Mercy", OfferEnrolment("MRN 4711, written anew"))
    (patient,) = agent.db.execute("SELECT patient FROM enrolment").fetchone()
    mercy.db.execute("UPDATE enrolment_offer SET used_by = ?", (patient,))
    village.run("Mercy", Recover(village.party("Agent"), 0))
    assert of_ada(mercy, mercy, LOCAL) == before
