"""One ledger moment a request: a read transaction on a connection of its own."""

from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import NamedTuple

from app.closure import Asker, RulingOf, closes
from app.gate_facts import terms_reach
from app.storage.statements import sql
from app.vault.statements import LAST_SEQ
from states.decision import Ruling
from states.encoding import Codec
from states.subjects.content import CONTENT, Content
from states.subjects.terms import TERMS, Exceptions

IDLE_MAX = 8  # connections kept for the next request
RULINGS_MAX = 1_024  # patients whose statements are kept while one request lists

EXCEPTIONS: Codec[Exceptions] = Codec(Exceptions, "exceptions")

Cell = int | str | bytes | None
Row = Sequence[Cell]

__all__ = ["CONTENT", "EXCEPTIONS", "TERMS", "Cell", "Moment", "Row", "Snapshots", "sql"]


class Snapshots:
    """Opens moments. `connect` opens a second, read-only connection to the node's database.

    `lease_ms` says for how long a word of liveness counts at a moment (ms), `ruling` what a patient closes to staff.

    Without it the one connection is shared, as a database in memory must be: then nothing may write while a moment is
    used, which holds on one event loop as long as nothing is awaited in between.
    """

    def __init__(
        self,
        db: Connection,
        clock: Callable[[], int],
        connect: Callable[[], Connection] | None,
        lease_ms: Callable[[int], int],
        ruling: RulingOf,
    ) -> None:
        self.lease_ms = lease_ms
        self._ruling = ruling
        self._shared = db
        self._clock = clock
        self._connect = connect
        self._idle: list[_Taught] = []
        self._taught = _teach(db, ruling) if connect is None else None

    def open(self) -> "Moment":
        if self._taught is not None:
            return Moment(self, self._taught, self._clock(), shared=True)
        if self._idle:
            return Moment(self, self._idle.pop(), self._clock(), shared=False)
        assert self._connect is not None, "else the one connection was taught"
        fresh = self._connect()
        fresh.execute("PRAGMA query_only=ON")
        return Moment(self, _teach(fresh, self._ruling), self._clock(), shared=False)

    def take_back(self, taught: "_Taught") -> None:
        if len(self._idle) < IDLE_MAX:
            self._idle.append(taught)
        else:
            taught.connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().connection.close()


class Moment:
    """The ledger as it was when the request came: `seq` is the newest transaction that is seen. `now` in ms."""

    def __init__(self, snapshots: Snapshots, taught: "_Taught", now: int, *, shared: bool) -> None:
        self._snapshots = snapshots
        self._taught = taught
        self._connection = taught.connection
        self._shared = shared
        self.now = now
        self._begin()

    def _begin(self) -> None:
        self._taught.rulings.clear()  # they hold for one snapshot
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
            self._snapshots.take_back(self._taught)


def content_of(cell: Cell) -> Content:
    assert isinstance(cell, bytes), "the content of a record is encoded"
    return CONTENT.decode(cell)


_Rulings = dict[tuple[str, bytes, str, int], Ruling]


class _Taught(NamedTuple):
    """A connection that knows the functions which conditions name, and what it ruled in this snapshot."""

    connection: Connection
    rulings: _Rulings


def _teach(connection: Connection, ruling: RulingOf) -> _Taught:
    rulings: _Rulings = {}

    def staff_may_see(
        patient: str | None, content: bytes, person: bytes, role: str, now: int
    ) -> int:
        """Whether a patient leaves a record open to a member of her custodian's staff: a condition in SQL."""
        if patient is None:
            return 0
        key = (patient, person, role, now)
        found = rulings.get(key)
        if found is None:
            if len(rulings) >= RULINGS_MAX:
                rulings.clear()
            found = rulings[key] = ruling(connection, patient, Asker(person, role), "TREAT", now)
        silent = not found.denials and not found.permits
        return int(silent or not closes(found, CONTENT.decode(content)))

    connection.create_function("terms_reach", 3, terms_reach, deterministic=True)
    connection.create_function("staff_may_see", 5, staff_may_see)
    return _Taught(connection, rulings)
