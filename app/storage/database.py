"""The node's one SQLite database: how it is opened, its transactions, and the versions of the schemas in it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

BUSY_MS = 5_000  # another process may hold the file for a backup
WAL_PAGES = 4_000  # 16 MiB between checkpoints
CACHE_KIB = 65_536
_PRIMARY = 0xFF  # an extended result code has the primary one in its lowest byte
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
    part TEXT PRIMARY KEY, version INTEGER NOT NULL CHECK (version >= 0)
) STRICT, WITHOUT ROWID
"""


class SchemaTooNew(Exception):
    """The file was written by a later release, which this one would damage."""

    def __init__(self, part: str, found: int, known: int) -> None:
        super().__init__(f"{part} is at version {found}, this release knows {known}")
        self.part = part
        self.found = found
        self.known = known


class DatabaseDamaged(Exception):
    """A file that should be a database is none, is cut short, or contradicts itself."""

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(
            f"{path} is damaged ({why}): put it aside and make the node again from its backup, "
            "with `carecord restore BACKUP FOLDER`"
        )
        self.path = path
        self.why = why


class LogDamaged(Exception):
    """A notary's log is not what the notary wrote: to go on from it would fork it under the notary's own signature."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is not what this notary wrote ({why}): `carecord audit FOLDER` names the rows; never put an older "
            "copy in its place"
        )


@contextmanager
def naming_damage(path: Path | str) -> Iterator[None]:
    """Raise DatabaseDamaged where SQLite finds in the block that the file is none of its own, or is corrupt."""
    try:
        yield
    except sqlite3.DatabaseError as failure:
        if getattr(failure, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGED:
            raise DatabaseDamaged(path, str(failure)) from failure
        raise


def open_database(path: Path | str, *, cache_kib: int = CACHE_KIB) -> sqlite3.Connection:
    """Open or make the database; ":memory:" keeps none.

    What `commit` returned from survives a power cut (WAL with synchronous=FULL), and what was deleted is
    overwritten (secure_delete). Transactions are explicit; the connection is for one thread at a time. Raises
    DatabaseDamaged, also for a file that is there and empty: to begin anew in it would look like a node without past.
    """
    if path != ":memory:" and Path(path).is_file() and not Path(path).stat().st_size:
        raise DatabaseDamaged(path, "it is empty; where the node never ran, remove it")
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    with naming_damage(path):
        _prepare(connection, cache_kib)
    return connection


def _prepare(connection: sqlite3.Connection, cache_kib: int) -> None:
    for pragma in (
        f"busy_timeout={BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
        f"cache_size=-{cache_kib}",
        f"wal_autocheckpoint={WAL_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(_VERSIONS)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what the block writes, or nothing of it; inside an open transaction leave that to its owner."""
    if connection.in_transaction:
        yield connection
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo the open transaction, unless SQLite did so itself, as after a full disk."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection, part: str, scripts: Sequence[Sequence[str]]) -> int:
    """Bring the tables of `part` up to date; return the version, the number of scripts that have run.

    Each script, a list of statements, runs once in the life of a file, all that are due in one transaction. A
    released script is never changed: append another. Raises SchemaTooNew.
    """
    with transaction(connection):
        row = connection.execute(
            "SELECT version FROM schema_version WHERE part = ?", (part,)
        ).fetchone()
        found = 0 if row is None else int(row[0])
        if found > len(scripts):
            raise SchemaTooNew(part, found, len(scripts))
        for script in scripts[found:]:
            for statement in script:
                connection.execute(statement)
        connection.execute(
            "INSERT OR REPLACE INTO schema_version VALUES (?, ?)", (part, len(scripts))
        )
    return len(scripts)
