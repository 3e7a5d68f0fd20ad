"""Answers what the ledger's own flows ask of their node (flows/services.py), from the vault."""

from collections.abc import Iterable
from sqlite3 import Connection

import msgspec

from app.vault.aside import Aside, Recovery
from app.vault.reader import NotEnrolled
from app.vault.restored import note_restored
from app.vault.subject import Step
from app.vault.vault import Vault
from flows.envelope import ENVELOPE_BYTES_MAX
from flows.services import (
    FETCH_MAX,
    AddSignatures,
    BeginRecovery,
    Done,
    Drop,
    EndRecovery,
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
    TakeAside,
    Taken,
    TakeRemembered,
    TakeTransactions,
)
from flows.step import Handlers
from states.errors import LedgerError, MalformedBytes
from states.identity import Party
from states.signed import PROVEN_TRANSACTION
from states.state import TransactionId
from states.tearoff import open_tearoff

PAGE_BYTES_MAX = ENVELOPE_BYTES_MAX - (1 << 16)  # the message itself, and its ids
PART_OVERHEAD_BYTES = 64  # tag and heads of proven/1


class LedgerHandlers:
    """One method a request; registered at the node's composition."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._aside = Aside(vault)

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
        handlers.on(TakeAside, self.take_aside)
        handlers.on(BeginRecovery, self.begin_recovery)
        handlers.on(EndRecovery, self.end_recovery)
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
        """See TakeTransactions."""
        parts = [part_of(step, part) for part in request.parts]
        taken = Taken()
        step.unit.execute("SAVEPOINT brought")
        try:
            taken = self._vault.take(step, request.peer, parts)
        except LedgerError as refused:
            step.unit.execute("ROLLBACK TO brought")
            if isinstance(refused, NotEnrolled) and not request.recalled:
                return Taken(unenrolled=True)
            kept = self._one_by_one(step, request.peer, parts)
            if kept is None:
                raise
            taken = kept
        finally:
            step.unit.execute("RELEASE brought")
        return msgspec.structs.replace(taken, ready=self._aside.has_ready(step.unit))

    def _one_by_one(self, step: Step, peer: Party, parts: list[bytes]) -> Taken | None:
        """Record or put aside each of what cannot be taken together; None, and nothing done, if one can be neither."""
        if not self._aside.is_open(step.unit, step.now):
            return None
        recorded: list[Recorded] = []
        for data in parts:
            found, is_kept = self._remember(step, peer, data)
            if not is_kept:
                step.unit.execute("ROLLBACK TO brought")
                return None
            recorded += () if found is None else (found,)
        return Taken(recorded=tuple(recorded))

    def take_remembered(self, step: Step, request: TakeRemembered) -> Remembered:
        """See TakeRemembered: each by itself, in order."""
        recorded: list[Recorded] = []
        for part in request.parts:
            found, _ = self._remember(step, request.peer, part_of(step, part))
            recorded += () if found is None else (found,)
            step.drop_part(part)  # there may be as many as the peer likes
        return Remembered(tuple(recorded), self._aside.has_ready(step.unit))

    def _remember(self, step: Step, peer: Party, data: bytes) -> tuple[Recorded | None, bool]:
        """Record a transaction by itself, or put it aside: return it if it is new, and whether it is kept."""
        step.unit.execute("SAVEPOINT remembered")
        try:
            return self._vault.remember(step, (peer,), data), True
        except LedgerError as refused:
            step.unit.execute("ROLLBACK TO remembered")
            return None, self._aside.put(step, peer, data, refused)
        finally:
            step.unit.execute("RELEASE remembered")

    def take_aside(self, step: Step, request: TakeAside) -> Remembered:
        del request
        return self._aside.take(step)

    def begin_recovery(self, step: Step, request: BeginRecovery) -> Done:
        self._aside.begin(step.unit, Recovery(step.flow_id, request.peer, request.since))
        return Done()

    def end_recovery(self, step: Step, request: EndRecovery) -> Done:
        del request
        self._aside.end(step.unit, step.flow_id)
        return Done()

    def find_held_by(self, step: Step, request: FindHeldBy) -> Found:
        found = [
            (seq, tx)
            for tx in request.transactions
            if (seq := self._vault.seq_held_by(step.unit, request.peer, tx)) is not None
        ]
        return self._fitting(step, [tx for _, tx in sorted(found)])

    def find_since(self, step: Step, request: FindSince) -> Found:
        ids = self._vault.held_by(step.unit, request.peer, request.since, request.after, FETCH_MAX)
        if not ids:
            # In the very transaction that finds no more: what is recorded next is recorded after this.
            note_restored(step.unit, request.peer, step.now)
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
