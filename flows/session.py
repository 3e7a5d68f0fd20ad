"""Sessions as a flow sees them, and the buffer that holds what it said since its last suspension."""

from hashlib import sha256
from typing import NamedTuple, TypeVar

import msgspec

from flows.envelope import Kind, Opening
from flows.flow import FlowRefused, FlowSession, Parts, Receive, SessionEnded, Untrusted
from states.crypto.hashes import tagged_hash
from states.encoding import Codec, encode
from states.identity import Party

M = TypeVar("M", bound=msgspec.Struct)

SESSION_ID_SIZE = 16
PROGRESS_CHARACTERS_MAX = 200

_codecs: dict[object, Codec[msgspec.Struct]] = {}


def message_codec(kind: type[M]) -> Codec[M]:
    """Return the codec of a message type or a union of tagged ones; made once."""
    codec = _codecs.get(kind)
    if codec is None:
        codec = _codecs[kind] = Codec[msgspec.Struct](kind, getattr(kind, "__name__", str(kind)))
    return codec  # type: ignore[return-value]  # the dictionary maps each kind to its own codec


class Post(NamedTuple):
    """A message on its way to the outbox."""

    peer: Party
    kind: int
    session: bytes
    seq: int
    body: bytes
    parts: Parts
    brought: tuple[bytes, ...] | None = None  # the parts' bytes, where they are at hand


class Session:
    """One side of a conversation, and how far it is; a FlowSession."""

    __slots__ = (
        "_context",
        "committed",
        "counterparty",
        "early",
        "id",
        "letter",
        "open",
        "received",
        "sent",
    )

    def __init__(
        self, context: "Context", party: Party, session: bytes, *, letter: bool = False
    ) -> None:
        self._context = context
        self.counterparty = party
        self.id = session
        self.letter = letter
        self.sent = 0  # numbered by the flow so far, also in a replay
        self.committed = -1  # of these, in the database; below 0: the session is not there at all
        self.received = 0
        self.early = 0  # received, and not yet taken by the flow
        self.open = True  # until the other side ends it, or it is lost

    def send(self, message: msgspec.Struct, parts: Parts = ()) -> None:
        if self.letter:
            raise SessionEnded("a letter has no way back")
        self._context.post(self, Kind.DATA, encode(message), parts)

    async def receive(self, kind: type[M], until: int = 0) -> Untrusted[M]:
        if self.letter:
            raise SessionEnded("a letter has nothing more to say")
        said = await Receive(self.id, until)
        return Untrusted(message_codec(kind).decode(said.body), said.parts)


class Context:
    """What a flow gets; a FlowContext. Muted while a journal is replayed: it numbers and digests, and keeps nothing."""

    __slots__ = (
        "_digest",
        "_opened",
        "flow_id",
        "me",
        "muted",
        "posts",
        "sessions",
        "steps",
        "tag",
    )

    def __init__(self, flow_id: bytes, tag: str, me: Party) -> None:
        self.flow_id = flow_id
        self.me = me
        self.tag = tag
        self.muted = False
        self.sessions: dict[bytes, Session] = {}
        self.posts: list[Post] = []
        self.steps: list[str] = []
        self._opened = 0
        self._digest = b""

    def initiate(
        self, party: Party, responder: str, message: msgspec.Struct, parts: Parts = ()
    ) -> FlowSession:
        opening = encode(Opening(self.tag, responder, encode(message)))
        session = Session(self, self._other(party), self._next_session(opening))
        self.sessions[session.id] = session
        self.post(session, Kind.INIT, opening, parts)
        return session

    def letter(
        self, party: Party, responder: str, message: msgspec.Struct, parts: Parts = ()
    ) -> None:
        opening = encode(Opening(self.tag, responder, encode(message)))
        session = Session(self, self._other(party), self._next_session(opening), letter=True)
        self.post(session, Kind.LETTER, opening, parts)

    def progress(self, step: str) -> None:
        if not self.muted:
            self.steps.append(step[:PROGRESS_CHARACTERS_MAX])

    def answering(self, party: Party, session: bytes) -> Session:
        """Return the responder's side of a session; of a letter where `session` is empty."""
        made = Session(self, party, session, letter=not session)
        if session:
            made.received, made.committed = 1, 0
            self.sessions[session] = made
        return made

    def post(self, session: Session, kind: int, body: bytes, parts: Parts) -> None:
        seq = session.sent
        session.sent = seq + 1
        head = b"%d %d %d %b " % (kind, seq, len(body), session.id)
        self._digest = sha256(self._digest + head + body + b"".join(parts)).digest()
        if not self.muted:
            self.posts.append(Post(session.counterparty, kind, session.id, seq, body, parts))

    def take_digest(self) -> bytes:
        """Return the digest of what was sent since the last call."""
        digest, self._digest = self._digest, b""
        return digest

    def _other(self, party: Party) -> Party:
        if party == self.me:
            raise FlowRefused("own-node", "a flow does not talk to its own node")
        return party

    def _next_session(self, opening: bytes) -> bytes:
        # Derived, so that a replay names the same session; nobody else knows a flow's random id. With what opens it:
        # a flow that goes another way after a restore must not meet what it had begun under the same number.
        self._opened += 1
        number = self._opened.to_bytes(4, "big")
        return tagged_hash("session", self.flow_id, number, opening)[:SESSION_ID_SIZE]
