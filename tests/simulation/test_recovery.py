"""A node that was restored from an old backup has back what its peers hold, when each was asked once."""

import pytest

from app.assembly import Assembly
from app.vault.aside import KEPT_MS
from flows.delivery import Deliver, GiveTransactions, TakeDelivery
from flows.recovery import Recover
from flows.retrying import TRIES, WAIT_MS
from flows.services import transaction_part
from flows.store import Status
from flows.subjects.consent import GrantConsent, RevokeConsent
from flows.subjects.disclosure import RequestDisclosure
from flows.subjects.statement import Stated
from states.encoding import encode
from states.groups import Group
from states.notarisation import Committed
from states.state import StateRef, TransactionId
from states.subjects.terms import Exceptions, Terms
from states.tearoff import open_tearoff
from tests.attack.liar import Liar
from tests.simulation.neighbours import ADA, DAY, REED, publish, result
from tests.simulation.restoring import greet, image_of, put_back, until
from tests.simulation.test_story import disclosed, granted
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=21, double_run=True)


def recorded(node: Assembly) -> set[bytes]:
    return {tx for (tx,) in node.db.execute("SELECT tx FROM ledger_tx WHERE status = 1")}


def aside(node: Assembly) -> int:
    (count,) = node.db.execute("SELECT count(*) FROM ledger_aside").fetchone()
    assert isinstance(count, int)
    return count


def recoveries(node: Assembly) -> list[tuple[Status, str]]:
    tag = Recover.__struct_config__.tag
    return [(Status(row.status), row.why) for row in node.engine.flows() if row.tag == tag]


def notes(village: Village) -> GrantConsent:
    """Ada, who is enrolled, lets Dr Reed read her notes at Mercy."""
    now = village.clock.now
    terms = Terms("permit", REED, None, ("TREAT",), ("note",), ())
    parties = village.party("Mercy"), village.party("Riverside")
    return GrantConsent(ADA, *parties, now, now + DAY, terms, Exceptions((), ()))


def grant_notes(village: Village) -> StateRef:
    return result(village, "Agent", village.run("Agent", notes(village)), Stated).ref


def consent_that_mercy_lost(village: Village) -> tuple[bytes, bytes]:
    """Mercy lost a consent and a disclosure; the agent, restored as well, the disclosure: only Riverside has it."""
    granted(village)
    mercy = image_of(village, "Mercy")
    consent = grant_notes(village)
    agent = image_of(village, "Agent")
    made = disclosed(village, consent).tx
    assert made is not None
    put_back(village, "Agent", agent, ())
    greet(village, "Agent")
    put_back(village, "Mercy", mercy, ("Riverside", "Agent"))
    return consent.tx, made


def connect(village: Village, one: str, two: str) -> None:
    a, b = village.nodes[one], village.nodes[two]
    b.engine.disconnected(a.me)
    here, there = a.engine.connected(b.me), b.engine.connected(a.me)
    a.engine.hello(b.me, there)
    b.engine.hello(a.me, here)
    village.settle()


def test_what_came_before_that_on_which_it_rests_is_taken_when_that_comes(village: Village) -> None:
    consent, made = consent_that_mercy_lost(village)
    mercy = village.nodes["Mercy"]
    connect(village, "Mercy", "Riverside")
    assert sorted(recoveries(mercy)) == [(Status.RUNNING, ""), (Status.DONE, "")]
    assert aside(mercy) == 2, (
        "the disclosure waits for the consent, and that for what a grantee does not see"
    )
    assert not recorded(mercy) & {consent, made}
    connect(village, "Mercy", "Agent")
    assert {consent, made} <= recorded(mercy)
    assert made in recorded(village.nodes["Agent"]), "what it has back it brings to the others"
    assert aside(mercy) == 0


def test_a_delivery_that_comes_too_early_waits_while_the_node_recovers(village: Village) -> None:
    consent, made = consent_that_mercy_lost(village)
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    part = riverside.vault.read_part(riverside.db, transaction_part(made, mercy.me))
    assert part is not None
    bringer = Liar(village, "Riverside")
    bringer.attach("Mercy")
    letter = Deliver(TransactionId(made))
    bringer.open(mercy.me, TakeDelivery.name, letter, (part,), letter=True)
    assert aside(mercy) == 1
    connect(village, "Mercy", "Agent")
    assert {consent, made} <= recorded(mercy)


def test_an_agent_has_back_a_consent_of_which_no_peer_sees_all(village: Village) -> None:
    image = image_of(village, "Agent")
    consent = granted(village)
    agent = village.nodes["Agent"]
    stored = "SELECT tearoff, receipt FROM ledger_tx WHERE tx = ?"
    before = agent.db.execute(stored, (consent.tx,)).fetchone()
    named = "SELECT custodian, patient, local FROM enrolment ORDER BY patient"
    names = agent.db.execute(named).fetchall()
    agent = put_back(village, "Agent", image, ("Mercy", "Riverside"))
    connect(village, "Mercy", "Agent")
    assert consent.tx not in recorded(agent)
    assert aside(agent) == 1, "the custodian does not see how the grantee names her"
    connect(village, "Riverside", "Agent")
    assert agent.db.execute(stored, (consent.tx,)).fetchone()[0] == before[0]
    assert aside(agent) == 0
    assert agent.db.execute(named).fetchall() == names, "it names her to the grantee as before"
    village.run("Agent", RevokeConsent(consent))
    assert not village.nodes["Mercy"].vault.is_live(village.nodes["Mercy"].db, consent)


