"""A custodian that was restored from a backup has its keys back from the agent, and no others."""

from dataclasses import replace
from sqlite3 import Connection

import msgspec
import pytest

from app.assembly import Assembly
from app.blobs.wrap import SHARED_ITEM, SharedWrap, WrapContext, wrap_data_key
from app.storage.database import open_database
from app.storage.flow_store import SqliteFlowStore
from app.subjects.patient_access import AGAIN_MS
from app.subjects.shared_keys import PatientKey, PatientKeyPart
from flows.envelope import Kind, Opening
from flows.recovery import Recover
from flows.session import message_codec
from flows.store import Status
from flows.subjects.key_return import Regained, RegainKeys, ReturnKeys, WantKeysBack
from flows.subjects.patient_access import PatientKeys
from flows.subjects.record import Published, TransferCustody
from states.encoding import encode
from states.state import StateRef, TransactionId
from tests.attack.liar import Liar, count, stuck
from tests.simulation.neighbours import ADA, enrol, permit, publish, result
from tests.simulation.village import Village

LOST = "SELECT count(*) FROM record WHERE custodian = ? AND key IS NULL"


@pytest.fixture
def village() -> Village:
    made = Village(seed=31)
    made.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(made, "Mercy", "MRN 4711")
    return made


def restored(village: Village, withheld: bool = False) -> TransactionId:  # noqa: FBT001, FBT002
    """Mercy publishes after its backup was taken, and is restored from that; its ciphertext is on another disk."""
    image = open_database(":memory:")
    village.nodes["Mercy"].db.backup(image)
    documents = [("laboratory", b"first"), ("laboratory", b"second")]
    reason = "harm" if withheld else None
    lost = publish(village, "Mercy", "MRN 4711", documents, reason)  # type: ignore[arg-type]  # literals
    node = put_back(village, image)
    assert node.db.execute(LOST, (node.me,)).fetchone() == (2,), "the transaction came, no key did"
    return TransactionId(lost.tx)


def put_back(village: Village, image: Connection) -> Assembly:
    """Let Mercy go on from an image, and have its transactions back from the agent."""
    SqliteFlowStore(image).new_incarnation(village.entropy(16))
    node = Assembly(replace(village.nodes["Mercy"].given, db=image))
    village.nodes["Mercy"] = village._by_party[node.me] = node
    for other in village.nodes.values():
        if other is not node:
            other.engine.disconnected(node.me)
            here, there = node.engine.connected(other.me), other.engine.connected(node.me)
            node.engine.hello(other.me, there)
            other.engine.hello(node.me, here)
    village.settle()
    village.run("Mercy", Recover(village.party("Agent"), 0))
    return node


def keyless(village: Village) -> int:
    node = village.nodes["Mercy"]
    found: int = node.db.execute(LOST, (node.me,)).fetchone()[0]
    return found


def test_what_was_published_after_the_backup_opens_again_by_itself(village: Village) -> None:
    tx = restored(village)
    mercy = village.nodes["Mercy"]
    assert mercy.obtain_keys()
    village.settle()
    assert keyless(village) == 0
    assert not mercy.obtain_keys(), "and nothing is missing any more"
    keys = mercy.db.execute("SELECT key, commitment FROM record WHERE tx = ?", (tx,)).fetchall()
    lost = {mercy.given.keys.unwrap_at_rest(key, commitment) for key, commitment in keys}
    assert len(lost) == 2


def test_without_the_ciphertext_no_key_is_believed(village: Village) -> None:
    tx = restored(village)
    blobs = village.blobs["Mercy"]
    (gone,) = village.nodes["Mercy"].db.execute("SELECT blob FROM record WHERE idx = 1").fetchone()
    blobs.delete(gone)
    flow = village.run("Mercy", RegainKeys(village.party("Agent"), tx))
    assert result(village, "Mercy", flow, Regained) == Regained(1)
    assert keyless(village) == 1


def test_what_was_withheld_from_her_her_agent_cannot_return(village: Village) -> None:
    tx = restored(village, withheld=True)
    flow = village.run("Mercy", RegainKeys(village.party("Agent"), tx))
    row = village.nodes["Mercy"].engine.flow(flow)
    assert row is not None
    assert row.status == Status.FAILED
    assert keyless(village) == 2


def test_asked_twice_in_a_day_it_is_one_flow(village: Village) -> None:
    restored(village, withheld=True)
    mercy = village.nodes["Mercy"]
    for _ in range(3):
        mercy.obtain_keys()
        village.settle()
    flows = "SELECT count(*) FROM flow WHERE tag = 'regain-keys/1'"
    assert mercy.db.execute(flows).fetchone() == (1,)
    village.clock.now += AGAIN_MS
    mercy.obtain_keys()
    assert mercy.db.execute(flows).fetchone() == (2,)


