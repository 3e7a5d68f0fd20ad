"""The engine's tables in the node's SQLite database; a FlowStore (flows/store.py)."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from app.storage.database import migrate, roll_back, transaction
from app.storage.flow_tables import SCHEMA
from flows.envelope import Kind, SessionMark
from flows.store import (
    AdmissionRow,
    Batch,
    FlowRow,
    InboxRow,
    JournalRow,
    OutboxRow,
    PartRow,
    PeerRow,
    ProgressRow,
    SessionRow,
    Status,
    WaitRow,
)

_MARKS = """
WITH unacknowledged (session, kept, next) AS (
    SELECT session, min(seq), max(seq) + 1 FROM flow_outbox WHERE peer = ?1 AND kind NOT IN (?2, ?3) GROUP BY session
)
SELECT s.session, s.sent, ifnull(u.kept, s.sent), s.received, 0 FROM flow_session AS s LEFT JOIN unacknowledged AS u
    ON u.session = s.session WHERE s.peer = ?1 AND s.open = 1
UNION ALL
SELECT u.session, u.next, u.kept, 0, 1 FROM unacknowledged AS u
    WHERE NOT EXISTS (SELECT 1 FROM flow_session AS s WHERE s.peer = ?1 AND s.session = u.session AND s.open = 1)
ORDER BY 1 LIMIT ?4
"""

_UNSAID = """
SELECT o.session, max(o.seq) + 1 FROM flow_outbox AS o WHERE o.peer = ?1 AND o.kind NOT IN (?2, ?3)
    AND NOT EXISTS (SELECT 1 FROM flow_session AS s WHERE s.peer = ?1 AND s.session = o.session AND s.open = 1)
GROUP BY o.session HAVING max(o.kind IN (?4, ?5)) = 0 ORDER BY 1
"""

_KEPT = """
WITH opened AS (SELECT id, length(args) AS size FROM flow WHERE status < 4 AND peer <> '' AND peer = ?1)
SELECT (SELECT ifnull(sum(size), 0) FROM opened)
    + (SELECT ifnull(sum(length(body)), 0) FROM flow_part WHERE flow IN (SELECT id FROM opened))
    + (SELECT ifnull(sum(length(body)), 0) FROM flow_inbox WHERE peer = ?1)
