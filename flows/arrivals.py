"""What comes from peers: which flow an envelope is for, and what is refused (flows/README.md §3)."""

from collections.abc import Callable
from hashlib import sha256

from flows.envelope import (
    EARLY_MAX,
    LETTERS_OPEN_MAX,
    OPENING,
    SESSIONS_OPEN_MAX,
    Envelope,
    Fault,
    Hello,
    Kind,
    Opening,
)
from flows.execution import Execution, flow_id
from flows.flow import Parts, Receive, Received
from flows.hospital import Verb, Verdict
from flows.journal import Answered
from flows.post_office import PostOffice
from flows.registry import Registry, UnknownFlow
from flows.runner import Runner, U
from flows.session import Post, Session
from flows.step import PART_PREFIX
from flows.store import FlowRow, FlowStore, InboxRow, PartRow, Status
from flows.terminal import ALREADY_SEEN, SESSION_LOST
from states.encoding import encode
from states.errors import LedgerError
from states.identity import Party

PART_ID_RANDOM = 16


class Arrivals:
    """Takes envelopes in the order of their numbers, inside the turn's transaction."""

    def __init__(
        self,
        store: FlowStore[U],
        registry: Registry,
        runner: Runner[U],
        office: PostOffice,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._registry = registry
        self._runner = runner
        self._office = office
        self._entropy = entropy

    def take(self, peer: Party, envelope: Envelope) -> None:
        """Act on an envelope if it is the next one of the peer; else it was, or will be, sent again."""
        if not self._office.takes(peer, envelope.number):
            return
        if envelope.kind in (Kind.INIT, Kind.LETTER):
            if not self._open(peer, envelope):
                return
        else:
            self._continue(peer, envelope)
        self._office.took(peer)

    def welcome(self, peer: Party, mine: Hello | None, theirs: Hello) -> None:
        """Take the hello of a connection, and end the sessions that a restored side does not know any more.

        `mine` is what was said on that connection: one that was replaced since counts for nothing.
        """
        if mine is None or self._office.of(peer).hello is not mine:
            return
        self._runner.changes.flush()  # what this turn posted has numbers of before, which may end here
        lost = self._office.welcome(peer, mine, theirs, self._runner.now)
        if lost is None:
            return
        # A peer that had closed a session may have been restored to before: what is sent again opens it once more.
        for key, sent in self._store.unsaid(peer):
            self._say_lost(peer, key, sent)
        for mark in lost:
            self._lose(peer, mark.session)

    # -- sessions that begin ---------------------------------------------------------------------------

    def _open(self, peer: Party, envelope: Envelope) -> bool:
        """Start a responder; False where the envelope must wait at its sender."""
        letter = envelope.kind == Kind.LETTER
        correspondent = self._office.of(peer)
        has_room = self._keeps(peer, envelope)
        if letter and (not has_room or correspondent.letters >= LETTERS_OPEN_MAX):
            return False  # no answer would reach its sender's flow, so it is not taken yet
        if not self._store.bury(peer, envelope.session):
            self._seen_before(peer, envelope)
            return True
        if self._is_open(peer, envelope.session):
            return True  # it names a session that we opened to it: nothing that an honest node does
        try:
            opening = OPENING.decode(envelope.body)
        except LedgerError:
            self._reject(peer, envelope, "malformed")
            return True
        known = self._registry.responds(opening.responder)
        if not letter and not known:
            self._reject(peer, envelope, "unknown-responder")
        elif not has_room or (not letter and correspondent.sessions >= SESSIONS_OPEN_MAX):
            self._reject(peer, envelope, "busy")
        else:
            correspondent.count(1, letter=letter)
            self._start(peer, envelope, opening, known=known)
        return True

    def _start(self, peer: Party, envelope: Envelope, opening: Opening, *, known: bool) -> None:
        flow = flow_id(self._runner.now, self._entropy)
        parts = self._keep_parts(peer, flow, envelope)
        arguments = encode(Received(opening.message, parts))
        session = b"" if envelope.kind == Kind.LETTER else envelope.session
        row = FlowRow(
            flow, opening.responder, arguments, Status.RUNNING, 1, 0, 0, self._runner.now, None, peer, session, b"", ""
        )  # fmt: skip
        if known:
            self._runner.begin(row)
            return
        # A letter may carry a notarised transaction, so it is kept until this node has code for it.
        self._runner.changes.started(row)
        error = UnknownFlow(f"no responder {opening.responder} is registered")
        self._runner.changes.flush()
        self._runner.admit(row, error, Verdict(Verb.OBSERVE, "unknown responder"))

    def _seen_before(self, peer: Party, envelope: Envelope) -> None:
        if not self._is_open(peer, envelope.session):
            # Its sender was restored to before it sent this; what became of the first time, it must find out.
            self._reject(peer, envelope, ALREADY_SEEN)

    def _is_open(self, peer: Party, key: bytes) -> bool:
        if (peer, key) in self._runner.routes:
            return True
        return self._runner.changes.session(peer, key) is not None

    def _reject(self, peer: Party, envelope: Envelope, code: str) -> None:
        if envelope.kind == Kind.INIT:
            body = encode(Fault(code, "", self._entropy(8).hex()))
            self._post(peer, Kind.REJECT, envelope.session, 0, body)

    # -- sessions that go on ---------------------------------------------------------------------------

    def _continue(self, peer: Party, envelope: Envelope) -> None:
        run = self._runner.routes.get((peer, envelope.session)) or self._wake(
            peer, envelope.session
        )
        if run is None:
            self._keep_for_later(peer, envelope)
            return
        session = run.context.sessions[envelope.session]
        if not session.open:
            return
        place = _place(envelope, session.received)
        if place < 0:
            return
        operation = run.operation
        waited_for = type(operation) is Receive and operation.session == session.id
        taken = waited_for or self._has_room(peer, envelope, session.early)
        if place > 0 or not taken:
            self._lose(peer, envelope.session)
            return
        session.received += 1
        self._runner.changes.touched(run, session)
        if waited_for and envelope.kind == Kind.DATA:
            parts = self._keep_parts(peer, run.id, envelope)
            received = Received(envelope.body, parts)
            self._runner.resume(run, Answered.RECEIVED, encode(received), received)
            return
        session.open = envelope.kind == Kind.DATA
        self._put_early(run.id, peer, envelope, session.received - 1)
        session.early += 1
        if waited_for:
            self._runner.settle(run)

    def _keep_for_later(self, peer: Party, envelope: Envelope) -> None:
        """Keep a message for a flow that does not run now; drop it where there is none."""
        row = self._runner.changes.session(peer, envelope.session)
        if row is None or not row.open:
            return
        place = _place(envelope, row.received)
        if place < 0:
            return
        early = self._store.early_count(peer, envelope.session)
        if place > 0 or not self._has_room(peer, envelope, early):
            self._lose(peer, envelope.session)
            return
        self._put_early(row.flow, peer, envelope, row.received)
        still_open = int(envelope.kind == Kind.DATA)
        changed = row._replace(received=row.received + 1, open=still_open)
        self._runner.changes.kept(changed)

    def _has_room(self, peer: Party, envelope: Envelope, early: int) -> bool:
        """Whether a message that nobody waits for may be kept; the word that a session ends always is."""
        if envelope.kind != Kind.DATA:
            return True
        return early < EARLY_MAX and self._keeps(peer, envelope)

    def _keeps(self, peer: Party, envelope: Envelope) -> bool:
        def count() -> int:
            self._runner.changes.flush()
            return self._store.kept_bytes(peer)

        size = len(envelope.body) + sum(map(len, envelope.parts))
        return self._office.of(peer).keeps(size, self._runner.now, count)

    def _lose(self, peer: Party, key: bytes) -> None:
        """End a session that cannot go on, for both sides."""
        run = self._runner.routes.get((peer, key)) or self._wake(peer, key)
        if run is not None:
            session = run.context.sessions[key]
            if session.open:
                self._end_lost(peer, key, session.committed, session.received)
                session.open = False
                session.early += 1
                self._runner.changes.touched(run, session)
                self._poke_receiver(run, session)
            return
        row = self._runner.changes.session(peer, key)
        if row is not None and row.open:
            self._end_lost(peer, key, row.sent, row.received)
            self._runner.changes.kept(row._replace(open=0))

    def _end_lost(self, peer: Party, key: bytes, sent: int, received: int) -> None:
        self._store.put_early(InboxRow(peer, key, received, int(Kind.LOST), b"", encode(())))
        self._say_lost(peer, key, sent)

    def _say_lost(self, peer: Party, key: bytes, sent: int) -> None:
        body = encode(Fault(SESSION_LOST, "", self._entropy(8).hex()))
        self._post(peer, Kind.ERROR, key, sent, body)

    def _poke_receiver(self, run: Execution, session: Session) -> None:
        operation = run.operation
        if type(operation) is Receive and operation.session == session.id:
            self._runner.settle(run)

    # -- below -----------------------------------------------------------------------------------------

    def _wake(self, peer: Party, key: bytes) -> Execution | None:
        row = self._runner.changes.session(peer, key)
        if row is None or not row.open:
            return None
        self._runner.wake(row.flow)
        self._runner.changes.flush()  # what the waking wrote, for the reads that follow when there is no flow
        return self._runner.routes.get((peer, key))

    def _put_early(self, flow: bytes, peer: Party, envelope: Envelope, seq: int) -> None:
        parts = self._keep_parts(peer, flow, envelope)
        kind = int(envelope.kind)
        self._store.put_early(
            InboxRow(peer, envelope.session, seq, kind, envelope.body, encode(parts))
        )

    def _keep_parts(self, peer: Party, flow: bytes, envelope: Envelope) -> Parts:
        if not envelope.parts:
            return ()
        place = b"%b %b %d %d " % (peer.encode(), envelope.session, envelope.kind, envelope.seq)
        ids = []
        for index, body in enumerate(envelope.parts):
            digest = sha256(place + b"%d" % index).digest()
            ids.append(PART_PREFIX + digest[:PART_ID_RANDOM])
            self._store.put_part(PartRow(ids[-1], flow, body))
        return tuple(ids)

    def _post(self, peer: Party, kind: Kind, session: bytes, seq: int, body: bytes) -> None:
        self._office.post(self._runner.changes.batch, Post(peer, kind, session, seq, body, ()))


def _place(envelope: Envelope, received: int) -> int:
    """Return below 0 for a duplicate, 0 for the next message, above 0 for a gap."""
    if envelope.kind == Kind.REJECT:
        return (
            -received
        )  # its sender has no count: it means something only before anything else came
    return envelope.seq - received
