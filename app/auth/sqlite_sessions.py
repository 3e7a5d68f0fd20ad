"""Sessions in an SQLite table, so that a restart signs nobody out and a revocation outlives it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from app.auth.sessions import SESSIONS_PER_USER_MAX, Role, Session

_SCHEMA = """
CREATE TABLE IF NOT EXISTS session (
    token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    person_id TEXT,
    organisation TEXT NOT NULL,
    issued_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_user ON session (user_id, issued_us);
CREATE INDEX IF NOT EXISTS session_expiry ON session (expires_us);
"""


REMEMBERED = 4_096  # sessions


class SqliteSessions:
    """Sessions in `connection`, which this store alone uses; durable when a method returns.

    The connection is used from one thread: the event loop's. Nobody else writes the table, so what was found is
    remembered until the next write.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        self._connection = connection
        self._found: dict[bytes, Session] = {}

    def put(self, token_hash: bytes, session: Session) -> None:
        row = (
            token_hash,
            session.session_id,
            session.user_id,
            session.role.value,
            session.person_id,
            session.organisation,
            _microseconds(session.issued),
            _microseconds(session.expires),
        )
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row
            )
            self._connection.execute(
                "DELETE FROM session WHERE token_hash IN (SELECT token_hash FROM session"
                " WHERE user_id = ? ORDER BY issued_us DESC, token_hash DESC LIMIT -1 OFFSET ?)",
                (session.user_id, SESSIONS_PER_USER_MAX),
            )

    def get(self, token_hash: bytes) -> Session | None:
        known = self._found.get(token_hash)
        if known is None:
            known = self._read(token_hash)
            if known is not None:
                if len(self._found) >= REMEMBERED:
                    self._found.clear()
                self._found[token_hash] = known
        return known

    def _read(self, token_hash: bytes) -> Session | None:
        row = self._connection.execute(
            "SELECT session_id, user_id, role, person_id, organisation, issued_us, expires_us"
            " FROM session WHERE token_hash = ?",
            (token_hash,),
        ).fetchone()
        if row is None:
            return None
        session_id, user_id, role, person_id, organisation, issued_us, expires_us = row
        return Session(
            session_id=session_id,
            user_id=user_id,
            role=Role(role),
            person_id=person_id,
            organisation=organisation,
            issued=_instant(issued_us),
            expires=_instant(expires_us),
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Commit, and forget what was found; it is read anew."""
        try:
            with self._connection:
                yield
        finally:
            self._found.clear()

    def revoke(self, token_hash: bytes) -> None:
        with self._writing():
            self._connection.execute("DELETE FROM session WHERE token_hash = ?", (token_hash,))

    def revoke_user(self, user_id: str) -> None:
        with self._writing():
            self._connection.execute("DELETE FROM session WHERE user_id = ?", (user_id,))

    def sweep(self, now: datetime) -> None:
        with self._writing():
            self._connection.execute(
                "DELETE FROM session WHERE expires_us <= ?", (_microseconds(now),)
            )


def _microseconds(instant: datetime) -> int:
    # Integer arithmetic: a float of today's seconds no longer holds every microsecond.
    since = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _instant(microseconds: int) -> datetime:
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
