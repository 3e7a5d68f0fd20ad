"""What the rows of a notary have in common is noticed, be it a run of twelve bytes."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from app.demo.linking import (
    RAW_RUN,
    RUN,
    edges_of_notary,
    owners_in,
    shared_bytes,
    shared_runs,
)
from notaries.sqlite import LOG_NAME
from notaries.sqlite_log import TABLES

RANDOM = Random(11)
IDS = [RANDOM.randbytes(32) for _ in range(4)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Four transactions; the fourth spends an output of the first."""
    path = tmp_path / LOG_NAME
    with closing(sqlite3.connect(path)) as db:
        for table in TABLES:
            db.execute(table)
        for n, tx in enumerate(IDS):
            db.execute("INSERT INTO log VALUES (?, ?, 0, 0, 0, ?)", (n, tx, RANDOM.randbytes(16)))
        spend = (3 << 16, 0 << 16 | 1, RANDOM.randbytes(32), RANDOM.randbytes(16))
        db.execute("INSERT INTO spend VALUES (?, ?, ?, ?)", spend)
        db.commit()
    return path


def test_a_spend_is_the_only_edge(log: Path) -> None:
    assert edges_of_notary(log) == {(IDS[3], IDS[0])}
    assert shared_runs(log) == set()


def test_a_run_that_two_rows_share_links_them(log: Path) -> None:
    with closing(sqlite3.connect(log)) as db:
        shared = RANDOM.randbytes(RUN)
        for n, before in ((1, b"ab"), (2, b"")):
            db.execute("UPDATE log SET seal = ? WHERE n = ?", (before + shared, n))
        db.commit()
    assert shared_runs(log) == {(max(IDS[1:3]), min(IDS[1:3]))}


def raw(log: Path) -> set[tuple[bytes, bytes]]:
    return shared_bytes(sorted(log.parent.iterdir()), owners_in(log))


def test_bytes_that_no_query_shows_link_as_well(log: Path) -> None:
    """Two rows of the index had a run in common, and are deleted: it lies in the file all the same."""
    assert raw(log) == set()
    with closing(sqlite3.connect(log.with_name("index.db"))) as index:
        index.execute("PRAGMA secure_delete = OFF")
        index.execute("CREATE TABLE beside (tx BLOB, name BLOB, more BLOB)")
        shared = RANDOM.randbytes(RAW_RUN)
        names = (shared, RANDOM.randbytes(RAW_RUN), shared)
        rows = [(tx, name, RANDOM.randbytes(9)) for tx, name in zip(IDS, names, strict=False)]
        index.executemany("INSERT INTO beside VALUES (?, ?, ?)", rows)
        index.commit()
        index.execute("DELETE FROM beside")
        index.commit()
    assert raw(log) == {(max(IDS[0], IDS[2]), min(IDS[0], IDS[2]))}


def test_a_write_ahead_log_links_before_it_is_moved(log: Path) -> None:
    with closing(sqlite3.connect(log, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        shared = RANDOM.randbytes(RAW_RUN)
        db.execute("UPDATE log SET seal = ? WHERE n = 1", (shared,))
        db.execute("UPDATE spend SET seal = ?", (shared,))
        db.execute("UPDATE spend SET seal = ?", (RANDOM.randbytes(16),))
        assert (max(IDS[1], IDS[3]), min(IDS[1], IDS[3])) in raw(log)
        assert shared_runs(log) == set(), "the rows say nothing of it"
