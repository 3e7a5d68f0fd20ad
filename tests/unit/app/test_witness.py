"""A node that has seen one head of a log takes no other history of it: forks and rollbacks are refused and kept."""

import asyncio
from collections.abc import Awaitable, Callable
from sqlite3 import Connection

import pytest

from app.storage.database import open_database
from app.storage.statements import creation
from app.subjects.catalogue import CONTRACTS
from app.vault.tables import CheckpointRow, DistrustRow
from app.witness import FORKED, ROLLED_BACK, Witness
from notaries.log import LogSigner, ServedLog
from notaries.memory import MemoryProvider
from notaries.uniqueness import CommitRequest
from states.checkpoint import ForkedLog, RolledBack
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.errors import InvalidSignature
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

    def __init__(self) -> None:
        self.provider = MemoryProvider(SIGNER, NOW)
        self.served = ServedLog(self.provider)

    def add(self, first: int, count: int, salt: int = 0) -> "Log":
        ids = [bytes([salt]) + i.to_bytes(31, "big") for i in range(first, first + count)]
        self.provider.commit([CommitRequest(TransactionId(i), NOW - 1, NOW + 9) for i in ids], NOW)
        return self

    @property
    def note(self) -> str:
        return self.provider.head().note

    @property
    def read(self) -> Callable[[str], Awaitable[bytes]]:
        async def read(path: str) -> bytes:
            return self.served.serve(path) or b""

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


def test_another_history_of_more_entries_is_a_fork_too(witness: Witness) -> None:
    see(witness, Log().add(0, 10))
    with pytest.raises(ForkedLog):
        see(witness, Log().add(0, 20, salt=1))


def test_a_smaller_log_is_no_step_back_unless_it_is_a_beginning(witness: Witness) -> None:
    log = Log().add(0, 10)
    small = log.note
    see(witness, log.add(10, 10))
    assert not asyncio.run(witness.see(small, log.read))
    with pytest.raises(RolledBack):
        asyncio.run(witness.see(Log().add(0, 10, salt=1).note, log.read))
    found = witness.distrust
    assert found is not None
    assert found.why == ROLLED_BACK


def test_a_note_of_another_signer_is_not_looked_at(witness: Witness) -> None:
    stranger = LogSigner("log.example", Ed25519Signer(b"\3" * 32), Ed25519Signer(b"\4" * 32))
    note = MemoryProvider(stranger, NOW).head().note
    with pytest.raises(InvalidSignature):
        asyncio.run(witness.see(note, Log().read))
