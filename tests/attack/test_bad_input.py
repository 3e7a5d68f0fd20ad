"""One thing wrong with an otherwise good transaction, disk or file: the error that names it, and nothing changed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from app.storage.database import DatabaseDamaged, open_database
from app.vault.drafts import Drafts, Saying
from app.vault.reader import AlteredTransaction
from flows.delivery import Deliver, TakeDelivery
from flows.store import FlowRow, Status
from flows.subjects.consent import GrantConsent
from flows.subjects.record import PublishRecords
from flows.subjects.statement import Stated
from notaries.memory import MemoryProvider
from notaries.service import NotaryService
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.policy import One
from states.crypto.signatures import sign_transaction
from states.encoding import Codec, encode
from states.groups import Group
from states.identity import Party
from states.lock import LOCK
from states.parameters import ParametersHistory
from states.signed import PROVEN_TRANSACTION, ProvenTransaction
from states.state import TransactionId
from states.subjects.consent import ConsentRevoke
from states.subjects.terms import Exceptions, Terms
from states.tearoff import Tearoff, open_tearoff
from tests.attack.bad_input import said
from tests.attack.liar import Liar, count, stuck
from tests.attack.villages import VillageOnDisk
from tests.simulation.neighbours import ADA, DAY, REED, enrol, result, stage
from tests.simulation.village import Village

STRANGER = Ed25519Signer(b"s" * 32)
PART_IDS: Codec[tuple[bytes, ...]] = Codec(tuple[bytes, ...], "ids of parts")


@dataclass
class Bringer:
    """The agent, who granted while Mercy was out of reach, and now brings the grant with one thing changed."""

    village: Village
    liar: Liar
    good: ProvenTransaction
    tx: TransactionId

    def rebuilt(self, drafts: Drafts) -> ProvenTransaction:
        """A transaction of the liar's own making, with a true signature and the receipt of the grant."""
        spent = (STRANGER.key,)
        said = Saying(ConsentRevoke(), tuple(map(One, spent)), inputs=())
        built = drafts.build(self.village.clock.now, said)
        signature = sign_transaction(STRANGER, self.village.parameters.network, built.id)
        return ProvenTransaction(built.whole(), (signature,), self.good.receipt)

    def with_history(self, history: ParametersHistory, notary: Party) -> ProvenTransaction:
        return self.rebuilt(Drafts(history, notary, self.village.entropy))


@pytest.fixture
def bringer() -> Bringer:
    village = Village(seed=17)
    agent, mercy = village.nodes["Agent"], village.nodes["Mercy"]
    agent.given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    mercy.engine.disconnected(agent.me)
    terms = Terms("permit", REED, None, ("TREAT",), (), ())
    now = village.clock.now
    riverside = village.party("Riverside")
    grant = GrantConsent(ADA, mercy.me, riverside, now, now + DAY, terms, Exceptions((), ()))
    tx = result(village, "Agent", village.run("Agent", grant), Stated).ref.tx
    good = agent.vault.transaction(agent.db, tx)
    assert isinstance(good, ProvenTransaction)
    return Bringer(village, Liar(village, "Agent"), good, tx)


def _changed(**fields: object) -> Callable[[Bringer], bytes]:
    def change(bringer: Bringer) -> bytes:
        made = {
            name: value(bringer) if callable(value) else value for name, value in fields.items()
        }
        return encode(msgspec.structs.replace(bringer.good, **made))

    return change


def _signed_elsewhere(bringer: Bringer) -> object:
    (signature,) = bringer.good.signatures
    node = bringer.liar.node
    authority = node.enrolments.authority(ADA, bringer.village.party("Mercy"))
    assert authority.key == signature.key
    return (sign_transaction(authority, b"\7" * 32, bringer.tx),)


def _signed_by_a_stranger_too(bringer: Bringer) -> object:
    more = sign_transaction(STRANGER, bringer.village.parameters.network, bringer.tx)
    return (*bringer.good.signatures, more)


