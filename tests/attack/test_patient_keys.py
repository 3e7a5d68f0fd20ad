"""A custodian lies about the keys that it owes a patient, and others ask for keys that are not theirs."""

from collections.abc import Callable

import msgspec
import pytest

from app.blobs.wrap import SHARED_ITEM, SharedWrap, WrapContext, wrap_data_key
from app.subjects.shared_keys import PatientKey, PatientKeyPart
from flows.envelope import Kind, Opening
from flows.session import message_codec
from flows.store import FlowRow, Status
from flows.subjects.blob import WantChunks
from flows.subjects.patient_access import (
    GiveOwn,
    GivePatientKeys,
    KeysReady,
    NoteKeysReady,
    ObtainKeys,
    PatientKeys,
    WantOwn,
    WantPatientKeys,
)
from states.encoding import encode
from states.state import StateRef, TransactionId
from tests.attack.liar import Liar, count, enrol_patient, stuck
from tests.simulation.neighbours import ADA, enrol, publish
from tests.simulation.test_patient_access import EVE, read
from tests.simulation.village import Village

SHARED = bytes(range(32))
DATA_KEY = bytes(32)


@pytest.fixture
def village() -> Village:
    made = Village(seed=29)
    keys = made.nodes["Agent"].given.keys
    keys.add_patient(ADA)
    keys.add_patient(EVE)
    enrol(made, "Mercy", "MRN 4711")
    enrol_patient(made, "Mercy", "MRN 4712", EVE)
    return made


class LyingCustodian(Liar):
    """Mercy, which has published two records of Ada's, and is asked for their keys once more."""

    def __init__(self, village: Village, *, lost: bool = True) -> None:
        documents = [("laboratory", b"first"), ("laboratory", b"second")]
        made = publish(village, "Mercy", "MRN 4711", documents)  # type: ignore[arg-type]  # literals
        self.tx = TransactionId(made.tx)
        self.agent_node = village.nodes["Agent"]
        if lost:
            self.agent_node.db.execute("DELETE FROM patient_key")
            self.agent_node.db.execute("DELETE FROM patient_wrap")
        super().__init__(village, "Mercy")
        self.agent = self.attach("Agent")
        self.flow = village.run("Agent", ObtainKeys(self.party, self.tx))
        asked = [e for _, e in self.heard if e.kind == Kind.INIT][-1]
        self.session = asked.session
        self._said[self.session] = 0
        opening = msgspec.msgpack.decode(asked.body, type=Opening)
        self.wanted = message_codec(WantPatientKeys).decode(opening.message)
        rows = self.node.db.execute("SELECT commitment FROM record ORDER BY idx").fetchall()
        self.commitments = [row[0] for row in rows]

    def wrapped(self, shared: bytes = SHARED, tx: bytes = b"") -> bytes:
        context = WrapContext(tx or self.tx, SHARED_ITEM, self.wanted.epoch)
        return wrap_data_key(shared, self.wanted.epoch_key, context, self.village.entropy)

    def key(self, index: int, as_if: int | None = None) -> PatientKey:
        shared = SharedWrap(SHARED, self.tx)
        place = index if as_if is None else as_if
        return PatientKey(index, shared.wrap(place, DATA_KEY, self.commitments[place]), None)

    def part(self, *items: PatientKey) -> PatientKeyPart:
        return PatientKeyPart(self.wanted.epoch, self.wrapped(), items)

    def answers(self, *parts: object, tx: bytes = b"") -> FlowRow:
        said = PatientKeys(TransactionId(tx or self.tx))
        self.say(self.agent, self.session, said, tuple(encode(each) for each in parts))
        row = self.agent_node.engine.flow(self.flow)
        assert row is not None
        return row


def test_the_answer_that_honest_custodians_give_is_taken(village: Village) -> None:
    """Else the refusals below would prove nothing."""
    liar = LyingCustodian(village)
    assert liar.answers(liar.part(liar.key(0), liar.key(1))).status == Status.DONE
    assert count(liar.agent_node, "patient_key") == 2


