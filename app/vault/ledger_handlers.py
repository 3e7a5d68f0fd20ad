"""Answers what the ledger's own flows ask of their node (flows/services.py), from the vault."""

from collections.abc import Iterable
from sqlite3 import Connection

from app.vault.subject import Step
from app.vault.vault import Vault
from flows.envelope import ENVELOPE_BYTES_MAX
from flows.services import (
    FETCH_MAX,
    AddSignatures,
    Done,
    Drop,
    FindHeldBy,
    FindSince,
    Found,
    Held,
    HoldProposal,
    IdsOf,
    Moment,
    Now,
    OwnSignatures,
    Record,
    Recorded,
    Remembered,
    Signatures,
    Taken,
    TakeRemembered,
    TakeTransactions,
)
from flows.step import Handlers
from states.errors import LedgerError, MalformedBytes
from states.signed import PROVEN_TRANSACTION
from states.state import TransactionId
from states.tearoff import open_tearoff

PAGE_BYTES_MAX = ENVELOPE_BYTES_MAX - (1 << 16)  # the message itself, and its ids
PART_OVERHEAD_BYTES = 64  # tag and heads of proven/1


class LedgerHandlers:
    """One method a request; registered at the node's composition."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def register(self, handlers: Handlers[Connection]) -> None:
        """Let this vault answer the ledger's requests."""
        handlers.on(Now, self.now)
        handlers.on(HoldProposal, self.hold_proposal)
        handlers.on(OwnSignatures, self.own_signatures)
        handlers.on(AddSignatures, self.add_signatures)
        handlers.on(Record, self.record)
        handlers.on(Drop, self.drop)
        handlers.on(TakeTransactions, self.take)
        handlers.on(TakeRemembered, self.take_remembered)
        handlers.on(FindHeldBy, self.find_held_by)
        handlers.on(FindSince, self.find_since)
        handlers.on(IdsOf, self.ids_of)

    def now(self, step: Step, request: Now) -> Moment:
        del request
        return Moment(step.now)

    def hold_proposal(self, step: Step, request: HoldProposal) -> Held:
        data = part_of(step, request.part)
        return self._vault.hold_proposal(step, request.peer, data, request.purpose, request.context)

    def own_signatures(self, step: Step, request: OwnSignatures) -> Signatures:
        return Signatures(request.tx, self._vault.own_signatures(step.unit, request.tx))

    def add_signatures(self, step: Step, request: AddSignatures) -> Held:
        more = request.signatures
        return self._vault.add_signatures(step, request.peer, more.tx, more.signatures)

    def record(self, step: Step, request: Record) -> Recorded:
        recorded = self._vault.record(step, request.tx, request.receipt)
        step.settled()
        return recorded

    def drop(self, step: Step, request: Drop) -> Done:
        self._vault.drop(step, request.tx)
        step.settled()
        return Done()

    def take(self, step: Step, request: TakeTransactions) -> Taken:
        parts = [part_of(step, part) for part in request.parts]
        return self._vault.take(step, request.peer, parts)

    def take_remembered(self, step: Step, request: TakeRemembered) -> Remembered:
        """See TakeRemembered: each by itself, in order."""
        recorded: list[Recorded] = []
        for part in request.parts:
            step.unit.execute("SAVEPOINT remembered")
            try:
                found = self._vault.remember(step, request.peer, part_of(step, part))
                recorded += () if found is None else (found,)
            except LedgerError:
                step.unit.execute("ROLLBACK TO remembered")
            finally:
                step.unit.execute("RELEASE remembered")
        return Remembered(tuple(recorded))

    def find_held_by(self, step: Step, request: FindHeldBy) -> Found:
        found = [
            (seq, tx)
            for tx in request.transactions
            if (seq := self._vault.seq_held_by(step.unit, request.peer, tx)) is not None
        ]
        return self._fitting(step, [tx for _, tx in sorted(found)])

    def find_since(self, step: Step, request: FindSince) -> Found:
        ids = self._vault.held_by(step.unit, request.peer, request.since, request.after, FETCH_MAX)
        return self._fitting(step, ids)

    def ids_of(self, step: Step, request: IdsOf) -> Found:
        """See IdsOf."""
        parts = [PROVEN_TRANSACTION.decode(part_of(step, part)) for part in request.parts]
        return Found(tuple(open_tearoff(proven.tearoff).id for proven in parts))

    def _fitting(self, step: Step, ids: Iterable[bytes]) -> Found:
        """Return the first of these transactions, as many as one message can bring: at least one, if there is one."""
        found: list[TransactionId] = []
        size = 0
        for tx in ids:
            size += self._vault.stored_bytes(step.unit, tx) + PART_OVERHEAD_BYTES
            if found and size > PAGE_BYTES_MAX:
                break
            found.append(TransactionId(tx))
        return Found(tuple(found))


def part_of(step: Step, part: bytes) -> bytes:
    """Return the bytes of a part that came with a message; MalformedBytes if its sender no longer had them."""
    data = step.read_part(part)
    if not data:
        raise MalformedBytes("message", "a part of it is gone")
    return data
