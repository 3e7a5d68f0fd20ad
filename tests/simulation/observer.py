"""What the flows of a node have durably done, seen from outside: by its commits, and never by its own account."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256

import msgspec

from flows.envelope import OPENING, Kind
from flows.execution import Execution
from flows.flow import Operation, Receive, Received
from flows.journal import Answered
from flows.notices import Notice, Withdrawn
from flows.services import Held, HoldProposal
from flows.step import Handlers, StepContext
from flows.store import JournalRow
from flows.subjects.blob import Release, ReleaseKeys
from flows.subjects.confirmation import EndConfirmation, HeedAgain
from flows.subjects.notice import TakeNotice
from flows.subjects.record import RECORD, MakeIntroduction
from flows.subjects.statement import HeedSigned
from states.errors import LedgerError
from states.groups import Group
from states.signed import HELD_OR_PROVEN
from states.state import STATE_REF, StateRef
from states.tearoff import open_tearoff

_received = msgspec.msgpack.Decoder(Received).decode


def digest(data: bytes) -> bytes:
    return sha256(data).digest()[:8]


class Violation(AssertionError):
    """Something that must hold does not. `checker` names what found it."""

    def __init__(self, checker: str, what: str) -> None:
        super().__init__(checker, what)
        self.checker = checker

    def __str__(self) -> str:
        return "[{}] {}".format(*self.args)


@dataclass(frozen=True, slots=True)
class Wrote:
    """A journal row that a flow wrote, and of a received message where it came from and how far it is."""

    flow: bytes
    seq: int
    kind: int
    hash: bytes
    peer: str = ""
    session: bytes = b""
    first: int = 0  # the number of the first message that this side receives
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Released:
    """Keys of a transaction were wrapped for its recipient."""

    tx: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class Introduced:
    """An agent has announced a custodian to another, at a time of the agent's clock."""

    record: StateRef
    old: str
    new: str
    at: int


@dataclass(frozen=True, slots=True)
class SignedFor:
    """A proposal was judged and signed for whom it makes a record's new custodian, at a time of his clock."""

    tx: bytes
    old: str
    at: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A node was told what may not be read any more: items of disclosures (by commitment), or all on a consent."""

    items: tuple[tuple[bytes, bytes], ...] = ()
    consents: tuple[StateRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A restored node has been told by a custodian, once more, all that may not be read any more."""

    custodian: str


Judged = Released | Introduced | SignedFor | Closed | Confirmed
"""What an oracle judges, or must know of, when it is durable."""


@dataclass(slots=True)
class Account:
    """What one database has seen for good. Goes back with it when an older image takes its place."""

    written: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    taken: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    answered: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    letters: Counter[tuple[str, bytes]] = field(default_factory=Counter)

    def copy(self) -> "Account":
        return replace(
            self,
            written=dict(self.written),
            taken=Counter(self.taken),
            answered=Counter(self.answered),
            letters=Counter(self.letters),
        )


