"""A custodian passes on, or asks where it could pass on, what the patient has not permitted."""

from collections.abc import Callable

import msgspec
import pytest

from app.subjects.transfer_permit import PERMIT_MS_MAX, NotPermissible
from flows.store import Status
from flows.subjects.record import AnswerIntroduce, Introduce, Introduced, Published, TransferCustody
from states.encoding import encode
from states.state import StateRef, TransactionId
from tests.attack.liar import Liar, stuck
from tests.simulation.neighbours import ADA, DAY, enrol, permit, publish, result
from tests.simulation.restoring import greet, image_of, put_back
from tests.simulation.village import Village

NOTHING = ("nothing-available", "Nothing available.")


@pytest.fixture
def village() -> Village:
    """Ada is enrolled at both hospitals, and not at the laboratory."""
    made = Village(seed=41, double_run=True)
    made.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(made, "Mercy", "MRN 4711")
    enrol(made, "Riverside", "RV-20-88")
    return made


def published(village: Village, name: str = "Mercy", local: str = "MRN 4711") -> StateRef:
    made = publish(village, name, local, [("laboratory", b"HbA1c 6.1 %")])
    return StateRef(TransactionId(made.tx), 0)


def passes(village: Village, record: StateRef) -> bool:
    """Whether Mercy can pass a record to Riverside; else it was told nothing but that there is nothing."""
    move = TransferCustody(record, village.party("Agent"), village.party("Riverside"))
    row = village.nodes["Mercy"].engine.flow(village.run("Mercy", move))
    assert row is not None
    assert all(stuck(node) == [] for node in village.nodes.values())
    if row.status == Status.DONE:
        return True
    assert row.status == Status.FAILED
    assert row.why.endswith("ended the session: nothing-available Nothing available."), row.why
    announced = village.nodes["Riverside"].db.execute("SELECT count(*) FROM introduction")
    assert announced.fetchone() == (0,)
    return False


def withdraw(village: Village) -> None:
    agent = village.nodes["Agent"]
    pair = village.party("Mercy"), village.party("Riverside")
    agent.transfer_permits.withdraw(agent.db, ADA.hex(), *pair)


def test_with_a_permit_any_number_of_records_pass(village: Village) -> None:
    records = [published(village), published(village)]
    permit(village, "Mercy", "Riverside")
    assert [passes(village, each) for each in records] == [True, True]


def test_without_a_permit_nothing_passes(village: Village) -> None:
    assert not passes(village, published(village))


def test_a_permit_of_another_pair_is_none(village: Village) -> None:
    enrol(village, "Northside", "order book 93")
    permit(village, "Riverside", "Mercy")
    permit(village, "Mercy", "Northside")
    permit(village, "Northside", "Riverside")
    assert not passes(village, published(village))


def test_a_permit_of_another_patient_is_none(village: Village) -> None:
    agent, bob = village.nodes["Agent"], b"bob-at-her-agent"
    permit(village, "Mercy", "Riverside")
    agent.db.execute("UPDATE transfer_permit SET patient = ?", (bob.hex(),))
    assert not passes(village, published(village))


def test_a_permit_is_none_from_the_moment_at_which_it_ends(village: Village) -> None:
    records = [published(village), published(village)]
    permit(village, "Mercy", "Riverside")
    village.clock.now += 7 * DAY - 1
    assert passes(village, records[0])
    village.pass_time(1)
    village.nodes["Riverside"].db.execute("DELETE FROM introduction")
    assert not passes(village, records[1])


def test_a_permit_that_was_withdrawn_is_none(village: Village) -> None:
    record = published(village)
    permit(village, "Mercy", "Riverside")
    withdraw(village)
    assert not passes(village, record)
    permit(village, "Mercy", "Riverside")
    assert passes(village, record)


def test_an_agent_that_was_restored_without_a_permit_waits_for_a_new_one(village: Village) -> None:
    record = published(village)
    image = image_of(village, "Agent")
    permit(village, "Mercy", "Riverside")
    put_back(village, "Agent", image, ("Mercy", "Riverside"))
    greet(village, "Agent")
    village.settle()
    assert not passes(village, record)
    permit(village, "Mercy", "Riverside")
    assert passes(village, record)


def test_an_agent_that_was_restored_from_before_a_withdrawal_does_not_permit_again(
    village: Village,
) -> None:
    record = published(village)
    permit(village, "Mercy", "Riverside")
    image = image_of(village, "Agent")
    withdraw(village)
    put_back(village, "Agent", image, ("Mercy", "Riverside"))
    greet(village, "Agent")
    village.settle()
    assert not passes(village, record)


