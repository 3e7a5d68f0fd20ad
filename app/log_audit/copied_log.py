"""One notary's log as a member copied it: fetched as it grows, held against what was signed, read back offline."""

import logging
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from sqlalchemy import bindparam, insert, select, update

from app.log_audit.edge import Edge
from app.log_audit.tables import LOG_COPY_TABLES
from app.storage.database import DatabaseDamaged, naming_damage, open_database, transaction
from app.storage.statements import creation, sql, table_of
from app.witness import ReadTile, consistency
from notaries.audit import (
    DoubleSpend,
    EntryReading,
    Finding,
    LoggedTwice,
    NotAsSigned,
    TimeFell,
)
from states.checkpoint import LogKeys, VerifiedCheckpoint
from states.crypto.merkle import TILE_HEIGHT, TILE_WIDTH, split_hashes, verify_consistency
from states.errors import InvalidProof, MalformedBytes
from states.receipt import parse_entry
from states.tiles import bundles_of, decode_bundle

FILE_NAME = "notary-logs.db"
_log = logging.getLogger("carecord.audit")

CACHE_KIB = 8_192
STRIDE = (
    2 * TILE_WIDTH
)  # entries taken in one go: a few tens of ms in which the node does nothing else

_LOG, _ENTRY, _MARK = (table_of(each) for each in LOG_COPY_TABLES)
_HEAD = sql(
    select(_LOG.c.number, _LOG.c.size, _LOG.c.edge, _LOG.c.at, _LOG.c.note, _LOG.c.path).where(
        _LOG.c.origin == bindparam("of")
    )
)
_BEGIN = sql(insert(_LOG).values({c.name: bindparam(c.name) for c in _LOG.c if c.name != "number"}))
_MOVE = sql(
    update(_LOG)
    .where(_LOG.c.number == bindparam("log"))
    .values({name: bindparam(name) for name in ("size", "edge", "at", "note", "path")})
)
_ADD_ENTRY = sql(insert(_ENTRY))
_ADD_MARK = sql(insert(_MARK).prefix_with("OR IGNORE"))
_WHERE = sql(
    select(_MARK.c.idx).where(_MARK.c.log == bindparam("log"), _MARK.c.mark == bindparam("mark"))
)
_ENTRIES = sql(
    select(_ENTRY.c.idx, _ENTRY.c.entry)
    .where(_ENTRY.c.log == bindparam("log"), _ENTRY.c.idx < bindparam("size"))
    .order_by(_ENTRY.c.idx)
)


def open_copies(path: Path | str) -> Connection:
    """Open or make the database of a member's copies.

    A power cut may take the last strides from it, which are fetched again: no commit waits for the disk. One that is
    damaged is thrown away, and all is fetched again; what was found in it lies in the vault.
    """
    try:
        return _opened(path)
    except DatabaseDamaged:
        _log.warning("the copies of the notaries' logs are damaged: they are made anew")
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        return _opened(path)


def _opened(path: Path | str) -> Connection:
    db = open_database(path, cache_kib=CACHE_KIB)
    with naming_damage(path):
        db.execute("PRAGMA synchronous=NORMAL")
        with transaction(db):
            for statement in creation(*LOG_COPY_TABLES):
                db.execute(statement)
    return db


@dataclass(frozen=True, slots=True)
class _Head:
    """A log's row."""

    log: int
    edge: Edge
    at: int
    note: str
    path: bytes


@dataclass(frozen=True, slots=True)
class CopyAudit:
    """What is wrong with the first `size` entries of a log of which `signed` are signed."""

    size: int
    signed: int
    findings: tuple[Finding, ...]


