"""A restored recipient opens nothing of a custodian's until that has said again what may not be read any more."""

from sqlite3 import Connection

import pytest

from app.access import WORDS, Deny, GateRule, Permit
from app.gate import Opened, Refused
from flows.envelope import Fault, Kind
from flows.notices import Withdrawn
from flows.retrying import TRIES, WAIT_MS
from flows.services import FETCH_MAX
from flows.store import Status
from flows.subjects.confirmation import ConfirmDisclosures, SaidAgain, TellAgain, WhatIsWithdrawn
from flows.subjects.consent import ConfirmConsents, RevokeConsent
from flows.subjects.disclosure import RequestDisclosure
from flows.subjects.record import AmendRecord
from flows.subjects.restriction import LiftRestriction, Restrict
from flows.subjects.statement import Stated
from states.encoding import encode
from states.state import StateRef, TransactionId
from states.subjects.codes import Category
from states.subjects.terms import Terms
from tests.attack.liar import Liar, stuck
from tests.simulation.neighbours import ADA, REED, publish, result, stage
from tests.simulation.restoring import greet, image_of, put_back
from tests.simulation.test_recovery import connect, grant_notes
from tests.simulation.test_story import disclosed, granted, reed_signed_in
from tests.simulation.village import Village

OTHERS = {
    "Riverside": ("Mercy", "Agent", "Northside"),
    "Mercy": ("Riverside", "Agent", "Northside"),
}


@pytest.fixture
def village() -> Village:
    return Village(seed=22, double_run=True)


def made(village: Village, consent: StateRef) -> TransactionId:
    return TransactionId(disclosed(village, consent).tx or b"")


def decided(village: Village, tx: TransactionId) -> GateRule | None:
    """Return by which rule Riverside's gate refuses the first item of a disclosure to Dr Reed; None where it opens."""
    gate = village.nodes["Riverside"].gate
    decision = gate.may_open(reed_signed_in(village), tx, 0, "TREAT")
    assert isinstance(decision, Permit | Deny)
    return decision.rule if isinstance(decision, Deny) else None


def close(village: Village, *categories: Category) -> StateRef:
    closing = Terms("deny", None, None, (), categories, ())
    restrict = Restrict(ADA, village.party("Mercy"), closing)
    return result(village, "Agent", village.run("Agent", restrict), Stated).ref


def restored(village: Village, name: str, image: Connection) -> None:
    """Put an image back; the node has not spoken to anybody yet."""
    put_back(village, name, image, OTHERS[name])


def confirmations(village: Village) -> list[tuple[Status, str]]:
    tag = ConfirmDisclosures.__struct_config__.tag
    flows = village.nodes["Riverside"].engine.flows()
    return [(Status(row.status), row.why) for row in flows if row.tag == tag]


def test_what_was_closed_since_the_backup_is_not_opened_again(village: Village) -> None:
    tx = made(village, granted(village))
    image = image_of(village, "Riverside")
    assert decided(village, tx) is None
    close(village, "laboratory")
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
    restored(village, "Riverside", image)
    assert decided(village, tx) is GateRule.CONFIRMED
    greet(village, "Riverside")
    village.settle()
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
    assert confirmations(village) == [(Status.DONE, "")]


def test_until_its_custodian_has_answered_nothing_of_it_opens_and_the_reason_is_said(
    village: Village,
) -> None:
    tx = made(village, granted(village))
    restored(village, "Riverside", image_of(village, "Riverside"))
    gate = village.nodes["Riverside"].gate
    for other in ("Agent", "Northside"):
        connect(village, "Riverside", other)
        village.pass_time(60_000)
        refused = gate.read_record(reed_signed_in(village), tx, 0, "TREAT")
        assert isinstance(refused, Refused)
        assert refused.words == WORDS[GateRule.CONFIRMED]
    connect(village, "Riverside", "Mercy")
    opened = gate.read_record(reed_signed_in(village), tx, 0, "TREAT")
    assert isinstance(opened, Opened)
    assert b"".join(opened.chunks) == b"HbA1c 6.1 %"


