"""A notary's memory on SQLite: log.db is the truth, index.db is derived from it."""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from notaries.log import Growth, Head, LogSigner, ServedLog, grown
from notaries.settlement import Settlement, settle
from notaries.sqlite_index import DerivedIndex
from notaries.sqlite_log import LogDatabase, Point, RowSeals, connect
from notaries.uniqueness import Claim, CommitRequest, LivenessFound, Outcome, StoreFailed
from states.notarisation import Committed, Never, Unknown
from states.receipt import LogEntry
from states.state import TransactionId

LOG_NAME = "log.db"
INDEX_NAME = "index.db"
BATCHES_A_MOVE = 1_000  # a batch writes some five pages: the write-ahead log stays at some 20 MB


@dataclass(frozen=True, slots=True)
class Indexing:
    """How the index follows: how many transactions its tail may have, and how many rows a slice."""

    every: int = 50_000
    slice_rows: int = 5_000
    background: bool = True


def _unwatched(_: Point) -> None:
    """Nobody is waiting at any point."""


class SqliteProvider:
    """Keeps the promises of UniquenessProvider across crashes of its process and of its machine.

    Several processes may have one directory open: each reads the head under the lock before it adds to it.
    `seal_key` (32 bytes of the key store) seals rows; `reached` is told each Point that is passed.
    """

    def __init__(
        self,
        directory: Path,
        signer: LogSigner,
        seal_key: bytes,
        now: int,
        *,
        indexing: Indexing | None = None,
        reached: Callable[[Point], None] = _unwatched,
    ) -> None:
        self._paths = directory / LOG_NAME, directory / INDEX_NAME
        self._signer = signer
        self._seals = RowSeals(seal_key)
        self._indexing = indexing or Indexing()
        self._reached = reached
        self._lock = threading.Lock()
        self._reader_lock = threading.Lock()
        self._served = ServedLog(self)
        self._batches = 0
        self._opened: ExitStack | None = None
        with self._failing_as_store():
            self._open(now)

    # -- opening, and opening afresh ---------------------------------------------------------------

    def _open(self, now: int | None) -> None:
        log_path, index_path = self._paths
        with ExitStack() as opened:  # closes what is open already where the rest fails
            self._log = LogDatabase(connect(log_path, "FULL"), self._seals)
            opened.callback(self._log.db.close)
            if now is not None:
                self._log.create(self._signer, now)
            self._reader = LogDatabase(connect(log_path, "FULL"), self._seals)
            opened.callback(self._close_reader)
            self._head, self._clock = self._log.restore(self._signer)
            self._index = DerivedIndex(
                log_path,
                index_path,
                self._log,
                self._head.size,
                every=self._indexing.every,
                slice_rows=self._indexing.slice_rows,
                background=self._indexing.background,
                reached=self._reached,
            )
            opened.callback(self._index.close)
            self._opened = opened.pop_all()

    def _close_reader(self) -> None:
        with self._reader_lock:
            self._reader.db.close()

    def _shut(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened.close()

    @contextmanager
    def _failing_as_store(self) -> Iterator[None]:
        """After a fault memory may be ahead of the disk or behind it: drop it all, the disk is right."""
        try:
            yield
        except (sqlite3.Error, OSError) as failure:
            self._shut()
            raise StoreFailed(str(failure)) from failure
        except BaseException:
            self._shut()
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the head: nobody else, in any process, writes until the block ends; rolled back unless committed."""
        with self._lock, self._failing_as_store():
            if self._opened is None:
                self._open(None)
            self._log.db.execute("BEGIN IMMEDIATE")
            if self._log.position() != (self._head.size, self._clock):  # another process went on
                self._log.db.execute("ROLLBACK")
                self._shut()
                self._open(None)
                self._log.db.execute("BEGIN IMMEDIATE")
                assert self._log.position()[0] >= self._head.size, "a log only grows"
            self._reached(Point.HEAD_LOCKED)
            yield
            if self._log.db.in_transaction:
                self._log.db.execute("ROLLBACK")

    # -- the port ----------------------------------------------------------------------------------

    def commit(self, requests: Sequence[CommitRequest], now: int) -> list[Outcome]:
        with self._locked():
            now = max(now, self._clock)
            settled = settle(requests, now, self._head.size, self)
            new: tuple[str, ...] = ()
            if settled.placed:
                new = self._write(settled, now).receipts
            elif settled.promised > self._clock:
                self._promise_time(now)
            return [
                Committed(self._receipt(answer, settled.first, new))
                if isinstance(answer, int)
                else answer
                for answer in settled.answers
            ]

    def _write(self, settled: Settlement, now: int) -> Growth:
        log, placed = self._log, settled.placed
        growth = grown(self._head, settled.entries(now), self._signer, now)
        log.write_rows(settled.first, placed, now)
        self._reached(Point.LOG_WRITTEN)
        log.write_spends(settled.first, placed)
        self._reached(Point.SPENDS_WRITTEN)
        log.write_tiles(growth)
        self._reached(Point.TILES_WRITTEN)
        log.write_head(growth.head.size, now, growth.head.note)
        self._reached(Point.HEAD_WRITTEN)
        # The one commit point of a batch. A crash before this line leaves no trace: the checkpoint was signed but never
        # shown to anybody, requesters ask again. After it the batch is in the log for ever: whoever lost the answer
        # asks again and is found by (window's end, id). If COMMIT itself fails, the disk decides which of the two.
        log.db.execute("COMMIT")
        self._reached(Point.COMMITTED)
        # Memory follows the disk, never the other way. A crash here loses only what a start reads again.
        self._head, self._clock = growth.head, now
        self._index.advance(settled.first, placed)
        self._reached(Point.ADVANCED)
        self._batches += 1
        if self._batches % BATCHES_A_MOVE == 0:
            self._index.move_log()
        return growth

    def _promise_time(self, now: int) -> None:
        """Make durable that `now` has been: a clock that falls later cannot re-open a closed window."""
        self._log.write_head(self._head.size, now, self._head.note)
        self._reached(Point.CLOCK_WRITTEN)
        # Before this line nobody was told that the window is closed; after it, it stays closed.
        self._log.db.execute("COMMIT")
        self._clock = now

    def _receipt(self, index: int, first: int, new: tuple[str, ...]) -> str:
        return new[index - first] if index >= first else self._served.receipt(index, self._head)

    def status(self, tx: TransactionId, until: int, now: int) -> Committed | Never | Unknown:
        with self._locked():
            now = max(now, self._clock)
            index = self._index.committed([(until, tx)]).get(tx)
            if index is not None:
                return Committed(self._served.receipt(index, self._head))
            if now < until:
                return Unknown(now)
            if self._clock < until:
                self._promise_time(now)
            return Never()

    def are_consumed(self, claims: Sequence[Claim]) -> LivenessFound:
        with self._locked():
            beyond = {at for at, claim in enumerate(claims) if claim.at >= self._head.size}
            asked = [at for at in range(len(claims)) if at not in beyond]
            strange = {asked[at] for at in self.strangers([claims[at] for at in asked])} | beyond
            spent = self.spenders([claims[at].place for at in asked])
            return LivenessFound(
                self._head,
                tuple(
                    None if at in strange else claim.place in spent
                    for at, claim in enumerate(claims)
                ),
            )

    def close(self) -> None:
        with self._lock:
            self._shut()

    # -- the log -----------------------------------------------------------------------------------

    def head(self) -> Head:
        return self._head

    def full_tile(self, level: int, number: int) -> bytes | None:
        with self._reading() as log:
            return log.tile(level, number)

    def entries(self, low: int, high: int) -> list[LogEntry]:
        with self._reading() as log:
            return log.entries(low, high)

    @contextmanager
    def _reading(self) -> Iterator[LogDatabase]:
        with self._reader_lock:
            try:
                yield self._reader
            except sqlite3.Error as failure:
                raise StoreFailed(str(failure)) from failure

    # -- Facts, read with the head locked ----------------------------------------------------------

    def committed(self, requests: Sequence[CommitRequest]) -> Mapping[bytes, int]:
        return self._index.committed([(each.closes, each.transaction) for each in requests])

    def strangers(self, claims: Sequence[Claim]) -> AbstractSet[int]:
        return self._log.strangers(claims)

    def spenders(self, places: Collection[int]) -> Mapping[int, int]:
        return self._index.spenders(places)

    def ids(self, indexes: Collection[int]) -> Mapping[int, bytes]:
        return self._log.ids(indexes)