def test_a_wrong_key_opens_nothing_and_the_patient_is_told_whose_fault_it_is(
    village: Village,
) -> None:
    """All zeros, wrapped as it should be: it shows at the first chunk, and no byte leaves."""
    ref_of = LyingCustodian(village)
    ref_of.answers(ref_of.part(ref_of.key(0)))
    blob = ref_of.node.db.execute("SELECT blob FROM record WHERE idx = 0").fetchone()[0]
    village.blobs["Agent"].put(village.blobs["Mercy"].stream(blob), expected=blob)
    said = read(village, StateRef(ref_of.tx, 0))
    assert (
        said
        == "What the custodian gave does not open, or is not what it published. Ask the custodian."
    )


@pytest.mark.parametrize("fetched", [False, True])
def test_a_wrong_key_takes_the_place_of_no_right_one(village: Village, *, fetched: bool) -> None:
    """What was given once is kept, whatever the custodian gives later."""
    liar = LyingCustodian(village, lost=False)
    rows = liar.node.db.execute("SELECT blob FROM record ORDER BY idx").fetchall()

    def fetch() -> None:
        for (blob,) in rows:
            village.blobs["Agent"].put(village.blobs["Mercy"].stream(blob), expected=blob)

    if fetched:
        fetch()
    assert liar.answers(liar.part(liar.key(0), liar.key(1))).status == Status.DONE
    fetch()
    assert read(village, StateRef(liar.tx, 0)) == b"first"
    assert read(village, StateRef(liar.tx, 1)) == b"second"


def _another_record(liar: LyingCustodian) -> PatientKeyPart:
    return liar.part(liar.key(0, as_if=1))


def _no_such_record(liar: LyingCustodian) -> PatientKeyPart:
    return liar.part(PatientKey(2, bytes(48), None))


def _twice(liar: LyingCustodian) -> PatientKeyPart:
    return liar.part(liar.key(0), liar.key(0))


def _out_of_order(liar: LyingCustodian) -> PatientKeyPart:
    return liar.part(liar.key(1), liar.key(0))


def _neither(liar: LyingCustodian) -> PatientKeyPart:
    return liar.part(PatientKey(0, None, None))


def _both(liar: LyingCustodian) -> PatientKeyPart:
    return liar.part(PatientKey(0, liar.key(0).key, "harm"))


def _other_transaction(liar: LyingCustodian) -> PatientKeyPart:
    return PatientKeyPart(liar.wanted.epoch, liar.wrapped(tx=bytes(32)), (liar.key(0),))


def _other_shared_key(liar: LyingCustodian) -> PatientKeyPart:
    return PatientKeyPart(liar.wanted.epoch, liar.wrapped(shared=bytes(32)), (liar.key(0),))


def _other_epoch(liar: LyingCustodian) -> PatientKeyPart:
    return PatientKeyPart(liar.wanted.epoch + 1, liar.wrapped(), (liar.key(0),))


LIES = (
    _another_record,
    _no_such_record,
    _twice,
    _out_of_order,
    _neither,
    _both,
    _other_transaction,
    _other_shared_key,
    _other_epoch,
)


@pytest.mark.parametrize("lie", LIES)
def test_keys_that_do_not_fit_are_refused_and_none_is_kept(
    village: Village, lie: Callable[[LyingCustodian], PatientKeyPart]
) -> None:
    liar = LyingCustodian(village)
    row = liar.answers(lie(liar))
    assert row.status == Status.FAILED
    assert count(liar.agent_node, "patient_key") == count(liar.agent_node, "patient_wrap") == 0
    assert stuck(liar.agent_node) == []


