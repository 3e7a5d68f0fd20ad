"""Notices and letters from those who may not send them, and what a stranger can make a node keep."""

import pytest

from flows.notices import InForce, InForceSince, Superseded, Withdrawn
from flows.store import Status
from flows.subjects.notice import NoteInForce, NoteSuperseded, NoteWithdrawn
from flows.subjects.record import AnswerIntroduce, Introduce
from flows.subjects.statement import Heed, HeedAtOnce
from states.crypto.signatures import sign_evidence
from states.encoding import encode
from states.state import StateRef, TransactionId
from tests.attack.bad_input import said
from tests.attack.liar import Liar, count, stuck
from tests.attack.test_requests import Recipient
from tests.simulation.test_story import disclosed, granted
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=15)


def test_only_its_custodian_withdraws_or_supersedes_an_item(village: Village) -> None:
    made = disclosed(village, granted(village))
    riverside = village.nodes["Riverside"]
    (commitment,) = riverside.db.execute("SELECT commitment FROM disclosure_item").fetchone()
    liar = Liar(village, "Northside")
    to = liar.attach("Riverside")
    tx = TransactionId(made.tx or b"")
    for name, notice in (
        (NoteWithdrawn.name, Withdrawn(tx, (commitment,))),
        (NoteSuperseded.name, Superseded(tx, commitment, 9)),
    ):
        liar.open(to, name, notice, letter=True)
    kept = riverside.db.execute("SELECT withdrawn_at, superseded FROM disclosure_item").fetchall()
    assert kept == [(None, None)]
    assert stuck(riverside) == []


def test_a_recipient_cannot_withdraw_at_the_agent_what_it_was_shown(village: Village) -> None:
    """It would hide a disclosure that the patient sees."""
    made = disclosed(village, granted(village))
    agent = village.nodes["Agent"]
    (commitment,) = agent.db.execute("SELECT commitment FROM disclosure_item").fetchone()
    liar = Liar(village, "Riverside")
    to = liar.attach("Agent")
    tx = TransactionId(made.tx or b"")
    liar.open(to, NoteWithdrawn.name, Withdrawn(tx, (commitment,)), letter=True)
    assert agent.db.execute("SELECT withdrawn_at FROM disclosure_item").fetchall() == [(None,)]


def in_force(liar: Liar, tx: bytes) -> InForceSince:
    statement = InForce(liar.party, TransactionId(tx), liar.village.clock.now)
    network = liar.village.parameters.network
    signed = sign_evidence(liar.node.ground.identity, network, encode(statement))
    return InForceSince(statement, signed)


def test_nobody_says_since_when_he_acts_on_what_does_not_concern_him(village: Village) -> None:
    consent = granted(village)
    liar = Liar(village, "Northside")
    to = liar.attach("Agent")
    agent = village.nodes["Agent"]
    before = count(agent, "in_force")
    for tx in (consent.tx, bytes(32), b"\7" * 32):
        liar.open(to, NoteInForce.name, in_force(liar, tx), letter=True)
    assert count(agent, "in_force") == before
    assert stuck(agent) == []
    for failed in agent.engine.flows((Status.FAILED,)):
        said("not concerned", failed.why)
    assert len(agent.engine.flows((Status.FAILED,))) == 3


def test_a_grantee_cannot_close_a_consent_with_what_the_patient_did_not_sign(
    village: Village,
) -> None:
    consent = granted(village)
    liar = Liar(village, "Riverside")
    to = liar.attach("Mercy")
    mercy = village.nodes["Mercy"]
    grant = liar.node.vault.transaction(liar.node.db, consent.tx)
    liar.open(to, HeedAtOnce.name, Heed(consent.tx), (encode(grant),), letter=True)
    assert mercy.vault.is_live(mercy.db, consent)
    assert mercy.db.execute("SELECT closed_at FROM statement").fetchall() == [(None,)]


@pytest.mark.parametrize("parts", [(), (b"",), (b"\xc1",), (b"x" * 70_000,), (b"a", b"b")])
@pytest.mark.parametrize(
    "name", ["take-delivery/1", "heed-at-once/1", "take-custody/1", "make-disclosure/1"]
)
def test_rubbish_parts_and_messages_end_the_flow_and_park_nothing(
    village: Village, name: str, parts: tuple[bytes, ...]
) -> None:
    liar = Liar(village, "Northside")
    to = liar.attach("Mercy")
    mercy = village.nodes["Mercy"]
    for message in (
        b"",
        b"\x91\xa9deliver/1",
        encode(Heed(TransactionId(bytes(32)))),
        b"\xff" * 90,
    ):
        liar.open(to, name, message, parts, letter=name in ("take-delivery/1", "heed-at-once/1"))
    village.pass_time(60_000)
    assert stuck(mercy) == []
    assert mercy.engine.flows((Status.RUNNING,)) == []
    assert count(mercy, "flow_part") == 0


def test_a_stranger_learns_nothing_of_a_record_by_asking_for_an_introduction(
    village: Village,
) -> None:
    granted(village)
    mercy = village.nodes["Mercy"]
    ref = StateRef(*mercy.db.execute("SELECT tx, idx FROM record").fetchone())
    liar = Liar(village, "Riverside")
    to = liar.attach("Agent")
    answers = set()
    for record in (ref, StateRef(TransactionId(b"\7" * 32), 0)):
        session = liar.open(to, AnswerIntroduce.name, Introduce(record, village.party("Northside")))
        fault = liar.fault_in(session)
        answers.add((fault.code, fault.public))
    assert len(answers) == 1


def test_a_refusal_says_no_more_than_its_fault_allows(village: Village) -> None:
    """What fails inside is an error number to the peer: no name, no path, no word of the cause."""
    liar = Liar(village, "Northside")
    to = liar.attach("Mercy")
    session = liar.open(to, "make-disclosure/1", b"\xff")
    fault = liar.fault_in(session)
    assert (fault.code, fault.public) == ("failed", "")


def test_the_custodian_keeps_no_draft_of_a_recipient_that_never_signs(village: Village) -> None:
    recipient = Recipient(village)
    mercy = village.nodes["Mercy"]
    before = count(mercy, "ledger_tx")
    for _ in range(5):
        recipient.is_offered(recipient.request(recipient.asks()))
    assert count(mercy, "ledger_tx") == before + 5
    village.pass_time(700_000)
    assert count(mercy, "ledger_tx") == before
    orphans = (
        "SELECT count(*) FROM ledger_holder WHERE number NOT IN (SELECT number FROM ledger_tx)"
    )
    assert mercy.db.execute(orphans).fetchone() == (0,), (
        "what is stored next has holders of its own"
    )
    assert stuck(mercy) == []


def test_a_disclosure_that_its_recipient_had_notarised_alone_is_recorded_and_releases_nothing(
    village: Village,
) -> None:
    """The grantee holds the consent's opening, so he can ask the notary; the custodian must not lose it."""
    recipient = Recipient(village)
    asked = recipient.asks()
    session = recipient.request(asked)
    tx, part = recipient.is_offered(session)
    recipient.holds(asked, part)
    notary, data = recipient.node.question("notarise", tx)
    village.services[notary].answer_all([data])
    village.pass_time(700_000)
    mercy = village.nodes["Mercy"]
    assert all(not envelope.parts or envelope.seq < 1 for envelope in recipient.heard_in(session))
    assert (
        mercy.db.execute("SELECT status FROM ledger_tx WHERE tx = ?", (tx,)).fetchone() is not None
    )
