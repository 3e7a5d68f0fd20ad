"""Reading the vault: transactions, states and holders, as they are in the connection's view of the database."""

import logging
from functools import lru_cache
from sqlite3 import Connection

import msgspec

from app.vault.opened import OpenedTearoffs
from app.vault.statements import (
    GET_SEEN,
    GET_STATE,
    GET_TX,
    HELD_BY,
    LAST_SEQ,
    ROLES,
    ROLES_OF,
    SEQ_OF,
)
from app.vault.tables import Status
from flows.services import reader_hash
from states.crypto.signatures import TransactionSignature
from states.encoding import Codec, encode
from states.errors import LedgerError
from states.groups import Group
from states.identity import Party
from states.sealed import SEALED
from states.signed import ProvenTransaction, SignedTransaction
from states.state import TRANSACTION_STATE, StateRef, TransactionState
from states.tearoff import FilteredTransaction, Tearoff
from states.verifier import IncompleteTransaction

_log = logging.getLogger("carecord.vault")

SIGNATURES: Codec[tuple[TransactionSignature, ...]] = Codec(
    tuple[TransactionSignature, ...], "signatures"
)


class NotHeld(LedgerError):
    """The vault has no such transaction, or not in the state that was asked for."""


class AlteredTransaction(LedgerError):
    """A stored row is not the transaction that it stands for: somebody, or a disk, has changed it."""

    def __init__(self, tx: bytes, found: bytes) -> None:
        super().__init__(
            f"the vault's row of transaction {tx.hex()[:16]} holds {found.hex()[:16]}: restore the node from a backup"
        )
        self.tx = tx


class NotYet(LedgerError):
    """Refused for want of something that may still come: `awaits` names it (a transaction's id, an enrolment's)."""

    def __init__(self, why: str, awaits: bytes = b"") -> None:
        super().__init__(why)
        self.awaits = awaits


class BasisNotHeld(NotHeld, NotYet):
    """A transaction rests on another that is not recorded here."""


class PartlyShown(NotYet, IncompleteTransaction):
    """A transaction is brought without all that this node reads of it: others may show the rest."""


class NotEnrolled(NotYet):
    """No live enrolment is known here for this patient at this custodian."""


_Row = tuple[int, bytes, bytes, str | None, int, int | None]
_reader = lru_cache(1_024)(reader_hash)


class StoredTransaction(msgspec.Struct, frozen=True):
    """A transaction as the vault has it, opened; without a receipt and place in the log while it is only held."""

    filtered: FilteredTransaction
    encoded_signatures: bytes
    until: int
    receipt: str | None
    log_index: int | None

    @property
    def signatures(self) -> tuple[TransactionSignature, ...]:
        return SIGNATURES.decode(self.encoded_signatures)

    def showing(self, tearoff: Tearoff) -> SignedTransaction | ProvenTransaction:
        """Return it as it travels, with this tear-off of it."""
        if self.receipt is None:
            return SignedTransaction(tearoff, self.signatures)
        return ProvenTransaction(tearoff, self.signatures, self.receipt)