class Post:
    """Everything that any node ever committed for sending: what others may receive."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, str, bytes, int], set[bytes]] = {}
        self.letters: dict[tuple[str, str, bytes], set[bytes]] = {}

    def add(self, me: str, row: tuple[object, ...]) -> None:
        peer, _, kind, session, seq, body, _ = row
        assert isinstance(peer, str)
        assert isinstance(session, bytes)
        assert isinstance(seq, int)
        assert isinstance(body, bytes)
        if kind == Kind.LETTER:
            said = digest(OPENING.decode(body).message)
            self.letters.setdefault((me, peer, said), set()).add(session)
        elif kind in (Kind.INIT, Kind.DATA):
            said = digest(OPENING.decode(body).message if kind == Kind.INIT else body)
            self.bodies.setdefault((me, peer, session, seq), set()).add(said)


Event = Wrote | Judged | tuple[str, tuple[object, ...]]


class Observer:
    """Keeps what is not yet durable apart from what is; a checker of effects and sessions. A disk's Watcher."""

    def __init__(self, me: str, post: Post, strangers: frozenset[str]) -> None:
        self.me = me
        self.account = Account()
        self.fates: Callable[[bool], None] = lambda _after: None
        self.judge: Callable[[Judged], None] = lambda _judged: None
        self._post = post
        self._strangers = strangers
        self._pending: list[Event] = []
        self._mark = 0

    # -- Watcher ---------------------------------------------------------------------------------------

    def committing(self) -> None:
        self.fates(False)  # noqa: FBT003 - before

    def committed(self) -> None:
        events, self._pending = self._pending, []
        for event in events:
            match event:
                case Wrote():
                    self._keep(event)
                case Released() | Introduced() | SignedFor() | Closed() | Confirmed():
                    self.judge(event)
                case ("outbox", row):
                    self._post.add(self.me, row)
                case (_, row):
                    self._begin(row)
        self.fates(True)  # noqa: FBT003 - after

    def rolled_back(self) -> None:
        self._pending = []

    def marked(self) -> None:
        self._mark = len(self._pending)

    def back_to_mark(self) -> None:
        del self._pending[self._mark :]

    def rows(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        if statement.startswith("INSERT INTO flow_outbox"):
            self._pending += [("outbox", row) for row in rows]
        elif statement.startswith("INSERT INTO flow VALUES"):
            self._pending += [("flow", row) for row in rows if row[9]]

    # -- what becomes durable --------------------------------------------------------------------------

    def note(self, event: Event) -> None:
        self._pending.append(event)

    def _keep(self, wrote: Wrote) -> None:
        place = wrote.flow, wrote.seq
        if place in self.account.written:
            kind = Answered(wrote.kind).name.lower()
            raise Violation("one effect a step", f"{self.me}: {place[0].hex()} {kind} {wrote.seq}")
        self.account.written[place] = wrote.hash
        if wrote.peer and wrote.peer not in self._strangers:
            number = wrote.first + self.account.taken[wrote.peer, wrote.session]
            self.account.taken[wrote.peer, wrote.session] += 1
            sent = self._post.bodies.get((wrote.peer, self.me, wrote.session, number), ())
            if wrote.body not in sent:
                what = f"{self.me}: message {number} of {wrote.session.hex()} is not what was sent"
                raise Violation("no session gap", what)

    def _begin(self, row: tuple[object, ...]) -> None:
        """A responder has begun: once for an INIT, once for a letter, with the message that was sent."""
        peer, session, arguments = row[9], row[10], row[2]
        assert isinstance(peer, str)
        assert isinstance(session, bytes)
        assert isinstance(arguments, bytes)
        if peer in self._strangers:
            return
        said = digest(_received(arguments).body)
        if not session:
            self.account.letters[peer, said] += 1
            letters = self._post.letters.get((peer, self.me, said), set())
            if self.account.letters[peer, said] > len(letters):
                raise Violation("one effect a step", f"{self.me} took a letter of {peer} twice")
            return
        self.account.answered[peer, session] += 1
        if self.account.answered[peer, session] > 1:
            raise Violation("one effect a step", f"{self.me} answered {session.hex()} twice")
        if said not in self._post.bodies.get((peer, self.me, session, 0), ()):
            raise Violation("no session gap", f"{self.me} answered what nobody asked")


class _Present:
    """Whose turn it is: one thread, one node at a time."""

    observer: Observer | None = None


_write = Execution.write
_answer = Handlers.answer


def _observed_write(self: Execution, kind: int, value: bytes) -> JournalRow:
    row = _write(self, kind, value)
    if _Present.observer is not None:
        wrote = Wrote(row.flow, row.seq, row.kind, row.hash)
        operation = self.operation
        if kind == Answered.RECEIVED and isinstance(operation, Receive):
            session = self.context.sessions[operation.session]
            first = 1 if session.id == self.session else 0
            body = digest(_received(value).body)
            wrote = replace(
                wrote, peer=session.counterparty, session=session.id, first=first, body=body
            )
        _Present.observer.note(wrote)
    return row


def _observed_answer(
    self: Handlers[object], step: StepContext[object], request: Operation
) -> msgspec.Struct:
    result = _answer(self, step, request)
    judged = _judged(step, request, result)
    if judged is not None and _Present.observer is not None:
        _Present.observer.note(judged)
    return result


def _judged(step: StepContext[object], request: Operation, result: msgspec.Struct) -> Judged | None:
    """Return what an oracle judges of what a handler has done, or must know of."""
    judged: Judged | None = None
    if isinstance(request, ReleaseKeys) and isinstance(result, Release):
        released = result.outcome == "released"
        judged = Released(request.tx, request.peer) if released else None
    elif isinstance(request, MakeIntroduction):
        judged = Introduced(request.record, request.custodian, request.to, step.now)
    elif isinstance(request, HoldProposal) and isinstance(result, Held):
        signed = SignedFor(result.tx, request.peer, step.now)
        judged = signed if request.purpose == RECORD else None
    elif isinstance(request, EndConfirmation):
        judged = Confirmed(request.custodian)
    elif isinstance(request, HeedSigned):
        judged = Closed(consents=_consumed(step, request.part))
    elif isinstance(request, TakeNotice):
        judged = Closed(_named((request.notice,)))
    elif isinstance(request, HeedAgain):
        judged = Closed(_named(request.notices))
    return judged


def _named(said: tuple[Notice, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the items that notices withdraw."""
    return tuple(
        (bytes(each.disclosure), commitment)
        for each in said
        if isinstance(each, Withdrawn)
        for commitment in each.commitments
    )


def _consumed(step: StepContext[object], part: bytes) -> tuple[StateRef, ...]:
    """Return what a signed transaction that lies in a part consumes."""
    brought = step.read_part(part)
    assert brought, "it was verified"
    signed = HELD_OR_PROVEN.decode(brought)
    inputs = open_tearoff(signed.tearoff).components(Group.INPUTS)
    return tuple(STATE_REF.decode(component) for _, component in inputs)


@contextmanager
def observing() -> Iterator[None]:
    """Let the engine's two narrowest places tell what passes through them."""
    Execution.write = _observed_write  # type: ignore[method-assign]  # only while a simulation runs
    Handlers.answer = _observed_answer  # type: ignore[method-assign,assignment]  # as above
    try:
        yield
    finally:
        Execution.write = _write  # type: ignore[method-assign]  # as it was
        Handlers.answer = _answer  # type: ignore[method-assign]  # as it was


@contextmanager
def present(observer: Observer) -> Iterator[None]:
    """Let this node act."""
    before, _Present.observer = _Present.observer, observer
    try:
        yield
    finally:
        _Present.observer = before


def opening_flow(body: bytes) -> str:
    """Return which flow began a session, from the body of its INIT or letter."""
    try:
        return OPENING.decode(body).flow
    except LedgerError:
        return "?"
