"""What the engine asks of a database: rows, and one transaction for all that moved in a turn (flows/README.md §1.2)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

from flows.envelope import SessionMark

U_co = TypeVar("U_co", covariant=True)


class Status(IntEnum):
    """Where a flow is in its life; from DONE on it has ended."""

    RUNNING = 0
    PAUSED = 1  # by an operator
    RETRYING = 2  # failed for a reason that may pass
    OBSERVED = 3  # waits for an operator (§6)
    DONE = 4
    FAILED = 5
    KILLED = 6


class FlowRow(NamedTuple):
    """A flow. `torn`: what it did after its journal's last answer was not committed, so a replay does it."""

    id: bytes
    tag: str
    args: bytes
    status: int
    torn: int
    in_doubt: int  # a transaction of it may have been notarised
    attempts: int
    created: int
    client_key: str | None
    peer: str  # of a responder: who opened its session; else empty
    session: bytes  # of a responder; empty for a letter's
    result: bytes
    why: str


class JournalRow(NamedTuple):
    """How a flow's operation number `seq` was answered (flows/journal.py)."""

    flow: bytes
    seq: int
    kind: int
    hash: bytes
    value: bytes


class SessionRow(NamedTuple):
    """How far a session is: messages that were committed for sending, and that came."""

    peer: str
    session: bytes
    flow: bytes
    sent: int
    received: int
    open: int  # 0 when the other side ended it, or when it was lost


class InboxRow(NamedTuple):
    """A message that came before its flow awaited it; what ends a session stays until the flow ends."""

    peer: str
    session: bytes
    seq: int
    kind: int
    body: bytes
    parts: bytes  # encoded ids


class OutboxRow(NamedTuple):
    """A message that its peer has not acknowledged."""

    peer: str
    number: int
    kind: int
    session: bytes
    seq: int
    body: bytes
    parts: bytes  # encoded ids


class HeldPartRow(NamedTuple):
    """An outbox row names a part row, which therefore outlives its flow."""

    peer: str
    number: int
    part: bytes


class PartRow(NamedTuple):
    """Bytes that travel beside a message; without a flow once only the outbox names them."""

    id: bytes
    flow: bytes
    body: bytes


class WaitRow(NamedTuple):
    """What a sleeping flow must be woken for: a time, or a notary that must be asked (`kind` not empty)."""

    flow: bytes
    due: int
    seq: int
    kind: str
    row: bytes


class ProgressRow(NamedTuple):
    """`number` grows by one for ever, so that a client can catch up and then follow."""

    number: int
    flow: bytes
    at: int
    status: int
    step: str


class AdmissionRow(NamedTuple):
    """A flow came to the hospital (§6)."""

    flow: bytes
    at: int
    seq: int
    error: str
    detail: str
    verb: str
    due: int


class PeerRow(NamedTuple):
    """The numbers between this node and a peer, and the incarnation of the peer to which they belong."""

    peer: str
    incarnation: bytes
    next_out: int
    next_in: int


@dataclass(slots=True)
class Batch:
    """Rows of one turn, written by `FlowStore.write` in few statements."""

    started: list[FlowRow] = field(default_factory=list)
    changed: list[FlowRow] = field(default_factory=list)
    journal: list[JournalRow] = field(default_factory=list)
    sessions: list[SessionRow] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    held: list[HeldPartRow] = field(default_factory=list)
    waits: list[WaitRow] = field(default_factory=list)
    awake: list[tuple[bytes]] = field(default_factory=list)
    progress: list[ProgressRow] = field(default_factory=list)
    admissions: list[AdmissionRow] = field(default_factory=list)
    peers: list[PeerRow] = field(default_factory=list)
    ended: list[tuple[bytes]] = field(default_factory=list)


