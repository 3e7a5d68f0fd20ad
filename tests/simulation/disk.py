"""A node's disk: SQLite in memory that outlives the node's objects, and can fail or take the node with it."""

import sqlite3
from collections.abc import Iterable
from typing import Protocol, cast

from app.storage.database import _VERSIONS

_PRAGMAS = ("foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY", "cache_size=-4096")


class Killed(BaseException):
    """The process of a node or of a notary is gone. No handler of an Exception may stop that."""


class DiskFull(sqlite3.OperationalError):
    """The one error that the simulator injects into a database."""


class Watcher(Protocol):
    """Told what becomes durable; may kill the node at the two sides of a commit."""

    def committing(self) -> None: ...
    def committed(self) -> None: ...
    def rolled_back(self) -> None: ...
    def marked(self) -> None: ...
    def back_to_mark(self) -> None: ...
    def rows(self, statement: str, rows: list[tuple[object, ...]]) -> None: ...


class Disk(sqlite3.Connection):
    """What survives a crash is this connection; the open transaction does not."""

    watcher: Watcher | None = None
    fuse: int = 0  # writes until it blows; 0: there is none
    blows: type[BaseException] = DiskFull

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        watcher = self.watcher
        if watcher is None:
            return super().execute(sql, parameters)  # type: ignore[arg-type]  # passed on as given
        if sql == "COMMIT" and self.in_transaction:
            watcher.committing()
            done = super().execute(sql)
            watcher.committed()
            return done
        if self.fuse and sql[:6] != "SELECT":
            self._burn()
        done = super().execute(sql, parameters)  # type: ignore[arg-type]  # as above
        match sql:
            case "ROLLBACK":
                watcher.rolled_back()
            case "SAVEPOINT step":
                watcher.marked()
            case "ROLLBACK TO step":
                watcher.back_to_mark()
            case _:
                pass
        return done

    def executemany(self, sql: str, parameters: Iterable[object], /) -> sqlite3.Cursor:
        if self.watcher is None:
            return super().executemany(sql, parameters)  # type: ignore[arg-type]  # as above
        if self.fuse:
            self._burn()
        rows = list(parameters)
        self.watcher.rows(sql, cast("list[tuple[object, ...]]", rows))
        return super().executemany(sql, rows)  # type: ignore[arg-type]  # as above

    def _burn(self) -> None:
        if not self.in_transaction:
            return
        self.fuse -= 1
        if self.fuse == 0:
            raise self.blows("database or disk is full")

    def lose_power(self) -> None:
        """End the process that used this disk: what it had not committed never was."""
        self.fuse = 0
        if self.in_transaction:
            sqlite3.Connection.execute(self, "ROLLBACK")

    def image(self) -> "Disk":
        """Return a copy of what is durable now."""
        copy = empty_disk()
        self.backup(copy)
        return copy


def empty_disk() -> Disk:
    """Return a disk as `open_database` makes one, without what costs time and means nothing in memory."""
    disk = sqlite3.connect(
        ":memory:",
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        factory=Disk,
    )
    for pragma in _PRAGMAS:
        disk.execute(f"PRAGMA {pragma}")
    disk.execute(_VERSIONS)
    return disk