def _flipped(bringer: Bringer) -> Tearoff:
    """The grant's tear-off with one bit of its lock's label changed: every component is still one."""
    tearoff = bringer.good.tearoff
    at = tearoff.positions.index(open_tearoff(tearoff).layout.position(Group.LOCKS, 0))
    lock = LOCK.decode(open_tearoff(tearoff).component(Group.LOCKS, 0) or b"")
    other = bytes([lock.label[0] ^ 1]) + lock.label[1:]
    leaves = list(tearoff.leaves)
    assert leaves[at].count(lock.label) == 1
    leaves[at] = leaves[at].replace(lock.label, other)
    return msgspec.structs.replace(tearoff, leaves=tuple(leaves))


def _unknown_parameters(bringer: Bringer) -> bytes:
    history = ParametersHistory([(b"\7" * 32, bringer.village.parameters)])
    return encode(bringer.with_history(history, bringer.village.notary.party))


def _foreign_notary(bringer: Bringer) -> bytes:
    return encode(bringer.with_history(bringer.village.history, Party(did_of(STRANGER.key))))


BROKEN: dict[str, tuple[Callable[[Bringer], bytes], str, str]] = {
    "a byte too many": (
        lambda b: encode(b.good) + b"\0",
        "malformed",
        "MalformedBytes: proven transaction",
    ),
    "cut short": (
        lambda b: encode(b.good)[:-1],
        "malformed",
        "MalformedBytes: proven transaction",
    ),
    "a head in a longer form": (
        lambda b: b"\xdc\0\4" + encode(b.good)[1:],
        "not canonical",
        "MalformedBytes: proven transaction: not the canonical encoding",
    ),
    "a leaf changed": (_changed(tearoff=_flipped), "signature", "InvalidSignature: "),
    "signed for another network": (
        _changed(signatures=_signed_elsewhere),
        "signature",
        "InvalidSignature: transaction signature: does not verify by its key",
    ),
    "not signed": (
        _changed(signatures=()),
        "missing signer",
        "InvalidSignature: transaction: a required signature is missing",
    ),
    "signed by somebody else as well": (
        _changed(signatures=_signed_by_a_stranger_too),
        "",
        "InvalidSignature: transaction: signed by a key that no command asks for",
    ),
    "no receipt": (_changed(receipt=""), "", "MalformedBytes: receipt"),
    "unknown parameters": (
        _unknown_parameters,
        "parameters",
        "UnknownParameters: no parameters 0707070707070707",
    ),
    "a foreign notary": (_foreign_notary, "foreign notary", "WrongNotary: did:key:"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name(
    bringer: Bringer, what: str
) -> None:
    change, row, words = BROKEN[what]
    mercy = bringer.village.nodes["Mercy"]
    to = bringer.liar.attach("Mercy")
    before = [count(mercy, table) for table in TABLES]
    part = change(bringer)
    bringer.liar.open(to, TakeDelivery.name, Deliver(bringer.tx), (part,), letter=True)
    (flow,) = mercy.engine.flows((Status.FAILED,))
    assert words in flow.why
    if row:
        said(row, flow.why)
    assert [count(mercy, table) for table in TABLES] == before
    assert stuck(mercy) == []


TABLES = ("ledger_tx", "ledger_state", "ledger_holder", "statement", "in_force", "flow_part")


def test_the_transaction_that_is_broken_above_is_a_good_one(bringer: Bringer) -> None:
    mercy = bringer.village.nodes["Mercy"]
    to = bringer.liar.attach("Mercy")
    part = encode(bringer.good)
    bringer.liar.open(to, TakeDelivery.name, Deliver(bringer.tx), (part,), letter=True)
    assert mercy.vault.transaction(mercy.db, bringer.tx) is not None
    assert count(mercy, "statement") == 1
    assert PROVEN_TRANSACTION.decode(part) == bringer.good


def test_a_full_disk_changes_nothing_and_the_node_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    village = VillageOnDisk(tmp_path, seed=18)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    mercy = village.nodes["Mercy"]
    batch = stage(village, "Mercy", "MRN 4711", [("note", b"%d" % n) for n in range(200)])
    flow = mercy.engine.start(PublishRecords(batch))
    before = [count(mercy, table) for table in ("ledger_tx", "record", "record_batch")]
    (pages,) = mercy.db.execute("PRAGMA page_count").fetchone()
    mercy.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError) as refused:
        village.settle()
    # SQLite itself rolls back; that the savepoint went with it may be what is noticed first.
    first = refused.value.__context__
    said("full disk", first if isinstance(first, sqlite3.OperationalError) else refused.value)
    assert [count(mercy, table) for table in ("ledger_tx", "record", "record_batch")] == before
    mercy.db.execute("PRAGMA max_page_count = 1000000")
    village._greet()
    village.pass_time(60_000)
    row = mercy.engine.flow(flow)
    assert row is not None
    assert row.status == Status.DONE
    assert count(mercy, "record") == 200


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: bytes(100) + data[100:],
        lambda data: b"\xff" * 100 + data[100:],
        lambda data: data[: len(data) // 2],
        lambda data: data[:50],
        lambda _: b"",
    ],
)
def test_a_vault_that_is_no_database_is_not_opened(
    tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "node.db"
    with closing(open_database(path)) as db:
        db.execute("CREATE TABLE t (v TEXT)")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 3_000,)] * 20)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DatabaseDamaged) as refused:
        open_database(path)
    said("no database", refused.value)
    assert str(path) in str(refused.value)


