"""Answers what the ledger's own flows ask of their node (flows/services.py), from the vault."""

from sqlite3 import Connection

from app.vault.subject import Step
from app.vault.vault import Vault
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
    Moment,
    Now,
    OwnSignatures,
    Record,
    Recorded,
    Signatures,
    Taken,
    TakeTransactions,
)
from flows.step import Handlers
from states.errors import MalformedBytes
from states.state import TransactionId


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
        handlers.on(FindHeldBy, self.find_held_by)
        handlers.on(FindSince, self.find_since)

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

    def find_held_by(self, step: Step, request: FindHeldBy) -> Found:
        found = [
            (seq, tx)
            for tx in request.transactions
            if (seq := self._vault.seq_held_by(step.unit, request.peer, tx)) is not None
        ]
        return Found(tuple(TransactionId(tx) for _, tx in sorted(found)))

    def find_since(self, step: Step, request: FindSince) -> Found:
        ids = self._vault.held_by(step.unit, request.peer, request.since, request.after, FETCH_MAX)
        return Found(tuple(map(TransactionId, ids)))


def part_of(step: Step, part: bytes) -> bytes:
    """Return the bytes of a part that came with a message; MalformedBytes if its sender no longer had them."""
    data = step.read_part(part)
    if not data:
        raise MalformedBytes("message", "a part of it is gone")
    return data
