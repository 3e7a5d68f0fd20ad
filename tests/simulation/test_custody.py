"""Who gives a record away does not know what becomes of it, and does not say that it does."""

from datetime import UTC, datetime, timedelta

import pytest

from app.assembly import Assembly
from app.auth.sessions import Role, Session
from app.gate import Refused
from app.subjects.consumed import ConsumedRecords
from flows.consumed import FindConsumed
from flows.notary_change import ChangeNotary, Moved
from flows.subjects.enrolment import Practitioner
from flows.subjects.record import AmendRecord, Published, TransferCustody
from states.groups import Group
from states.signed import PROVEN_TRANSACTION
from states.state import StateRef, TransactionId
from states.tearoff import open_tearoff
from tests.attack.liar import Liar
from tests.simulation.neighbours import ADA, REED, enrol, permit, publish, result, stage
from tests.simulation.restoring import image_of, put_back
from tests.simulation.test_recovery import connect
from tests.simulation.village import Village

NORTHSIDE, MERCY = "order book 93", "MRN 4711"


@pytest.fixture
def village() -> Village:
    village = Village(seed=23, double_run=True, two_notaries=True)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Northside", NORTHSIDE)
    enrol(village, "Mercy", MERCY)
    return village


def published(village: Village) -> StateRef:
    made = publish(village, "Northside", NORTHSIDE, [("laboratory", b"potassium 4.4")])
    return StateRef(TransactionId(made.tx), 0)


def passed(village: Village, record: StateRef, old: str, new: str) -> StateRef:
    permit(village, old, new)
    move = TransferCustody(record, village.party("Agent"), village.party(new))
    made = result(village, old, village.run(old, move), Published)
    return StateRef(TransactionId(made.tx), 0)


def live(node: Assembly) -> set[tuple[bytes, int]]:
    return set(node.db.execute("SELECT tx, idx FROM ledger_state WHERE consumed_by IS NULL"))


def test_a_former_custodian_calls_live_neither_what_it_had_nor_what_it_gave(
    village: Village,
) -> None:
    record = passed(village, published(village), "Northside", "Mercy")
    assert live(village.nodes["Northside"]) == set()
    assert live(village.nodes["Mercy"]) == {(record.tx, 0)}
    batch = stage(village, "Mercy", MERCY, [("laboratory", b"potassium 4.5")])
    amended = result(village, "Mercy", village.run("Mercy", AmendRecord(record, batch)), Published)
    assert live(village.nodes["Northside"]) == set()
    assert live(village.nodes["Mercy"]) == live(village.nodes["Agent"]) == {(amended.tx, 0)}


def test_a_record_that_comes_back_lives_at_its_first_custodian_again(village: Village) -> None:
    there = passed(village, published(village), "Northside", "Mercy")
    back = passed(village, there, "Mercy", "Northside")
    assert live(village.nodes["Northside"]) == live(village.nodes["Agent"]) == {(back.tx, 0)}
    assert live(village.nodes["Mercy"]) == set()


def clinician(village: Village, name: str) -> Session:
    """A clinician of an organisation, signed in."""
    node = village.nodes[name]
    person = Practitioner(REED, "Dr B. Bell", "clinician")
    node.enrolments.add_practitioner(node.db, person)
    now = datetime.fromtimestamp(village.clock() / 1_000, UTC)
    return Session(
        "bell", "bell", Role.CLINICIAN, REED.hex(), node.me, now, now + timedelta(hours=1)
    )


def opens(village: Village, name: str, record: StateRef) -> bool:
    found = village.nodes[name].gate.read_own(clinician(village, name), record, "TREAT")
    return not isinstance(found, Refused)