def test_what_two_peers_show_is_not_enough_where_a_component_is_on_no_disk(
    village: Village,
) -> None:
    image = image_of(village, "Agent")
    consent = granted(village)
    riverside = village.nodes["Riverside"]
    filtered = open_tearoff(riverside.vault.transaction(riverside.db, consent.tx).tearoff)
    name = filtered.layout.position(Group.SEALED, 1)
    less = filtered.narrowed(at for at in filtered.tearoff.positions if at != name)
    riverside.db.execute(
        "UPDATE ledger_tx SET tearoff = ? WHERE tx = ?", (encode(less), consent.tx)
    )
    agent = put_back(village, "Agent", image, ("Mercy", "Riverside"))
    greet(village, "Agent")
    village.settle()
    assert consent.tx not in recorded(agent)
    assert aside(agent) == 1
    assert sorted(recoveries(agent)) == [(Status.DONE, "")] * 2


def test_what_nobody_completes_goes_when_every_peer_was_asked_and_some_time_has_passed(
    village: Village,
) -> None:
    _, made = consent_that_mercy_lost(village)
    connect(village, "Mercy", "Riverside")
    mercy = village.nodes["Mercy"]
    agent = village.nodes["Agent"]
    agent.db.execute("UPDATE ledger_holder SET party = 'nobody' WHERE party = ?", (mercy.me,))
    assert aside(mercy) == 2
    village.clock.now += KEPT_MS
    mercy.ask_again()
    assert aside(mercy) == 2, "the agent has not been asked yet"
    connect(village, "Mercy", "Agent")
    mercy.ask_again()
    assert aside(mercy) == 0
    assert made not in recorded(mercy)


def test_what_nobody_completes_is_kept_for_some_time_after_the_last_peer_was_asked(
    village: Village,
) -> None:
    consent_that_mercy_lost(village)
    mercy, agent = village.nodes["Mercy"], village.nodes["Agent"]
    agent.db.execute("UPDATE ledger_holder SET party = 'nobody' WHERE party = ?", (mercy.me,))
    greet(village, "Mercy")
    village.settle()
    assert recoveries(mercy) == [(Status.DONE, "")] * 2
    village.clock.now += KEPT_MS - 1
    mercy.ask_again()
    assert aside(mercy) == 2
    village.clock.now += 1
    mercy.ask_again()
    assert aside(mercy) == 0


def test_one_bringer_puts_no_more_aside_than_the_limit(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.vault.aside.ASIDE_BYTES_MAX", 1_000)
    consent, made = consent_that_mercy_lost(village)
    mercy = village.nodes["Mercy"]
    connect(village, "Mercy", "Riverside")
    assert aside(mercy) == 0
    connect(village, "Mercy", "Agent")
    assert consent in recorded(mercy)
    assert made not in recorded(mercy)


def test_a_recipient_that_forgot_what_it_signed_is_brought_it_though_no_key_is_released(
    village: Village,
) -> None:
    """It recovers while the notary's answer is on its way to the custodian, and the consent ends before it comes."""
    consent = granted(village)
    image = image_of(village, "Riverside")
    village.answers_are_held = True
    village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
    village.answers_are_held = False
    (told,) = village.held
    assert isinstance(told.answer, Committed)
    riverside = put_back(village, "Riverside", image, ("Mercy", "Agent"))
    greet(village, "Riverside")
    village.settle()
    assert recoveries(riverside) == [(Status.DONE, "")] * 2
    village.run("Agent", RevokeConsent(consent))
    mercy = village.nodes["Mercy"]
    mercy.engine.notary_answered(told.question, told.answer)
    village.settle()
    assert mercy.db.execute("SELECT released FROM disclosure").fetchall() == [(-1,)]
    (made,) = mercy.db.execute("SELECT tx FROM disclosure").fetchone()
    assert made in recorded(riverside)


def test_a_peer_that_is_restored_while_it_reminds_is_asked_again(village: Village) -> None:
    granted(village)
    mercy, riverside = image_of(village, "Mercy"), image_of(village, "Riverside")
    lost = publish(village, "Mercy", "MRN 4711", [("note", b"a second note")]).tx
    put_back(village, "Mercy", mercy, ("Agent", "Riverside"))
    connect(village, "Mercy", "Agent")
    node = village.nodes["Mercy"]
    assert lost in recorded(node)
    node.engine.turn()  # asks Riverside, which is restored before it hears of it
    put_back(village, "Riverside", riverside, ())
    connect(village, "Mercy", "Riverside")
    village.pass_time(WAIT_MS << TRIES)
    assert recoveries(node) == [(Status.DONE, "")] * 2


def test_a_delivery_whose_bringer_is_restored_while_it_is_asked_for_more_asks_again(
    village: Village,
) -> None:
    granted(village)
    image = image_of(village, "Mercy")
    consent = grant_notes(village)
    mercy = put_back(village, "Mercy", image, ())  # it asks nobody
    greet(village, "Mercy")
    village.settle()
    village.nodes["Agent"].engine.start(RevokeConsent(consent))
    until(village, f"SELECT 1 FROM flow WHERE tag = '{TakeDelivery.name}' AND status = 0", "Mercy")
    agent = image_of(village, "Agent")
    until(village, f"SELECT 1 FROM flow WHERE tag = '{GiveTransactions.name}'", "Agent")
    put_back(village, "Agent", agent, ())
    greet(village, "Agent")
    village.settle()
    assert consent.tx not in recorded(mercy), "it has not been brought yet"
    village.pass_time(WAIT_MS)
    assert mercy.engine.flows((Status.RUNNING, Status.OBSERVED)) == []
    assert recorded(mercy) == recorded(village.nodes["Agent"])
