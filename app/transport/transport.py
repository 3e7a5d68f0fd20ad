"""Links between organisations: dials and answers members of the map, one link each, and tells the node."""

import asyncio
import logging
import ssl
from asyncio import AbstractEventLoop, Future, Task, TimerHandle
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.keystore.keys import KeyStore
from app.transport.certificate import contexts
from app.transport.channel import Entropy
from app.transport.dialling import back_off, parse_endpoint
from app.transport.door import Door
from app.transport.errors import LinkRefused, Reason, RequestTimedOut, Unreachable
from app.transport.frames import Batch, Question
from app.transport.kinds import Handler
from app.transport.limits import BODY_BYTES_MAX, DoorLimits, LinkLimits
from app.transport.link import Link, Stage
from app.transport.listening import LinkListener
from app.transport.peers import Peers
from app.transport.refusals import Refusals
from app.transport.serving import Serving
from app.transport.ties import replaces
from flows.envelope import Envelope, Hello
from states.errors import LedgerError, MalformedBytes, OverLimit
from states.identity import Party
from states.parameters import UnknownParty

_log = logging.getLogger("carecord.transport")


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Where to listen, and every limit. Port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 0
    link: LinkLimits = field(default_factory=LinkLimits)
    door: DoorLimits = field(default_factory=DoorLimits)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this node is on a connection: its DID, its key store (for the box key) and its TLS key."""

    party: Party
    keys: KeyStore
    tls: Ed25519PrivateKey


class Transport:
    """All links of a node. Its methods are called on the event loop's thread.

    Nothing is kept here for a peer that is down: the engine's outbox is durable, and sends again at every `on_up`.
    """

    def __init__(
        self,
        credentials: Credentials,
        peers: Peers,
        settings: TransportSettings,
        listener: LinkListener,
        serve: Mapping[str, Handler],
        entropy: Entropy,
    ) -> None:
        self.me = credentials.party
        self.keys = credentials.keys
        self.peers = peers
        self.entropy = entropy
        self.limits = settings.link
        self.port = settings.port
        """Where this node listens, once started."""
        self.refusals = Refusals()
        self._settings = settings
        self._listener = listener
        self._serving = Serving(serve, settings.link)
        self._answering, self._dialling_tls = contexts(credentials.tls, entropy)
        self._all: set[Link] = set()
        self._links: dict[Party, Link] = {}
        self._dialling: dict[Party, Task[None]] = {}
        self._failures: Counter[Party] = Counter()
        self._awaiting_up: dict[Party, Future[None]] = {}
        self._door: Door | None = None
        self._ticking: TimerHandle | None = None
        self._stopping = False
        self._started_on: AbstractEventLoop | None = None

    # -- life -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, and begin to dial those who were asked for; raises OSError where the port is taken."""
        self._started_on = loop = asyncio.get_running_loop()
        limits = (self._settings.door, self.limits)
        self._door = Door(limits, self._answering, lambda: self._new_link(None), loop)
        self.port = self._door.open(self._settings.host, self._settings.port)
        self._tick()

    async def stop(self) -> None:
        """Accept and dial nobody any more, write what waits on each link, say farewell, and close."""
        self._stopping = True
        if self._ticking is not None:
            self._ticking.cancel()
        if self._door is not None:
            await self._door.close()
        await _cancelled(list(self._dialling.values()))
        await self._serving.stop()
        links = list(self._all)
        for link in links:
            link.finish(Reason.STOPPING)
        if links:
            await asyncio.wait([link.lost for link in links], timeout=self.limits.close_seconds)
        for link in [link for link in links if not link.lost.done()]:
            link.abort()
        for waiting in self._awaiting_up.values():
            if not waiting.done():
                waiting.set_result(None)  # and find that the node stops

    @property
    def turned_away(self) -> int:
        """How many connections were closed unheard, because too many strangers were there."""
        return self._door.turned_away if self._door is not None else 0

    # -- what the node asks -----------------------------------------------------------------------------------

    def is_up(self, peer: Party) -> bool:
        link = self._links.get(peer)
        return link is not None and link.stage is Stage.UP

    def up(self) -> tuple[Party, ...]:
        return tuple(peer for peer in self._links if self.is_up(peer))

    def connections(self) -> tuple[Link, ...]:
        """Return all that are open, whoever is at the other end and however far they are."""
        return tuple(link for link in self._all if not link.ended)

    def want(self, peer: Party) -> None:
        """Dial this member until there is a link, with back-off; nothing is done where there is one."""
        running = self._dialling.get(peer)
        if (
            peer == self.me
            or self._stopping
            or self.is_up(peer)
            or (running is not None and not running.done())
        ):
            return
        self._dialling[peer] = self._loop.create_task(self._dial(peer))

    def send(self, peer: Party, envelopes: Sequence[Envelope]) -> int:
        """Hand envelopes to the link; return how many it took, from the first on.

        0 where there is no link: the peer is dialled. Where fewer are taken than given, `on_room` or `on_up` says
        when to go on.
        """
        link = self._links.get(peer)
        if link is None or link.stage is not Stage.UP:
            self.want(peer)
            return 0
        return link.post(envelopes)

    def ack(self, peer: Party, upto: int) -> None:
        """Tell the peer that all up to this number is durable here; with no link, the next hello does."""
        if self.is_up(peer):
            self._links[peer].ack(upto)

    def hold(self, peer: Party) -> None:
        """Read nothing more from this peer until `release`."""
        if self.is_up(peer):
            self._links[peer].hold()

    def release(self, peer: Party) -> None:
        if self.is_up(peer):
            self._links[peer].release()

    async def request(self, peer: Party, kind: str, body: bytes, timeout: float) -> bytes:  # noqa: ASYNC109  # the limit is a term of the request, and has an error of its own
        """Ask a member, which is dialled if need be, and return its answer; `timeout` in seconds covers all.

        Raises Unreachable, RequestTimedOut, RequestRefused; OverLimit for a body or a number of open questions
        beyond what a link carries; UnknownParty.
        """
        if len(body) > BODY_BYTES_MAX:
            raise OverLimit("body of a request in bytes", len(body), BODY_BYTES_MAX)
        self.peers.member(peer)
        try:
            async with asyncio.timeout(timeout):
                link = await self._link_to(peer)
                question, answer = link.questions.ask(kind, body)
                try:
                    link.say(question)
                    return await answer
                finally:
                    link.questions.forget(question)
        except TimeoutError:
            if self.is_up(peer):
                raise RequestTimedOut(peer, kind) from None
            raise Unreachable(peer) from None

    def map_changed(self) -> None:
        """Drop each link whose member is gone or has other keys now; the others stay.

        It is done every `tick_seconds` anyway, for a membership may end at a moment.
        """
        for link in list(self._all):
            if link.member is None or link.ended:
                continue
            now = self.peers.holder_of_tls(link.member.tls_key)
            if now is None or (now.party, now.box_key) != (link.member.party, link.member.box_key):
                link.end(Reason.MAP_CHANGED)

    def reconnect_all(self) -> None:
        """End every link and dial again: the engine forgot how far it was with its peers, so all are greeted anew."""
        for link in list(self._links.values()):
            link.end(Reason.AFRESH)

    # -- what links ask (LinkHost) ------------------------------------------------------------------------------

    def link_proven(self, link: Link) -> Hello:
        """Keep this link or the one before; see `ties`."""
        peer, kept = link.peer, self._links.get(link.peer)
        if kept is not None:
            if not replaces(
                self.me, peer, kept_dialled=kept.dialled, newcomer_dialled=link.dialled
            ):
                kept.probe()  # the peer dialled because it has lost that one, perhaps
                raise LinkRefused(Reason.REPLACED)
            self._drop(kept)
            kept.end(Reason.REPLACED)
        self._links[peer] = link
        return self._listener.hello_for(peer)

    def link_up(self, link: Link, hello: Hello) -> None:
        _log.info("link to %s is up", link.peer)
        waiting = self._awaiting_up.pop(link.peer, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        _judged(lambda: self._listener.on_up(link.peer, hello))

    def link_batch(self, link: Link, batch: Batch) -> None:
        if batch.acked:
            _judged(lambda: self._listener.on_acked(link.peer, batch.acked))
        if batch.envelopes:
            _judged(lambda: self._listener.on_envelopes(link.peer, batch.envelopes))

    def link_question(self, link: Link, question: Question) -> None:
        self._serving.take(link, question)

    def link_room(self, link: Link) -> None:
        self._listener.on_room(link.peer)

    def link_ended(self, link: Link) -> None:
        """A link says that it can no longer be used."""
        reason = link.reason or Reason.LOST
        who = link.peer if link.member is not None else None
        self.refusals.note(reason, who, link.address, self._loop.time())
        if link.member is not None and self._links.get(link.peer) is link:
            self._drop(link)
            now = self._loop.time()
            if link.up_at is not None and now - link.up_at >= self._settings.door.steady_seconds:
                self._failures[link.peer] = 1
            if reason is Reason.IDLE:
                self._failures[link.peer] = 0
            elif reason is not Reason.REPLACED:
                self.want(link.peer)

    def link_lost(self, link: Link) -> None:
        self._all.discard(link)

    # -- below ----------------------------------------------------------------------------------------------------

    @property
    def _loop(self) -> AbstractEventLoop:
        assert self._started_on is not None, "start() comes first"
        return self._started_on

    def _new_link(self, dialled: Party | None) -> Link:
        link = Link(self, dialled, self._loop)
        self._all.add(link)
        return link

    def _drop(self, link: Link) -> None:
        """The link is no longer the peer's; the node is told where it was told that it is up."""
        del self._links[link.peer]
        if link.up_at is not None:
            self._listener.on_down(link.peer)

    async def _link_to(self, peer: Party) -> Link:
        while not self.is_up(peer):
            if self._stopping:
                raise Unreachable(peer)
            self.want(peer)
            up = self._awaiting_up.get(peer)
            if up is None:
                up = self._awaiting_up[peer] = self._loop.create_future()
            await asyncio.shield(up)
        return self._links[peer]

    async def _dial(self, peer: Party) -> None:
        while not self.is_up(peer):
            if failures := self._failures[peer]:
                await asyncio.sleep(back_off(failures - 1, self._settings.door, self.entropy))
            self._failures[peer] += 1
            try:
                endpoints = self.peers.member(peer).endpoints
            except UnknownParty:
                return
            if not endpoints:
                return  # who has no address dials us
            for text in () if self.is_up(peer) else endpoints:
                if await self._dialled(peer, text):
                    return

    async def _dialled(self, peer: Party, text: str) -> bool:
        link = self._new_link(peer)
        try:
            endpoint = parse_endpoint(text)
            async with asyncio.timeout(self.limits.handshake_seconds * 2):
                await self._loop.create_connection(
                    lambda: link,
                    endpoint.host,
                    endpoint.port,
                    ssl=self._dialling_tls,
                    server_hostname="",
                    ssl_handshake_timeout=self.limits.handshake_seconds,
                    ssl_shutdown_timeout=self.limits.close_seconds,
                )
            return await link.settled or self.is_up(peer)
        except (OSError, ssl.SSLError, TimeoutError, MalformedBytes) as refused:
            _log.info("%s is not reached at %s: %s", peer, text, type(refused).__name__)
            return False
        finally:
            if link.stage not in {Stage.UP, Stage.ENDED}:
                link.abort()

    def _tick(self) -> None:
        now = self._loop.time()
        self.map_changed()
        for link in list(self._all):
            link.tick(now)
            if self._is_idle(link, now):
                link.finish(Reason.IDLE)
        self._ticking = self._loop.call_later(self.limits.tick_seconds, self._tick)

    def _is_idle(self, link: Link, now: float) -> bool:
        """Whether a link may close: who dialled it closes it, if the other side could dial again."""
        if link.stage is not Stage.UP or not link.dialled:
            return False
        if now - link.idle_since() <= self.limits.idle_seconds:
            return False
        try:
            return bool(self.peers.member(self.me).endpoints)
        except UnknownParty:
            return False


async def _cancelled(tasks: list[Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _judged(call: Callable[[], None]) -> None:
    """Run what the node makes of a peer's words; a LedgerError is the peer's fault and ends the link."""
    try:
        call()
    except LinkRefused:
        raise
    except LedgerError as refused:
        raise LinkRefused(Reason.MALFORMED) from refused
