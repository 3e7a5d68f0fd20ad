"""What a flow is, and the only things that it may await (flows/README.md §2)."""

from collections.abc import Callable, Coroutine, Generator
from typing import Annotated, ClassVar, Generic, Protocol, TypeVar

import msgspec

from states.errors import LedgerError
from states.identity import Party
from states.notarisation import Answer
from states.sizes import Bytes16

R = TypeVar("R")
M = TypeVar("M", bound=msgspec.Struct)
T_co = TypeVar("T_co", covariant=True)
M_contra = TypeVar("M_contra", bound=msgspec.Struct, contravariant=True)
J = TypeVar("J")

Parts = tuple[Annotated[bytes, msgspec.Meta(min_length=16, max_length=64)], ...]
"""Ids of rows whose bytes travel beside a message and never enter a journal.

On the sending side an id may name a part row, a transaction of the vault ("t" ‖ its id ‖ its reader) or a chunk of a
blob ("b" ‖ CID ‖ index): the transport reads the bytes when it sends. On the receiving side the engine has
stored them as part rows.
"""


class FlowRefused(LedgerError):
    """Ends a flow, and tells the other sides `code` and `public`: the one error text that crosses organisations."""

    def __init__(self, code: str, public: str) -> None:
        super().__init__(f"{code}: {public}")
        self.code = code
        self.public = public


class CounterpartyFailed(LedgerError):
    """The other side of a session ended it with an error."""

    def __init__(self, party: Party, code: str, public: str) -> None:
        super().__init__(f"{party} ended the session: {code} {public}")
        self.party = party
        self.code = code
        self.public = public


class SessionLost(LedgerError):
    """The session cannot go on: a side was restored from a backup that does not know all of it."""


class SessionEnded(LedgerError):
    """The other side ended the session, and no further message will come."""


class TimedOut(LedgerError):
    """What was awaited did not come in time."""


class Parked(LedgerError):
    """The flow waits for an operator: it can neither go on nor be failed (§6). `why` is shown to operators."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


# -- operations: the values that a flow awaits --------------------------------------------------------


class Request(msgspec.Struct, Generic[R], frozen=True, array_like=True):
    """Something that this node does for a flow, inside the step's database transaction.

    `answers` is the type of the result, which is journaled; it must hold references and not secrets or bodies. A
    handler that raises LedgerError ends the flow (and nothing that it wrote stays); what a flow must tell apart is
    a value of a sum type.
    """

    answers: ClassVar[type[msgspec.Struct]]

    def __await__(self) -> Generator["Request[R]", R, R]:
        return (yield self)


class Received(msgspec.Struct, frozen=True, array_like=True):
    """The body of a message and the ids of the parts that came with it."""

    body: bytes
    parts: Parts


class Receive(msgspec.Struct, frozen=True, array_like=True, tag="receive"):
    """Wait for the next message of a session, until `until` (ms since 1970; 0 waits for ever)."""

    session: Bytes16
    until: int

    def __await__(self) -> Generator["Receive", Received, Received]:
        return (yield self)


class Sleep(msgspec.Struct, frozen=True, array_like=True, tag="sleep"):
    """Wait until the node's clock shows `until` (ms since 1970)."""

    until: int

    def __await__(self) -> Generator["Sleep", None, None]:
        return (yield self)


class AwaitEvent(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    """Wait for an event that somebody outside raises for this flow: a person's yes, a fact of the vault."""

    name: str
    until: int

    def __await__(self) -> Generator["AwaitEvent", bytes, bytes]:
        return (yield self)


class AskNotary(msgspec.Struct, frozen=True, array_like=True, tag="notary"):
    """Ask a notary. `row` names a row of the vault: the node builds the question when it sends.

    Idempotent, so it has no outbox row: a replayed flow that waits for the answer asks again. Busy and "not open
    yet" never reach the flow: the engine asks again. The answer is journaled.
    """

    kind: str
    row: bytes

    def __await__(self) -> Generator["AskNotary", Answer, Answer]:
        return (yield self)


Operation = Request[msgspec.Struct] | Receive | Sleep | AwaitEvent | AskNotary


# -- sessions -------------------------------------------------------------------------------------------


class Untrusted(Generic[T_co]):
    """What a counterparty said. There is no way to the value but through a check."""

    __slots__ = ("_said", "parts")

    def __init__(self, said: T_co, parts: Parts) -> None:
        self._said = said
        self.parts = parts

    def check(self, judge: Callable[[T_co], J]) -> J:
        """Return what `judge` makes of the value; `judge` raises a LedgerError to refuse."""
        return judge(self._said)


class FlowSession(Protocol):
    """One side of a conversation with a counterparty."""

    @property
    def counterparty(self) -> Party: ...

    def send(self, message: msgspec.Struct, parts: Parts = ()) -> None:
        """Buffer a message; it leaves when the step has been committed, and not before."""

    async def receive(self, kind: type[M], until: int = 0) -> Untrusted[M]:
        """Return the next message, which must be a `kind`, canonically encoded.

        Raises CounterpartyFailed, SessionEnded, SessionLost, TimedOut; MalformedBytes for another message.
        """


class FlowContext(Protocol):
    """What the engine gives to a flow."""

    @property
    def flow_id(self) -> bytes: ...

    @property
    def me(self) -> Party: ...

    def initiate(
        self, party: Party, responder: str, message: msgspec.Struct, parts: Parts = ()
    ) -> FlowSession:
        """Open a session with INIT: the other side starts its responder of that name with the message."""

    def letter(
        self, party: Party, responder: str, message: msgspec.Struct, parts: Parts = ()
    ) -> None:
        """Send a message that starts a responder there and expects nothing back.

        Its outbox row outlives the flow and never expires.
        """

    def progress(self, step: str) -> None:
        """Say, in plain words without patient data, what the flow does now."""


class Flow(Protocol):
    """A flow: its arguments are a tagged struct, "grant-consent/1", whose `call` is the conversation."""

    async def call(self, flow: FlowContext) -> msgspec.Struct: ...


class Responder(Protocol[M_contra]):
    """The other side of a session: what an INIT that names it starts, with a first message of type `first`."""

    name: ClassVar[str]
    first: ClassVar[type[msgspec.Struct]]

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[M_contra]
    ) -> msgspec.Struct: ...


FlowCoroutine = Coroutine[Operation, object, msgspec.Struct]
