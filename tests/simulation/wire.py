"""Connections between nodes: frames as bytes, lost, doubled, late or cut off, and hellos on every new connection."""

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from flows.envelope import ENVELOPE, HELLO, Envelope, Hello, Kind
from flows.turn import TurnResult
from states.encoding import encode
from states.errors import LedgerError
from tests.simulation.coverage import often
from tests.simulation.faults import Fault
from tests.simulation.node import Input, SimNode
from tests.simulation.observer import Violation, opening_flow

if TYPE_CHECKING:
    from tests.simulation.world import World

LATENCY_MS = (1, 40)
LATE_MS = (50, 6_000)
NOTICED_MS = (0, 80)  # before the end of a process is seen by its peers
RECONNECT_MS = (200, 4_000)
CAPTURED_MAX = 200
CUT_MS = (2_000, 15_000, 90_000)


class Frame(NamedTuple):
    """What travels on a connection; `link` is the number of the connection, which dies with it."""

    link: int
    sender: SimNode
    receiver: SimNode
    what: str
    data: bytes | int


@dataclass(slots=True)
class Link:
    """The connection of two nodes; `number` counts those that there have been."""

    number: int = 0
    is_up: bool = False


def pair(a: SimNode, b: SimNode) -> tuple[str, str]:
    return (a.name, b.name) if a.name < b.name else (b.name, a.name)


