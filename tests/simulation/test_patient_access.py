"""A patient reads her own record at her agent: what comes with a publication, and what is fetched when she reads."""

from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from msgspec.structs import replace

from app.auth.sessions import Role, Session
from app.gate import Opened, Refused
from app.subjects.patient_access import AGAIN_MS, keep_up
from app.vault.subject import Step
from flows.flow import FlowRefused, Operation
from flows.notary_change import ChangeNotary, Moved
from flows.step import StepContext
from flows.store import Status
from flows.subjects.patient_access import FetchOwn, Obtained, ObtainKeys, ReleaseToPatient
from flows.subjects.record import (
    AmendRecord,
    BuildTransfer,
    MakeOffer,
    Published,
    TransferCustody,
)
from states.ledger import LedgerCommand, Resolved
from states.signed import ProvenTransaction
from states.state import StateRef, TransactionId
from states.subjects.record import RecordErase
from tests.attack.liar import enrol_patient
from tests.simulation.neighbours import ADA, enrol, permit, publish, result, stage
from tests.simulation.village import Village

EVE = b"eve-at-her-agent"
RESULT = b"HbA1c 6.1 %"
TRIES = 9  # their rows lie in the order of random tokens


@pytest.fixture
def village() -> Village:
    made = Village(seed=23, double_run=True)
    keys = made.nodes["Agent"].given.keys
    keys.add_patient(ADA)
    keys.add_patient(EVE)
    enrol(made, "Mercy", "MRN 4711")
    enrol_patient(made, "Mercy", "MRN 4712", EVE)
    return made


def signed_in(village: Village, patient: bytes = ADA) -> Session:
    issued = datetime.fromtimestamp(village.clock.now / 1_000, UTC)
    ends = issued + timedelta(hours=8)
    return Session("s", "u", Role.PATIENT, patient.hex(), village.party("Agent"), issued, ends)


def first_of(published: Published) -> StateRef:
    return StateRef(TransactionId(published.tx), 0)


def read(village: Village, ref: StateRef, patient: bytes = ADA) -> bytes | str:
    """What the gate gives her, after everything that she lacks was got; or the words of the refusal."""
    agent, session = village.nodes["Agent"], signed_in(village, patient)
    while (lacking := agent.gate.lacking(session, ref)) is not None:
        agent.obtain(lacking)
        village.settle()
        if agent.gate.lacking(session, ref) == lacking:
            break
    opened = agent.gate.read_hers(session, ref, "PATRQT")
    return opened.words if isinstance(opened, Refused) else b"".join(opened.chunks)


def column(village: Village, name: str, text: str) -> list[object]:
    return [row[0] for row in village.nodes[name].db.execute(text)]


def test_the_keys_come_with_the_publication_and_the_ciphertext_when_she_reads(
    village: Village,
) -> None:
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    agent = village.nodes["Agent"]
    assert column(village, "Agent", "SELECT count(*) FROM patient_key") == [1]
    assert not list(village.blobs["Agent"].cids())
    assert read(village, ref) == RESULT
    assert len(list(village.blobs["Agent"].cids())) == 1
    village.nodes["Mercy"].engine.disconnected(agent.me)
    assert read(village, ref) == RESULT, "it is here now"


def test_nobody_else_reads_it_at_the_agent(village: Village) -> None:
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    assert read(village, ref, EVE) == "Nothing available."
    assert not list(village.blobs["Agent"].cids()), "nothing was fetched for her"


def test_her_own_readings_are_in_the_list_of_who_looked(village: Village) -> None:
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    read(village, ref)
    agent = village.nodes["Agent"]
    for node in village.nodes.values():
        node.report_readings()
        node.report_heads()
    village.settle()
    (look,) = agent.looks.who_looked(agent.db, ADA.hex())
    assert (look.organisation, look.entry.shown_as) == (agent.me, "the patient herself")
    assert (look.entry.outcome, look.entry.purpose) == ("read", "PATRQT")
    assert [item.category for item in look.items if item is not None] == ["laboratory"]
    assert agent.looks.alarms(agent.db, ADA.hex()) == []
    assert agent.looks.who_looked(agent.db, EVE.hex()) == []