class CopiedLog:
    """The copy of one log in a member's database; it holds nothing in memory."""

    def __init__(self, db: Connection, keys: LogKeys) -> None:
        self._db = db
        self._keys = keys

    @property
    def size(self) -> int:
        """How many entries are copied."""
        head = self._head()
        return 0 if head is None else head.edge.size

    # -- following -------------------------------------------------------------------------------------

    async def follow(self, seen: VerifiedCheckpoint, read: ReadTile) -> tuple[Finding, ...]:
        """Copy the next STRIDE entries below a checkpoint, or all that are left, and return what they break.

        Nothing is copied that the checkpoint does not prove. Raises what `read` raises, and MalformedBytes or
        InvalidProof where what is served is not what was signed: then nothing changed, and it may be tried again.
        """
        head = self._head() or self._begin(seen)
        have, size = head.edge.size, seen.checkpoint.size
        if size <= have:
            return ()
        until = min(size, (have + STRIDE) >> TILE_HEIGHT << TILE_HEIGHT)
        entries = list[bytes]()
        for name in bundles_of(until, have):
            bundle = decode_bundle(await read(name.path), name.width)
            entries += bundle[max(0, have - name.number * TILE_WIDTH) :]
        edge = head.edge.grown(entries)
        path = await consistency(until, size, read)
        _require_signed(edge, path, seen)
        with transaction(self._db):
            self._db.executemany(
                _ADD_ENTRY,
                [
                    {"log": head.log, "idx": at, "entry": entry}
                    for at, entry in enumerate(entries, have)
                ],
            )
            findings, latest = self._judge(head, entries)
            self._db.execute(
                _MOVE,
                {
                    "log": head.log,
                    "size": edge.size,
                    "edge": edge.data,
                    "at": latest,
                    "note": seen.note,
                    "path": b"".join(path),
                },
            )
        return tuple(findings)

    def _begin(self, seen: VerifiedCheckpoint) -> _Head:
        row = {
            "origin": self._keys.origin,
            "size": 0,
            "edge": b"",
            "at": 0,
            "note": seen.note,
            "path": b"",
        }
        self._db.execute(_BEGIN, row)
        head = self._head()
        assert head is not None, "it was just written"
        return head

    def _judge(self, head: _Head, entries: list[bytes]) -> tuple[list[Finding], int]:
        """Return what signed entries break, and the latest time until then."""
        findings, latest = list[Finding](), head.at
        for index, data in enumerate(entries, head.edge.size):
            try:
                entry = parse_entry(data)
            except MalformedBytes as refused:
                findings.append(NotAsSigned(f"entry {index}", str(refused)))
                continue
            first = self._mark(head.log, entry.transaction, index)
            if first != index:
                findings.append(LoggedTwice(entry.transaction, first, index))
            for nullifier in entry.nullifiers:
                spent = self._mark(head.log, nullifier, index)
                if spent != index:
                    findings.append(DoubleSpend(nullifier, spent, index))
            if entry.at < latest:
                findings.append(TimeFell(index, latest, entry.at))
            latest = max(latest, entry.at)
        return findings, latest

    def _mark(self, log: int, mark: bytes, index: int) -> int:
        """Remember that a mark stands at `index`, unless it stood before; return where it stands first."""
        row = {"log": log, "mark": mark, "idx": index}
        if self._db.execute(_ADD_MARK, row).rowcount:
            return index
        return int(self._db.execute(_WHERE, {"log": log, "mark": mark}).fetchone()[0])

    def _head(self) -> _Head | None:
        row = self._db.execute(_HEAD, {"of": self._keys.origin}).fetchone()
        if row is None:
            return None
        log, size, edge, at, note, path = row
        return _Head(log, Edge.parse(size, edge), at, note, path)

    # -- offline ---------------------------------------------------------------------------------------

    def audit(self) -> "CopyAudit | None":
        """Read the whole copy again, believe nothing but the notary's signature, and say what is wrong.

        None where nothing was copied yet. Takes the memory that `EntryReading` says. Raises a LedgerError where the
        kept checkpoint is not the notary's.
        """
        head = self._head()
        if head is None:
            return None
        seen = self._keys.open(head.note)
        reading, edge = EntryReading(), Edge()
        rows = self._db.execute(_ENTRIES, {"log": head.log, "size": head.edge.size})
        for index, data in rows:
            edge = edge.grown([data])
            try:
                reading.read(index, parse_entry(data))
            except MalformedBytes as refused:
                reading.findings.append(NotAsSigned(f"entry {index}", str(refused)))
        try:
            _require_signed(edge, split_hashes(head.path), seen)
        except InvalidProof as refused:
            reading.findings.append(NotAsSigned("entries", str(refused)))
        return CopyAudit(edge.size, seen.checkpoint.size, tuple(reading.findings))


def _require_signed(edge: Edge, path: list[bytes], seen: VerifiedCheckpoint) -> None:
    """Raise InvalidProof unless the entries are the beginning of the log that a checkpoint signs."""
    if edge.size:
        signed = seen.checkpoint
        verify_consistency(edge.size, signed.size, path, edge.root(), signed.root)