class VaultReader:
    """What a vault holds."""

    def __init__(self) -> None:
        self._opened = OpenedTearoffs()

    def state(self, db: Connection, ref: StateRef) -> TransactionState | None:
        """Return a state that is held here, consumed or not, or that was shown here with its proof."""
        key = {"tx": ref.tx, "idx": ref.index}
        row = db.execute(GET_STATE, key).fetchone() or db.execute(GET_SEEN, key).fetchone()
        return None if row is None else TRANSACTION_STATE.decode(row[0])

    def is_live(self, db: Connection, ref: StateRef) -> bool:
        row = db.execute(GET_STATE, {"tx": ref.tx, "idx": ref.index}).fetchone()
        return row is not None and row[1] is None

    def stored(self, db: Connection, tx: bytes) -> StoredTransaction:
        """Return a held or recorded transaction; raises NotHeld, AlteredTransaction."""
        return self._stored(tx, self._row(db, tx))

    def transaction(self, db: Connection, tx: bytes) -> SignedTransaction | ProvenTransaction:
        """Return a held or recorded transaction as it travels; raises NotHeld."""
        stored = self.stored(db, tx)
        return stored.showing(stored.filtered.tearoff)

    def window_end(self, db: Connection, tx: bytes) -> int:
        until: int = self._row(db, tx)[4]
        return until

    def last_seq(self, db: Connection) -> int:
        """Return the ledger moment: the number of the newest recorded transaction, 0 at first."""
        seq: int = db.execute(LAST_SEQ).fetchone()[0]
        return seq

    def read_part(self, db: Connection, part: bytes) -> bytes | None:
        """Return a transaction as the reader named in its part id may have it: signed/1 while held, then proven/1.

        None where that reader is no holder: nobody reads a transaction that does not concern him. None as well where
        it was dropped after a letter had named it (a revocation that the notary refused), or its row was altered since.
        """
        tx, reader = part[1:33], part[33:]
        row = self._found(db, tx)
        if row is None:
            return None
        for party, roles in self.holders_of(db, tx).items():
            if _reader(party) == reader:
                try:
                    stored = self._stored(tx, row)
                except AlteredTransaction:
                    # Who reads it would refuse it; and what cannot be sent must not keep all else from being sent.
                    _log.critical("the row of transaction %s was altered", tx.hex())
                    return None
                return encode(stored.showing(for_roles(stored.filtered, roles)))
        return None

    def stored_bytes(self, db: Connection, tx: bytes) -> int:
        """Return how large a stored transaction is; what its holders get of it is never larger. Raises NotHeld."""
        _, tearoff, signatures, receipt, *_ = self._row(db, tx)
        return len(tearoff) + len(signatures) + len(receipt or "")

    def held_by(
        self, db: Connection, peer: Party, since: int, after: bytes, most: int
    ) -> list[bytes]:
        """Return the ids of recorded transactions of which `peer` is a holder, in order, after `after`."""
        start = db.execute(SEQ_OF, {"tx": after}).fetchone() if after else None
        rows = db.execute(
            HELD_BY,
            {"party": peer, "after": start[0] if start else 0, "since": since, "most": most},
        )
        return [row[0] for row in rows]

    def seq_held_by(self, db: Connection, peer: Party, tx: bytes) -> int | None:
        """Return a recorded transaction's number here if `peer` is a holder of it, else None."""
        row = db.execute(SEQ_OF, {"tx": tx}).fetchone()
        return row[0] if row is not None and self.is_holder(db, peer, tx) else None

    def is_recorded(self, db: Connection, tx: bytes) -> bool:
        row = db.execute(GET_TX, {"tx": tx}).fetchone()
        return row is not None and row[0] == Status.RECORDED

    def is_holder(self, db: Connection, peer: Party, tx: bytes) -> bool:
        return db.execute(ROLES, {"tx": tx, "party": peer}).fetchone() is not None

    def holders_of(self, db: Connection, tx: bytes) -> dict[Party, frozenset[str]]:
        """Return the holders of a stored transaction and their roles."""
        rows = db.execute(ROLES_OF, {"tx": tx})
        return {Party(party): frozenset(roles.split(",")) for party, roles in rows}

    def _row(self, db: Connection, tx: bytes) -> "_Row":
        row = self._found(db, tx)
        if row is None:
            raise NotHeld(f"no transaction {tx.hex()[:16]} is here")
        return row

    @staticmethod
    def _found(db: Connection, tx: bytes) -> "_Row | None":
        row: _Row | None = db.execute(GET_TX, {"tx": tx}).fetchone()
        return row

    def _stored(self, tx: bytes, row: "_Row") -> StoredTransaction:
        status, tearoff, signatures, receipt, until, log_index = row
        opened = self._opened.of(tearoff)
        if opened.id != tx:
            raise AlteredTransaction(tx, opened.id)
        if status == Status.HELD:
            receipt = log_index = None
        return StoredTransaction(opened, signatures, until, receipt, log_index)


def for_roles(filtered: FilteredTransaction, roles: frozenset[str]) -> Tearoff:
    """Return the tear-off of what these roles may read: all but the sealed components of others."""
    layout = filtered.layout
    hidden = {
        layout.position(Group.SEALED, index)
        for index, component in filtered.components(Group.SEALED)
        if roles.isdisjoint(SEALED.decode(component).readers)
    }
    if not hidden:
        return filtered.tearoff
    return filtered.narrowed(at for at in filtered.tearoff.positions if at not in hidden)
