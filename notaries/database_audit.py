"""Recomputes a notary's whole database and names what somebody changed (clause N9.1)."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from notaries.sqlite_log import RowSeals
from notaries.uniqueness import OUTPUT_BITS, OUTPUT_MAX
from states.checkpoint import Checkpoint, LogKeys
from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import EMPTY_ROOT, TILE_WIDTH, leaf_hash, root_of, split_hashes
from states.errors import LedgerError
from states.receipt import LogEntry, entry_bytes

_UNKNOWN = "not known from what else is here"


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is not what the notary wrote; `expected` is what other evidence says of it."""

    table: str
    row: str
    why: str
    expected: str = _UNKNOWN


class _Text(bytes):
    """Keeps TEXT apart from BLOB, where the notary would too."""


def _reading(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    db.text_factory = _Text
    return db


def audit_database(
    log_path: Path, index_path: Path, keys: LogKeys, seal_key: bytes
) -> list[Change]:
    """Return every row of log.db and index.db that is not as the notary wrote it.

    Entries are recomputed from rows, tiles from entries, the root from tiles, and compared with the signed checkpoint;
    then the index with the log. Rows carry a seal under `seal_key`, so that a changed one is named even where nothing
    else pins it. The notary may run meanwhile; what it adds is not read. An index that is not there is no finding.
    """
    with closing(_reading(log_path)) as db:
        db.execute("BEGIN")  # one snapshot for all that follows
        changes = _Audit(db, keys, RowSeals(seal_key)).run()
    if index_path.exists():
        changes += _guarded("index.db", lambda: _index_changes(log_path, index_path))
    return changes


def _guarded(table: str, part: Callable[[], list[Change]]) -> list[Change]:
    """Run a part; a file that SQLite cannot read is a finding, too."""
    try:
        return part()
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as broken:
        return [Change(table, "file", f"cannot be read: {broken}")]


class _Audit:
    """One pass over log.db."""

    def __init__(self, db: sqlite3.Connection, keys: LogKeys, seals: RowSeals) -> None:
        self._db, self._keys, self._seals = db, keys, seals
        self._changes: list[Change] = []
        self._count = 0
        self._last_at = 0

    def run(self) -> list[Change]:
        self._changes += _guarded("log.db", self._file)
        self._changes += _guarded("log", self._rows_and_tiles)
        self._changes += _guarded("head", self._head)
        return self._changes

    def _file(self) -> list[Change]:
        return [
            Change("log.db", "file", bytes(text).decode(errors="replace"))
            for (text,) in self._db.execute("PRAGMA integrity_check(20)")
            if text != b"ok"
        ]

    # -- rows --------------------------------------------------------------------------------------

    def _rows_and_tiles(self) -> list[Change]:
        """Entries from rows, tiles from entries, the root from tiles."""
        roots: list[bytes] = []
        leaves: list[bytes | None] = []
        spends = _Grouped(self._db)
        for n, *columns in self._log_rows():
            leaves.append(self._leaf(n, columns, spends.take(n)))
            if len(leaves) == TILE_WIDTH:
                roots.append(root_of(self._level_zero(len(roots), leaves)))
                leaves = []
        for at, *_ in spends.rest():
            self._note(
                "spend", _place(at), "of a transaction that is not in the log", "no such row"
            )
        self._upper_levels(roots)
        self._twice()
        self._against_checkpoint(roots, leaves)
        return []

    def _log_rows(self) -> Iterator[tuple[int, object, object, object, object, object]]:
        """Yield every row from 0 on, also those that are missing."""
        expected = 0
        for row in self._db.execute("SELECT n, id, at, until, spends, seal FROM log ORDER BY n"):
            while expected < row[0]:
                self._note("log", str(expected), "missing", self._said_by_tile(expected))
                yield expected, None, None, None, None, None
                expected += 1
            yield row
            expected = row[0] + 1
        self._count = expected

    def _leaf(
        self, n: int, columns: list[object], spends: list[tuple[int, object, object, object]]
    ) -> bytes | None:
        """Return the leaf hash of a transaction whose rows are all as they were sealed."""
        tx, at, until, count, seal = columns
        if tx is None and seal is None:
            return None
        if not (
            type(tx) is bytes
            and len(tx) == HASH_SIZE
            and isinstance(at, int)
            and isinstance(until, int)
            and isinstance(count, int)
            and min(at, until, count) >= 0
            and type(seal) is bytes
            and self._seals.log(n, tx, at, until, count) == seal
        ):
            self._note("log", str(n), "changed: its seal does not fit", self._said_by_tile(n))
            return None
        if at < self._last_at:
            self._note(
                "log", str(n), "older than the row before", f"a time from {self._last_at} on"
            )
        self._last_at = max(self._last_at, at)
        nullifiers = self._nullifiers(n, count, spends)
        return None if nullifiers is None else leaf_hash(entry_bytes(LogEntry(tx, at, nullifiers)))

    def _nullifiers(
        self, n: int, count: int, spends: list[tuple[int, object, object, object]]
    ) -> tuple[bytes, ...] | None:
        """Return what a transaction's spend rows say, if they are all there and as they were sealed."""
        nullifiers = []
        rows = {key: row for key, *row in spends}
        for key in range(n << OUTPUT_BITS, (n << OUTPUT_BITS) + count):
            k, nullifier, seal = rows.pop(key, (None, None, None))
            if k is None:
                self._note("spend", _place(key), "missing", self._said_by_tile(n))
            elif not (
                isinstance(k, int)
                and k >= 0
                and type(nullifier) is bytes
                and len(nullifier) == HASH_SIZE
                and self._seals.spend(key, k, nullifier) == seal
            ):
                why = "changed: its seal does not fit"
                self._note("spend", _place(key), why, self._said_by_tile(n))
            elif k >> OUTPUT_BITS >= n:
                self._note(
                    "spend", _place(key), "consumes what was created later", "an older place"
                )
            else:
                nullifiers.append(nullifier)
        for key in rows:
            self._note("spend", _place(key), "more than its transaction has", "no such row")
        return tuple(nullifiers) if len(nullifiers) == count else None

    def _said_by_tile(self, n: int) -> str:
        """What a full tile, if there is one, pins of an entry: its hash."""
        tile = self._tile(0, n // TILE_WIDTH)
        if tile is None or len(tile) != TILE_WIDTH * HASH_SIZE:
            return _UNKNOWN
        leaf = split_hashes(tile)[n % TILE_WIDTH]
        return f"an entry whose leaf hash is {leaf.hex()} (tile 0/{n // TILE_WIDTH})"

    def _twice(self) -> None:
        for column in ("k", "nullifier"):
            for (count,) in self._db.execute(
                f"SELECT count(*) FROM spend GROUP BY {column} HAVING count(*) > 1"  # noqa: S608 - two constants
            ):
                self._note(
                    "spend", column, f"one {column} in {count} rows", "each state consumed once"
                )

    # -- tiles -------------------------------------------------------------------------------------

    def _tile(self, level: int, number: int) -> bytes | None:
        row = self._db.execute(
            "SELECT hashes FROM tile WHERE level = ? AND number = ?", (level, number)
        ).fetchone()
        return row[0] if row is not None and type(row[0]) is bytes else None

    def _level_zero(self, number: int, leaves: list[bytes | None]) -> list[bytes]:
        """Compare a tile with the entries; where an entry is spoilt, the tile's hash stands in for it."""
        stored = self._tile(0, number) or b""
        there = split_hashes(stored) if len(stored) == TILE_WIDTH * HASH_SIZE else []
        spare = there or [bytes(HASH_SIZE)] * TILE_WIDTH
        expected = [leaf or kept for leaf, kept in zip(leaves, spare, strict=True)]
        self._compare(0, number, expected, stored)
        return expected

    def _upper_levels(self, roots: list[bytes]) -> None:
        level, wanted = 1, {(0, number) for number in range(len(roots))}
        while len(roots) >= TILE_WIDTH:
            above = []
            for number in range(len(roots) // TILE_WIDTH):
                expected = roots[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
                self._compare(level, number, expected, self._tile(level, number) or b"")
                above.append(root_of(expected))
                wanted.add((level, number))
            roots, level = above, level + 1
        for key in self._db.execute("SELECT level, number FROM tile ORDER BY 1, 2"):
            if key not in wanted:
                self._note("tile", f"{key[0]}/{key[1]}", "no such tile is full", "no such row")

    def _compare(self, level: int, number: int, expected: list[bytes], stored: bytes) -> None:
        if stored == b"".join(expected):
            return
        row = f"{level}/{number}"
        if len(stored) != TILE_WIDTH * HASH_SIZE:
            self._note("tile", row, "missing or cut", b"".join(expected).hex())
            return
        for at, (wanted, found) in enumerate(zip(expected, split_hashes(stored), strict=True)):
            if wanted != found:
                self._note("tile", row, f"hash {at} is {found.hex()}", wanted.hex())

    # -- head --------------------------------------------------------------------------------------

    def _checkpoint(self) -> Checkpoint | None:
        row = self._db.execute("SELECT note FROM head").fetchone()
        try:
            return self._keys.open(bytes(row[0]).decode()).checkpoint if row else None
        except (LedgerError, UnicodeDecodeError, TypeError):
            return None

    def _against_checkpoint(self, roots: list[bytes], tail: list[bytes | None]) -> None:
        signed = self._checkpoint()
        known = [leaf for leaf in tail if leaf is not None]
        if signed is None or len(known) != len(tail):
            return  # named already, or by `_head`
        chunks = [*roots, root_of(known)] if known else roots
        root = root_of(chunks) if chunks else EMPTY_ROOT
        if signed.size != self._count:
            why = f"{self._count} rows under a checkpoint of {signed.size}"
            self._note("log", f"{min(signed.size, self._count)}…", why, f"{signed.size} rows")
        elif signed.root != root:
            self._note("head", "note", f"rows and tiles lead to {root.hex()}", signed.root.hex())

    def _head(self) -> list[Change]:
        rows = self._db.execute("SELECT size, clock, note, seal FROM head").fetchall()
        if len(rows) != 1:
            return [Change("head", "1", f"{len(rows)} rows", "one row")]
        size, clock, note, seal = rows[0]
        changes = []
        if not isinstance(note, _Text) or self._checkpoint() is None:
            changes.append(Change("head", "note", "not a checkpoint that this notary signed"))
        sealed = isinstance(note, _Text) and isinstance(size, int) and isinstance(clock, int)
        text = bytes(note).decode(errors="replace") if sealed else ""
        if not sealed or min(size, clock) < 0 or self._seals.head(size, clock, text) != seal:
            changes.append(Change("head", "1", "changed: its seal does not fit"))
        elif size != self._count or clock < self._last_at:
            expected = f"size {self._count}, clock from {self._last_at} on"
            changes.append(Change("head", "1", f"size {size}, clock {clock}", expected))
        return changes

    def _note(self, table: str, row: str, why: str, expected: str = _UNKNOWN) -> None:
        self._changes.append(Change(table, row, why, expected))


class _Grouped:
    """Hands out spend rows by transaction, in one pass."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._rows = iter(db.execute("SELECT at, k, nullifier, seal FROM spend ORDER BY at"))
        self._next = next(self._rows, None)

    def take(self, n: int) -> list[tuple[int, object, object, object]]:
        taken = []
        while self._next is not None and self._next[0] >> OUTPUT_BITS <= n:
            taken.append(self._next)
            self._next = next(self._rows, None)
        return taken

    def rest(self) -> Iterator[tuple[int, object, object, object]]:
        while self._next is not None:
            yield self._next
            self._next = next(self._rows, None)


def _place(at: int) -> str:
    return f"{at >> OUTPUT_BITS}:{at & OUTPUT_MAX}"


# -- index.db ------------------------------------------------------------------------------------------

_INDEX_QUERIES = (
    (
        "index.tx",
        "missing or of another row",
        "SELECT l.n, hex(l.id) || ' until ' || l.until FROM l.log l"
        " LEFT JOIN tx t ON t.until = l.until AND t.id = l.id"
        " WHERE l.n < (SELECT n FROM mark) AND t.n IS NOT l.n",
    ),
    (
        "index.tx",
        "not in the log",
        "SELECT hex(t.id) || ' at ' || t.n, 'no such row' FROM tx t LEFT JOIN l.log l ON l.n = t.n"
        " WHERE l.id IS NOT t.id OR l.until IS NOT t.until",
    ),
    (
        "index.consumed",
        "missing or by another",
        "SELECT s.k, 'by ' || s.by FROM temp.spent s LEFT JOIN consumed c ON c.k = s.k"
        " WHERE s.by < (SELECT n FROM mark) AND c.by IS NOT s.by",
    ),
    (
        "index.consumed",
        "not in the log",
        "SELECT c.k, 'no such row' FROM consumed c LEFT JOIN temp.spent s ON s.k = c.k"
        " WHERE s.by IS NULL",
    ),
    (
        "index.mark",
        "not a row of the log",
        "SELECT m.n, 'a row of the log and its id' FROM mark m LEFT JOIN l.log l ON l.n = m.n - 1"
        " WHERE l.id IS NOT m.id",
    ),
)


def _index_changes(log_path: Path, index_path: Path) -> list[Change]:
    """Compare index.db with the log, row by row, in both directions."""
    with closing(_reading(index_path)) as db:
        db.text_factory = str
        db.execute("ATTACH ? AS l", (f"{log_path.absolute().as_uri()}?mode=ro",))
        db.execute("CREATE TEMP TABLE spent(k INTEGER PRIMARY KEY, by INTEGER)")
        db.execute(
            "INSERT OR IGNORE INTO temp.spent SELECT k, at >> ? FROM l.spend", (OUTPUT_BITS,)
        )
        return [
            Change(table, str(row), why, str(expected))
            for table, why, query in _INDEX_QUERIES
            for row, expected in db.execute(query)
        ]
