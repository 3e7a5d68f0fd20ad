"""Both ends of a handover lie: chunks without end, bytes that were swapped, chunks and keys of what was not given."""

import msgspec
import pytest

from app.blobs.memory import MemoryBlobStore
from app.subjects.wrapped import WrappedKeys
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.services import Held
from flows.step import StepContext
from flows.store import Status
from flows.subjects.blob import (
    Chunks,
    ChunksFound,
    FindChunks,
    KeepKeys,
    Keys,
    ReleaseKeys,
    WantChunks,
)
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from flows.subjects.record import (
    AcceptOffer,
    BuildTransfer,
    Published,
    PublishRecords,
    TransferCustody,
)
from states.encoding import encode
from states.errors import MalformedBytes
from states.state import StateRef, TransactionId
from tests.attack.bad_input import said
from tests.attack.liar import Liar, count, enrol_patient, stuck
from tests.attack.test_requests import Recipient
from tests.simulation.neighbours import ADA, REED, enrol, permit, publish, result, stage
from tests.simulation.test_story import granted
from tests.simulation.village import Village

BOB = b"bob-at-her-agent"


@pytest.fixture
def village() -> Village:
    return Village(seed=14)


class Served(Recipient):
    """A recipient that was disclosed one record, and asks for its chunks as it likes."""

    def __init__(self, village: Village) -> None:
        super().__init__(village)
        asked = self.asks()
        self.session = self.request(asked)
        self.tx, part = self.is_offered(self.session)
        self.say(self.mercy, self.session, self.holds(asked, part))
        self.heard_of(self.session, Keys)

    def wants(self, item: int, first: int) -> None:
        self.say(self.mercy, self.session, WantChunks(item, first))


def test_a_recipient_gets_no_chunk_of_an_item_that_was_not_disclosed(village: Village) -> None:
    served = Served(village)
    served.wants(1, 0)
    assert served.fault_in(served.session).code == "nothing-available"
    (failed,) = village.nodes["Mercy"].engine.flows((Status.FAILED,))
    said("chunks", failed.why)


def test_a_recipient_gets_no_chunk_behind_the_last(village: Village) -> None:
    served = Served(village)
    served.wants(0, 1)
    assert served.fault_in(served.session).code == "nothing-available"


def test_a_recipient_that_asks_without_end_is_ended(village: Village) -> None:
    served = Served(village)
    mercy = village.nodes["Mercy"]
    for _ in range(80):
        served.wants(0, 0)
        if mercy.engine.flows((Status.RUNNING,)) == []:
            break
    assert mercy.engine.flows((Status.RUNNING,)) == []
    assert stuck(mercy) == []


def test_another_session_of_a_stranger_does_not_get_the_chunks(village: Village) -> None:
    """The session's id, on another peer's wire, is another session."""
    served = Served(village)
    stranger = Liar(village, "Northside")
    mercy = stranger.attach("Mercy")
    stranger._said[served.session] = 2
    stranger.say(mercy, served.session, WantChunks(0, 0))
    assert [e for e in stranger.heard_in(served.session) if e.parts] == []
    served.wants(0, 0)
    assert served.heard_of(served.session, Chunks)[1], "the recipient's own session goes on"


class SwappedBlobs(MemoryBlobStore):
    """A custodian's store that gives other bytes than it was given."""

    def __init__(self, true: MemoryBlobStore) -> None:
        super().__init__()
        self._true = true

    def chunk(self, cid: str, index: int) -> bytes:
        return self._true.chunk(cid, index)[::-1]


def test_bytes_that_a_custodian_swapped_are_not_kept(village: Village) -> None:
    consent = granted(village)
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    mercy.handover._blobs = SwappedBlobs(village.blobs["Mercy"])
    flow = village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
    row = riverside.engine.flow(flow)
    assert row is not None
    assert row.status == Status.FAILED
    said("swapped", row.why)
    (blob,) = riverside.db.execute("SELECT blob FROM disclosure_item").fetchone()
    assert not village.blobs["Riverside"].has(blob)


