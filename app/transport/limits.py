"""Every limit of the transport, by name: bytes, counts and seconds."""

from dataclasses import dataclass

from flows.envelope import ENVELOPE_BYTES_MAX, UNACKNOWLEDGED_MAX

NONCE_SIZE = 24
TAG_SIZE = 16
LENGTH_SIZE = 4
PLAIN_BYTES_MAX = ENVELOPE_BYTES_MAX + (1 << 16)  # one full envelope, and what surrounds it
FRAME_BYTES_MAX = NONCE_SIZE + TAG_SIZE + PLAIN_BYTES_MAX
FRAME_BYTES_MIN = NONCE_SIZE + TAG_SIZE + 1
GREETING_BYTES_MAX = 512  # what one may send before it has shown who it is
ENVELOPES_MAX = UNACKNOWLEDGED_MAX  # in one frame
BODY_BYTES_MAX = ENVELOPE_BYTES_MAX  # of a question or its answer
CODE_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """How patient a link is, and how much it holds for a peer that reads slowly."""

    handshake_seconds: float = 10.0
    greeting_seconds: float = 10.0
    frame_seconds: float = 30.0
    beat_seconds: float = 15.0
    silence_seconds: float = 45.0
    probe_seconds: float = 3.0
    stall_seconds: float = 60.0
    idle_seconds: float = 900.0
    close_seconds: float = 5.0
    tick_seconds: float = 1.0
    queue_bytes: int = 16 << 20
    messages: int = 1_024
    questions_asked: int = 256
    questions_served: int = 64
    answer_seconds: float = 60.0
    write_high_bytes: int = 1 << 18

    def __post_init__(self) -> None:
        if self.silence_seconds <= self.beat_seconds:
            raise ValueError("a peer is silent after more than one beat")


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """How many connections that have not yet shown who they are may be open, and how dialling backs off."""

    strangers: int = 256
    strangers_an_address: int = 16
    backlog: int = 128
    back_off_seconds: float = 0.25
    back_off_seconds_max: float = 60.0
    steady_seconds: float = 5.0
    """How long a link must have been up for its end to count as a first failure."""
