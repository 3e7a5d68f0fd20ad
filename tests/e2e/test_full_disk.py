"""A node whose disk is full at a commit loses nothing and is not deaf afterwards: it greets its peers anew."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from flows.store import Status
from tests.e2e.in_process import begin_enrolment, enrolment_code, status, three_nodes, until

FULL = """CREATE TEMP TRIGGER full BEFORE INSERT ON flow_tombstone
BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"""
"""A write of the engine's own fails, and SQLite rolls the transaction back by itself, as a full disk makes it do."""


async def story(root: Path) -> None:
    async with three_nodes(root) as (_, mercy, agent):
        await until(lambda: mercy.transport.is_up(agent.me), "a link between the two")
        code = await enrolment_code(mercy)
        mercy.db.execute(FULL)
        enrolling = begin_enrolment(agent, mercy, code)
        await until(lambda: mercy.pump.failure is not None, "a turn that fails")
        assert isinstance(mercy.pump.failure, sqlite3.Error)
        assert status(agent, enrolling) == Status.RUNNING
        mercy.db.execute("DROP TRIGGER full")
        await until(lambda: status(agent, enrolling) == Status.DONE, "the enrolment")
        assert mercy.pump.failure is None


@pytest.mark.e2e
def test_after_a_full_disk_the_flow_goes_on_over_the_same_network(tmp_path: Path) -> None:
    asyncio.run(story(tmp_path))