def test_what_is_closed_while_it_is_asked_is_closed(village: Village) -> None:
    tx = made(village, granted(village))
    restored(village, "Riverside", image_of(village, "Riverside"))
    connect(village, "Riverside", "Mercy")
    assert decided(village, tx) is None
    close(village, "laboratory")
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_what_was_withdrawn_stays_so_though_the_patient_has_opened_it_again(
    village: Village,
) -> None:
    tx = made(village, granted(village))
    image = image_of(village, "Riverside")
    village.run("Agent", LiftRestriction(close(village, "laboratory")))
    restored(village, "Riverside", image)
    greet(village, "Riverside")
    village.settle()
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_a_withdrawal_of_consent_that_only_the_custodian_still_knows_of_closes_again(
    village: Village,
) -> None:
    """The notary is away, so there is no transaction that would come back: only what was heeded."""
    consent = granted(village)
    tx = made(village, consent)
    image = image_of(village, "Riverside")
    village.notary_is_away = True
    village.run("Agent", RevokeConsent(consent))
    assert decided(village, tx) is GateRule.CONSENT_LIVES
    restored(village, "Riverside", image)
    greet(village, "Riverside")
    village.settle()
    assert confirmations(village) == [(Status.DONE, "")]
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_a_withdrawal_of_consent_that_both_have_forgotten_comes_again_from_the_agent(
    village: Village,
) -> None:
    consent = granted(village)
    tx = made(village, consent)
    images = {name: image_of(village, name) for name in ("Riverside", "Mercy")}
    village.notary_is_away = True
    village.run("Agent", RevokeConsent(consent))
    for name, image in images.items():
        restored(village, name, image)
    closed = "SELECT closed_at FROM statement WHERE tx = ?"
    for name in images:
        assert village.nodes[name].db.execute(closed, (consent.tx,)).fetchall() == [(None,)]
    connect(village, "Mercy", "Riverside")
    village.pass_time(60_000)
    assert decided(village, tx) is GateRule.CONFIRMED
    connect(village, "Mercy", "Agent")
    village.pass_time(WAIT_MS << TRIES)
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
    connect(village, "Riverside", "Agent")
    for name in images:
        assert village.nodes[name].db.execute(closed, (consent.tx,)).fetchall() != [(None,)]


def test_a_newer_version_is_announced_again(village: Village) -> None:
    consent = granted(village)
    tx = made(village, consent)
    image = image_of(village, "Riverside")
    for words in (b"HbA1c 6.2 %", b"HbA1c 6.3 %"):
        old = (
            village.nodes["Mercy"]
            .db.execute(
                "SELECT tx, idx FROM record WHERE category = 'laboratory' AND consumed_seq IS NULL"
            )
            .fetchone()
        )
        batch = stage(village, "Mercy", "MRN 4711", [("laboratory", words)])
        village.run("Mercy", AmendRecord(StateRef(*old), batch))
    items = "SELECT superseded FROM disclosure_item WHERE tx = ?"
    before = village.nodes["Riverside"].db.execute(items, (tx,)).fetchall()
    restored(village, "Riverside", image)
    greet(village, "Riverside")
    village.settle()
    assert village.nodes["Riverside"].db.execute(items, (tx,)).fetchall() == before == [(2,)]


def test_what_is_only_signed_in_the_backup_is_asked_about(village: Village) -> None:
    """Recorded, withdrawn and told of after it; the custodian's keys come to the restored flow."""
    consent = granted(village)
    made(village, consent)
    riverside, mercy = village.nodes["Riverside"], village.nodes["Mercy"]
    flow = riverside.engine.start(RequestDisclosure(consent, REED, "TREAT", ()))
    while not riverside.db.execute("SELECT 1 FROM ledger_tx WHERE status = 0").fetchone():
        for node in village.nodes.values():
            if node.engine.has_work():
                village._turn(node)
    image = image_of(village, "Riverside")
    riverside.engine.pause(flow)
    village.settle()
    close(village, "laboratory")
    (second,) = mercy.db.execute(
        "SELECT tx FROM disclosure ORDER BY created_seq DESC LIMIT 1"
    ).fetchone()
    restored(village, "Riverside", image)
    greet(village, "Riverside")
    village.settle()
    riverside = village.nodes["Riverside"]
    named = riverside.db.execute(
        "SELECT withdrawn_at IS NOT NULL FROM disclosure_item WHERE tx = ?", (second,)
    )
    assert named.fetchall() == [(1,)]
    assert decided(village, second) is not None


