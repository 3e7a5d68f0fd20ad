"""Records that a transfer consumed, proven to the new custodian, which never held them (flows/consumed.py).

It saw the record once, when it was offered. A node that was restored to before that is shown it again, by anybody who
holds the transfer; to nobody else, and of nothing else, for all other holders hold what is consumed themselves.
"""

from collections.abc import Iterable
from sqlite3 import Connection

from sqlalchemy import bindparam, select

from app.storage.statements import sql, table_of
from app.vault.ground import Ground
from app.vault.ledger_handlers import PAGE_BYTES_MAX, part_of
from app.vault.reader import for_roles
from app.vault.subject import Step
from app.vault.tables import AsideRow
from flows.consumed import FindConsumed, FindUnresolved, SeeConsumed, StatesFound
from flows.services import FETCH_MAX, Done, Found
from flows.step import Handlers
from states.command import COMMAND
from states.encoding import encode
from states.groups import Group
from states.identity import Party
from states.signed import PROVEN_TRANSACTION, ProvenTransaction
from states.state import STATE_REF, TRANSACTION_STATE, StateRef, TransactionId
from states.subjects.record import MedicalRecord, RecordTransfer
from states.tearoff import FilteredTransaction, open_tearoff

_ASIDE = table_of(AsideRow)
_WAITING = sql(
    select(_ASIDE.c.tx, _ASIDE.c.peers, _ASIDE.c.proven, _ASIDE.c.awaits)
    .where(_ASIDE.c.tx > bindparam("after"), _ASIDE.c.awaits.is_not(None))
    .order_by(_ASIDE.c.tx)
)
_ONE_ASIDE = sql(select(_ASIDE.c.proven).where(_ASIDE.c.tx == bindparam("tx")))


class ConsumedRecords:
    """Shows them, and sees them."""

    def __init__(self, ground: Ground) -> None:
        self._vault = ground.vault
        self._contracts = ground.vault.verifier.contracts
        self.me = ground.me

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(FindConsumed, self.find)
        handlers.on(FindUnresolved, self.find_unresolved)
        handlers.on(SeeConsumed, self.see)

    def find(self, step: Step, request: FindConsumed) -> StatesFound:
        """See FindConsumed: as many as one message holds."""
        parts: list[bytes] = []
        size = 0
        for ref in self._consumed(step.unit, request.peer, request.transactions):
            shown = self._proof(step.unit, ref)
            size += len(shown or b"")
            if len(parts) == FETCH_MAX or size > PAGE_BYTES_MAX:
                break
            if shown is not None:
                parts.append(step.put_part(shown))
        return StatesFound(tuple(parts))

    def _consumed(
        self, db: Connection, peer: Party, transactions: Iterable[TransactionId]
    ) -> list[StateRef]:
        return [
            ref
            for tx in transactions
            if self._vault.seq_held_by(db, peer, tx) is not None
            for ref in self._taken_over(self._vault.stored(db, tx).filtered, by=peer)
        ]

    def _taken_over(self, filtered: FilteredTransaction, by: Party) -> list[StateRef]:
        """Return what a transaction consumes if by it this party takes custody of a record."""
        commands = [COMMAND.decode(c).data for _, c in filtered.components(Group.COMMANDS)]
        if not any(
            isinstance(self._contracts.commands.decode(c), RecordTransfer) for c in commands
        ):
            return []
        states = [TRANSACTION_STATE.decode(c) for _, c in filtered.components(Group.OUTPUTS)]
        new = [self._contracts.states.decode(state.data) for state in states]
        if not any(isinstance(each, MedicalRecord) and each.custodian == by for each in new):
            return []
        return [STATE_REF.decode(c) for _, c in filtered.components(Group.INPUTS)]

    def _proof(self, db: Connection, ref: StateRef) -> bytes | None:
        if not self._vault.is_recorded(db, ref.tx):
            return None
        created = self._vault.stored(db, ref.tx)
        assert created.receipt is not None, "it is recorded"
        filtered = open_tearoff(for_roles(created.filtered, frozenset()))
        if filtered.component(Group.OUTPUTS, ref.index) is None:
            return None  # erased here
        shown = filtered.only_output(ref.index)
        return encode(ProvenTransaction(shown, created.signatures, created.receipt))

    def find_unresolved(self, step: Step, request: FindUnresolved) -> Found:
        """See FindUnresolved."""
        found: list[TransactionId] = []
        for tx, peers, data, awaits in step.unit.execute(_WAITING, {"after": request.after}):
            if len(found) == FETCH_MAX:
                break
            inputs = self._taken_over(_read(data), by=self.me)
            if awaits in {ref.tx for ref in inputs} and request.peer in peers.split(","):
                found.append(TransactionId(tx))
        return Found(tuple(found))

    def see(self, step: Step, request: SeeConsumed) -> Done:
        """See SeeConsumed."""
        rows = (step.unit.execute(_ONE_ASIDE, {"tx": tx}).fetchone() for tx in request.transactions)
        wanted = {
            ref
            for row in rows
            if row is not None
            for ref in self._taken_over(_read(row[0]), by=self.me)
        }
        wanted.update(*(self._delivered(part_of(step, part)) for part in request.delivered))
        for part in request.parts:
            proven = PROVEN_TRANSACTION.decode(part_of(step, part))
            verified = self._vault.verifier.verify(proven, lambda _: None, held=False)
            ledger = verified.checked.ledger
            for index, output in ledger.outputs.items():
                ref = StateRef(ledger.id, index)
                if ref in wanted:
                    self._vault.see(step, ref, output.state)
        return Done()

    def _delivered(self, data: bytes) -> list[StateRef]:
        """Return what a transfer that was just brought to this node consumes; raises a LedgerError if it is none.

        It is verified here: what is aside was when it came, but what is brought is not yet, behind the first that lacks
        something. Verified with its new custodian in sight it has this node's own signature, which it gave for a record
        that it had judged. Else whoever says that this node took something over would have it believe any state that
        was ever notarised, such as a consent that nobody gave but its grantee: a transaction that refers to a state
        which was shown passes for one that rests on what is held here.
        """
        taken = self._taken_over(_read(data), by=self.me)
        if taken:
            self._vault.verifier.verify(PROVEN_TRANSACTION.decode(data), lambda _: None, held=False)
        return taken


def _read(data: bytes) -> FilteredTransaction:
    return open_tearoff(PROVEN_TRANSACTION.decode(data).tearoff)
