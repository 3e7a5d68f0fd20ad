"""A node that has seen one head of a log takes no other history of it: forks and rollbacks are refused and kept."""

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from sqlite3 import Connection

import pytest

from app.storage.database import open_database
from app.storage.statements import creation
from app.subjects.catalogue import CONTRACTS
from app.transport.errors import NotShown, RequestTimedOut
from app.vault.tables import CheckpointRow, DistrustRow
from app.witness import (
    FORKED,
    OTHER_LOG,
    ROLLED_BACK,
    UNFOLLOWED_MS_MAX,
    UNPROVEN,
    Distrust,
    Witness,
)
from notaries.log import LogSigner, ServedLog
from notaries.memory import MemoryProvider
from notaries.uniqueness import CommitRequest
from states.checkpoint import ForkedLog, RolledBack
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.merkle import prefix_root
from states.errors import InvalidProof, InvalidSignature, MalformedBytes
from states.identity import Party
from states.parameters import MemberDirectory, NotaryInfo, ParametersHistory
from states.state import TransactionId
from states.verifier import DistrustedNotary, Verifier

NOW = 1_790_000_000_000
SIGNER = LogSigner("log.example", Ed25519Signer(b"\1" * 32), Ed25519Signer(b"\2" * 32))
INFO = NotaryInfo(
    Party(did_of(Ed25519Signer(b"\5" * 32).key)),
    "log.example",
    SIGNER.log_key.key.raw,
    SIGNER.cosigner_key.key.raw,
)


class Log:
    """A notary's log, filled with transactions of our choice."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at
        self.provider = MemoryProvider(SIGNER, at)
        self.served = ServedLog(self.provider)
        self.instead: dict[str, bytes] = {}

    def add(self, first: int, count: int, salt: int = 0) -> "Log":
        ids = [bytes([salt]) + i.to_bytes(31, "big") for i in range(first, first + count)]
        asked = [CommitRequest(TransactionId(i), self.at - 1, self.at + 9) for i in ids]
        self.provider.commit(asked, self.at)
        return self

    @property
    def note(self) -> str:
        return self.provider.head().note

    @property
    def read(self) -> Callable[[str], Awaitable[bytes]]:
        async def read(path: str) -> bytes:
            if path in self.instead:
                return self.instead[path]
            found = self.served.serve(path)
            if found is None:
                raise NotShown(path)
            return found

        return read


@pytest.fixture
def witness() -> Witness:
    db = open_database(":memory:")
    for statement in creation(CheckpointRow, DistrustRow):
        db.execute(statement)
    return opened(db)


def opened(db: Connection) -> Witness:
    """A node's witness of the log, as at a start."""
    verifier = Verifier(ParametersHistory([]), CONTRACTS, MemberDirectory([]))
    return Witness(db, INFO, verifier, lambda: NOW)


def see(witness: Witness, log: Log) -> bool:
    return asyncio.run(witness.see(log.note, log.read))


def watch(witness: Witness, log: Log, note: str | None = None) -> None:
    async def ask() -> bytes:
        return (log.note if note is None else note).encode()

    asyncio.run(witness.watch(ask, log.read))


def why(witness: Witness) -> str | None:
    found = witness.distrust
    return None if found is None else found.why


def believes(witness: Witness) -> bool:
    return INFO.party not in witness._verifier.distrusted


def test_a_log_that_only_grows_is_followed_across_tiles(witness: Witness) -> None:
    log, grown = Log(), 0
    for count in (1, 2, 253, 1, 300, 700):
        log.add(grown, count)
        grown += count
        assert see(witness, log)
    assert not see(witness, log), "the same head is nothing new"
    assert witness.known is not None
    assert witness.known.checkpoint.size == grown


def test_a_forked_log_is_refused_for_ever_and_both_notes_are_kept(witness: Witness) -> None:
    mine, theirs = Log().add(0, 300), Log().add(0, 300)
    see(witness, mine)
    theirs.add(300, 5, salt=1)
    mine.add(300, 5, salt=2)
    see(witness, mine)
    with pytest.raises(ForkedLog) as fork:
        see(witness, theirs)
    assert fork.value.known == mine.note
    assert fork.value.offered == theirs.note
    again = opened(witness._db)
    assert again.distrust == (FORKED, mine.note, theirs.note)
    with pytest.raises(DistrustedNotary):
        see(again, mine.add(305, 1, salt=2))


@pytest.mark.parametrize("size", [8, 10, 256, 300])
def test_another_history_of_more_entries_is_a_fork_that_its_own_tiles_prove(
    witness: Witness, size: int
) -> None:
    mine, theirs = Log().add(0, size), Log().add(0, 2 * size, salt=1)
    see(witness, mine)
    with pytest.raises(ForkedLog):
        see(witness, theirs)
    found = opened(witness._db).distrust
    assert found is not None
    evidence = found.evidence.removeprefix(theirs.note).split()
    hashes = [b64decode(line) for line in evidence]
    signed = witness.keys.open(theirs.note).checkpoint
    assert found.why == FORKED
    assert found.evidence.startswith(theirs.note)
    was = witness.keys.open(mine.note).checkpoint.root
    assert prefix_root(size, 2 * size, hashes, signed.root) != was