@pytest.mark.parametrize("parts", [(), (b"", b""), (b"\xc1",), (b"x" * 900_000,)])
def test_what_is_no_answer_ends_the_flow(village: Village, parts: tuple[bytes, ...]) -> None:
    liar = LyingCustodian(village)
    said = PatientKeys(liar.tx)
    liar.say(liar.agent, liar.session, said, parts)
    row = liar.agent_node.engine.flow(liar.flow)
    assert row is not None
    assert row.status == Status.FAILED
    assert stuck(liar.agent_node) == []


def test_an_answer_about_another_transaction_is_refused(village: Village) -> None:
    liar = LyingCustodian(village)
    assert liar.answers(liar.part(liar.key(0)), tx=bytes(32)).status == Status.FAILED
    assert count(liar.agent_node, "patient_key") == 0


def test_a_custodian_that_says_nothing_is_not_waited_for_for_ever(village: Village) -> None:
    liar = LyingCustodian(village)
    village.pass_time(2 * 86_400_000)
    row = liar.agent_node.engine.flow(liar.flow)
    assert row is not None
    assert (row.status, row.why.split(":")[0]) == (Status.FAILED, "TimedOut")


class Asker(Liar):
    """Riverside, which is nobody's agent, and asks Mercy for what it gives to agents."""

    def __init__(self, village: Village) -> None:
        made = publish(village, "Mercy", "MRN 4711", [("laboratory", b"first")])
        self.tx = TransactionId(made.tx)
        super().__init__(village, "Riverside")
        self.mercy = self.attach("Mercy")


def test_who_is_not_the_patients_agent_gets_no_key_and_no_chunk(village: Village) -> None:
    asker = Asker(village)
    key = village.nodes["Agent"].given.keys.epoch_public(
        village.nodes["Agent"].given.keys.epochs()[0]
    )
    keys = asker.open(asker.mercy, GivePatientKeys.name, WantPatientKeys(asker.tx, 1, key))
    assert asker.fault_in(keys).code == "nothing-available"
    chunks = asker.open(asker.mercy, GiveOwn.name, WantOwn(asker.tx))
    asker.say(asker.mercy, chunks, WantChunks(0, 0))
    assert asker.fault_in(chunks).code == "nothing-available"
    unknown = asker.open(
        asker.mercy, GivePatientKeys.name, WantPatientKeys(TransactionId(bytes(32)), 1, key)
    )
    assert asker.fault_in(unknown).code == "nothing-available", "alike"


@pytest.mark.parametrize("key", [b"", b"\1" + bytes(32), b"\7" * 40, b"\2" + b"\xff" * 1_216])
def test_a_key_that_nothing_can_be_wrapped_for_parks_nothing(village: Village, key: bytes) -> None:
    made = publish(village, "Mercy", "MRN 4711", [("laboratory", b"first")])
    liar = Liar(village, "Agent")
    mercy = liar.attach("Mercy")
    wanted = WantPatientKeys(TransactionId(made.tx), 1, key)
    session = liar.open(mercy, GivePatientKeys.name, wanted)
    assert liar.fault_in(session).code == "failed"
    assert stuck(village.nodes["Mercy"]) == []


def test_whoever_says_that_keys_are_ready_starts_nothing_unless_it_published(
    village: Village,
) -> None:
    asker = Asker(village)
    agent = asker.attach("Agent")
    before = count(village.nodes["Agent"], "flow")
    asker.open(agent, NoteKeysReady.name, KeysReady(asker.tx), letter=True)
    flows = village.nodes["Agent"].db.execute("SELECT tag FROM flow").fetchall()
    assert len(flows) == before + 1
    assert [tag for (tag,) in flows].count("obtain-keys/1") == 1, "that of the publication"


def test_the_shared_key_lies_in_no_vault_in_the_clear(village: Village) -> None:
    liar = LyingCustodian(village)
    liar.answers(liar.part(liar.key(0)))
    image = liar.agent_node.db.serialize()
    assert SHARED not in image
    (wrap,) = liar.agent_node.db.execute("SELECT id FROM patient_wrap").fetchone()
    assert wrap in image, "else the search finds nothing ever"