@pytest.mark.parametrize("last", [False, True])
def test_a_custodian_that_sends_more_than_there_is_is_ended(village: Village, last: bool) -> None:  # noqa: FBT001
    consent = granted(village)
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    sent = 0

    def more(step: Step, request: FindChunks) -> ChunksFound:
        nonlocal sent
        del request
        sent += 1
        parts = tuple(step.put_part(bytes(262_144)) for _ in range(3))
        return ChunksFound(parts, last)

    mercy.engine._around.handlers._handlers[FindChunks] = more  # type: ignore[assignment]
    flow = village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
    row = riverside.engine.flow(flow)
    assert row is not None
    assert row.status == Status.FAILED
    assert sent == 1
    assert count(riverside, "flow_part") == 0, "what came is gone with the flow"


def copied_from_mercy(village: Village, local: str, of: str) -> StateRef:
    """Riverside publishes, as this patient's, what it saw of a record of Mercy's without ever having its key."""
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    seen = "SELECT commitment, blob, size_class, content FROM record WHERE patient = ?"
    seen_of = mercy.db.execute(seen, (of,)).fetchone()
    batch = stage(village, "Riverside", local, [("note", b"nothing of Ada's")])
    key = riverside.given.keys.wrap_at_rest(bytes(32), seen_of[0])  # he has not got the true one
    riverside.db.execute(
        "UPDATE record_batch SET commitment = ?, blob = ?, size_class = ?, content = ?, key = ?",
        (*seen_of, key),
    )
    made = result(village, "Riverside", village.run("Riverside", PublishRecords(batch)), Published)
    return StateRef(TransactionId(made.tx), 0)


def with_bob(village: Village) -> None:
    """Ada is Mercy's patient, Bob is one of Mercy's and of Riverside's."""
    granted(village)
    village.nodes["Agent"].given.keys.add_patient(BOB)
    enrol_patient(village, "Mercy", "MRN 6666", BOB)
    enrol_patient(village, "Riverside", "RV 6666", BOB)
    permit(village, "Riverside", "Mercy", BOB)
    permit(village, "Mercy", "Riverside", BOB)


def test_bytes_of_one_patient_are_not_taken_over_for_another(village: Village) -> None:
    """Whoever saw the commitment of Ada's record would have its key released by a patient of his own."""
    with_bob(village)
    mercy = village.nodes["Mercy"]
    copied = copied_from_mercy(village, "RV 6666", "MRN 4711")
    village.run("Riverside", TransferCustody(copied, village.party("Agent"), mercy.me))
    held = mercy.db.execute("SELECT count(*) FROM record WHERE patient = 'MRN 6666'").fetchone()
    assert held == (0,)
    assert stuck(mercy) == []


def test_a_custodian_signs_the_transfer_of_no_other_record_than_was_offered(
    village: Village,
) -> None:
    """A copy of Ada's is offered as Ada's, which is harmless, and then transferred by what introduced one of Bob's."""
    with_bob(village)
    enrol_patient(village, "Riverside", "RV 4711", ADA)
    permit(village, "Riverside", "Mercy")
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    copied = copied_from_mercy(village, "RV 4711", "MRN 4711")
    made = publish(village, "Riverside", "RV 6666", [("note", b"of Bob")])
    handlers = riverside.engine._around.handlers._handlers
    build = handlers[BuildTransfer]

    def none(step: Step, request: BuildTransfer) -> Held:
        del step, request
        raise FlowRefused("lie", "what was offered is not transferred")

    def another(step: Step, request: BuildTransfer) -> object:
        return build(step, msgspec.structs.replace(request, record=copied))

    offered = StateRef(TransactionId(made.tx), 0)
    for lie, record in ((none, copied), (another, offered)):
        handlers[BuildTransfer] = lie  # type: ignore[assignment]
        village.run("Riverside", TransferCustody(record, village.party("Agent"), mercy.me))
        village.pass_time(60_000)
    held = mercy.db.execute("SELECT count(*) FROM record WHERE patient = 'MRN 6666'").fetchone()
    assert held == (0,)
    assert stuck(mercy) == []


def test_a_copy_of_what_a_custodian_has_already_is_not_taken_over(village: Village) -> None:
    """Of the same patient: the liar's wrong key would be released to recipients, or the true one to him."""
    granted(village)
    enrol_patient(village, "Riverside", "RV 4711", ADA)
    permit(village, "Riverside", "Mercy")
    mercy = village.nodes["Mercy"]
    copied = copied_from_mercy(village, "RV 4711", "MRN 4711")
    village.run("Riverside", TransferCustody(copied, village.party("Agent"), mercy.me))
    twice = "SELECT count(*) - count(DISTINCT commitment) FROM record"
    assert mercy.db.execute(twice).fetchone() == (0,)
    assert stuck(mercy) == []