def test_the_staff_of_a_former_custodian_reads_neither_the_record_nor_what_it_was_before(
    village: Village,
) -> None:
    """It keeps the bytes, as the law may want; it is outside now all the same."""
    first, other = published(village), published(village)
    batch = stage(village, "Northside", NORTHSIDE, [("laboratory", b"potassium 4.6")])
    amend = AmendRecord(first, batch)
    made = result(village, "Northside", village.run("Northside", amend), Published)
    second = StateRef(TransactionId(made.tx), 0)
    assert opens(village, "Northside", first)
    assert opens(village, "Northside", second)
    there = passed(village, second, "Northside", "Mercy")
    assert not opens(village, "Northside", first)
    assert not opens(village, "Northside", second)
    assert opens(village, "Northside", other), "it keeps this one still"
    assert opens(village, "Mercy", there)
    back = passed(village, there, "Mercy", "Northside")
    assert not opens(village, "Mercy", there)
    assert opens(village, "Northside", back)


def test_a_former_custodian_does_not_hear_that_a_record_moved_to_another_notary(
    village: Village,
) -> None:
    record = passed(village, published(village), "Northside", "Mercy")
    before = village.nodes["Northside"].vault.last_seq(village.nodes["Northside"].db)
    second = village.founding.notaries[1].party
    moved = result(village, "Mercy", village.run("Mercy", ChangeNotary(record, second)), Moved).ref
    assert live(village.nodes["Mercy"]) == live(village.nodes["Agent"]) == {(moved.tx, 0)}
    assert village.nodes["Northside"].vault.last_seq(village.nodes["Northside"].db) == before


@pytest.mark.parametrize(
    "asks",
    [("Northside",), ("Agent",), ("Northside", "Agent"), ("Agent", "Northside")],
    ids="-".join,
)
@pytest.mark.parametrize("enrolled", [True, False])
def test_a_new_custodian_that_lost_a_transfer_has_it_back(
    asks: tuple[str, ...],
    enrolled: bool,  # noqa: FBT001 - whether its backup has the enrolment
) -> None:
    """It had seen what was consumed only once, and named the patient itself: others show it, and it makes the name."""
    village = Village(seed=24, double_run=True)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Northside", NORTHSIDE)
    images = [image_of(village, "Mercy")]
    enrol(village, "Mercy", MERCY)
    images.append(image_of(village, "Mercy"))
    record = passed(village, published(village), "Northside", "Mercy")
    columns = "SELECT custodian, patient, version, commitment, content FROM record WHERE tx = ?"
    before = village.nodes["Mercy"].db.execute(columns, (record.tx,)).fetchall()
    held = village.nodes["Mercy"].vault.holders_of(village.nodes["Mercy"].db, record.tx)
    mercy = put_back(village, "Mercy", images[enrolled], asks)
    for other in asks:
        connect(village, "Mercy", other)
    if not enrolled and "Agent" not in asks:
        assert live(mercy) == set(), "whose it is only the agent knows"
        return
    assert live(mercy) == {(record.tx, 0)}
    assert mercy.db.execute(columns, (record.tx,)).fetchall() == before
    assert mercy.vault.holders_of(mercy.db, record.tx) == held
    batch = stage(village, "Mercy", MERCY, [("laboratory", b"potassium 4.5")])
    amended = result(village, "Mercy", village.run("Mercy", AmendRecord(record, batch)), Published)
    assert live(mercy) == {(amended.tx, 0)}


def test_what_a_transaction_consumed_is_shown_to_its_holders_and_without_what_is_sealed(
    village: Village,
) -> None:
    old = published(village)
    record = passed(village, old, "Northside", "Mercy")
    northside = village.nodes["Northside"]
    shown = ConsumedRecords(northside.ground)
    step = Liar(village, "Northside").step()
    asked = (record.tx, old.tx)
    assert shown.find(step, FindConsumed(village.party("Riverside"), asked)).parts == ()
    (part,) = shown.find(step, FindConsumed(village.party("Mercy"), asked)).parts
    proven = PROVEN_TRANSACTION.decode(step.read_part(part) or b"")
    filtered = open_tearoff(proven.tearoff)
    assert filtered.id == old.tx
    assert filtered.components(Group.SEALED) == []
    assert len(filtered.components(Group.OUTPUTS)) == 1
