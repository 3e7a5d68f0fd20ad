"""One ledger moment a request: a read transaction on a connection of its own."""

from collections.abc import Callable, Sequence
from sqlite3 import Connection

import msgspec

from app.storage.statements import sql
from app.vault.statements import LAST_SEQ
from states.encoding import Codec
from states.errors import LedgerError
from states.subjects.content import CONTENT, Content
from states.subjects.terms import TERMS, Exceptions

IDLE_MAX = 8  # connections kept for the next request

EXCEPTIONS: Codec[Exceptions] = Codec(Exceptions, "exceptions")

Cell = int | str | bytes | None
Row = Sequence[Cell]

__all__ = ["CONTENT", "EXCEPTIONS", "TERMS", "Cell", "Moment", "Row", "Snapshots", "sql"]


class Snapshots:
    """Opens moments. `connect` opens a second, read-only connection to the node's database.

    `lease_ms` says for how long a word of liveness counts at a moment (ms).

    Without it the one connection is shared, as a database in memory must be: then nothing may write while a moment is
    used, which holds on one event loop as long as nothing is awaited in between.
    """

    def __init__(
        self,
        db: Connection,
        clock: Callable[[], int],
        connect: Callable[[], Connection] | None,
        lease_ms: Callable[[int], int],
    ) -> None:
        self.lease_ms = lease_ms
        self._shared = db
        self._clock = clock
        self._connect = connect
        self._idle: list[Connection] = []
        if connect is None:
            _teach(db)

    def open(self) -> "Moment":
        if self._connect is None:
            return Moment(self, self._shared, self._clock(), shared=True)
        if self._idle:
            return Moment(self, self._idle.pop(), self._clock(), shared=False)
        fresh = self._connect()
        fresh.execute("PRAGMA query_only=ON")
        _teach(fresh)
        return Moment(self, fresh, self._clock(), shared=False)

    def take_back(self, connection: Connection) -> None:
        if len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class Moment:
    """The ledger as it was when the request came: `seq` is the newest transaction that is seen. `now` in ms."""

    def __init__(
        self, snapshots: Snapshots, connection: Connection, now: int, *, shared: bool
    ) -> None:
        self._snapshots = snapshots
        self._connection = connection
        self._shared = shared
        self.now = now
        self._begin()

    def _begin(self) -> None:
        if not self._shared:
            self._connection.execute("BEGIN")
        # The first read fixes the snapshot.
        self.seq: int = self._connection.execute(LAST_SEQ).fetchone()[0]

    def renew(self) -> None:
        """Move on to the newest moment: what a mutation just wrote is part of its own answer."""
        if not self._shared:
            self._connection.execute("COMMIT")
        self._begin()

    def times(self) -> dict[str, object]:
        """Return what conditions may name: `now`, and `stale`: words of liveness up to then count no more."""
        return {"now": self.now, "stale": self.now - self._snapshots.lease_ms(self.now)}

    def rows(self, text: str, parameters: dict[str, object]) -> list[Row]:
        return self._connection.execute(text, parameters).fetchall()

    def row(self, text: str, parameters: dict[str, object]) -> Row | None:
        found: Row | None = self._connection.execute(text, parameters).fetchone()
        return found

    def close(self) -> None:
        if not self._shared:
            self._connection.execute("COMMIT")
            self._snapshots.take_back(self._connection)


def content_of(cell: Cell) -> Content:
    assert isinstance(cell, bytes), "the content of a record is encoded"
    return CONTENT.decode(cell)


def _teach(connection: Connection) -> None:
    connection.create_function("terms_reach", 3, _terms_reach, deterministic=True)


def _terms_reach(terms: bytes, person: bytes, role: str) -> int:
    """Whether terms permit something to this person, in this role, of the grantee: a condition in SQL."""
    try:
        said = TERMS.decode(terms)
    except (LedgerError, msgspec.DecodeError):
        return 0
    if said.decision != "permit" or not person:
        return 0
    if said.person is not None:
        return int(said.person == person)
    return int(said.role is None or said.role == role)