def test_one_wrap_serves_a_whole_publication(village: Village) -> None:
    documents = [("laboratory", b"result %d" % number) for number in range(40)]
    published = publish(village, "Mercy", "MRN 4711", documents)  # type: ignore[arg-type]  # literals
    assert column(village, "Agent", "SELECT count(*) FROM patient_wrap") == [1]
    assert column(village, "Agent", "SELECT count(*) FROM patient_key") == [40]
    for index in (0, 17, 39):
        ref = StateRef(TransactionId(published.tx), index)
        assert read(village, ref) == b"result %d" % index


def test_an_amendment_brings_its_key_too(village: Village) -> None:
    old = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    batch = stage(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.2 %")])
    flow = village.run("Mercy", AmendRecord(old, batch))
    new = first_of(result(village, "Mercy", flow, Published))
    assert (read(village, old), read(village, new)) == (RESULT, b"HbA1c 6.2 %")


def test_what_is_withheld_is_not_read_until_it_is_released_and_she_sees_the_reason(
    village: Village,
) -> None:
    published = publish(village, "Mercy", "MRN 4711", [("note", RESULT)], "to-be-discussed")
    ref = first_of(published)
    reason = "SELECT withheld FROM record"
    assert column(village, "Agent", reason) == ["to-be-discussed"]
    assert column(village, "Agent", "SELECT count(*) FROM patient_key") == [0]
    assert "withholds" in str(read(village, ref))
    fetch = village.run("Agent", FetchOwn(village.party("Mercy"), ref.tx, 0))
    row = village.nodes["Agent"].engine.flow(fetch)
    assert row is not None
    assert row.status == Status.FAILED, "nor is its ciphertext given"
    result_of = village.run("Mercy", ReleaseToPatient(ref))
    assert village.nodes["Mercy"].engine.flow(result_of).status == Status.DONE  # type: ignore[union-attr]
    assert column(village, "Agent", reason) == [None]
    assert read(village, ref) == RESULT


def test_what_corrects_a_withheld_record_is_withheld_as_well(village: Village) -> None:
    old = first_of(publish(village, "Mercy", "MRN 4711", [("note", RESULT)], "harm"))
    batch = stage(village, "Mercy", "MRN 4711", [("note", b"better")])
    new = first_of(
        result(village, "Mercy", village.run("Mercy", AmendRecord(old, batch)), Published)
    )
    assert "withholds" in str(read(village, new))
    assert column(village, "Agent", "SELECT withheld FROM record") == ["harm", "harm"]


def transferred(village: Village, ref: StateRef) -> StateRef:
    enrol(village, "Riverside", "RV-20-88")
    permit(village, "Mercy", "Riverside")
    move = TransferCustody(ref, village.party("Agent"), village.party("Riverside"))
    return first_of(result(village, "Mercy", village.run("Mercy", move), Published))


def test_after_a_transfer_she_reads_with_the_key_that_she_has(village: Village) -> None:
    old = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    new = transferred(village, old)
    assert column(village, "Agent", "SELECT count(*) FROM patient_key") == [1]
    village.nodes["Mercy"].engine.disconnected(village.party("Agent"))
    assert read(village, new) == RESULT, "the ciphertext comes from the new custodian"


@pytest.mark.parametrize("step", [MakeOffer, BuildTransfer])
def test_a_transfer_that_failed_before_changes_nothing_about_what_is_withheld(
    village: Village, step: type[Operation]
) -> None:
    """What was announced then, and perhaps offered with another reason, is not what was offered at last."""
    old = first_of(publish(village, "Mercy", "MRN 4711", [("note", RESULT)], "harm"))
    mercy = village.nodes["Mercy"]
    handlers = mercy.engine._around.handlers._handlers

    def not_now(_step: Step, _request: Operation) -> NoReturn:
        raise FlowRefused("not-now", "not now")

    does = handlers[step]
    handlers[step] = not_now  # type: ignore[assignment]
    enrol(village, "Riverside", "RV-20-88")
    permit(village, "Mercy", "Riverside")
    move = TransferCustody(old, village.party("Agent"), village.party("Riverside"))
    for _ in range(TRIES):
        village.run("Mercy", move)
    handlers[step] = does
    mercy.db.execute("UPDATE record SET withheld = 'other-person'")
    village.run("Mercy", move)
    assert column(village, "Riverside", "SELECT count(*) FROM introduction") == [TRIES + 1]
    assert column(village, "Riverside", "SELECT withheld FROM record") == ["other-person"]


def test_a_transfer_changes_nothing_about_what_is_withheld(village: Village) -> None:
    old = first_of(publish(village, "Mercy", "MRN 4711", [("note", RESULT)], "other-person"))
    new = transferred(village, old)
    assert column(village, "Riverside", "SELECT withheld FROM record") == ["other-person"]
    assert read(village, new) != RESULT
    village.clock.now += AGAIN_MS
    village.nodes["Agent"].obtain_keys()
    village.settle()
    assert read(village, new) != RESULT
    village.run("Riverside", ReleaseToPatient(new))
    assert read(village, new) == RESULT


def test_keys_that_were_lost_with_the_agents_disk_are_asked_for_again(village: Village) -> None:
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    agent = village.nodes["Agent"]
    agent.db.execute("DELETE FROM patient_key")
    agent.db.execute("DELETE FROM patient_wrap")
    village.clock.now += AGAIN_MS
    assert agent.obtain_keys()
    village.settle()
    assert not agent.obtain_keys(), "and then no more"
    assert read(village, ref) == RESULT


def test_a_later_epoch_wraps_anew_and_the_former_wrap_goes(village: Village) -> None:
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    former = column(village, "Agent", "SELECT epoch FROM patient_wrap")
    village.clock.now += 40 * AGAIN_MS
    village.run("Agent", ObtainKeys(village.party("Mercy"), ref.tx))
    (later,) = column(village, "Agent", "SELECT epoch FROM patient_wrap")
    assert later not in former
    village.nodes["Agent"].given.keys.destroy_epoch(int(str(former[0])))
    assert read(village, ref) == RESULT


def test_what_a_restored_custodian_has_lost_is_not_given_and_nothing_waits(
    village: Village,
) -> None:
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    village.nodes["Agent"].db.execute("DELETE FROM patient_key")
    village.nodes["Mercy"].db.execute("UPDATE record SET key = NULL")
    flow = village.run("Agent", ObtainKeys(village.party("Mercy"), ref.tx))
    row = village.nodes["Agent"].engine.flow(flow)
    assert row is not None
    assert row.status == Status.FAILED
    assert (
        read(village, ref) == "The custodian has been asked to open this for you. Try again soon."
    )


def test_of_a_batch_of_two_patients_each_agent_gets_its_own(village: Village) -> None:
    """Here both have one agent, and each reads hers alone."""
    mixed = publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT), ("note", b"of Eve")])
    agent = village.nodes["Agent"]
    agent.db.execute("UPDATE record SET patient = ? WHERE idx = 1", (EVE.hex(),))
    second = StateRef(TransactionId(mixed.tx), 1)
    assert read(village, second) == "Nothing available."
    assert read(village, second, EVE) == b"of Eve"


