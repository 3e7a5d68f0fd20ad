"""Who gives a record away does not know what becomes of it, and does not say that it does."""

import pytest

from app.assembly import Assembly
from flows.notary_change import ChangeNotary, Moved
from flows.subjects.record import AmendRecord, Published, TransferCustody
from states.state import StateRef, TransactionId
from tests.simulation.neighbours import ADA, enrol, publish, result, stage
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


def test_a_former_custodian_does_not_hear_that_a_record_moved_to_another_notary(
    village: Village,
) -> None:
    record = passed(village, published(village), "Northside", "Mercy")
    before = village.nodes["Northside"].vault.last_seq(village.nodes["Northside"].db)
    second = village.founding.notaries[1].party
    moved = result(village, "Mercy", village.run("Mercy", ChangeNotary(record, second)), Moved).ref
    assert live(village.nodes["Mercy"]) == live(village.nodes["Agent"]) == {(moved.tx, 0)}
    assert village.nodes["Northside"].vault.last_seq(village.nodes["Northside"].db) == before
