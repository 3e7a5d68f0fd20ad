"""Nodes of the demonstration's network that live in this process, on real links."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, DemoNode, make_network
from app.node import MemberNode
from app.node_folder import Opening, clock
from app.notary_node import NotaryNode
from app.transport.transport import TransportSettings
from flows.store import Status
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment
from tests.ports import free_port

ADA = b"ada"
WAIT_SECONDS = 30.0


class ThreeNodes(NamedTuple):
    notary: NotaryNode
    mercy: MemberNode
    agent: MemberNode


@asynccontextmanager
async def living(*nodes: NotaryNode | MemberNode) -> AsyncIterator[None]:
    """Let nodes live until the block ends."""
    for node in nodes:
        await node.start()
    try:
        yield
    finally:
        for node in reversed(nodes):
            await node.stop()


@asynccontextmanager
async def three_nodes(root: Path) -> AsyncIterator[ThreeNodes]:
    """Let a notary, a hospital and a patient's agent live until the block ends."""
    network = make_network(root / "network", free_port, clock())
    nodes = ThreeNodes(
        NotaryNode(opening(network, network.notary)),
        MemberNode(opening(network, network.member("mercy"))),
        MemberNode(opening(network, network.member("agent"))),
    )
    async with living(*nodes):
        yield nodes


def opening(network: DemoNetwork, node: DemoNode) -> Opening:
    settings = TransportSettings(port=node.link_port)
    return Opening(node.folder, network.network, DEMO_PASSPHRASE, settings)


async def until(holds: Callable[[], bool], what: str) -> None:
    for _ in range(int(WAIT_SECONDS / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not come about in {WAIT_SECONDS:.0f} s")


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


def begin_enrolment(agent: MemberNode, mercy: MemberNode, code: bytes) -> bytes:
    """Let Ada use her code; return the flow that enrols her."""
    agent.keys.add_patient(ADA)
    flow = agent.assembly.engine.start(EnrolPatient(ADA, mercy.me, code))
    agent.pump.wake()
    return flow