def test_a_smaller_log_is_no_step_back_unless_it_is_later(witness: Witness) -> None:
    log = Log().add(0, 10)
    small = log.note
    see(witness, log.add(10, 10))
    assert not asyncio.run(witness.see(small, log.read))
    assert why(witness) is None
    with pytest.raises(RolledBack):
        see(witness, Log(NOW + 1_000).add(0, 9))
    assert why(witness) == ROLLED_BACK


@pytest.mark.parametrize("damage", [b"", bytes(32), bytes(20 * 32)])
def test_tiles_that_prove_nothing_convict_nobody_and_close_until_they_do(
    witness: Witness, damage: bytes
) -> None:
    log = Log().add(0, 10)
    watch(witness, log)
    log.add(10, 10)
    log.instead["tile/0/000.p/20"] = damage
    for each in (witness, opened(witness._db)):
        with pytest.raises((InvalidProof, MalformedBytes)):
            watch(each, log)
        assert not believes(each)
        found = each.distrust
        assert found is not None
        assert (found.why, found.evidence, found.is_for_ever) == (UNPROVEN, log.note, False)
    log.instead.clear()
    watch(witness, log)
    assert believes(witness)
    assert why(witness) is None
    assert witness.known is not None
    assert witness.known.checkpoint.size == 20


def test_what_was_not_proven_is_still_to_be_proven_after_a_restart(witness: Witness) -> None:
    """Else a notary that showed one history to some would be believed again by showing another."""
    log, other = Log().add(0, 10), Log().add(0, 10)
    watch(witness, log)
    other.add(10, 10, salt=1)
    other.instead["tile/0/000.p/20"] = b""
    with pytest.raises(MalformedBytes):
        watch(witness, other)
    again = opened(witness._db)
    with pytest.raises(ForkedLog):
        watch(again, log.add(10, 20))
    assert why(opened(witness._db)) == FORKED


def test_a_doubt_never_ends_a_conviction(witness: Witness) -> None:
    log = Log().add(0, 10)
    watch(witness, log)
    witness.convict(Distrust(FORKED, "one", "another"))
    with pytest.raises(DistrustedNotary):
        watch(witness, log)
    assert witness.distrust == (FORKED, "one", "another")
    assert not believes(witness)


# -- a log that is gone ------------------------------------------------------------------------------


def test_a_log_that_begins_anew_after_its_entries_were_signed_is_rolled_back(
    witness: Witness,
) -> None:
    watch(witness, Log().add(0, 10))
    with pytest.raises(RolledBack):
        watch(witness, Log(NOW + 1_000))
    assert why(opened(witness._db)) == ROLLED_BACK


@pytest.mark.parametrize("size", [0, 4])
def test_a_log_from_a_backup_closes_until_it_shows_again_what_it_had(
    witness: Witness, size: int
) -> None:
    log = Log().add(0, size)
    backup = log.note
    watch(witness, log.add(size, 6))
    with pytest.raises(InvalidProof):
        watch(witness, log, backup)
    assert not believes(witness)
    watch(witness, log)
    assert believes(witness)


def test_a_log_whose_tiles_are_gone_or_that_is_not_shown_at_all_closes(witness: Witness) -> None:
    log = Log().add(0, 10)
    watch(witness, log)
    log.add(10, 10)
    empty = Log(NOW - 1_000)

    async def nothing() -> bytes:
        raise NotShown("checkpoint")

    with pytest.raises(NotShown):
        asyncio.run(witness.watch(nothing, log.read))
    assert not believes(witness)
    watch(witness, log)
    assert believes(witness)
    log.add(20, 1)
    with pytest.raises(NotShown):
        watch(witness, empty, log.note)
    assert not believes(witness)


def test_a_log_that_never_answers_is_not_followed_after_some_hours(witness: Witness) -> None:
    now = [NOW]
    late = Witness(witness._db, INFO, witness._verifier, lambda: now[0])

    async def silent() -> bytes:
        raise RequestTimedOut(INFO.party, "checkpoint")

    said = []
    for later in (UNFOLLOWED_MS_MAX - 1, 1):
        now[0] += later
        with pytest.raises(RequestTimedOut):
            asyncio.run(late.watch(silent, Log().read))
        said.append(late.is_followed)
    assert believes(late)
    watch(late, Log())
    assert [*said, late.is_followed] == [True, False, True]


def test_another_log_under_the_same_key_is_said_and_closes(
    witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log().add(0, 3)
    watch(witness, log)
    other = LogSigner("log.elsewhere", SIGNER.log_key, SIGNER.cosigner_key)
    note = MemoryProvider(other, NOW).head().note
    with pytest.raises(InvalidSignature):
        watch(witness, log, note)
    assert not believes(witness)
    assert witness.distrust is not None
    assert (witness.distrust.why, witness.distrust.evidence) == (OTHER_LOG, note)
    assert "other-log" in caplog.text
    rows = witness._db.execute("SELECT origin FROM ledger_checkpoint").fetchall()
    assert rows == [("log.example",)]
    watch(witness, log)
    assert believes(witness)


def test_a_note_of_another_signer_is_not_looked_at(witness: Witness) -> None:
    stranger = LogSigner("log.example", Ed25519Signer(b"\3" * 32), Ed25519Signer(b"\4" * 32))
    note = MemoryProvider(stranger, NOW).head().note
    with pytest.raises(InvalidSignature):
        asyncio.run(witness.see(note, Log().read))