def test_what_is_released_to_a_new_custodian_is_the_key_of_the_record_that_it_takes(
    village: Village,
) -> None:
    """Mercy took over a copy, by whichever way, and passes that one on: not the key of its own record."""
    with_bob(village)
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    made = publish(village, "Riverside", "RV 6666", [("note", b"of Bob")])
    move = TransferCustody(StateRef(TransactionId(made.tx), 0), village.party("Agent"), mercy.me)
    taken = result(village, "Riverside", village.run("Riverside", move), Published)
    true_key, commitment = mercy.db.execute(
        "SELECT key, commitment FROM record WHERE patient = 'MRN 4711'"
    ).fetchone()
    step = StepContext(mercy.engine, bytes(16), village.clock.now, mercy.db, doubt=False)
    ref = StateRef(TransactionId(taken.tx), 0)
    back = TransferCustody(ref, village.party("Agent"), riverside.me)
    last = result(village, "Mercy", village.run("Mercy", back), Published)
    mercy.db.execute(
        "UPDATE record SET commitment = ?, key = NULL WHERE tx = ?", (commitment, taken.tx)
    )
    mercy.db.execute("UPDATE transfer SET commitment = ? WHERE tx = ?", (commitment, last.tx))
    assert true_key is not None
    said = mercy.handover._transfers.release(
        step, ReleaseKeys(riverside.me, TransactionId(last.tx))
    )
    assert said.outcome == "not-released"


@pytest.mark.parametrize("key", [b"", b"\1" + bytes(32), b"\7" * 40, b"\2" + b"\xff" * 1_216])
def test_a_record_is_not_transferred_to_whom_nothing_can_be_wrapped_for(
    village: Village, key: bytes
) -> None:
    published = _of_adas(village)
    enrol_patient(village, "Riverside", "RV-20-88", ADA)
    permit(village, "Mercy", "Riverside")
    mercy, riverside = village.nodes["Mercy"], village.nodes["Riverside"]
    handlers = riverside.engine._around.handlers._handlers
    accept = handlers[AcceptOffer]

    def lie(step: Step, request: AcceptOffer) -> object:
        return msgspec.structs.replace(accept(step, request), epoch_key=key)

    handlers[AcceptOffer] = lie  # type: ignore[assignment]
    village.run("Mercy", TransferCustody(published, village.party("Agent"), riverside.me))
    village.pass_time(60_000)
    assert stuck(mercy) == []
    live = "SELECT count(*) FROM record WHERE custodian = ? AND consumed_seq IS NOT NULL"
    assert mercy.db.execute(live, (mercy.me,)).fetchone() == (0,)


@pytest.mark.parametrize("moved", [False, True])
def test_keys_for_an_epoch_that_the_receiver_never_had_are_refused_and_not_tried_again(
    village: Village, *, moved: bool
) -> None:
    """A disclosure's and a transfer's: UnknownKey would be taken for a fault of the receiver's own."""
    if moved:
        published = _of_adas(village)
        enrol_patient(village, "Riverside", "RV-20-88", ADA)
        permit(village, "Mercy", "Riverside")
        move = TransferCustody(published, village.party("Agent"), village.party("Riverside"))
        tx = result(village, "Mercy", village.run("Mercy", move), Published).tx
    else:
        ask = RequestDisclosure(granted(village), REED, "TREAT", ())
        tx = result(village, "Riverside", village.run("Riverside", ask), Disclosed).tx or b""
    node = village.nodes["Riverside"]
    step: Step = StepContext(node.engine, bytes(16), village.clock.now, node.db, doubt=False)
    part = step.put_part(encode(WrappedKeys(77, (bytes(81),))))
    request = KeepKeys(village.party("Mercy"), TransactionId(tx), part)
    with pytest.raises(MalformedBytes):
        node.engine._around.handlers.answer(step, request)  # type: ignore[arg-type]  # a request it is


def _of_adas(village: Village) -> StateRef:
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    published = publish(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.1 %")])
    return StateRef(TransactionId(published.tx), 0)