class Wire:
    """All connections of a world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._links: dict[tuple[str, str], Link] = {}
        self.cut: dict[tuple[str, str], int] = {}  # direction → until
        self.names: dict[bytes, str] = {}  # session → the flow that began it
        self.captured: deque[tuple[SimNode, SimNode, Envelope]] = deque(maxlen=CAPTURED_MAX)

    def link(self, a: SimNode, b: SimNode) -> Link:
        return self._links.setdefault(pair(a, b), Link())

    def name_of(self, envelope: Envelope) -> str:
        if envelope.kind in (Kind.INIT, Kind.LETTER):
            self.names[envelope.session] = opening_flow(envelope.body)
        return self.names.get(envelope.session, "?")

    # -- connections -----------------------------------------------------------------------------------

    def connect(self, a: SimNode, b: SimNode) -> None:
        """Open a connection if both live and reach each other; else try again later."""
        link = self.link(a, b)
        if link.is_up or a.assembly is None or b.assembly is None:
            return
        if self._is_cut(a, b) or self._is_cut(b, a):
            self._later(a, b)
            return
        link.number += 1
        link.is_up = True
        for me, other in ((a, b), (b, a)):
            hello = self._world.guard(me, partial(self._greet, me, other))
            if hello is None:  # it died over it, or its disk failed
                self.drop(a, b)
                return
            self._travel(Frame(link.number, me, other, "hello", encode(hello)))

    @staticmethod
    def _greet(me: SimNode, other: SimNode) -> Hello:
        assert me.assembly is not None
        return me.assembly.engine.connected(other.me)

    def drop(self, a: SimNode, b: SimNode) -> None:
        link = self.link(a, b)
        if not link.is_up:
            return
        link.is_up = False
        for me, other in ((a, b), (b, a)):
            if me.assembly is not None:
                me.assembly.engine.disconnected(other.me)
        self._later(a, b)

    def drop_all(self, node: SimNode) -> None:
        for other in self._world.nodes.values():
            if other is not node:
                self.drop(node, other)

    def fade(self, node: SimNode) -> None:
        """A process is gone: what it had sent still arrives, until its peers notice."""
        for other in self._world.nodes.values():
            if other is not node:
                link = self.link(node, other)
                delay = self._world.chance.randint(*NOTICED_MS)
                self._world.after(delay, partial(self._drop_link, node, other, link.number))

    def _drop_link(self, a: SimNode, b: SimNode, number: int) -> None:
        if self.link(a, b).number == number:
            self.drop(a, b)

    def _later(self, a: SimNode, b: SimNode) -> None:
        self._world.after(self._world.chance.randint(*RECONNECT_MS), lambda: self.connect(a, b))

    def _is_cut(self, sender: SimNode, receiver: SimNode) -> bool:
        return self.cut.get((sender.name, receiver.name), 0) > self._world.now

    # -- what leaves -----------------------------------------------------------------------------------

    def send(self, sender: SimNode, result: TurnResult) -> None:
        """Put on their way the envelopes and acknowledgements of a committed turn."""
        for peer, upto in result.acknowledgements.items():
            self.acknowledge(sender, peer, upto)
        for peer, envelopes in result.envelopes.items():
            receiver = self._world.node_of(peer)
            if receiver is not None:
                for envelope in envelopes:
                    self._send(sender, receiver, envelope)

    def acknowledge(self, sender: SimNode, peer: str, upto: int) -> None:
        receiver = self._world.node_of(peer)
        if receiver is None or not self.link(sender, receiver).is_up:
            return
        for _ in range(self._fate(sender, receiver, "ACK", "-")):
            link = self.link(sender, receiver).number
            self._travel(Frame(link, sender, receiver, "ack", upto))

    def _send(self, sender: SimNode, receiver: SimNode, envelope: Envelope) -> None:
        kind, name = Kind(envelope.kind).name, self.name_of(envelope)
        link = self.link(sender, receiver)
        if not link.is_up:
            return
        data = encode(envelope)
        self._world.oracle.overhear(sender, receiver, data)
        self.captured.append((sender, receiver, envelope))
        self._watch(sender, receiver, kind, name)
        copies = self._fate(sender, receiver, kind, name)
        self._world.tell(sender.name, receiver.name, kind, name, envelope.number, "x", copies)
        for _ in range(copies):
            self._travel(Frame(link.number, sender, receiver, "envelope", data))
        if self._world.swarm.strikes(Fault.DROPPED, often(kind, name)):
            self._world.meet(Fault.DROPPED, kind, name)
            self.drop(sender, receiver)

    def _watch(self, sender: SimNode, receiver: SimNode, kind: str, name: str) -> None:
        """Cut the direction in which something scarce is about to go: cuts at random moments seldom meet it."""
        world, times = self._world, often(kind, name)
        if times > 1 and world.swarm.strikes(Fault.CUT, times):
            self.cut[sender.name, receiver.name] = world.now + world.chance.choice(CUT_MS)

    def _fate(self, sender: SimNode, receiver: SimNode, kind: str, name: str) -> int:
        swarm = self._world.swarm
        if self._is_cut(sender, receiver):
            self._world.meet(Fault.CUT, kind, name)
            return 0
        if swarm.strikes(Fault.LOST):
            self._world.meet(Fault.LOST, kind, name)
            return 0
        if swarm.strikes(Fault.TWICE):
            self._world.meet(Fault.TWICE, kind, name)
            return 2
        return 1

    def _travel(self, frame: Frame) -> None:
        world = self._world
        delay = world.chance.randint(*LATENCY_MS)
        if world.swarm.strikes(Fault.LATE):
            delay += world.chance.randint(*LATE_MS)
            if isinstance(frame.data, bytes) and frame.what == "envelope":
                envelope = ENVELOPE.decode(frame.data)
                world.meet(Fault.LATE, Kind(envelope.kind).name, self.name_of(envelope))
        world.after(delay, lambda: self.arrive(frame))

    # -- what comes ------------------------------------------------------------------------------------

    def arrive(self, frame: Frame) -> None:
        receiver, sender = frame.receiver, frame.sender
        link = self.link(sender, receiver)
        if not link.is_up or link.number != frame.link or receiver.assembly is None:
            return
        if self._is_cut(sender, receiver):
            if frame.what == "hello":  # a connection without both is none: its deadline ends it
                self.drop(sender, receiver)
            return
        engine = receiver.assembly.engine
        try:
            if isinstance(frame.data, int):
                engine.acked(sender.me, frame.data)
            elif frame.what == "hello":
                engine.hello(sender.me, HELLO.decode(frame.data))
            else:
                envelope = ENVELOPE.decode(frame.data)
                engine.deliver(sender.me, [envelope])
                receiver.inputs.append(Input(sender.me, envelope))
        except LedgerError as malformed:
            raise Violation("well formed", f"{sender.name}: {malformed}") from malformed
        self._world.wake(receiver)
