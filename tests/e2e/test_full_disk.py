"""A node whose disk is full at a commit loses nothing and is not deaf afterwards: it greets its peers anew."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, DemoNode, make_network
from app.node import MemberNode
from app.node_folder import Opening, clock
from app.notary_node import NotaryNode
from app.transport.transport import TransportSettings
from flows.store import Status
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment
from tests.e2e.houses import free_port

ADA = b"ada"
WAIT_SECONDS = 30.0


async def until(holds: Callable[[], bool], what: str) -> None:
    for _ in range(int(WAIT_SECONDS / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not come about in {WAIT_SECONDS:.0f} s")


def opening(network: DemoNetwork, node: DemoNode) -> Opening:
    settings = TransportSettings(port=node.link_port)
    return Opening(node.folder, network.network, DEMO_PASSPHRASE, settings)


def status(node: MemberNode, flow: bytes) -> Status:
    row = node.assembly.engine.flow(flow)
    assert row is not None
    return Status(row.status)


async def enrolment_code(mercy: MemberNode) -> bytes:
    offered = mercy.assembly.engine.start(OfferEnrolment("MRN 1"))
    mercy.pump.wake()
    await until(lambda: status(mercy, offered) == Status.DONE, "the offer")
    row = mercy.assembly.engine.flow(offered)
    assert row is not None
    offer = msgspec.msgpack.decode(row.result, type=EnrolmentOffer)
    return mercy.assembly.enrolments.open_offer(offer)


FULL = """CREATE TEMP TRIGGER full BEFORE INSERT ON flow_tombstone
BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"""
"""A write of the engine's own fails, and SQLite rolls the transaction back by itself, as a full disk makes it do."""


async def story(mercy: MemberNode, agent: MemberNode) -> None:
    await until(lambda: mercy.transport.is_up(agent.me), "a link between the two")
    code = await enrolment_code(mercy)
    agent.keys.add_patient(ADA)
    mercy.db.execute(FULL)
    enrolling = agent.assembly.engine.start(EnrolPatient(ADA, mercy.me, code))
    agent.pump.wake()
    await until(lambda: mercy.pump.failure is not None, "a turn that fails")
    assert isinstance(mercy.pump.failure, sqlite3.Error)
    assert status(agent, enrolling) == Status.RUNNING
    mercy.db.execute("DROP TRIGGER full")
    await until(lambda: status(agent, enrolling) == Status.DONE, "the enrolment")
    assert mercy.pump.failure is None


async def village(network: DemoNetwork) -> None:
    notary = NotaryNode(opening(network, network.notary))
    mercy = MemberNode(opening(network, network.member("mercy")))
    agent = MemberNode(opening(network, network.member("agent")))
    for node in (notary, mercy, agent):
        await node.start()
    try:
        await story(mercy, agent)
    finally:
        for node in (mercy, agent, notary):
            await node.stop()


@pytest.mark.e2e
def test_after_a_full_disk_the_flow_goes_on_over_the_same_network(tmp_path: Path) -> None:
    network = make_network(tmp_path / "network", free_port, clock())
    asyncio.run(village(network))