def test_many_disclosures_are_asked_about_in_pages_and_an_answer_holds_so_many_items(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.subjects.confirmation.SAID_ITEMS_MAX", 3)
    monkeypatch.setattr("app.subjects.confirmation.FETCH_MAX", 4)
    monkeypatch.setattr(
        "app.subjects.confirmation._RECEIVED",
        "SELECT tx FROM disclosure WHERE custodian = :custodian AND recipient = :me AND tx > :after"
        " ORDER BY tx LIMIT 4",
    )
    consent = granted(village)
    publish(village, "Mercy", "MRN 4711", [("laboratory", b"sodium 140"), ("medication", b"iron")])
    txs = [made(village, consent) for _ in range(9)]
    image = image_of(village, "Riverside")
    close(village, "laboratory")
    items = "SELECT tx, item, withdrawn_at IS NULL FROM disclosure_item ORDER BY tx, item"
    before = village.nodes["Riverside"].db.execute(items).fetchall()
    restored(village, "Riverside", image)
    greet(village, "Riverside")
    village.settle()
    assert village.nodes["Riverside"].db.execute(items).fetchall() == before
    assert sum(still for *_, still in before) == len(txs), "the medication of each"
    asked = [row for row in village.nodes["Mercy"].engine.flows() if row.tag == TellAgain.name]
    assert len(asked) == 9, "two withdrawn items of each: no answer has room for those of two"


def test_a_custodian_tells_a_recipient_of_its_own_disclosures_only(village: Village) -> None:
    tx = made(village, granted(village))
    close(village, "laboratory")
    liar = Liar(village, "Northside")
    mercy = liar.attach("Mercy")
    unknown = TransactionId(b"\7" * 32)
    answers = []
    for asked in ((tx,), (unknown,), (tx, unknown)):
        session = liar.open(mercy, TellAgain.name, WhatIsWithdrawn(asked))
        answers.append(liar.heard_of(session, SaidAgain)[0])
    assert answers == [
        SaidAgain(1, (), (tx,)),
        SaidAgain(1, (), (unknown,)),
        SaidAgain(2, (), (tx, unknown)),
    ]


@pytest.mark.parametrize("count", [0, FETCH_MAX + 1])
def test_nothing_or_too_much_is_refused(village: Village, count: int) -> None:
    granted(village)
    liar = Liar(village, "Riverside")
    mercy = liar.attach("Mercy")
    asked = tuple(TransactionId(number.to_bytes(32, "big")) for number in range(count))
    session = liar.open(mercy, TellAgain.name, WhatIsWithdrawn(asked))
    assert liar.fault_in(session).code in ("nothing-asked", "failed")
    assert stuck(village.nodes["Mercy"]) == []


@pytest.mark.parametrize(
    "lie", ["none", "too many", "another's", "unknown", "lost", "rubbish", "fault"]
)
def test_a_custodian_that_answers_wrongly_opens_nothing_and_is_asked_again(
    village: Village, lie: str
) -> None:
    consent = granted(village)
    tx = made(village, consent)
    restored(village, "Riverside", image_of(village, "Riverside"))
    liar = Liar(village, "Mercy")
    riverside = liar.attach("Riverside")
    village.settle()
    (asked,) = [
        e for _, e in liar.heard if e.kind == Kind.INIT and TellAgain.name.encode() in e.body
    ]
    said: dict[str, bytes] = {
        "none": encode(SaidAgain(0, ())),
        "too many": encode(SaidAgain(2, ())),
        "another's": encode(SaidAgain(1, (Withdrawn(TransactionId(consent.tx), (bytes(32),)),))),
        "unknown": encode(SaidAgain(1, (Withdrawn(TransactionId(bytes(32)), (bytes(32),)),))),
        "lost": encode(SaidAgain(1, (), (TransactionId(consent.tx),))),
        "rubbish": b"\xc1",
        "fault": b"",
    }
    if lie == "fault":
        liar.send(
            riverside, Kind.ERROR, asked.session, 0, encode(Fault("refused", "not now", "")), ()
        )
    else:
        liar.send(riverside, Kind.DATA, asked.session, 0, said[lie], ())
    village.settle()
    assert decided(village, tx) is GateRule.CONFIRMED
    node = village.nodes["Riverside"]
    village.pass_time(WAIT_MS << TRIES)
    assert decided(village, tx) is GateRule.CONFIRMED
    if lie != "fault":
        assert confirmations(village)[0][0] is Status.FAILED
        assert node.ask_again()
        assert not node.ask_again(), "one flow at a time asks"
    village._by_party[liar.party] = village.nodes["Mercy"] = liar.node
    greet(village, "Mercy")
    village.pass_time(WAIT_MS << TRIES)
    village.run("Riverside", ConfirmConsents())  # more than a lease has passed
    assert decided(village, tx) is None


def test_a_custodian_that_was_restored_itself_answers_when_it_knows_again(village: Village) -> None:
    """Its own image is from before the patient closed something: until her agent has told it, it would say nothing."""
    tx = made(village, granted(village))
    images = {name: image_of(village, name) for name in ("Riverside", "Mercy")}
    close(village, "laboratory")
    for name, image in images.items():
        restored(village, name, image)
    connect(village, "Mercy", "Riverside")
    village.pass_time(60_000)
    assert decided(village, tx) is GateRule.CONFIRMED
    connect(village, "Mercy", "Agent")
    village.pass_time(WAIT_MS << TRIES)
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
    assert confirmations(village) == [(Status.DONE, "")]


def test_a_custodian_that_lost_a_disclosure_tells_of_it_when_it_has_it_back(
    village: Village,
) -> None:
    consent = granted(village)
    mercy = image_of(village, "Mercy")
    tx = made(village, consent)
    riverside = image_of(village, "Riverside")
    close(village, "laboratory")
    restored(village, "Mercy", mercy)
    restored(village, "Riverside", riverside)
    connect(village, "Mercy", "Riverside")
    village.pass_time(60_000)
    assert decided(village, tx) is GateRule.CONFIRMED
    for other in ("Agent", "Northside"):
        connect(village, "Mercy", other)
        village.pass_time(WAIT_MS << TRIES)
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_a_denial_that_came_back_before_the_disclosure_closes_it(village: Village) -> None:
    """The restored custodian records the restriction first, when there is nothing yet that it would withdraw."""
    granted(village)
    mercy = image_of(village, "Mercy")
    notes = grant_notes(village)
    tx = made(village, notes)
    riverside = image_of(village, "Riverside")
    close(village, "note")
    agent = village.nodes["Agent"]
    agent.db.execute(
        "DELETE FROM ledger_holder WHERE party = ? AND number IN"
        " (SELECT number FROM ledger_tx WHERE tx = ?)",
        (village.party("Mercy"), tx),
    )  # only the recipient brings it
    restored(village, "Mercy", mercy)
    connect(village, "Mercy", "Agent")
    restored(village, "Riverside", riverside)
    greet(village, "Riverside")
    connect(village, "Mercy", "Northside")
    village.pass_time(WAIT_MS << TRIES)
    held = village.nodes["Mercy"].db.execute("SELECT tx FROM disclosure").fetchall()
    assert held == [(tx,)]
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_a_recovery_that_failed_is_begun_again(village: Village) -> None:
    tx = made(village, granted(village))
    restored(village, "Riverside", image_of(village, "Riverside"))
    node = village.nodes["Riverside"]
    assert not node.ask_again(), "all are being asked"
    for row in node.engine.flows():
        if row.status == Status.RUNNING:
            node.engine.kill(row.id)
    village.settle()
    assert node.ask_again()
    greet(village, "Riverside")
    village.settle()
    assert node.db.execute("SELECT count(*) FROM ledger_recovery").fetchone() == (0,)
    assert decided(village, tx) is None
    assert not node.ask_again()