def test_what_came_back_to_a_custodian_is_its_patients_again_after_a_restore(
    village: Village,
) -> None:
    """Passed on and taken back: nobody but the restored node had seen how it named her the second time."""
    published = publish(village, "Mercy", "MRN 4711", [("laboratory", b"first")])
    enrol(village, "Riverside", "RV-20-88")
    permit(village, "Mercy", "Riverside")
    permit(village, "Riverside", "Mercy")
    there = StateRef(TransactionId(published.tx), 0)
    move = TransferCustody(there, village.party("Agent"), village.party("Riverside"))
    moved = result(village, "Mercy", village.run("Mercy", move), Published)
    image = open_database(":memory:")
    village.nodes["Mercy"].db.backup(image)
    back = TransferCustody(
        StateRef(TransactionId(moved.tx), 0), village.party("Agent"), village.party("Mercy")
    )
    last = result(village, "Riverside", village.run("Riverside", back), Published)
    mercy = put_back(village, image)
    row = "SELECT patient, key IS NULL FROM record WHERE tx = ?"
    assert mercy.db.execute(row, (last.tx,)).fetchone() == ("MRN 4711", 1)
    mercy.obtain_keys()
    village.settle()
    assert mercy.db.execute(row, (last.tx,)).fetchone() == ("MRN 4711", 0)


def wants(village: Village, liar: Liar, tx: TransactionId) -> bytes:
    keys = village.nodes["Agent"].given.keys
    key = keys.epoch_public(keys.epochs()[0])
    return liar.open(village.party("Agent"), ReturnKeys.name, WantKeysBack(tx, 1, key))


def test_nobody_but_the_custodian_of_the_moment_gets_a_key(village: Village) -> None:
    """Not a stranger, nor who passed the record on."""
    published = publish(village, "Mercy", "MRN 4711", [("laboratory", b"first")])
    enrol(village, "Riverside", "RV-20-88")
    permit(village, "Mercy", "Riverside")
    old = StateRef(TransactionId(published.tx), 0)
    move = TransferCustody(old, village.party("Agent"), village.party("Riverside"))
    moved = result(village, "Mercy", village.run("Mercy", move), Published)
    for name in ("Mercy", "Northside"):
        liar = Liar(village, name)
        liar.attach("Agent")
        for tx in (published.tx, moved.tx, bytes(32)):
            session = wants(village, liar, TransactionId(tx))
            assert liar.fault_in(session).code == "nothing-available"
    riverside = Liar(village, "Riverside")
    riverside.attach("Agent")
    session = wants(village, riverside, TransactionId(moved.tx))
    assert len(riverside.heard_of(session, PatientKeys)[1]) == 1, "its custodian does"


class LyingAgent(Liar):
    """Ada's agent, which is asked for keys and returns what it likes."""

    def __init__(self, village: Village) -> None:
        self.tx = restored(village)
        self.mercy_node = village.nodes["Mercy"]
        super().__init__(village, "Agent")
        mercy = self.attach("Mercy")
        self.flow = village.run("Mercy", RegainKeys(self.party, self.tx))
        asked = [e for _, e in self.heard if e.kind == Kind.INIT][-1]
        opening = msgspec.msgpack.decode(asked.body, type=Opening)
        self.wanted = message_codec(WantKeysBack).decode(opening.message)
        self._said[asked.session] = 0
        self.session, self.mercy = asked.session, mercy
        rows = self.mercy_node.db.execute("SELECT commitment FROM record ORDER BY idx").fetchall()
        self.commitments = [row[0] for row in rows]

    def returns(self, *indexes: int, withheld: bool = False) -> Status:
        shared_key = bytes(range(32))
        shared = SharedWrap(shared_key, self.tx)
        context = WrapContext(self.tx, SHARED_ITEM, self.wanted.epoch)
        wrapped = wrap_data_key(shared_key, self.wanted.epoch_key, context, self.village.entropy)
        items = tuple(
            PatientKey(index, None, "harm")
            if withheld
            else PatientKey(index, shared.wrap(index, bytes(32), self.commitments[index % 2]), None)
            for index in indexes
        )
        part = encode(PatientKeyPart(self.wanted.epoch, wrapped, items))
        self.say(self.mercy, self.session, PatientKeys(self.tx), (part,))
        row = self.mercy_node.engine.flow(self.flow)
        assert row is not None
        return Status(row.status)


def test_a_key_that_opens_nothing_is_not_kept(village: Village) -> None:
    agent = LyingAgent(village)
    assert agent.returns(0, 1) == Status.DONE
    assert keyless(village) == 2


@pytest.mark.parametrize(("indexes", "withheld"), [((2,), False), ((0, 0), False), ((0,), True)])
def test_what_does_not_fit_is_refused(
    village: Village, indexes: tuple[int, ...], *, withheld: bool
) -> None:
    agent = LyingAgent(village)
    assert agent.returns(*indexes, withheld=withheld) == Status.FAILED
    assert keyless(village) == 2
    assert stuck(agent.mercy_node) == []
    assert count(agent.mercy_node, "record") == 2
