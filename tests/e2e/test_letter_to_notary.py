"""What a flow says to a notary stays at home: the notary closes a link on which an envelope comes."""

import asyncio
from pathlib import Path

import pytest

from app.demo.network import DemoNetwork, make_network
from app.node import MemberNode
from app.node_folder import clock
from app.notary_node import NotaryNode
from flows.store import Status
from flows.subjects.enrolment import EnrolPatient, FindPractitioner
from tests.e2e.houses import free_port
from tests.e2e.test_full_disk import ADA, enrolment_code, opening, status, until

SETTLED_SECONDS = 1.0
"""Within which the link would break, were anything sent."""


async def story(notary: NotaryNode, mercy: MemberNode, agent: MemberNode) -> None:
    await until(lambda: mercy.transport.is_up(agent.me), "a link between the two")
    await until(lambda: agent.transport.is_up(notary.me), "a link to the notary")
    lost = agent.assembly.engine.start(FindPractitioner(notary.me, "Dr X"))
    agent.pump.wake()
    for _ in range(int(SETTLED_SECONDS / 0.02)):
        await asyncio.sleep(0.02)
        assert agent.transport.is_up(notary.me)
    assert status(agent, lost) == Status.RUNNING
    agent.keys.add_patient(ADA)
    enrolling = agent.assembly.engine.start(
        EnrolPatient(ADA, mercy.me, await enrolment_code(mercy))
    )
    agent.pump.wake()
    await until(lambda: status(agent, enrolling) == Status.DONE, "the enrolment")
    assert agent.is_ready


async def village(network: DemoNetwork) -> None:
    notary = NotaryNode(opening(network, network.notary))
    mercy = MemberNode(opening(network, network.member("mercy")))
    agent = MemberNode(opening(network, network.member("agent")))
    for node in (notary, mercy, agent):
        await node.start()
    try:
        await story(notary, mercy, agent)
    finally:
        for node in (mercy, agent, notary):
            await node.stop()


@pytest.mark.e2e
def test_a_flow_that_talks_to_a_notary_costs_the_node_no_notary(tmp_path: Path) -> None:
    asyncio.run(village(make_network(tmp_path / "network", free_port, clock())))
