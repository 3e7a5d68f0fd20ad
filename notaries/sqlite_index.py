"""index.db: what is consumed and where a transaction is, derived from log.db and never believed before it.

consumed(k, by) · tx(until, id, n) · mark(n, id of the last row that is indexed)

It may be lost, stale or of another log: then it is made anew. What is logged but not indexed lies in
dictionaries, which a start reads from the log's tail. Rows are moved in slices in key order, so that one
page write serves several.
"""

import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from notaries.sqlite_log import LogDatabase, Point, connect, move_wal, numbers
from notaries.uniqueness import OUTPUT_BITS, CommitRequest
from states.crypto.hashes import HASH_SIZE

_TABLES = (
    "CREATE TABLE IF NOT EXISTS consumed(k INTEGER PRIMARY KEY, by INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tx(until INTEGER, id BLOB, n INTEGER NOT NULL,"
    " PRIMARY KEY(until, id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS mark(one INTEGER PRIMARY KEY CHECK(one = 1), n INTEGER NOT NULL,"
    " id BLOB NOT NULL)",
)


@dataclass(slots=True)
class Tail:
    """What a stretch of the log says, in memory."""

    transactions: dict[tuple[int, bytes], int] = field(default_factory=dict)
    consumed: dict[int, int] = field(default_factory=dict)


class Indexer:
    """Moves stretches of the log into index.db, on a connection of its own."""

    def __init__(
        self, log_path: Path, index_path: Path, slice_rows: int, reached: Callable[[Point], None]
    ) -> None:
        # NORMAL: after a power cut the newest slices may be gone, and are derived again.
        self._db = connect(index_path, "NORMAL")
        self._db.execute("ATTACH ? AS l", (str(log_path),))
        self._log = connect(log_path, "FULL")
        self._slice_rows = slice_rows
        self._reached = reached

    def index(self, low: int, high: int) -> None:
        """Index the log's rows [low, high); what is there already stays."""
        db = self._db
        db.execute("DROP TABLE IF EXISTS temp.batch")
        db.execute(
            "CREATE TEMP TABLE batch AS SELECT k, at >> ?1 AS by FROM l.spend"
            " WHERE at >= ?2 AND at < ?3 ORDER BY k",
            (OUTPUT_BITS, low << OUTPUT_BITS, high << OUTPUT_BITS),
        )
        rows = db.execute("SELECT coalesce(max(rowid), 0) FROM temp.batch").fetchone()[0]
        for start in range(0, rows, self._slice_rows):
            # Killed between slices: the mark is unmoved, so that all are done again; each row is there or not.
            db.execute(
                "INSERT OR IGNORE INTO consumed SELECT k, by FROM temp.batch"
                " WHERE rowid > ? AND rowid <= ?",
                (start, start + self._slice_rows),
            )
            self._reached(Point.SLICE_INDEXED)
            move_wal(db)
        db.execute("DROP TABLE temp.batch")
        self._finish(low, high)

    def _finish(self, low: int, high: int) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(
                "INSERT OR IGNORE INTO tx SELECT until, id, n FROM l.log"
                " WHERE n >= ? AND n < ? ORDER BY 1, 2",
                (low, high),
            )
            self._reached(Point.TRANSACTIONS_INDEXED)
            db.execute(
                "INSERT OR REPLACE INTO mark SELECT 1, n + 1, id FROM l.log WHERE n = ? - 1",
                (high,),
            )
        except sqlite3.Error:
            db.execute("ROLLBACK")
            raise
        # Before this line a start reads these rows from the log's tail, after it from here: the same answers.
        db.execute("COMMIT")
        self._reached(Point.MARK_COMMITTED)
        move_wal(db)

    def move_log(self) -> None:
        move_wal(self._log)
        self._reached(Point.WAL_MOVED)

    def close(self) -> None:
        self._db.close()
        self._log.close()


def _opened(path: Path, log: LogDatabase) -> tuple[sqlite3.Connection, int]:
    """Return index.db and its mark; an index that is damaged or of another log is thrown away first."""
    try:
        db, mark = _existing(path, log)
    except sqlite3.DatabaseError as wrong:
        if isinstance(wrong, sqlite3.OperationalError) and "locked" in str(wrong):
            raise
        db, mark = None, 0
    if db is not None:
        return db, mark
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    db, mark = _existing(path, log)
    assert db is not None, "an empty index is nobody else's"
    return db, mark


