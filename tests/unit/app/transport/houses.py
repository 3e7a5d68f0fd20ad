"""Nodes for tests of links: a transport on loopback with a small engine that honours numbers, and a hostile hand."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from app.network.entries import move
from app.network.folder import MapFolder
from app.network.network_map import NetworkMap
from app.transport.certificate import contexts, open_tls_key
from app.transport.channel import Channel
from app.transport.frames import Beat, Farewell, Message, Opening, framed
from app.transport.kinds import Handler
from app.transport.limits import LENGTH_SIZE, DoorLimits, LinkLimits
from app.transport.transport import Credentials, Transport, TransportSettings
from flows.envelope import Envelope, Hello
from states.identity import Party
from tests.unit.app.network.towns import FIRST, NETWORK, Clock, Organisation

T = TypeVar("T")

LINK = LinkLimits(tick_seconds=0.02, close_seconds=1.0)
DOOR = DoorLimits(back_off_seconds=0.01, back_off_seconds_max=0.05)
BEAT = Beat(asks=False)


def run(test: Coroutine[None, None, T]) -> T:
    """Run a test that must not hang; 60 seconds mean that it does."""

    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await test

    return asyncio.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for has no event
        await asyncio.sleep(0.005)


def message(number: int, size: int = 10) -> Envelope:
    return Envelope(number, 2, bytes(16), number, number.to_bytes(8) + bytes(size), ())


class SmallEngine:
    """A LinkListener: an outbox that is sent again at each connection, an inbox that takes the next number only."""

    def __init__(self, seed: int) -> None:
        self.transport: Transport | None = None
        self.outbox: dict[Party, list[Envelope]] = {}
        self.acked: dict[Party, int] = {}
        self.taken: dict[Party, list[Envelope]] = {}
        self.duplicates = 0
        self.happened: list[tuple[str, Party]] = []
        self.rooms = 0
        self.acks = True
        self._incarnation = bytes([seed]) * 16

    def post(self, peer: Party, count: int, size: int = 10) -> None:
        box = self.outbox.setdefault(peer, [])
        fresh = [message(len(box) + at, size) for at in range(1, count + 1)]
        box += fresh
        assert self.transport is not None
        self.transport.send(peer, fresh)

    def received(self, peer: Party) -> int:
        return len(self.taken.get(peer, ()))

    def hello_for(self, peer: Party) -> Hello:
        return Hello(self._incarnation, b"", self.received(peer), ())

    def on_up(self, peer: Party, hello: Hello) -> None:
        self.happened.append(("up", peer))
        self.acked[peer] = max(self.acked.get(peer, 0), hello.received)
        self._resend(peer)

    def on_down(self, peer: Party) -> None:
        self.happened.append(("down", peer))

    def on_envelopes(self, peer: Party, envelopes: Sequence[Envelope]) -> None:
        taken = self.taken.setdefault(peer, [])
        for envelope in envelopes:
            if envelope.number == len(taken) + 1:
                taken.append(envelope)
            else:
                self.duplicates += 1
        assert self.transport is not None
        if self.acks:
            self.transport.ack(peer, len(taken))

    def on_acked(self, peer: Party, upto: int) -> None:
        self.acked[peer] = max(self.acked.get(peer, 0), upto)

    def on_room(self, peer: Party) -> None:
        self.rooms += 1
        self._resend(peer)

    def _resend(self, peer: Party) -> None:
        assert self.transport is not None
        self.transport.send(peer, self.outbox.get(peer, [])[self.acked.get(peer, 0) :])


class House:
    """A node: its organisation, engine and transport."""

    def __init__(
        self,
        organisation: Organisation,
        peers: NetworkMap,
        serve: Mapping[str, Handler] | None = None,
        limits: LinkLimits = LINK,
        door: DoorLimits = DOOR,
    ) -> None:
        self.organisation = organisation
        self.party = organisation.party
        self.peers = peers
        self.engine = SmallEngine(len(peers.members()) + 1)
        self.limits = limits
        self.door = door
        self.serve = serve or {}
        self.transport = self._transport(0)

    def _transport(self, port: int) -> Transport:
        of = self.organisation
        made = Transport(
            Credentials(self.party, of.keys, open_tls_key(of.keys, of.tls.sealed)),
            self.peers,
            TransportSettings(port=port, link=self.limits, door=self.door),
            self.engine,
            self.serve,
            of.entropy,
        )
        self.engine.transport = made
        return made

    async def restart(self) -> None:
        """Start again at the same port, with the same engine."""
        self.transport = self._transport(self.transport.port)
        await self.transport.start()


class Street:
    """A map that all houses of a test share, and the houses."""

    def __init__(self, folder: Path, network: bytes = NETWORK, first: bytes = FIRST) -> None:
        self.clock = Clock()
        self.map = NetworkMap(network, MapFolder(folder), self.clock)
        self.map.take_parameters(first)
        self.houses: list[House] = []

    def member(self, seed: int) -> Organisation:
        """Return an organisation that is in the map and has no transport."""
        organisation = Organisation(seed, endpoints=())
        organisation.signed(self.map)
        return organisation

    async def house(
        self,
        seed: int,
        serve: Mapping[str, Handler] | None = None,
        limits: LinkLimits = LINK,
        door: DoorLimits = DOOR,
        *,
        reachable: bool = True,
    ) -> House:
        """Return a node in the map that has started."""
        organisation = self.member(seed)
        house = House(organisation, self.map, serve, limits, door)
        await house.transport.start()
        self.houses.append(house)
        if reachable:
            self.move(organisation, house.transport.port)
        return house

    def move(self, organisation: Organisation, port: int) -> None:
        organisation.entry = move(organisation.entry, (f"127.0.0.1:{port}",))
        organisation.signed(self.map)


@asynccontextmanager
async def street(folder: Path) -> AsyncIterator[Street]:
    made = Street(folder)
    try:
        yield made
    finally:
        for house in made.houses:
            await house.transport.stop()


class Hand:
    """A connection made by hand, to say what no transport says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, house: House, holder: Organisation) -> "Hand":
        """Connect to a house with the certificate of `holder`."""
        _, dialling = contexts(open_tls_key(holder.keys, holder.tls.sealed), holder.entropy)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", house.transport.port, ssl=dialling, server_hostname=""
        )
        return cls(reader, writer)

    def channel(
        self, house: House, me: Organisation, claims: Party | None = None, network: bytes = NETWORK
    ) -> Channel:
        box = me.keys.box_with(house.organisation.keys.box_public())
        pair = (claims or me.party, house.party)
        return Channel(box, network, pair, me.entropy, dialled=True)

    async def greet(self, channel: Channel) -> None:
        """Exchange greetings as a good node would."""
        self.say(channel.greeting())
        channel.take_greeting(await self.frame())

    async def come_up(self, channel: Channel, hello: Hello | None = None) -> None:
        """Do all that makes a link."""
        await self.greet(channel)
        self.say(channel.seal(BEAT))
        assert channel.open(await self.frame()) == BEAT
        assert isinstance(channel.open(await self.frame()), Opening)
        self.say(channel.seal(Opening(hello or Hello(bytes(16), b"", 0, ()))))

    def say(self, sealed: bytes) -> None:
        self.writer.write(framed(sealed))

    async def frame(self) -> bytes:
        length = int.from_bytes(await self._reader.readexactly(LENGTH_SIZE))
        return await self._reader.readexactly(length)

    async def hear(self, channel: Channel) -> Message:
        """Return the next message that is no beat."""
        while True:
            heard = channel.open(await self.frame())
            if not isinstance(heard, Beat):
                return heard

    async def is_cut_off(self) -> bool:
        """Wait for the end of the connection; farewells may come before."""
        try:
            while await self._reader.read(1 << 16):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


def is_farewell(heard: Message, code: str) -> bool:
    return isinstance(heard, Farewell) and heard.code == code