class FlowStore(Protocol[U_co]):
    """Flows, their journals and their post, in the same database as what flows work on.

    `unit` is what handlers of requests get: the open transaction. All writes happen between `begin` and `commit`; after
    a crash in between none of them has happened, after `commit` returned all have.
    """

    @property
    def unit(self) -> U_co: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def savepoint(self) -> None: ...
    def release(self) -> None: ...
    def rollback_to(self) -> None:
        """Undo what was written since `savepoint`, and forget the savepoint."""

    def transaction(self) -> AbstractContextManager[object]:
        """Commit what the block writes; inside an open transaction leave that to its owner."""

    def write(self, batch: Batch) -> None: ...

    def incarnation(self) -> bytes:
        """Return the 16 bytes that name this database since it was made or last restored; empty before both."""

    def new_incarnation(self, random: bytes) -> None:
        """Name this database anew, and forget the incarnations of all peers: numbers begin again with each."""

    def flow(self, flow: bytes) -> FlowRow | None: ...
    def flow_by_client_key(self, key: str) -> FlowRow | None: ...
    def flows(
        self, statuses: Sequence[Status], before: tuple[int, bytes] | None, limit: int
    ) -> list[FlowRow]:
        """Return flows, the youngest first, from below the (created, id) of `before`."""

    def add_flow(self, row: FlowRow) -> None: ...
    def torn(self) -> list[bytes]:
        """Return running flows whose last step has not been done."""

    def journal(self, flow: bytes) -> list[JournalRow]: ...
    def sessions(self, flow: bytes) -> list[SessionRow]: ...
    def session(self, peer: str, session: bytes) -> SessionRow | None: ...
    def responders(self) -> list[tuple[str, bool, int]]:
        """Return, for each peer that opened sessions (True) or sent letters (False), how many have not ended."""

    def bury(self, peer: str, session: bytes) -> bool:
        """Remember for ever that this INIT was seen; False if it had been."""

    def put_early(self, row: InboxRow) -> None: ...
    def early(self, peer: str, session: bytes) -> InboxRow | None: ...
    def early_count(self, peer: str, session: bytes) -> int: ...
    def drop_early(self, row: InboxRow) -> None: ...

    def put_event(self, flow: bytes, name: str, key: str, body: bytes) -> bool:
        """Keep an event; False if one of that name and key was there, taken or not."""

    def take_event(self, flow: bytes, name: str) -> bytes | None: ...
    def event_count(self, flow: bytes) -> int: ...
    def with_events(self) -> list[bytes]:
        """Return running flows that have an event which they did not take yet."""

    def kept_bytes(self, peer: str) -> int:
        """Return how many bytes a peer's messages take here: of what it opened and has not ended, and early ones."""

    def put_part(self, row: PartRow) -> None: ...
    def part(self, part: bytes) -> bytes | None: ...
    def drop_part(self, flow: bytes, part: bytes) -> None: ...
    def drop_parts(self, flow: bytes) -> None: ...

    def peers(self) -> list[PeerRow]: ...
    def outbox(self, peer: str, first: int, limit: int) -> list[OutboxRow]: ...
    def outbox_first(self, peer: str) -> int | None: ...
    def acknowledge(self, peer: str, upto: int) -> None:
        """Drop outbox rows up to that number, and part rows that only they held."""

    def renumber(self, peer: str, down_by: int) -> None: ...
    def marks(self, peer: str, limit: int) -> list[SessionMark]:
        """Return how far each session with the peer is, by id; those closed here only while post of theirs is left."""

    def unsaid(self, peer: str) -> list[tuple[bytes, int]]:
        """Return the sessions closed here whose post to the peer does not say so, each with its next number.

        The peer had closed them itself: it was not to be told.
        """

    def waits(self) -> list[WaitRow]:
        """Return what running and retrying flows wait for."""

    def last_progress(self) -> int: ...
    def progress(self, after: int, flow: bytes | None, limit: int) -> list[ProgressRow]: ...
    def prune_progress(self, upto: int) -> None: ...
    def prune_ended(self, after: bytes, before: bytes, limit: int) -> bytes:
        """Forget flows that have ended, with their admissions, of the next `limit` flows whose ids lie in between.

        Return the last id that was looked at, `after` if there was none. A flow that a client key started stays: the
        key starts no second one.
        """

    def admissions(self, flow: bytes) -> list[AdmissionRow]: ...
