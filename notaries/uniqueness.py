"""The port of a notary's memory: what is asked of it, and what every engine promises (clauses N3 to N5)."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from notaries.log import Head, LogStore
from states.notarisation import (
    Committed,
    Conflict,
    Never,
    NotAllowed,
    Unknown,
    WindowClosed,
    WindowNotOpen,
)
from states.state import StateRef, TransactionId

OUTPUT_BITS = 16  # outputs have 16-bit indexes
OUTPUT_MAX = (1 << OUTPUT_BITS) - 1
LOG_SIZE_MAX = 1 << 47  # so that a place is a signed 64-bit integer, which every database holds


class StoreFailed(Exception):
    """The store could not answer; nothing was promised. What it holds is read afresh before the next answer."""


class Claim(NamedTuple):
    """A state that a transaction consumes or refers to, and where the notary's log created it.

    `place` is the state's key in a store: log index of its creator << 16 | its output index there. The index is what
    the requester says; it is checked against the log.
    """

    tx: bytes
    place: int

    @classmethod
    def of(cls, ref: StateRef, at: int) -> "Claim":
        """The claim to `ref`, whose creator is the log's entry `at`."""
        return cls(ref.tx, at << OUTPUT_BITS | ref.index)

    @property
    def at(self) -> int:
        return self.place >> OUTPUT_BITS

    @property
    def ref(self) -> StateRef:
        return StateRef(TransactionId(self.tx), self.place & OUTPUT_MAX)


class CommitRequest(msgspec.Struct, frozen=True):
    """A transaction whose stateless checks have passed.

    `entered` marks the notary change of another notary: it consumed its inputs there, in its window there.
    """

    transaction: TransactionId
    opens: int
    closes: int
    inputs: tuple[Claim, ...] = ()
    nullifiers: tuple[bytes, ...] = ()
    references: tuple[Claim, ...] = ()
    entered: bool = False


Refusal = Conflict | WindowClosed | WindowNotOpen | NotAllowed
Outcome = Committed | Refusal

UNKNOWN_STATE = NotAllowed("unknown-state")


class LivenessFound(NamedTuple):
    """At this head, for each place asked: consumed or not, or None where the log has no such creator."""

    head: Head
    consumed: tuple[bool | None, ...]


class UniquenessProvider(LogStore, Protocol):
    """Remembers, for ever, which transaction consumed each state, and in which order.

    One caller at a time commits; log access may come from any thread. Raises StoreFailed.
    """

    def commit(self, requests: Sequence[CommitRequest], now: int) -> list[Outcome]:
        """Commit each request whole or not at all, in the order given, which becomes the log's.

        Durable before it returns. A transaction in the log gets its receipt again, whatever was consumed since
        and whatever the time. `now` is in ms since 1970 UTC; should it fall, the latest time that an answer
        relied on counts in its place.
        """

    def status(self, tx: TransactionId, until: int, now: int) -> Committed | Never | Unknown:
        """What became of the transaction whose window ends at `until`. Never is a promise, and durable."""

    def are_consumed(self, claims: Sequence[Claim]) -> LivenessFound:
        """Which of these states are consumed, all at one head."""

    def close(self) -> None:
        """Stop what runs beside, and let go of files. Nothing is lost without it."""
