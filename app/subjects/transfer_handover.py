"""Keys and ciphertext of a transferred record: the new custodian takes the data key into its own custody."""

from sqlite3 import Connection

from sqlalchemy import bindparam, select, update

from app.blobs.sizes import chunk_count
from app.blobs.store import BlobStore
from app.blobs.wrap import WrapContext, wrap_data_key
from app.rows.tables import RecordRow, TransferRow
from app.storage.statements import sql, table_of
from app.subjects.wrapped import WRAPPED_KEYS, WrappedKeys, check_epoch, chunk_part
from app.vault.ground import Ground
from app.vault.ledger_handlers import part_of
from app.vault.reader import NotHeld
from app.vault.subject import Step
from app.vault.tables import TransactionRow
from flows.flow import FlowRefused
from flows.services import Done
from flows.subjects.blob import (
    ChunksFound,
    FindChunks,
    KeepBlob,
    KeepKeys,
    Missing,
    MissingBlob,
    Release,
    ReleaseKeys,
)
from states.encoding import encode
from states.errors import MalformedBytes

_TRANSFER, _RECORD, _TX = table_of(TransferRow), table_of(RecordRow), table_of(TransactionRow)
_GET = sql(
    select(
        _TRANSFER.c.to,
        _TRANSFER.c.epoch,
        _TRANSFER.c.epoch_key,
        _TRANSFER.c.commitment,
        _TRANSFER.c.blob,
        _TRANSFER.c.size_class,
    ).where(_TRANSFER.c.tx == bindparam("tx"))
)
# Of the very record that the transfer consumed: another one with its commitment may be a liar's copy.
_KEY_OF = sql(
    select(_RECORD.c.key)
    .join(_TX, _TX.c.seq == _RECORD.c.consumed_seq)
    .where(
        _TX.c.tx == bindparam("tx"),
        _RECORD.c.commitment == bindparam("commitment"),
        _RECORD.c.key.is_not(None),
    )
)
_TAKEN = sql(
    select(_RECORD.c.commitment, _RECORD.c.blob, _RECORD.c.size_class).where(
        _RECORD.c.tx == bindparam("tx"), _RECORD.c.custodian == bindparam("me")
    )
)
_KEEP_KEY = sql(
    update(_RECORD)
    .where(_RECORD.c.tx == bindparam("id"), _RECORD.c.custodian == bindparam("me"))
    .values(key=bindparam("wrapped"))
)


class TransferHandover:
    """Both custodians' sides, after the transfer is recorded."""

    def __init__(self, ground: Ground, blobs: BlobStore) -> None:
        self._ground = ground
        self._blobs = blobs

    def is_to(self, step: Step, tx: bytes, peer: str) -> bool:
        """Whether this node passed a record to that custodian by this transaction."""
        row = step.unit.execute(_GET, {"tx": tx}).fetchone()
        return row is not None and row[0] == peer

    def is_taken(self, step: Step, tx: bytes) -> bool:
        """Whether this node took custody of a record by this transaction."""
        row = step.unit.execute(_TAKEN, {"tx": tx, "me": self._ground.me}).fetchone()
        return row is not None

    def release(self, step: Step, request: ReleaseKeys) -> Release:
        """Wrap the record's data key for the new custodian: the receipt is all that this needs."""
        to, epoch, epoch_key, commitment, _, _ = self._transfer(step, request.tx)
        if to != request.peer:
            raise FlowRefused("not-yours", "this transfer is to another custodian")
        named = {"tx": request.tx, "commitment": commitment}
        row = step.unit.execute(_KEY_OF, named).fetchone()
        if row is None:  # restored from a backup that is older than the record: no peer has its key
            return Release("not-released")
        data_key = self._ground.keys.unwrap_at_rest(row[0], commitment)
        context = WrapContext(request.tx, 0, epoch)
        wrapped = wrap_data_key(data_key, epoch_key, context, self._ground.entropy)
        return Release("released", part=step.put_part(encode(WrappedKeys(epoch, (wrapped,)))))

    def find_chunks(self, step: Step, request: FindChunks) -> ChunksFound:
        """See FindChunks."""
        to, _, _, _, blob, size_class = self._transfer(step, request.tx)
        count = chunk_count(size_class)
        if to != request.peer or request.item != 0 or request.first >= count:
            raise FlowRefused("nothing-available", "Nothing available.")
        end = min(count, request.first + request.most)
        parts = tuple(chunk_part(blob, index) for index in range(request.first, end))
        return ChunksFound(parts, end == count)

    def keep_keys(self, step: Step, request: KeepKeys) -> Done:
        """Open the wrapped key and keep it under this node's own storage key: the record is its own now."""
        wrapped = WRAPPED_KEYS.decode(part_of(step, request.part))
        check_epoch(self._ground.keys, wrapped.epoch)
        if len(wrapped.keys) != 1:
            raise MalformedBytes("wrapped keys", "one for one record")
        commitment, _, _ = self._taken(step.unit, request.tx)
        context = WrapContext(request.tx, 0, wrapped.epoch)
        data_key = self._ground.keys.open_epoch(wrapped.epoch, wrapped.keys[0], context)
        at_rest = self._ground.keys.wrap_at_rest(data_key, commitment)
        row = {"id": request.tx, "me": self._ground.me, "wrapped": at_rest}
        step.unit.execute(_KEEP_KEY, row)
        return Done()

    def missing(self, step: Step, tx: bytes) -> Missing:
        _, blob, size_class = self._taken(step.unit, tx)
        missing = (MissingBlob(0, chunk_count(size_class)),)
        return Missing(() if self._blobs.has(blob) else missing)

    def keep_blob(self, step: Step, request: KeepBlob) -> Done:
        _, blob, _ = self._taken(step.unit, request.tx)
        self._blobs.put((part_of(step, part) for part in request.parts), expected=blob)
        return Done()

    def _transfer(self, step: Step, tx: bytes) -> tuple[str, int, bytes, bytes, str, int]:
        row: tuple[str, int, bytes, bytes, str, int] | None
        row = step.unit.execute(_GET, {"tx": tx}).fetchone()
        if row is None:
            raise NotHeld("no transfer of this custodian")
        return row

    def _taken(self, db: Connection, tx: bytes) -> tuple[bytes, str, int]:
        row = db.execute(_TAKEN, {"tx": tx, "me": self._ground.me}).fetchone()
        if row is None:
            raise NotHeld("no record of this custodian came by this transaction")
        return row[0], row[1], row[2]