def test_a_transaction_altered_in_the_vault_is_read_by_nobody(bringer: Bringer) -> None:
    """Neither by its own node nor, sent as it stands, by another: the agent's disk is changed, then Mercy asks."""
    agent = bringer.liar.node
    mercy = bringer.village.party("Mercy")
    (part,) = [
        part
        for (parts,) in agent.db.execute("SELECT parts FROM flow_outbox").fetchall()
        for part in PART_IDS.decode(parts)
        if part[1:33] == bringer.tx
    ][:1]
    assert agent.vault.read_part(agent.db, part) is not None
    assert mercy in agent.vault.holders_of(agent.db, bringer.tx)
    altered = encode(_flipped(bringer))
    assert agent.db.execute(
        "UPDATE ledger_tx SET tearoff = ? WHERE tx = ?", (altered, bringer.tx)
    ).rowcount
    with pytest.raises(AlteredTransaction) as refused:
        agent.vault.transaction(agent.db, bringer.tx)
    said("altered row", refused.value)
    assert agent.vault.read_part(agent.db, part) is None


def test_a_transaction_altered_on_its_way_is_believed_by_nobody(bringer: Bringer) -> None:
    """Who can write a file or a wire cannot make another node believe what it says now."""
    mercy = bringer.village.nodes["Mercy"]
    to = bringer.liar.attach("Mercy")
    part = encode(msgspec.structs.replace(bringer.good, tearoff=_flipped(bringer)))
    bringer.liar.open(to, TakeDelivery.name, Deliver(bringer.tx), (part,), letter=True)
    (failed,) = mercy.engine.flows((Status.FAILED,))
    said("signature", failed.why)
    assert count(mercy, "statement") == 0


# -- a notary whose clock is not the network's -------------------------------------------------------


class OtherClock:
    """The village's clock, so many ms off."""

    def __init__(self, village: Village, off: int) -> None:
        self._village = village
        self.off = off

    def __call__(self) -> int:
        return self._village.clock.now + self.off


def with_notary_clock(off: int) -> tuple[Village, OtherClock]:
    """Return a village in which Ada is enrolled at Mercy, and whose notary's clock is off from now on."""
    village = Village(seed=19)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    founding, clock = village.founding, OtherClock(village, off)
    signer = founding.log_signer
    provider = MemoryProvider(signer, clock())
    service = NotaryService(founding.checker(), provider, signer, clock)
    village.services[village.notary.party] = service
    return village, clock


def published(village: Village) -> FlowRow:
    batch = stage(village, "Mercy", "MRN 4711", [("note", b"late or early")])
    row = village.nodes["Mercy"].engine.flow(village.run("Mercy", PublishRecords(batch)))
    assert row is not None
    return row


def test_a_flow_whose_window_closes_each_time_says_so() -> None:
    village, _ = with_notary_clock(3_600_000)
    failed = published(village)
    assert failed.status == Status.FAILED
    said("lapsed flow", failed.why)
    assert count(village.nodes["Mercy"], "record") == 0
    assert stuck(village.nodes["Mercy"]) == []


def test_a_notary_whose_clock_is_behind_is_asked_again() -> None:
    village, clock = with_notary_clock(-60_000)
    waiting = published(village)
    assert waiting.status == Status.RUNNING
    clock.off = 0
    village.pass_time(60_000)
    row = village.nodes["Mercy"].engine.flow(waiting.id)
    assert row is not None
    assert row.status == Status.DONE