def _existing(path: Path, log: LogDatabase) -> tuple[sqlite3.Connection | None, int]:
    db = connect(path, "NORMAL")
    try:
        for table in _TABLES:
            db.execute(table)
        mark, last = db.execute("SELECT n, id FROM mark").fetchone() or (0, b"")
        if mark == 0 or log.ids([mark - 1]) == {mark - 1: last}:
            return db, mark
    except sqlite3.Error:
        db.close()
        raise
    db.close()
    return None, 0


class DerivedIndex:
    """Answers for the whole log: index.db up to a mark, dictionaries from there on.

    With `background` a thread moves the tail once it is `every` transactions long; without, `advance` does. The caller
    has the head locked in every call.
    """

    def __init__(  # noqa: PLR0913
        self,
        log_path: Path,
        index_path: Path,
        log: LogDatabase,
        size: int,
        *,
        every: int,
        slice_rows: int,
        background: bool,
        reached: Callable[[Point], None],
    ) -> None:
        self._db, self._mark = _opened(index_path, log)
        self._every = every
        self._indexer = Indexer(log_path, index_path, slice_rows, reached)
        while size - self._mark >= every:  # lost or long behind: in the same stretches as ever
            self._indexer.index(self._mark, self._mark + every)
            self._mark += every
        self._fresh, self._flushing = _tail_of(log, self._mark), Tail()
        self._job: tuple[int, int] | None = None
        self._failure: sqlite3.Error | None = None
        self._moving_log = self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notary-index", daemon=True)
        self._background = background
        if background:
            self._thread.start()

    # -- asking ------------------------------------------------------------------------------------

    def committed(self, keys: Sequence[tuple[int, bytes]]) -> dict[bytes, int]:
        """Transaction id → log index, for those of (window's end, id) that are in the log."""
        found: dict[bytes, int] = dict(
            self._db.execute(
                "SELECT t.id, t.n FROM json_each(?1) j CROSS JOIN tx t"
                " ON t.until = j.value AND t.id = substr(?2, 1 + ?3 * j.key, ?3)",
                (numbers(until for until, _ in keys), b"".join([tx for _, tx in keys]), HASH_SIZE),
            ).fetchall()
        )
        for tail in (self._fresh, self._flushing):
            if tail.transactions:
                known = tail.transactions
                found.update((key[1], known[key]) for key in keys if key in known)
        return found

    def spenders(self, places: Collection[int]) -> dict[int, int]:
        found: dict[int, int] = dict(
            self._db.execute(
                "SELECT c.k, c.by FROM json_each(?) j CROSS JOIN consumed c ON c.k = j.value",
                (numbers(places),),
            ).fetchall()
        )
        for tail in (self._fresh, self._flushing):
            if tail.consumed:
                found.update((p, tail.consumed[p]) for p in places if p in tail.consumed)
        return found

    # -- following the log -------------------------------------------------------------------------

    def advance(self, first: int, placed: Sequence[CommitRequest]) -> None:
        """Take in what COMMIT made durable: never earlier, for a rollback would leave lies here."""
        transactions, consumed = self._fresh.transactions, self._fresh.consumed
        for n, request in enumerate(placed, first):
            transactions[request.closes, request.transaction] = n
            for claim in request.inputs:
                consumed[claim.place] = n
        if self._failure is not None:
            raise self._failure
        if self._job is None:
            self._flushing = Tail()  # the last stretch is in index.db now
            size = first + len(placed)
            if size - self._mark >= self._every:
                self._flushing, self._fresh = self._fresh, Tail()
                self._job = (self._mark, size)
                self._start_work()

    def move_log(self) -> None:
        """Have log.db's write-ahead log moved, beside whatever else is going on."""
        self._moving_log = True
        self._start_work()

    def _start_work(self) -> None:
        if self._background:
            self._wake.set()
        else:
            self._step()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stopping:
                return
            try:
                self._step()
            except sqlite3.Error as failure:
                self._failure = failure  # the next batch raises it, and all is read afresh
                return

    def _step(self) -> None:
        job = self._job
        if job is not None:
            self._indexer.index(*job)
            self._mark = job[1]
            self._job = None  # last: from here on the caller may forget the stretch
        if job is not None or self._moving_log:
            self._moving_log = False
            self._indexer.move_log()

    def close(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._background:
            self._thread.join()
        self._indexer.close()
        self._db.close()


def _tail_of(log: LogDatabase, mark: int) -> Tail:
    transactions: dict[tuple[int, bytes], int] = {
        (until, tx): n
        for until, tx, n in log.db.execute("SELECT until, id, n FROM log WHERE n >= ?", (mark,))
    }
    consumed = {
        k: at >> OUTPUT_BITS
        for k, at in log.db.execute("SELECT k, at FROM spend WHERE at >= ?", (mark << OUTPUT_BITS,))
    }
    return Tail(transactions, consumed)
