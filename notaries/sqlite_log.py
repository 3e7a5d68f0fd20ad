"""log.db: the append-only truth of a notary on SQLite.

log(n, id, at, until, spends, seal)   one row a transaction, in log order
spend(at, k, nullifier, seal)         at = log index << 16 | input; k = creator's log index << 16 | output
tile(level, number, hashes)           full tiles
head(size, clock, note, seal)         one row: the newest checkpoint, and the latest time that was promised

`seal` is a keyed hash of the row's other columns: who can write the file but has not the key cannot change a row
unnoticed (`notaries.audit`). A batch dirties a handful of pages at the ends of the tables, however long the history.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from struct import Struct

from notaries.log import Growth, Head, LogSigner, empty_head
from notaries.uniqueness import OUTPUT_BITS, Claim, CommitRequest, StoreFailed
from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import TILE_WIDTH, GrowingTree, leaf_hash
from states.errors import LedgerError
from states.receipt import LogEntry, entry_bytes

SEAL_SIZE = 16
BUSY_MS = 30_000  # another process may hold the head for a batch; longer is a fault
MMAP_BYTES = 1 << 33
CACHE_KIB = 64 * 1_024

TABLES = (
    "CREATE TABLE IF NOT EXISTS log(n INTEGER PRIMARY KEY, id BLOB NOT NULL, at INTEGER NOT NULL,"
    " until INTEGER NOT NULL, spends INTEGER NOT NULL, seal BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spend(at INTEGER PRIMARY KEY, k INTEGER NOT NULL,"
    " nullifier BLOB NOT NULL, seal BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tile(level INTEGER, number INTEGER, hashes BLOB NOT NULL,"
    " PRIMARY KEY(level, number)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS head(one INTEGER PRIMARY KEY CHECK(one = 1), size INTEGER NOT NULL,"
    " clock INTEGER NOT NULL, note TEXT NOT NULL, seal BLOB NOT NULL)",
)


class Point(StrEnum):
    """Where a process may die: each is passed once its line has run. Named in notaries/README.md."""

    HEAD_LOCKED = "head locked"
    LOG_WRITTEN = "log rows written"
    SPENDS_WRITTEN = "spend rows written"
    TILES_WRITTEN = "tiles written"
    HEAD_WRITTEN = "head row written"
    COMMITTED = "committed"
    ADVANCED = "memory advanced"
    CLOCK_WRITTEN = "clock row written"
    SLICE_INDEXED = "slice indexed"
    TRANSACTIONS_INDEXED = "transactions indexed"
    MARK_COMMITTED = "mark committed"
    WAL_MOVED = "write-ahead log moved"


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """Open a database in WAL mode; who opens it moves the WAL himself, at a moment of his choice."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in (
        f"busy_timeout={BUSY_MS}",
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "wal_autocheckpoint=0",
        f"cache_size=-{CACHE_KIB}",
        f"mmap_size={MMAP_BYTES}",
        "temp_store=MEMORY",
    ):
        db.execute("PRAGMA " + pragma)
    return db


def move_wal(db: sqlite3.Connection) -> None:
    """Move the write-ahead log into the file: most of it beside writers, then the rest, and start it anew."""
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()


_TWO, _FOUR = Struct(">qq").pack, Struct(">qqqq").pack  # as SQLite holds integers


@dataclass(frozen=True, slots=True)
class RowSeals:
    """Keyed hashes of rows; the key comes from the key store and lies in no database."""

    key: bytes

    def _seal(self, table: bytes, row: bytes) -> bytes:
        return blake2b(row, digest_size=SEAL_SIZE, key=self.key, person=table).digest()

    def log(self, n: int, tx: bytes, at: int, until: int, spends: int) -> bytes:
        return self._seal(b"log", _FOUR(n, at, until, spends) + tx)

    def spend(self, at: int, place: int, nullifier: bytes) -> bytes:
        return self._seal(b"spend", _TWO(at, place) + nullifier)

    def head(self, size: int, clock: int, note: str) -> bytes:
        return self._seal(b"head", _TWO(size, clock) + note.encode())