def test_what_was_given_once_is_kept_whatever_the_custodian_says_later(village: Village) -> None:
    published = publish(village, "Mercy", "MRN 4711", [("note", RESULT), ("note", b"more")])
    both = [StateRef(TransactionId(published.tx), index) for index in (0, 1)]
    assert [read(village, ref) for ref in both] == [RESULT, b"more"]
    village.nodes["Mercy"].db.execute("UPDATE record SET withheld = 'law' WHERE idx = 1")
    flow = village.run("Agent", ObtainKeys(village.party("Mercy"), TransactionId(published.tx)))
    assert result(village, "Agent", flow, Obtained) == Obtained(1, 1)
    assert column(village, "Agent", "SELECT count(*) FROM patient_wrap") == [2]
    assert [read(village, ref) for ref in both] == [RESULT, b"more"]


def test_the_key_of_what_was_erased_goes_and_with_the_last_one_its_wrap(village: Village) -> None:
    published = publish(village, "Mercy", "MRN 4711", [("note", RESULT), ("note", b"more")])
    agent = village.nodes["Agent"]
    proven = agent.vault.transaction(agent.db, TransactionId(published.tx))
    assert isinstance(proven, ProvenTransaction)
    ledger = agent.vault.verifier.verify(proven, lambda _: None, held=True).checked.ledger
    step: Step = StepContext(agent.engine, bytes(16), village.clock.now, agent.db, doubt=False)
    erasure = LedgerCommand(RecordErase(), ())
    left = []
    for index in (0, 1):
        gone = Resolved(StateRef(ledger.id, index), None)
        erased = replace(ledger, inputs=(gone,), outputs={}, sealed=(), commands=(erasure,))
        keep_up(step, agent.me, erased)
        left.append([
            column(village, "Agent", f"SELECT count(*) FROM {table}")
            for table in ("patient_key", "patient_wrap")
        ])  # fmt: skip
    assert left == [[[1], [1]], [[0], [0]]]


