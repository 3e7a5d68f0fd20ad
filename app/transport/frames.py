"""Frames as bytes: `length u32 BE ‖ nonce b24 ‖ Box(message)`, and the messages that a box may hold."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from app.transport.errors import LinkRefused, Reason
from app.transport.limits import (
    BODY_BYTES_MAX,
    CODE_CHARACTERS_MAX,
    ENVELOPES_MAX,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    GREETING_BYTES_MAX,
    LENGTH_SIZE,
    PLAIN_BYTES_MAX,
)
from flows.envelope import ENVELOPE_BYTES_MAX, Envelope, Hello
from states.encoding import Codec
from states.errors import MalformedBytes, OverLimit
from states.identity import PartyField
from states.sizes import U8, U16, U63, Bytes32, Name

VERSION = 1

ANSWERED = 0
REFUSED = 1

Body = Annotated[bytes, msgspec.Meta(max_length=BODY_BYTES_MAX)]


class Batch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=0):
    """Envelopes, and the highest number of the other side's that is durable here."""

    acked: U63
    envelopes: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=ENVELOPES_MAX)]


class Greeting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The first frame of each side: who it is, in which network, and a challenge for this connection."""

    version: U16
    network: Bytes32
    party: PartyField
    challenge: Bytes32


class Opening(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """The second frame of each side, which proves that it read the other's challenge."""

    hello: Hello


class Question(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """A request outside of the numbered stream; `id` grows with each one on a connection."""

    id: U63
    kind: Name
    body: Body


class Reply(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """The answer to the question with this id; where it was refused, the body is one word."""

    id: U63
    outcome: U8
    body: Body


class Beat(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """I am here. `asks`: and you?"""

    asks: bool


class Farewell(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """The last frame: `code` is the name of a Reason."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_CHARACTERS_MAX)]


Message = Batch | Greeting | Opening | Question | Reply | Beat | Farewell

_MESSAGE: Codec[Message] = Codec(Message, "message", PLAIN_BYTES_MAX)  # type: ignore[arg-type]  # a union is a type to msgspec


def open_message(plain: bytes) -> Message:
    """Return the message in an opened box; LinkRefused where it is none, or over a limit."""
    try:
        message = _MESSAGE.decode(plain)
    except OverLimit as refused:
        raise LinkRefused(Reason.OVERSIZE) from refused
    except MalformedBytes as refused:
        raise LinkRefused(Reason.MALFORMED) from refused
    if isinstance(message, Batch) and len(plain) > ENVELOPE_BYTES_MAX:  # else none can be over it
        for envelope in message.envelopes:
            if payload_size(envelope) > ENVELOPE_BYTES_MAX:
                raise LinkRefused(Reason.OVERSIZE)
    return message


def payload_size(envelope: Envelope) -> int:
    """Return the bytes that count towards an envelope's limit: its body and its parts."""
    return len(envelope.body) + sum(map(len, envelope.parts))


def framed(sealed: bytes) -> bytes:
    """Return nonce and box with their length before them."""
    assert FRAME_BYTES_MIN <= len(sealed) <= FRAME_BYTES_MAX, "what is sent keeps the limits"
    return len(sealed).to_bytes(LENGTH_SIZE) + sealed


class FrameReader:
    """Cuts a stream of bytes into frames, and refuses a length before it keeps anything of that length.

    Until `admitted` is set no frame may be longer than a greeting.
    """

    __slots__ = ("_buffer", "admitted")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.admitted = False

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each complete frame (nonce ‖ box); LinkRefused for a length outside the limits."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while (end := self._end(at)) and end <= len(buffer):
                frame = bytes(buffer[at + LENGTH_SIZE : end])
                at = end
                yield frame
        finally:
            del buffer[:at]

    def _end(self, at: int) -> int:
        """Return where the frame that begins at `at` ends, or 0 where its length is not there yet."""
        if len(self._buffer) < at + LENGTH_SIZE:
            return 0
        length = int.from_bytes(self._buffer[at : at + LENGTH_SIZE])
        if length < FRAME_BYTES_MIN:
            raise LinkRefused(Reason.MALFORMED)
        if length > (FRAME_BYTES_MAX if self.admitted else GREETING_BYTES_MAX):
            raise LinkRefused(Reason.OVERSIZE)
        return at + LENGTH_SIZE + length
