"""The data keys that an agent keeps for its patients: how one is opened, and when another takes its place."""

from collections.abc import Iterable
from sqlite3 import Connection

from sqlalchemy import bindparam, delete, select

from app.blobs.cipher import BlobOpener
from app.blobs.errors import BlobDamaged, BlobMissing, BlobRefused
from app.blobs.store import BlobStore
from app.blobs.wrap import SHARED_ITEM, SharedWrap, WrapContext
from app.gate_facts import PatientsKey, patients_facts
from app.keystore.errors import UnknownKey
from app.keystore.keys import KeyStore
from app.rows.tables import PatientKeyRow, PatientWrapRow
from app.storage.statements import sql, table_of
from states.errors import LedgerError
from states.state import StateRef

_WRAP, _KEY = table_of(PatientWrapRow), table_of(PatientKeyRow)
_DROP_KEY = sql(delete(_KEY).where(_KEY.c.tx == bindparam("id"), _KEY.c.idx == bindparam("index")))
_DROP_WRAPS = sql(
    delete(_WRAP).where(
        _WRAP.c.tx == bindparam("id"),
        _WRAP.c.id.not_in(select(_KEY.c.wrap).where(_KEY.c.tx == bindparam("id"))),
    )
)


def forget(db: Connection, refs: Iterable[StateRef], also: Iterable[bytes] = ()) -> None:
    """Destroy the keys that came with these records, and the wraps of their transactions that no key needs more.

    `also`: further transactions whose wraps are looked through.
    """
    gone = list(refs)
    db.executemany(_DROP_KEY, [{"id": ref.tx, "index": ref.index} for ref in gone])
    db.executemany(_DROP_WRAPS, [{"id": tx} for tx in {*also, *(ref.tx for ref in gone)}])


def opened(keys: KeyStore, key: PatientsKey, commitment: bytes) -> bytes:
    """Return a record's data key. Raises WrapRefused, and UnknownKey where its epoch's key is gone."""
    context = WrapContext(key.tx, SHARED_ITEM, key.epoch)
    shared = keys.open_epoch(key.epoch, key.shared, context)
    return SharedWrap(shared, key.tx).unwrap(key.item, key.wrapped, commitment)


def opens(blobs: BlobStore, data_key: bytes, commitment: bytes, blob: str, size_class: int) -> bool:
    """Whether a data key opens the first chunk of a record's ciphertext, and that is here."""
    try:
        BlobOpener(data_key, commitment, size_class).open_chunk(0, blobs.chunk(blob, 0))
    except (BlobRefused, BlobMissing, BlobDamaged):
        return False
    return True


def is_better(
    db: Connection, keys: KeyStore, blobs: BlobStore, ref: StateRef, data_key: bytes
) -> bool:
    """Whether a key that came for a record is to be kept: another one that is here stays, unless it is proven wrong.

    The same one again is, for it comes for a later epoch.
    """
    facts = patients_facts(db, ref)
    if facts is None or facts.key is None:
        return True
    try:
        before = opened(keys, facts.key, facts.commitment)
    except (LedgerError, UnknownKey):
        return True
    if before == data_key:
        return True
    return opens(blobs, data_key, facts.commitment, facts.blob, facts.size_class)