@dataclass(frozen=True, slots=True)
class LogDatabase:
    """Statements over log.db. Whoever calls holds the connection; transactions are the caller's."""

    db: sqlite3.Connection
    seals: RowSeals

    def create(self, signer: LogSigner, now: int) -> None:
        """Make the tables and the checkpoint of the empty log, if they are not there."""
        self.db.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            self.db.execute(table)
        if self.db.execute("SELECT 1 FROM head").fetchone() is None:
            self.write_head(0, now, empty_head(signer, now).note)
        # A crash before this line leaves a file without tables, which the next start makes.
        self.db.execute("COMMIT")

    def write_head(self, size: int, clock: int, note: str) -> None:
        self.db.execute(
            "INSERT OR REPLACE INTO head VALUES(1, ?, ?, ?, ?)",
            (size, clock, note, self.seals.head(size, clock, note)),
        )

    def position(self) -> tuple[int, int]:
        """Return (size, clock) of the head row."""
        size, clock = self.db.execute("SELECT size, clock FROM head").fetchone()
        return size, clock

    def restore(self, signer: LogSigner) -> tuple[Head, int]:
        """Return head and clock as they are on disk.

        Raises StoreFailed if rows, tiles and the signed checkpoint do not fit: to go on from there would fork the log.
        """
        size, clock, note = self.db.execute("SELECT size, clock, note FROM head").fetchone()
        (last,) = self.db.execute("SELECT max(n) FROM log").fetchone()
        try:
            signed = signer.keys.open(note).checkpoint
            tail = self.entries(size - size % TILE_WIDTH, size)
            hashes = [leaf_hash(entry_bytes(entry)) for entry in tail]
            tree = GrowingTree.restore(size, self._tile_there, hashes)
        except (LedgerError, ValueError) as wrong:
            raise StoreFailed(f"log.db does not fit together: {wrong}") from wrong
        rows = 0 if last is None else last + 1
        if (rows, tree.root()) != (signed.size, signed.root) or size != signed.size:
            raise StoreFailed(
                "log.db is not what its checkpoint says; audit it before anything else"
            )
        return Head(size, signed.root, note, tree), clock

    def _tile_there(self, level: int, number: int) -> bytes:
        tile = self.tile(level, number)
        if tile is None:
            raise ValueError(f"tile {level}/{number} is missing")
        return tile

    # -- writing, inside the caller's transaction --------------------------------------------------

    def write_rows(self, first: int, placed: Sequence[CommitRequest], at: int) -> None:
        seal = self.seals.log
        self.db.executemany(
            "INSERT INTO log VALUES(?, ?, ?, ?, ?, ?)",
            [
                (
                    n,
                    r.transaction,
                    at,
                    r.closes,
                    k := len(r.inputs),
                    seal(n, r.transaction, at, r.closes, k),
                )
                for n, r in enumerate(placed, first)
            ],
        )

    def write_spends(self, first: int, placed: Sequence[CommitRequest]) -> None:
        seal = self.seals.spend
        self.db.executemany(
            "INSERT INTO spend VALUES(?, ?, ?, ?)",
            [
                (at := n << OUTPUT_BITS | i, k := claim.place, nullifier, seal(at, k, nullifier))
                for n, r in enumerate(placed, first)
                for i, (claim, nullifier) in enumerate(zip(r.inputs, r.nullifiers, strict=True))
            ],
        )

    def write_tiles(self, growth: Growth) -> None:
        self.db.executemany("INSERT INTO tile VALUES(?, ?, ?)", growth.tiles)

    # -- reading -----------------------------------------------------------------------------------

    def tile(self, level: int, number: int) -> bytes | None:
        row = self.db.execute(
            "SELECT hashes FROM tile WHERE level = ? AND number = ?", (level, number)
        ).fetchone()
        return None if row is None else row[0]

    def entries(self, low: int, high: int) -> list[LogEntry]:
        """Return the entries [low, high). Raises ValueError for rows that are no entry."""
        nullifiers: dict[int, list[bytes]] = {}
        for at, nullifier in self.db.execute(
            "SELECT at, nullifier FROM spend WHERE at >= ? AND at < ? ORDER BY at",
            (low << OUTPUT_BITS, high << OUTPUT_BITS),
        ):
            nullifiers.setdefault(at >> OUTPUT_BITS, []).append(nullifier)
        return [
            LogEntry(tx, at, tuple(nullifiers.get(n, ())))
            for n, tx, at in self.db.execute(
                "SELECT n, id, at FROM log WHERE n >= ? AND n < ? ORDER BY n", (low, high)
            )
        ]

    def strangers(self, claims: Sequence[Claim]) -> set[int]:
        """Positions of claims whose transaction is not in the log where they say. Only what is wrong comes back."""
        rows = self.db.execute(
            "SELECT j.key FROM json_each(?1) j LEFT JOIN log l ON l.n = j.value"
            " WHERE l.id IS NOT substr(?2, 1 + ?3 * j.key, ?3)",
            (numbers(claim.at for claim in claims), b"".join([c.tx for c in claims]), HASH_SIZE),
        )
        return {position for (position,) in rows}

    def ids(self, indexes: Collection[int]) -> dict[int, bytes]:
        return dict(
            self.db.execute(
                "SELECT l.n, l.id FROM json_each(?) j CROSS JOIN log l ON l.n = j.value",
                (numbers(indexes),),
            ).fetchall()
        )


def numbers(values: Iterable[int]) -> str:
    """A JSON array for json_each: one statement for any number of keys."""
    return "[" + ",".join(map(str, values)) + "]"
