"""A member of the network that keeps no rule: it knows everything that was ever sent, and says what it likes."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from app.vault.locks import SHOWN_TO_NOTARY
from flows.delivery import Fetch, GiveTransactions, TakeDelivery
from flows.envelope import (
    ENVELOPE,
    ENVELOPE_BYTES_MAX,
    OPENING,
    Envelope,
    Hello,
    Kind,
    Opening,
)
from flows.recovery import Recall, Remind
from flows.subjects.enrolment import AnswerWhoIs, WhoIs
from states.builder import TransactionDraft, build
from states.command import command
from states.crypto.policy import One
from states.encoding import encode
from states.errors import LedgerError
from states.groups import Group
from states.lock import SpendOpening
from states.notarisation import (
    ANSWER,
    Committed,
    LockSignature,
    NotarisationRequest,
    lock_signing_digest,
)
from states.parameters import parameters_id
from states.state import StateRef, TransactionId
from states.subjects.consent import ConsentRevoke
from states.tearoff import TEAROFF, open_tearoff
from states.timewindow import TimeWindow
from tests.simulation.faults import Fault
from tests.simulation.node import Input, SimNode
from tests.simulation.observer import Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

EVERY_MS = (300, 3_000)
_RECORDED = "SELECT tx, tearoff, log_index FROM ledger_tx WHERE status = 1 ORDER BY tx"


class Mallory:
    """Each act is one attack; none may leave a trace in an honest vault or in the log."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.random = Random(f"{world.seed}/mallory")
        self.me = world.stranger.party
        self._incarnation = self.random.randbytes(16)
        self._acts: tuple[Callable[[SimNode], None], ...] = (
            self._replay,
            self._forge,
            self._fetch,
            self._recall,
            self._intrude,
            self._oversize,
            self._unknown,
            self._skip,
            self._burn,
            self._probe,
        )

    def act_until(self, end: int) -> None:
        def act() -> None:
            if self._world.swarm.over:
                return
            node = self.random.choice(list(self._world.nodes.values()))
            if node.assembly is not None:
                self.random.choice(self._acts)(node)
            if self._world.now < end:
                self._world.after(self.random.randint(*EVERY_MS), act)

        self._world.after(self.random.randint(*EVERY_MS), act)

    # -- to nodes --------------------------------------------------------------------------------------

    def _say(self, node: SimNode, *said: tuple[Kind, bytes, bytes, tuple[bytes, ...]]) -> None:
        """Open a connection, take part in the greeting as anybody may, say something, and hang up."""
        assert node.assembly is not None
        assembly = node.assembly
        hello = self._world.guard(node, lambda: assembly.engine.connected(self.me))
        if hello is None:
            return
        mine = Hello(self._incarnation, hello.incarnation, 0, ())
        assembly.engine.hello(self.me, mine)
        first = hello.received + 1 if hello.known == self._incarnation else 1
        for number, (kind, session, body, parts) in enumerate(said, first):
            envelope = Envelope(number, int(kind), session, 0, body, parts)
            self._world.meet(Fault.MALLORY, kind.name, self._named(kind, body))
            try:
                ENVELOPE.decode(encode(envelope))
            except LedgerError:
                assembly.engine.disconnected(self.me)  # what a link does with what it cannot read
                return
            assembly.engine.deliver(self.me, [envelope])
            node.inputs.append(Input(self.me, envelope))
        self._world.wake(node)

    @staticmethod
    def _named(kind: Kind, body: bytes) -> str:
        if kind in (Kind.INIT, Kind.LETTER):
            try:
                return OPENING.decode(body).responder
            except LedgerError:
                return "malformed"
        return "-"

    def _session(self) -> bytes:
        return self.random.randbytes(16)

    def _captured(self) -> Envelope | None:
        captured = self._world.wire.captured
        return self.random.choice(captured)[2] if captured else None

    def _replay(self, node: SimNode) -> None:
        """Say again, in its own name, what others said: their transactions, their signed requests."""
        for _ in range(4):
            found = self._captured()
            if found is not None:
                kind = Kind(found.kind)
                session = found.session if kind is Kind.DATA else self._session()
                self._say(node, (kind, session, found.body, found.parts))

    def _forge(self, node: SimNode) -> None:
        """Change a byte of a part of what others said."""
        found = self._captured()
        if found is None or not found.parts or not found.parts[0]:
            return
        part = bytearray(found.parts[0])
        part[self.random.randrange(len(part))] ^= 1 << self.random.randrange(8)
        self._say(node, (Kind(found.kind), self._session(), found.body, (bytes(part),)))

    def _fetch(self, node: SimNode) -> None:
        known = tuple(TransactionId(tx) for tx in list(self._world.oracle.places)[:8])
        if known:
            self._open(node, GiveTransactions.name, encode(Fetch(known)))

    def _recall(self, node: SimNode) -> None:
        self._open(node, Remind.name, encode(Recall(0)))

    def _open(self, node: SimNode, responder: str, message: bytes) -> None:
        body = encode(Opening("mallory/1", responder, message))
        self._say(node, (Kind.INIT, self._session(), body, ()))

    def _intrude(self, node: SimNode) -> None:
        """Speak in a session of others, or open one under its name."""
        found = self._captured()
        if found is not None:
            kind = self.random.choice((Kind.INIT, Kind.DATA, Kind.END, Kind.ERROR, Kind.REJECT))
            self._say(node, (kind, found.session, found.body, ()))

    def _oversize(self, node: SimNode) -> None:
        part = bytes(ENVELOPE_BYTES_MAX + 1)
        opening = encode(Opening("mallory/1", TakeDelivery.name, b""))
        self._say(node, (Kind.LETTER, self._session(), opening, (part,)))

    def _unknown(self, node: SimNode) -> None:
        self._open(node, "give-me-everything/1", b"")
        self._say(node, (Kind.INIT, self._session(), b"no opening", ()))

    def _skip(self, node: SimNode) -> None:
        """Open a session properly, then leave out a message of it."""
        session = self._session()
        opening = encode(Opening("mallory/1", AnswerWhoIs.name, encode(WhoIs("Dr Nobody"))))
        self._say(node, (Kind.INIT, session, opening, ()), (Kind.DATA, session, b"", ()))

    # -- to the notary ---------------------------------------------------------------------------------

    def _burn(self, node: SimNode) -> None:
        """Consume somebody's state without its lock, knowing all but its owner's secret."""
        rows = node.disk.execute(_RECORDED).fetchall()
        if not rows:
            return
        tx, tearoff, at = self.random.choice(rows)
        filtered = open_tearoff(TEAROFF.decode(tearoff))
        if not filtered.counts[Group.LOCKS] or filtered.component(Group.LOCKS, 0) is None:
            return
        shown = filtered.narrowed((filtered.layout.position(Group.LOCKS, 0),))
        keys = self._world.stranger.keys.derive_lock(self.random.randbytes(16))
        opening = SpendOpening(keys.salt, One(keys.signer.key), at, shown)
        now, founding = self._world.now, self._world.founding
        draft = TransactionDraft(
            notary=founding.notary.party,
            window=TimeWindow(now - 1_000, now + 60_000),
            parameters=parameters_id(encode(founding.parameters)),
            inputs=(StateRef(TransactionId(tx), 0),),
            commands=(command(encode(ConsentRevoke()), One(keys.signer.key)),),
        )
        built = build(draft, self.random.randbytes(32))
        whole = open_tearoff(built.whole())
        asked = whole.narrowed(
            at for group in SHOWN_TO_NOTARY for at in whole.layout.positions(group)
        )
        raw = keys.signer.sign(lock_signing_digest(founding.network, built.id))
        signature = LockSignature(keys.signer.key, raw)
        self._ask("notarise", encode(NotarisationRequest(asked, (opening,), (), (signature,))))

    def _probe(self, node: SimNode) -> None:
        del node
        self._ask("status", self.random.randbytes(self.random.choice((0, 40, 70_000, 300_000))))

    def _ask(self, kind: str, data: bytes) -> None:
        self._world.meet(Fault.MALLORY, kind, "mallory/1")

        def reply(answer: bytes) -> None:
            if isinstance(ANSWER.decode(answer), Committed):
                raise Violation("only owners consume", "Mallory has had something notarised")

        self._world.bring(data, reply)
