"""What a custodian says of a disclosure that its recipient has signed and not recorded: kept, and only of that."""

import pytest

from app.assembly import Assembly
from app.gate import Opened, Refused
from app.subjects.notices import Notices
from flows.notices import Superseded, Withdrawn
from flows.step import StepContext
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from flows.subjects.notice import NoteSuperseded, NoteWithdrawn
from flows.subjects.record import AmendRecord
from flows.subjects.restriction import Restrict
from states.groups import Group
from states.sealed import SEALED
from states.state import StateRef, TransactionId
from states.subjects.disclosure import Item
from states.subjects.terms import Terms
from states.tearoff import open_tearoff
from tests.attack.liar import Liar, count, stuck
from tests.simulation.neighbours import ADA, REED, result, stage
from tests.simulation.test_story import disclosed, granted, reed_signed_in
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=18)


def signed(village: Village) -> tuple[bytes, TransactionId]:
    """Let Riverside ask for what it has already, and stop its flow when it has signed; all others go on.

    Return the flow and what it signed. The ciphertext is there: a custodian gives none of what is withdrawn.
    """
    riverside = village.nodes["Riverside"]
    consent = granted(village)
    disclosed(village, consent)
    flow = riverside.engine.start(RequestDisclosure(consent, REED, "TREAT", ()))
    while not (row := held(riverside)):
        for node in village.nodes.values():
            if node.engine.has_work():
                village._turn(node)
    riverside.engine.pause(flow)
    village.settle()
    assert count(village.nodes["Mercy"], "disclosure") == 2
    assert count(riverside, "disclosure") == 1
    return flow, TransactionId(row[0])


def held(node: Assembly) -> tuple[bytes] | None:
    row: tuple[bytes] | None
    row = node.db.execute("SELECT tx FROM ledger_tx WHERE status = 0").fetchone()
    return row


def resumed(village: Village, flow: bytes) -> None:
    village.nodes["Riverside"].engine.resume(flow)
    village.settle()
    assert result(village, "Riverside", flow, Disclosed).outcome == "disclosed"


def named_in(village: Village, tx: TransactionId) -> bytes:
    """Return the commitment of the one item of a disclosure that Mercy holds."""
    mercy = village.nodes["Mercy"]
    filtered = open_tearoff(mercy.vault.transaction(mercy.db, tx).tearoff)
    sealed = [SEALED.decode(c) for _, c in filtered.components(Group.SEALED)]
    said = [mercy.vault.verifier.contracts.seals.decode(each.data) for each in sealed]
    (item,) = [each for each in said if isinstance(each, Item)]
    return item.commitment


def close_laboratory(village: Village) -> None:
    closing = Terms("deny", None, None, (), ("laboratory",), ())
    village.run("Agent", Restrict(ADA, village.party("Mercy"), closing))


def test_what_is_withdrawn_before_it_is_recorded_is_never_opened(village: Village) -> None:
    flow, tx = signed(village)
    close_laboratory(village)
    riverside = village.nodes["Riverside"]
    withdrawn = village.clock.now
    village.clock.now += 1_000
    resumed(village, flow)
    items = "SELECT wrapped IS NOT NULL, withdrawn_at FROM disclosure_item WHERE tx = ?"
    assert riverside.db.execute(items, (tx,)).fetchall() == [(1, withdrawn)]
    refused = riverside.gate.read_record(reed_signed_in(village), tx, 0, "TREAT")
    assert isinstance(refused, Refused)
    assert refused.words == "The custodian has withdrawn this item."
    assert count(riverside, "early_notice") == 0


def test_a_newer_version_that_is_announced_early_is_known(village: Village) -> None:
    flow, tx = signed(village)
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    old = mercy.db.execute("SELECT tx, idx FROM record WHERE category = 'laboratory'").fetchone()
    batch = stage(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.2 %, corrected")])
    village.run("Mercy", AmendRecord(StateRef(*old), batch))
    resumed(village, flow)
    opened = riverside.gate.read_record(reed_signed_in(village), tx, 0, "TREAT")
    assert isinstance(opened, Opened)
    assert opened.superseded == 2


def test_both_may_be_said_early_in_any_order_and_twice(village: Village) -> None:
    _, tx = signed(village)
    commitment = named_in(village, tx)
    liar = Liar(village, "Mercy")
    to = liar.attach("Riverside")
    said = [
        (NoteWithdrawn.name, Withdrawn(tx, (commitment,))),
        (NoteSuperseded.name, Superseded(tx, commitment, 2)),
    ]
    for name, notice in (*said, *reversed(said)):
        liar.open(to, name, notice, letter=True)
    riverside = village.nodes["Riverside"]
    kept = "SELECT tx, commitment, withdrawn_at, superseded FROM early_notice"
    assert riverside.db.execute(kept).fetchall() == [(tx, commitment, village.clock.now, 2)]


@pytest.mark.parametrize("who", ["Northside", "Agent", "Mercy"])
def test_nothing_is_kept_of_what_its_custodian_did_not_say_or_this_node_did_not_sign(
    village: Village, who: str
) -> None:
    _, tx = signed(village)
    riverside = village.nodes["Riverside"]
    commitment = named_in(village, tx)
    (consent,) = riverside.db.execute("SELECT tx FROM statement").fetchone()
    liar = Liar(village, who)
    to = liar.attach("Riverside")
    flood = tuple(number.to_bytes(32, "big") for number in range(4_096))
    notices = [Withdrawn(tx, flood), Withdrawn(TransactionId(consent), (commitment,))]
    notices += [Withdrawn(TransactionId(other), (commitment,)) for other in flood[:64]]
    if who != "Mercy":
        notices.append(Withdrawn(tx, (commitment,)))
    for notice in notices:
        liar.open(to, NoteWithdrawn.name, notice, letter=True)
    assert count(riverside, "early_notice") == 0
    assert stuck(riverside) == []


def test_what_was_said_of_a_draft_goes_with_it(village: Village) -> None:
    """A lying custodian withdraws what it never has notarised; the next time something is said, that is gone."""
    riverside = village.nodes["Riverside"]
    notices = Notices(riverside.ground, riverside.statements)

    def withdraw(tx: TransactionId) -> None:
        step = StepContext(
            riverside.engine, bytes(16), village.clock.now, riverside.db, doubt=False
        )
        notices.heed(step, village.party("Mercy"), Withdrawn(tx, (named_in(village, tx),)))

    _, first = signed(village)
    withdraw(first)
    assert riverside.db.execute("SELECT tx FROM early_notice").fetchall() == [(first,)]
    riverside.vault.drop(
        StepContext(riverside.engine, bytes(16), 0, riverside.db, doubt=False), first
    )
    consent = riverside.db.execute("SELECT tx, idx FROM statement").fetchone()
    village.notary_is_away = True
    village.run("Riverside", RequestDisclosure(StateRef(*consent), REED, "TREAT", ()))
    row = held(riverside)
    assert row is not None
    withdraw(TransactionId(row[0]))
    assert riverside.db.execute("SELECT tx FROM early_notice").fetchall() == [row]
