"""What nodes send each other: envelopes, the hello of a connection, and their limits (flows/README.md §3)."""

from enum import IntEnum
from typing import Annotated

import msgspec

from states.encoding import Codec
from states.errors import LedgerError, OverLimit
from states.sizes import U32, U63, Bytes16, Name

ENVELOPE_BYTES_MAX = 1 << 20  # with parts; a frame of the transport holds a few
PARTS_MAX = 64  # one message names so many rows at most
UNACKNOWLEDGED_MAX = 512  # envelopes in flight to one peer
SESSIONS_OPEN_MAX = 1_000  # that one peer opened here and that have not ended
LETTERS_OPEN_MAX = 10_000  # of one peer; beyond it they wait at their sender
KEPT_BYTES_MAX = (
    256 << 20
)  # of one peer: what it opened and has not ended, and what nobody has taken yet
EARLY_MAX = 256  # messages of one session that its flow has not taken yet
MARKS_MAX = 4_096  # sessions that one hello compares; those beyond it count as lost
ENVELOPE_OVERHEAD_BYTES = 256  # number, kind, session, seq and lengths, rounded up


class Kind(IntEnum):
    """What an envelope does to its session."""

    INIT = 0
    LETTER = 1  # an INIT whose session is closed at once
    DATA = 2
    END = 3
    ERROR = 4
    REJECT = 5  # unnumbered within the session: counts only while nothing else has come
    LOST = 6  # never on the wire: the local note that a session cannot go on


WireKind = Annotated[int, msgspec.Meta(ge=0, le=5)]


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One message between two nodes; `parts` are bytes here, and row ids at either end.

    An empty part is one that the sender no longer has.
    """

    number: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    kind: WireKind
    session: Bytes16
    seq: U32
    body: Annotated[bytes, msgspec.Meta(max_length=ENVELOPE_BYTES_MAX)]
    parts: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=PARTS_MAX)]


class Opening(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The body of INIT and LETTER: the flow that speaks, the responder it wants, the first message."""

    flow: Name
    responder: Name
    message: bytes


class Fault(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The body of ERROR and REJECT: `public` is empty unless the flow refused; `id` names our own record of it."""

    code: Name
    public: Annotated[str, msgspec.Meta(max_length=1_024)]
    id: Annotated[str, msgspec.Meta(max_length=64)]


class SessionMark(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far one side of a session is: it numbered `sent` messages, still holds those from `kept`, took `received`."""

    session: Bytes16
    sent: U32
    kept: U32
    received: U32
    closed: bool


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Opens a connection: who I am since my last restore, whom I think you are, what I hold of yours."""

    incarnation: Bytes16
    known: Annotated[
        bytes, msgspec.Meta(max_length=16)
    ]  # your incarnation, empty before the first hello
    received: U63
    sessions: Annotated[tuple[SessionMark, ...], msgspec.Meta(max_length=MARKS_MAX)]


ENVELOPE = Codec(Envelope, "envelope", ENVELOPE_BYTES_MAX + ENVELOPE_OVERHEAD_BYTES)
HELLO = Codec(Hello, "hello")
OPENING = Codec(Opening, "opening of a session", ENVELOPE_BYTES_MAX)
FAULT = Codec(Fault, "fault")


class EarlyOverflow(LedgerError):
    """A peer sent more messages of one session than its flow can be expected to take."""


def check_size(body: int, parts: list[int]) -> None:
    """Refuse a message that would not fit an envelope; sizes in bytes, raises OverLimit."""
    if len(parts) > PARTS_MAX:
        raise OverLimit("parts of a message", len(parts), PARTS_MAX)
    total = body + sum(parts)
    if total > ENVELOPE_BYTES_MAX:
        raise OverLimit("bytes of an envelope", total, ENVELOPE_BYTES_MAX)


def is_lost(mine: SessionMark, theirs: SessionMark | None) -> bool:
    """Whether a session of mine cannot go on after one of us was restored (§3.5).

    It can if what the other side took lies between what I still hold and what I sent, and the reverse. Both sides
    compare the same two marks, so they agree.
    """
    if theirs is None:
        # Nothing of it has arrived there, and all of it will be sent again.
        return mine.kept > 0 or mine.received > 0
    if not theirs.kept <= mine.received <= theirs.sent:
        return True
    return not theirs.closed and not mine.kept <= theirs.received <= mine.sent
