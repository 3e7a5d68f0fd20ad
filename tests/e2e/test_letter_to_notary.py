"""What a flow says to a notary stays at home: the notary closes a link on which an envelope comes."""

import asyncio
from pathlib import Path

import pytest

from flows.store import Status
from flows.subjects.enrolment import FindPractitioner
from tests.e2e.in_process import begin_enrolment, enrolment_code, status, three_nodes, until

SETTLED_SECONDS = 1.0
"""Within which the link would break, were anything sent."""


async def story(root: Path) -> None:
    async with three_nodes(root) as (notary, mercy, agent):
        await until(lambda: mercy.transport.is_up(agent.me), "a link between the two")
        await until(lambda: agent.transport.is_up(notary.me), "a link to the notary")
        lost = agent.assembly.engine.start(FindPractitioner(notary.me, "Dr X"))
        agent.pump.wake()
        for _ in range(int(SETTLED_SECONDS / 0.02)):
            await asyncio.sleep(0.02)
            assert agent.transport.is_up(notary.me)
        assert status(agent, lost) == Status.RUNNING
        enrolling = begin_enrolment(agent, mercy, await enrolment_code(mercy))
        await until(lambda: status(agent, enrolling) == Status.DONE, "the enrolment")
        assert agent.is_ready


@pytest.mark.e2e
def test_a_flow_that_talks_to_a_notary_costs_the_node_no_notary(tmp_path: Path) -> None:
    asyncio.run(story(tmp_path))
