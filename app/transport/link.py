"""One connection to one member: it is admitted, greets, opens, carries messages, and ends with a reason."""

import asyncio
import ssl
from asyncio import AbstractEventLoop, BaseTransport, Future, TimerHandle, Transport
from collections.abc import Sequence
from enum import Enum, auto
from typing import cast

from app.transport.certificate import pin_of_certificate
from app.transport.channel import Channel
from app.transport.deadlines import Deadlines
from app.transport.errors import LinkRefused, Reason
from app.transport.frames import (
    Batch,
    Beat,
    Farewell,
    FrameReader,
    Message,
    Opening,
    Question,
    Reply,
    framed,
)
from app.transport.host import LinkHost
from app.transport.outgoing import Outgoing
from app.transport.questions import Questions
from flows.envelope import Envelope
from states.errors import InvalidSignature
from states.identity import Party
from states.parameters import Member


class Stage(Enum):
    """How far a link is."""

    GREETING = auto()
    PROVING = auto()
    OPENING = auto()
    UP = auto()
    ENDED = auto()


class Link(asyncio.Protocol):
    """A connection. `dialled` is the member that this node meant to reach; None where the other side dialled.

    Each side sends a Greeting; then a Beat, which only a frame of this very connection can be (see `Channel`); only
    when that came does this link count, against another one to the same member and with the engine, whose hello
    follows in an Opening. From then on it carries messages.
    """

    def __init__(
        self, host: "LinkHost[Link]", dialled: Party | None, loop: AbstractEventLoop
    ) -> None:
        self.dialled = dialled is not None
        self.settled: Future[bool] = loop.create_future()
        """Whether the link came up, as soon as that is known."""
        self.lost: Future[None] = loop.create_future()
        self.address = ""
        self.member: Member | None = None
        self.reason: Reason | None = None
        self.up_at: float | None = None
        """The loop's time when it came up, also after its end."""
        self.serving = 0
        self._host = host
        self._limits = host.limits
        self._meant = dialled
        self._loop = loop
        self._stage = Stage.GREETING
        self._reader = FrameReader()
        self._out = Outgoing(self._limits.queue_bytes)
        self._channel: Channel | None = None
        self._questions: Questions | None = None
        self._transport: Transport | None = None
        self._closing: TimerHandle | None = None
        self._flushing = False
        self._finishing: Reason | None = None
        self._wants_room = False
        self._deadlines = Deadlines(self._limits, loop.time())

    # -- what the host asks ---------------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        return self._stage

    @property
    def ended(self) -> bool:
        return self._stage is Stage.ENDED

    @property
    def peer(self) -> Party:
        assert self.member is not None, "a link that is up has a member"
        return Party(self.member.party)

    @property
    def questions(self) -> Questions:
        assert self._questions is not None, "a link that is up has questions"
        return self._questions

    def post(self, envelopes: Sequence[Envelope]) -> int:
        """Queue envelopes; return how many were taken. `LinkHost.link_room` follows where not all were."""
        if self._stage is not Stage.UP or self._finishing is not None:
            return 0
        taken = self._out.post(envelopes)
        self._wants_room = self._wants_room or taken < len(envelopes)
        self._deadlines.used = self._loop.time()
        self._flush_soon()
        return taken

    def ack(self, upto: int) -> None:
        self._out.ack(upto)
        self._flush_soon()

    def say(self, message: Message) -> None:
        """Queue a message that is no batch; a peer that lets too many pile up is cut off."""
        if self._stage is not Stage.UP:
            return
        if self._out.messages >= self._limits.messages:
            self.end(Reason.SLOW_READER)
            return
        self._out.say(message)
        self._flush_soon()

    def hold(self) -> None:
        """Read nothing more until `release`: the node cannot take more from this peer now."""
        if self._transport is not None:
            self._deadlines.held()
            self._transport.pause_reading()

    def release(self) -> None:
        if self._transport is not None and not self.ended:
            self._deadlines.released(self._loop.time())
            self._transport.resume_reading()

    def probe(self) -> None:
        """Ask whether the other side is there: it must be heard within `probe_seconds`."""
        if self._deadlines.probe(self._loop.time()):
            self.say(Beat(asks=True))

    def finish(self, reason: Reason) -> None:
        """Write all that waits, then end."""
        self._finishing = reason
        if self._stage is Stage.UP:
            self._flush_soon()
        else:
            self.end(reason)

    def end(self, reason: Reason) -> None:
        """Say farewell where that is possible, and close; what waits is dropped."""
        if self._stage is Stage.ENDED:
            return
        told = self._stage is not Stage.GREETING and self._deadlines.writable
        if told and self._channel is not None:
            self._write(self._channel.seal(Farewell(reason.name)))
        # TLS drops what waits to be written when the other side's last words cross a close. So who ends a link
        # in peace leaves the closing to the other side, which does so when it has read the farewell.
        self._end(reason, close=not told or reason not in {Reason.STOPPING, Reason.IDLE})

    def abort(self) -> None:
        """Cut the connection off, or give up one that never came about; nothing more is written."""
        if self._transport is not None:
            if not self.ended:
                self._end(Reason.LOST)
            self._transport.abort()
            return
        self._stage = Stage.ENDED
        if not self.settled.done():
            self.settled.set_result(False)
        self._gone()

    def tick(self, now: float) -> None:
        """Judge the deadlines, and beat; called every `tick_seconds`."""
        if self.ended or self._transport is None:
            return
        up = self._stage is Stage.UP
        reason = self._deadlines.overdue(now, up=up)
        if reason is not None:
            self.end(reason)
        elif up and self._deadlines.must_beat(now):
            self.say(Beat(asks=False))

    def idle_since(self) -> float:
        """Return the loop's time when something besides beats was last said or heard."""
        waiting = self.serving or (self._questions is not None and self._questions.awaited)
        return self._loop.time() if waiting else self._deadlines.used

    # -- what asyncio calls -----------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        stream = cast("Transport", transport)  # uvloop's are no subclass of it
        if self.ended:  # given up meanwhile
            stream.abort()
            return
        self._transport = stream
        self._deadlines = Deadlines(self._limits, self._loop.time())
        stream.set_write_buffer_limits(high=self._limits.write_high_bytes)
        try:
            self._admit(stream)
        except LinkRefused as refused:
            self.end(refused.reason)

    def data_received(self, data: bytes) -> None:
        if self.ended:
            self._overhear(data)
            return
        now = self._loop.time()
        self._deadlines.heard(now)
        completed = False
        try:
            for frame in self._reader.feed(data):
                completed = True
                if not self._take(frame):
                    return
        except LinkRefused as refused:
            self.end(refused.reason)
        self._deadlines.read(now, partial=self._reader.partial, completed=completed)

    def pause_writing(self) -> None:
        self._deadlines.paused(self._loop.time())

    def resume_writing(self) -> None:
        self._deadlines.resumed()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the system's words say no more than "it broke"
        if self._closing is not None:
            self._closing.cancel()
        if not self.ended:
            self._end(Reason.LOST)
        self._gone()

    # -- the first two frames ---------------------------------------------------------------------------

    def _admit(self, transport: Transport) -> None:
        """Find the member by the certificate, and greet it; raises LinkRefused."""
        named = transport.get_extra_info("peername")
        self.address = str(named[0]) if named else ""
        member = self._holder(transport.get_extra_info("ssl_object"))
        host = self._host
        party = Party(member.party)
        if party == host.me:
            raise LinkRefused(Reason.OWN_IDENTITY)
        try:
            box = host.keys.box_with(member.box_key)
        except InvalidSignature as refused:
            raise LinkRefused(Reason.UNSUITABLE_KEY) from refused
        self.member = member
        self._questions = Questions(party, self._limits.questions_asked, self._loop)
        self._channel = Channel(
            box, host.peers.network, (host.me, party), host.entropy, dialled=self.dialled
        )
        self._write(self._channel.greeting())

    def _holder(self, tls: ssl.SSLObject) -> Member:
        der = tls.getpeercert(binary_form=True)
        try:
            pin = pin_of_certificate(der or b"")
        except ValueError as refused:
            raise LinkRefused(Reason.UNKNOWN_PARTY) from refused
        member = self._host.peers.holder_of_tls(pin)
        if self._meant is not None and (member is None or member.party != self._meant):
            raise LinkRefused(Reason.WRONG_CERTIFICATE)
        if member is None:
            raise LinkRefused(Reason.UNKNOWN_PARTY)
        return member

    def _take(self, frame: bytes) -> bool:
        """Take one frame; return whether the link goes on."""
        channel = self._channel
        assert channel is not None, "admitted before the first byte is read"
        match self._stage:
            case Stage.GREETING:
                channel.take_greeting(frame)
                self._stage = Stage.PROVING
                self._write(channel.seal(Beat(asks=False)))
            case Stage.UP:
                self._hear(channel.open(frame))
            case _:
                self._open(channel, channel.open(frame))
        return not self.ended

    def _overhear(self, data: bytes) -> None:
        """After this side's farewell: drop what comes, until the other side's farewell crosses it."""
        channel, stream = self._channel, self._transport
        if channel is None or stream is None or stream.is_closing():
            return
        try:
            if any(isinstance(channel.open(frame), Farewell) for frame in self._reader.feed(data)):
                stream.close()
        except LinkRefused:
            stream.close()

    def _open(self, channel: Channel, message: Message) -> None:
        if isinstance(message, Farewell):
            self._end(_told(message))
        elif isinstance(message, Beat) and self._stage is Stage.PROVING:
            self._reader.admitted = True
            hello = self._host.link_proven(self)
            self._stage = Stage.OPENING
            self._write(channel.seal(Opening(hello)))
        elif isinstance(message, Opening) and self._stage is Stage.OPENING:
            self._stage = Stage.UP
            self.up_at = self._loop.time()
            self.settled.set_result(True)
            self._host.link_up(self, message.hello)
        else:
            raise LinkRefused(Reason.MALFORMED)

    # -- messages ------------------------------------------------------------------------------------------

    def _hear(self, message: Message) -> None:
        if not isinstance(message, Beat):
            self._deadlines.used = self._loop.time()
        match message:
            case Batch():
                self._host.link_batch(self, message)
            case Question():
                self.questions.heard(message)
                self._host.link_question(self, message)
            case Reply():
                self.questions.settle(message)
            case Beat():
                if message.asks:
                    self.say(Beat(asks=False))
            case Farewell():
                self._end(_told(message))
            case _:
                raise LinkRefused(Reason.MALFORMED)

    def _flush_soon(self) -> None:
        # Once a turn of the loop: what the engine posts in one turn leaves in one box.
        if not self._flushing and self._stage is Stage.UP:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        channel = self._channel
        if channel is None or self._stage is not Stage.UP:
            return
        while self._deadlines.writable and (message := self._out.next()) is not None:
            self._write(channel.seal(message))
        if self._wants_room and self._out.has_room:
            self._wants_room = False
            self._host.link_room(self)
        if self._finishing is not None and self._deadlines.writable:
            self.end(self._finishing)

    def _write(self, sealed: bytes) -> None:
        assert self._transport is not None, "a connection was made"
        self._deadlines.said(self._loop.time())
        self._transport.write(framed(sealed))

    def _end(self, reason: Reason, *, close: bool = True) -> None:
        self._stage = Stage.ENDED
        self.reason = reason
        if not self.settled.done():
            self.settled.set_result(False)
        if self._transport is not None:
            if close:
                self._transport.close()
            self._closing = self._loop.call_later(self._limits.close_seconds, self._transport.abort)
        if self._questions is not None:
            self._questions.fail()
        self._host.link_ended(self)

    def _gone(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        self._host.link_lost(self)


def _told(message: Farewell) -> Reason:
    """Return the reason that the other side gave, where it is one that is nobody's fault."""
    reason = Reason.__members__.get(message.code)
    quiet = {Reason.REPLACED, Reason.MAP_CHANGED, Reason.IDLE, Reason.STOPPING}
    return reason if reason in quiet else Reason.REFUSED_BY_PEER
