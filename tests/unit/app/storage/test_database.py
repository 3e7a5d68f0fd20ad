"""The node's database keeps what it said it kept, and overwrites what was deleted."""

import sqlite3
from pathlib import Path

import pytest

from app.storage.database import SchemaTooNew, migrate, open_database, transaction


def test_a_commit_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "node.db")
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (full,) = connection.execute("PRAGMA synchronous").fetchone()
    (keys,) = connection.execute("PRAGMA foreign_keys").fetchone()
    assert (mode, full, keys) == ("wal", 2, 1)
    connection.close()


def test_what_was_deleted_is_not_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    connection = open_database(path)
    connection.execute("CREATE TABLE secret (body BLOB)")
    connection.execute("INSERT INTO secret VALUES (?)", (b"haemoglobin" * 50,))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"haemoglobin" in path.read_bytes()
    connection.execute("DELETE FROM secret")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"haemoglobin" not in path.read_bytes()
    connection.close()


def test_a_transaction_is_all_or_nothing_and_belongs_to_who_opened_it() -> None:
    connection = open_database(":memory:")
    connection.execute("CREATE TABLE t (x INTEGER)")

    def fail_half_way() -> None:
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
            with transaction(connection):
                connection.execute("INSERT INTO t VALUES (2)")
            assert connection.in_transaction
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail_half_way()
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    with transaction(connection):
        connection.execute("INSERT INTO t VALUES (3)")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_migration_runs_once() -> None:
    connection = open_database(":memory:")
    first, second = ("CREATE TABLE a (x INTEGER)",), ("ALTER TABLE a ADD y INTEGER",)
    assert migrate(connection, "part", (first,)) == 1
    assert migrate(connection, "part", (first, second)) == 2
    assert migrate(connection, "part", (first, second)) == 2
    connection.execute("INSERT INTO a VALUES (1, 2)")


def test_a_migration_that_fails_leaves_nothing() -> None:
    connection = open_database(":memory:")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, "part", (("CREATE TABLE a (x INTEGER)",), ("ALTER TABLE b ADD y",)))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        connection.execute("SELECT * FROM a")


def test_an_older_release_does_not_touch_a_newer_file() -> None:
    connection = open_database(":memory:")
    migrate(connection, "part", (("CREATE TABLE a (x INTEGER)",), ("CREATE TABLE b (x INTEGER)",)))
    with pytest.raises(SchemaTooNew) as refused:
        migrate(connection, "part", (("CREATE TABLE a (x INTEGER)",),))
    assert (refused.value.found, refused.value.known) == (2, 1)
