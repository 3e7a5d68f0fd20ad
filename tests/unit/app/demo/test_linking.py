"""What the rows of a notary have in common is noticed, be it a run of twelve bytes."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from app.demo.linking import RUN, edges_of_notary, shared_runs
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