def not_a_record(village: Village) -> Introduce:
    return Introduce(StateRef(TransactionId(bytes(32)), 0), village.party("Riverside"))


def of_another_custodian(village: Village) -> Introduce:
    record = published(village, "Riverside", "RV-20-88")
    permit(village, "Riverside", "Mercy")
    return Introduce(record, village.party("Mercy"))


def not_enrolled(village: Village) -> Introduce:
    """Also where the permit is of an enrolment that the agent has no more."""
    enrol(village, "Northside", "order book 93")
    permit(village, "Mercy", "Northside")
    agent, northside = village.nodes["Agent"], village.party("Northside")
    agent.db.execute("DELETE FROM enrolment WHERE custodian = ?", (northside,))
    return Introduce(published(village), northside)


def not_permitted(village: Village) -> Introduce:
    return Introduce(published(village), village.party("Riverside"))


def neither(village: Village) -> Introduce:
    return Introduce(published(village), village.party("Northside"))


def test_who_asks_does_not_learn_why_not(village: Village) -> None:
    """Not even where else a patient of his is enrolled."""
    cases: tuple[Callable[[Village], Introduce], ...]
    cases = (not_a_record, of_another_custodian, not_permitted, neither, not_enrolled)
    asked = [case(village) for case in cases]
    liar = Liar(village, "Mercy")
    agent = liar.attach("Agent")
    heard = []
    for each in asked:
        before = len(liar.heard)
        session = liar.open(agent, AnswerIntroduce.name, each)
        fault = liar.fault_in(session)
        assert (fault.code, fault.public) == NOTHING
        said = [
            (envelope.kind, envelope.seq, len(envelope.body), envelope.parts)
            for _, envelope in liar.heard[before:]
        ]
        heard.append((encode(msgspec.structs.replace(fault, id="")), len(fault.id), said))
    assert heard == heard[:1] * len(cases)
    announced = village.nodes["Riverside"].db.execute("SELECT count(*) FROM introduction")
    assert announced.fetchone() == (0,)


def test_the_one_that_is_permitted_is_introduced(village: Village) -> None:
    wanted = not_permitted(village)
    permit(village, "Mercy", "Riverside")
    liar = Liar(village, "Mercy")
    agent = liar.attach("Agent")
    session = liar.open(agent, AnswerIntroduce.name, wanted)
    assert len(liar.heard_of(session, Introduced)[0].token) == 16


@pytest.mark.parametrize(
    ("custodian", "to", "lasts", "field"),
    [
        ("Mercy", "Mercy", DAY, "to"),
        ("Mercy", "Riverside", 0, "until"),
        ("Mercy", "Riverside", PERMIT_MS_MAX + 1, "until"),
        ("Mercy", "Northside", DAY, "to"),
        ("Northside", "Mercy", DAY, "custodian"),
    ],
)
def test_what_cannot_be_permitted(
    village: Village, custodian: str, to: str, lasts: int, field: str
) -> None:
    agent, now = village.nodes["Agent"], village.clock.now
    pair = village.party(custodian), village.party(to)
    with pytest.raises(NotPermissible) as refused:
        agent.transfer_permits.permit(agent.db, now, ADA.hex(), *pair, now + lasts)
    assert refused.value.field == field
    assert agent.db.execute("SELECT count(*) FROM transfer_permit").fetchone() == (0,)


def test_a_later_word_of_hers_takes_the_place_of_the_one_before(village: Village) -> None:
    agent, now = village.nodes["Agent"], village.clock.now
    pair = village.party("Mercy"), village.party("Riverside")
    record = published(village)
    for end in (now + PERMIT_MS_MAX, now + 1):
        agent.transfer_permits.permit(agent.db, now, ADA.hex(), *pair, end)
    village.pass_time(1)
    assert not passes(village, record)


def test_a_record_goes_back_only_by_a_permit_of_its_own(village: Village) -> None:
    record = published(village)
    permit(village, "Mercy", "Riverside")
    agent = village.party("Agent")
    move = TransferCustody(record, agent, village.party("Riverside"))
    moved = result(village, "Mercy", village.run("Mercy", move), Published)
    back = TransferCustody(StateRef(TransactionId(moved.tx), 0), agent, village.party("Mercy"))
    row = village.nodes["Riverside"].engine.flow(village.run("Riverside", back))
    assert row is not None
    assert row.status == Status.FAILED
