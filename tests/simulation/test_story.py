"""The demo's story in one process: enrol, publish, grant, request, disclose, revoke, refuse; and its other branches."""

from datetime import UTC, datetime, timedelta

import pytest

from app.auth.sessions import Role, Session
from app.gate import Opened, Refused
from flows.store import Status
from flows.subjects.consent import ConfirmConsents, Confirmed, GrantConsent, RevokeConsent
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from flows.subjects.enrolment import Practitioner
from flows.subjects.record import AmendRecord, Published, TransferCustody
from flows.subjects.restriction import Restrict
from flows.subjects.statement import Stated
from states.state import StateRef, TransactionId
from states.subjects.terms import Exceptions, Terms
from tests.simulation.neighbours import ADA, DAY, REED, enrol, permit, publish, result, stage
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=7, double_run=True)


def test_the_story_from_enrolment_to_refusal(village: Village) -> None:
    mercy, riverside, agent = (village.nodes[n] for n in ("Mercy", "Riverside", "Agent"))
    riverside.enrolments.add_practitioner(
        riverside.db, Practitioner(REED, "Dr A. Reed", "clinician")
    )
    agent.given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    enrol(village, "Riverside", "RV-20-88")
    publish(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.1 %"), ("note", b"a note")])
    assert agent.vault.last_seq(agent.db) == 1

    terms = Terms("permit", REED, None, ("TREAT",), ("laboratory", "medication"), ())
    grant = GrantConsent(
        ADA,
        mercy.me,
        riverside.me,
        village.clock.now,
        village.clock.now + 7 * DAY,
        terms,
        Exceptions((), ()),
    )
    stated = result(village, "Agent", village.run("Agent", grant), Stated)
    assert isinstance(stated, Stated)
    consent = stated.ref
    assert mercy.vault.is_live(mercy.db, consent)
    assert riverside.vault.is_live(riverside.db, consent)

    ask = RequestDisclosure(consent, REED, "TREAT", ())
    disclosed = result(village, "Riverside", village.run("Riverside", ask), Disclosed)
    assert isinstance(disclosed, Disclosed)
    assert disclosed.outcome == "disclosed"
    assert agent.vault.last_seq(agent.db) == 3

    village.run("Agent", RevokeConsent(StateRef(consent.tx, consent.index)))
    for node in (mercy, riverside, agent):
        assert not node.vault.is_live(node.db, consent)
    again = village.run("Riverside", ask)
    row = riverside.engine.flow(again)
    assert row is not None
    assert row.status == Status.FAILED
    assert "consent has ended" in row.why


def granted(village: Village) -> StateRef:
    """Ada is enrolled, two records are published, Dr Reed has her consent for laboratory and medication."""
    riverside = village.nodes["Riverside"]
    riverside.enrolments.add_practitioner(
        riverside.db, Practitioner(REED, "Dr A. Reed", "clinician")
    )
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    publish(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.1 %"), ("note", b"a note")])
    terms = Terms("permit", REED, None, ("TREAT",), ("laboratory", "medication"), ())
    now = village.clock.now
    mercy = village.party("Mercy")
    grant = GrantConsent(ADA, mercy, riverside.me, now, now + 7 * DAY, terms, Exceptions((), ()))
    return result(village, "Agent", village.run("Agent", grant), Stated).ref


def disclosed(village: Village, consent: StateRef) -> Disclosed:
    ask = RequestDisclosure(consent, REED, "TREAT", ())
    return result(village, "Riverside", village.run("Riverside", ask), Disclosed)


def items_at(village: Village, name: str, column: str) -> list[object]:
    rows = village.nodes[name].db.execute(f"SELECT {column} FROM disclosure_item")
    return [row[0] for row in rows]


def test_only_what_the_consent_covers_is_disclosed(village: Village) -> None:
    disclosed(village, granted(village))
    assert items_at(village, "Riverside", "category") == ["laboratory"]


def test_a_restriction_withdraws_what_was_disclosed_and_tells_no_reason(village: Village) -> None:
    consent = granted(village)
    disclosed(village, consent)
    closing = Terms("deny", None, None, (), ("laboratory",), ())
    village.run("Agent", Restrict(ADA, village.party("Mercy"), closing))
    assert items_at(village, "Riverside", "withdrawn_at") == [village.clock.now]
    held = village.nodes["Riverside"].db.execute(
        "SELECT count(*) FROM ledger_state WHERE contract = 'restriction/1'"
    )
    assert held.fetchone() == (0,)
    again = disclosed(village, consent)
    assert (again.outcome, again.words) == ("refused", "Nothing available.")


def test_a_newer_version_is_announced_to_who_has_the_old_one(village: Village) -> None:
    consent = granted(village)
    disclosed(village, consent)
    mercy = village.nodes["Mercy"]
    old = mercy.db.execute("SELECT tx, idx FROM record WHERE category = 'laboratory'").fetchone()
    batch = stage(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.2 %, corrected")])
    village.run("Mercy", AmendRecord(StateRef(*old), batch))
    assert items_at(village, "Riverside", "superseded") == [2]


def test_custody_passes_without_a_common_name_of_the_patient(village: Village) -> None:
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Northside", "order book 93")
    enrol(village, "Mercy", "MRN 4711")
    permit(village, "Northside", "Mercy")
    published = publish(village, "Northside", "order book 93", [("laboratory", b"potassium 4.4")])
    move = TransferCustody(
        StateRef(TransactionId(published.tx), 0), village.party("Agent"), village.party("Mercy")
    )
    moved = result(village, "Northside", village.run("Northside", move), Published)
    mercy, northside = village.nodes["Mercy"], village.nodes["Northside"]
    row = mercy.db.execute("SELECT patient, key FROM record WHERE tx = ?", (moved.tx,)).fetchone()
    assert row[0] == "MRN 4711"
    assert row[1] is not None, "the new custodian has the data key in its own custody"
    named = mercy.enrolments.of_local(mercy.db, mercy.me, "MRN 4711").patient
    stored = northside.db.execute("SELECT tearoff FROM ledger_tx WHERE tx = ?", (moved.tx,))
    assert named not in stored.fetchone()[0]
    at_agent = village.nodes["Agent"].db.execute(
        "SELECT patient FROM record WHERE tx = ?", (moved.tx,)
    )
    assert at_agent.fetchone() == (ADA.hex(),)


def test_consents_are_confirmed_at_a_beat_and_closed_when_the_notary_says_so(
    village: Village,
) -> None:
    consent = granted(village)
    confirmed = result(village, "Riverside", village.run("Riverside", ConfirmConsents()), Confirmed)
    assert confirmed == Confirmed(1, 0)
    riverside = village.nodes["Riverside"]
    # The revocation never reaches Riverside: its letters stay in the agent's outbox.
    village.nodes["Agent"].engine.disconnected(riverside.me)
    village.run("Agent", RevokeConsent(consent))
    assert riverside.vault.is_live(riverside.db, consent)
    confirmed = result(village, "Riverside", village.run("Riverside", ConfirmConsents()), Confirmed)
    assert confirmed == Confirmed(0, 1)
    ask = RequestDisclosure(consent, REED, "TREAT", ())
    refused = riverside.engine.flow(village.run("Riverside", ask))
    assert refused is not None
    assert "consent has ended" in refused.why


def reed_signed_in(village: Village) -> Session:
    issued = datetime.fromtimestamp(village.clock.now / 1_000, UTC)
    return Session(
        "s1",
        "reed",
        Role.CLINICIAN,
        REED.hex(),
        village.party("Riverside"),
        issued,
        issued + timedelta(hours=8),
    )


def test_a_reading_is_in_the_log_before_its_bytes_and_the_patient_sees_it(
    village: Village,
) -> None:
    consent = granted(village)
    tx = TransactionId(disclosed(village, consent).tx or b"")
    riverside, agent = village.nodes["Riverside"], village.nodes["Agent"]
    opened = riverside.gate.read_record(reed_signed_in(village), tx, 0, "TREAT")
    assert isinstance(opened, Opened)
    assert b"".join(opened.chunks) == b"HbA1c 6.1 %"
    for node in village.nodes.values():
        node.report_readings()
    village.settle()
    looks = agent.looks.who_looked(agent.db, ADA.hex())
    assert [(look.entry.shown_as, look.entry.outcome) for look in looks] == [
        ("Dr A. Reed", "read"),
        ("Dr A. Reed", "released"),
    ]
    assert agent.looks.alarms(agent.db, ADA.hex()) == []


def test_after_a_revocation_nothing_opens_and_the_refusal_is_told(village: Village) -> None:
    consent = granted(village)
    tx = TransactionId(disclosed(village, consent).tx or b"")
    village.run("Agent", RevokeConsent(consent))
    riverside, agent = village.nodes["Riverside"], village.nodes["Agent"]
    refused = riverside.gate.read_record(reed_signed_in(village), tx, 0, "TREAT")
    assert isinstance(refused, Refused)
    riverside.report_readings()
    village.settle()
    looks = agent.looks.who_looked(agent.db, ADA.hex())
    assert "refused" in [look.entry.outcome for look in looks]


@pytest.mark.parametrize("known_there", [True, False])
def test_a_request_that_the_recipients_own_node_refuses_reaches_the_patient(
    village: Village, *, known_there: bool
) -> None:
    """She is named to it by the consent, enrolled there or not; nobody else hears of it."""
    consent = granted(village)
    if known_there:
        enrol(village, "Riverside", "RV-20-88")
    village.run("Agent", RevokeConsent(consent))
    riverside, agent = village.nodes["Riverside"], village.nodes["Agent"]
    for person in (REED, bytes(16)):
        row = riverside.engine.flow(
            village.run("Riverside", RequestDisclosure(consent, person, "TREAT", ()))
        )
        assert row is not None
        assert row.status == Status.FAILED
    for node in village.nodes.values():
        node.report_readings()
        node.report_heads()
    village.settle()
    looks = agent.looks.who_looked(agent.db, ADA.hex())
    assert sorted((look.entry.shown_as, look.entry.outcome) for look in looks) == [
        ("Dr A. Reed", "refused"),
        ("somebody without a staff entry", "refused"),
    ]
    assert {look.organisation for look in looks} == {riverside.me}
    assert agent.looks.alarms(agent.db, ADA.hex()) == []
    sent = village.nodes["Mercy"].db.execute("SELECT count(*) FROM disclosure_request").fetchone()
    assert sent == (0,), "the custodian was not asked"