"""

_WRITES = (
    ("started", "INSERT INTO flow VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"),
    ("journal", "INSERT INTO flow_journal VALUES (?,?,?,?,?)"),
    ("sessions", "INSERT OR REPLACE INTO flow_session VALUES (?,?,?,?,?,?)"),
    ("outbox", "INSERT INTO flow_outbox VALUES (?,?,?,?,?,?,?)"),
    ("held", "INSERT OR IGNORE INTO flow_held_part VALUES (?,?,?)"),
    ("awake", "DELETE FROM flow_wait WHERE flow = ?"),
    ("waits", "INSERT OR REPLACE INTO flow_wait VALUES (?,?,?,?,?)"),
    ("progress", "INSERT INTO flow_progress VALUES (?,?,?,?,?)"),
    (
        "admissions",
        "INSERT INTO flow_admission (flow, at, seq, error, detail, verb, due) VALUES (?,?,?,?,?,?,?)",
    ),
    ("peers", "INSERT OR REPLACE INTO flow_peer VALUES (?,?,?,?)"),
)
_UPDATE = "UPDATE flow SET status=?, torn=?, in_doubt=?, attempts=?, result=?, why=? WHERE id=?"
_ENDS = (
    "DELETE FROM flow_journal WHERE flow = ?",
    "DELETE FROM flow_inbox WHERE (peer, session) IN (SELECT peer, session FROM flow_session WHERE flow = ?)",
    "DELETE FROM flow_session WHERE flow = ?",
    "DELETE FROM flow_wait WHERE flow = ?",
    "DELETE FROM flow_event WHERE flow = ?",
    "DELETE FROM flow_part WHERE flow = ? AND id NOT IN (SELECT part FROM flow_held_part)",
    "UPDATE flow_part SET flow = x'' WHERE flow = ?",
)
_ORPHANS = "DELETE FROM flow_part WHERE flow = x'' AND id NOT IN (SELECT part FROM flow_held_part)"


class SqliteFlowStore:
    """Shares `connection` with the node's vault, so that one commit covers both.

    `before_commit` writes what belongs into each turn's transaction whatever becomes of its steps.
    """

    def __init__(
        self, connection: sqlite3.Connection, before_commit: Callable[[], None] | None = None
    ) -> None:
        migrate(connection, "flows", (SCHEMA,))
        self._connection = connection
        self._before_commit = before_commit
        self._execute = connection.execute

    @property
    def unit(self) -> sqlite3.Connection:
        return self._connection

    def begin(self) -> None:
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        if self._before_commit is not None:
            self._before_commit()
        self._execute("COMMIT")

    def rollback(self) -> None:
        roll_back(self._connection)

    def savepoint(self) -> None:
        self._execute("SAVEPOINT step")

    def release(self) -> None:
        self._execute("RELEASE step")

    def rollback_to(self) -> None:
        self._execute("ROLLBACK TO step")
        self._execute("RELEASE step")

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._connection)

    def write(self, batch: Batch) -> None:
        many = self._connection.executemany
        for name, statement in _WRITES:
            rows = getattr(batch, name)
            if rows:
                many(statement, rows)
        if batch.changed:
            many(
                _UPDATE,
                [
                    (r.status, r.torn, r.in_doubt, r.attempts, r.result, r.why, r.id)
                    for r in batch.changed
                ],
            )
        if batch.ended:
            for statement in _ENDS:
                many(statement, batch.ended)

    # -- who this database is --------------------------------------------------------------------

    def incarnation(self) -> bytes:
        row = self._execute(
            "SELECT random FROM flow_incarnation ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return b"" if row is None else bytes(row[0])

    def new_incarnation(self, random: bytes) -> None:
        with self.transaction():
            # Every peer is met anew: one that has renumbered already must not be taken for one that need not, if this
            # node dies before it has done so itself.
            self._execute("UPDATE flow_peer SET incarnation = x''")
            self._execute("INSERT INTO flow_incarnation (random) VALUES (?)", (random,))

    # -- flows -----------------------------------------------------------------------------------

    def flow(self, flow: bytes) -> FlowRow | None:
        row = self._execute("SELECT * FROM flow WHERE id = ?", (flow,)).fetchone()
        return None if row is None else FlowRow(*row)

    def flow_by_client_key(self, key: str) -> FlowRow | None:
        row = self._execute("SELECT * FROM flow WHERE client_key = ?", (key,)).fetchone()
        return None if row is None else FlowRow(*row)

    def flows(
        self, statuses: Sequence[Status], before: tuple[int, bytes] | None, limit: int
    ) -> list[FlowRow]:
        created, flow = before or (1 << 62, b"")
        found: list[FlowRow] = []
        for status in statuses:  # each is one range of the index; a page of them is merged here
            rows = self._execute(
                "SELECT * FROM flow WHERE status = ? AND (created, id) < (?, ?)"
                " ORDER BY created DESC, id DESC LIMIT ?",
                (int(status), created, flow, limit),
            )
            found += [FlowRow(*row) for row in rows]
        found.sort(key=lambda row: (row.created, row.id), reverse=True)
        return found[:limit]

    def add_flow(self, row: FlowRow) -> None:
        self._execute("INSERT INTO flow VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)

    def torn(self) -> list[bytes]:
        return [
            row[0] for row in self._execute("SELECT id FROM flow WHERE status = 0 AND torn = 1")
        ]

    def journal(self, flow: bytes) -> list[JournalRow]:
        rows = self._execute("SELECT * FROM flow_journal WHERE flow = ? ORDER BY seq", (flow,))
        return [JournalRow(*row) for row in rows]

    # -- sessions --------------------------------------------------------------------------------

    def sessions(self, flow: bytes) -> list[SessionRow]:
        rows = self._execute(
            "SELECT * FROM flow_session WHERE flow = ? ORDER BY peer, session", (flow,)
        )
        return [SessionRow(*row) for row in rows]

    def session(self, peer: str, session: bytes) -> SessionRow | None:
        row = self._execute(
            "SELECT * FROM flow_session WHERE peer = ? AND session = ?", (peer, session)
        ).fetchone()
        return None if row is None else SessionRow(*row)

    def responders(self) -> list[tuple[str, bool, int]]:
        rows = self._execute(
            "SELECT peer, session <> x'', count(*) FROM flow WHERE status < 4 AND peer <> '' GROUP BY 1, 2"
        )
        return [(peer, bool(opened), count) for peer, opened, count in rows]

    def bury(self, peer: str, session: bytes) -> bool:
        cursor = self._execute(
            "INSERT OR IGNORE INTO flow_tombstone VALUES (?, ?)", (peer, session)
        )
        return cursor.rowcount == 1

    def put_early(self, row: InboxRow) -> None:
        self._execute("INSERT OR REPLACE INTO flow_inbox VALUES (?,?,?,?,?,?)", row)

    def early(self, peer: str, session: bytes) -> InboxRow | None:
        row = self._execute(
            "SELECT * FROM flow_inbox WHERE peer = ? AND session = ? ORDER BY seq LIMIT 1",
            (peer, session),
        ).fetchone()
        return None if row is None else InboxRow(*row)

    def early_count(self, peer: str, session: bytes) -> int:
        row = self._execute(
            "SELECT count(*) FROM flow_inbox WHERE peer = ? AND session = ?", (peer, session)
        ).fetchone()
        return int(row[0])

    def drop_early(self, row: InboxRow) -> None:
        self._execute(
            "DELETE FROM flow_inbox WHERE peer = ? AND session = ? AND seq = ?",
            (row.peer, row.session, row.seq),
        )

    # -- events and parts ------------------------------------------------------------------------

    def put_event(self, flow: bytes, name: str, key: str, body: bytes) -> bool:
        cursor = self._execute(
            "INSERT OR IGNORE INTO flow_event (flow, name, key, body) VALUES (?,?,?,?)",
            (flow, name, key, body),
        )
        return cursor.rowcount == 1

    def take_event(self, flow: bytes, name: str) -> bytes | None:
        row = self._execute(
            "SELECT number, body FROM flow_event WHERE flow = ? AND name = ? AND body IS NOT NULL"
            " ORDER BY number LIMIT 1",
            (flow, name),
        ).fetchone()
        if row is None:
            return None
        # The key stays, so that the same event is not taken twice.
        self._execute("UPDATE flow_event SET body = NULL WHERE number = ?", (row[0],))
        return bytes(row[1])

    def event_count(self, flow: bytes) -> int:
        return int(
            self._execute("SELECT count(*) FROM flow_event WHERE flow = ?", (flow,)).fetchone()[0]
        )

    def with_events(self) -> list[bytes]:
        rows = self._execute(
            "SELECT DISTINCT e.flow FROM flow_event AS e JOIN flow AS f ON f.id = e.flow"
            " WHERE f.status = 0 AND e.body IS NOT NULL ORDER BY e.flow"
        )
        return [row[0] for row in rows]

    def kept_bytes(self, peer: str) -> int:
        return int(self._execute(_KEPT, (peer,)).fetchone()[0])

    def put_part(self, row: PartRow) -> None:
        self._execute("INSERT OR REPLACE INTO flow_part VALUES (?,?,?)", row)

    def part(self, part: bytes) -> bytes | None:
        row = self._execute("SELECT body FROM flow_part WHERE id = ?", (part,)).fetchone()
        return None if row is None else bytes(row[0])

    def drop_part(self, flow: bytes, part: bytes) -> None:
        self._execute("DELETE FROM flow_part WHERE id = ? AND flow = ?", (part, flow))

    def drop_parts(self, flow: bytes) -> None:
        self._execute("DELETE FROM flow_part WHERE flow = ?", (flow,))

    # -- post ------------------------------------------------------------------------------------

    def peers(self) -> list[PeerRow]:
        return [PeerRow(*row) for row in self._execute("SELECT * FROM flow_peer ORDER BY peer")]

    def outbox(self, peer: str, first: int, limit: int) -> list[OutboxRow]:
        rows = self._execute(
            "SELECT * FROM flow_outbox WHERE peer = ? AND number >= ? ORDER BY number LIMIT ?",
            (peer, first, limit),
        )
        return [OutboxRow(*row) for row in rows]

    def outbox_first(self, peer: str) -> int | None:
        row = self._execute(
            "SELECT min(number) FROM flow_outbox WHERE peer = ?", (peer,)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def acknowledge(self, peer: str, upto: int) -> None:
        self._execute("DELETE FROM flow_outbox WHERE peer = ? AND number <= ?", (peer, upto))
        freed = self._execute(
            "DELETE FROM flow_held_part WHERE peer = ? AND number <= ?", (peer, upto)
        )
        if freed.rowcount:
            self._execute(_ORPHANS)

    def renumber(self, peer: str, down_by: int) -> None:
        for table in (
            "flow_outbox",
            "flow_held_part",
        ):  # by way of the negative numbers, so that no two ever meet
            self._execute(
                f"UPDATE {table} SET number = ? - number WHERE peer = ?",  # noqa: S608 - two constants
                (down_by, peer),
            )
            self._execute(
                f"UPDATE {table} SET number = -number WHERE peer = ? AND number < 0",  # noqa: S608 - as above
                (peer,),
            )

    def marks(self, peer: str, limit: int) -> list[SessionMark]:
        rows = self._execute(_MARKS, (peer, int(Kind.LETTER), int(Kind.REJECT), limit))
        return [
            SessionMark(session, sent, kept, received, bool(closed))
            for session, sent, kept, received, closed in rows
        ]

    def unsaid(self, peer: str) -> list[tuple[bytes, int]]:
        return self._execute(
            _UNSAID, (peer, *map(int, (Kind.LETTER, Kind.REJECT, Kind.END, Kind.ERROR)))
        ).fetchall()

    # -- what wakes flows, and what is shown of them ---------------------------------------------------

    def waits(self) -> list[WaitRow]:
        rows = self._execute(
            "SELECT w.* FROM flow_wait AS w JOIN flow AS f ON f.id = w.flow WHERE f.status IN (0, 2)"
            " ORDER BY due, w.flow"
        )
        return [WaitRow(*row) for row in rows]

    def last_progress(self) -> int:
        return int(self._execute("SELECT ifnull(max(number), 0) FROM flow_progress").fetchone()[0])

    def progress(self, after: int, flow: bytes | None, limit: int) -> list[ProgressRow]:
        if flow is None:
            rows = self._execute(
                "SELECT * FROM flow_progress WHERE number > ? ORDER BY number LIMIT ?",
                (after, limit),
            )
        else:
            rows = self._execute(
                "SELECT * FROM flow_progress WHERE flow = ? AND number > ? ORDER BY number LIMIT ?",
                (flow, after, limit),
            )
        return [ProgressRow(*row) for row in rows]

    def prune_progress(self, upto: int) -> None:
        self._execute("DELETE FROM flow_progress WHERE number <= ?", (upto,))

    def prune_ended(self, after: bytes, before: bytes, limit: int) -> bytes:
        """See FlowStore.prune_ended."""
        seen = self._execute(
            "SELECT id, status >= ? AND client_key IS NULL FROM flow WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (int(Status.DONE), after, before, limit),
        ).fetchall()
        forgotten = [(flow,) for flow, is_over in seen if is_over]
        self._connection.executemany("DELETE FROM flow_admission WHERE flow = ?", forgotten)
        self._connection.executemany("DELETE FROM flow WHERE id = ?", forgotten)
        return bytes(seen[-1][0]) if seen else after

    def admissions(self, flow: bytes) -> list[AdmissionRow]:
        rows = self._execute(
            "SELECT flow, at, seq, error, detail, verb, due FROM flow_admission WHERE flow = ? ORDER BY number",
            (flow,),
        )
        return [AdmissionRow(*row) for row in rows]