def test_what_is_erased_after_a_transfer_leaves_no_key_either(village: Village) -> None:
    """The key came with the publication, and lies under its name."""
    old = first_of(publish(village, "Mercy", "MRN 4711", [("note", RESULT)]))
    new = transferred(village, old)
    agent = village.nodes["Agent"]
    proven = agent.vault.transaction(agent.db, new.tx)
    assert isinstance(proven, ProvenTransaction)
    ledger = agent.vault.verifier.verify(proven, lambda _: None, held=False).checked.ledger
    step: Step = StepContext(agent.engine, bytes(16), village.clock.now, agent.db, doubt=False)
    gone, erasure = Resolved(new, None), LedgerCommand(RecordErase(), ())
    erased = replace(ledger, inputs=(gone,), outputs={}, sealed=(), commands=(erasure,))
    keep_up(step, agent.me, erased)
    for table in ("patient_key", "patient_wrap"):
        assert column(village, "Agent", f"SELECT count(*) FROM {table}") == [0]


def test_after_a_change_of_notary_the_key_comes_anew_and_the_former_one_goes() -> None:
    village = Village(seed=23, two_notaries=True)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("note", RESULT)]))
    assert read(village, ref) == RESULT
    change = ChangeNotary(ref, village.founding.notaries[1].party)
    moved = result(village, "Mercy", village.run("Mercy", change), Moved).ref
    assert column(village, "Agent", "SELECT count(*) FROM patient_wrap") == [0]
    assert village.nodes["Agent"].obtain_keys()
    village.settle()
    assert column(village, "Agent", "SELECT tx FROM patient_key") == [moved.tx]
    village.nodes["Mercy"].engine.disconnected(village.party("Agent"))
    assert read(village, moved) == RESULT


def test_the_gate_opens_only_what_is_open(village: Village) -> None:
    ref = first_of(publish(village, "Mercy", "MRN 4711", [("laboratory", RESULT)]))
    read(village, ref)
    opened = village.nodes["Agent"].gate.read_hers(signed_in(village), ref, "PATRQT")
    assert isinstance(opened, Opened)
    assert opened.custodian == village.party("Mercy")
