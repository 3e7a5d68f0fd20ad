"""Requests: what a node does for a flow, inside the transaction of the flow's step (flows/README.md §1.4)."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from flows.flow import Flow, Operation, Request
from flows.store import JournalRow
from states.errors import LedgerError

U = TypeVar("U")
Q = TypeVar("Q", bound=msgspec.Struct)

PART_PREFIX = b"p"  # of ids of the engine's own part rows


class NoHandler(LedgerError):
    """A flow asked this node for something that it was not composed to do."""


class StepServices(Protocol):
    """What the engine does for a step; all of it is undone if the step fails."""

    def keep_part(self, flow_id: bytes, body: bytes) -> bytes: ...
    def read_part(self, part: bytes) -> bytes | None: ...
    def drop_part(self, flow_id: bytes, part: bytes) -> None: ...
    def drop_parts(self, flow_id: bytes) -> None: ...
    def start(self, flow: Flow, client_key: str | None = None) -> bytes: ...
    def raise_event(self, flow_id: bytes, name: str, key: str, body: bytes = b"") -> bool: ...


class StepContext(Generic[U]):
    """What a handler of a request may use. `unit` is the open transaction: the handler never commits."""

    __slots__ = ("_doubt", "_engine", "flow_id", "now", "unit")

    def __init__(
        self, engine: StepServices, flow_id: bytes, now: int, unit: U, *, doubt: bool
    ) -> None:
        self._engine = engine
        self._doubt = doubt
        self.flow_id = flow_id
        self.now = now
        self.unit = unit

    @property
    def in_doubt(self) -> bool:
        return self._doubt

    def may_be_notarised(self) -> None:
        """From this step on another party can have the transaction notarised: the flow is not failed any more."""
        self._doubt = True

    def settled(self) -> None:
        """What was notarised is recorded, or never will be: the flow may fail again."""
        self._doubt = False

    def put_part(self, body: bytes) -> bytes:
        """Keep bytes until the flow ends and whoever it sent them to has them; return the id of the row.

        Raises OverLimit.
        """
        return self._engine.keep_part(self.flow_id, body)

    def read_part(self, part: bytes) -> bytes | None:
        return self._engine.read_part(part)

    def drop_part(self, part: bytes) -> None:
        """Forget a row of this flow that came with a message and was taken: else it lies there until the end."""
        self._engine.drop_part(self.flow_id, part)

    def drop_parts(self) -> None:
        """Forget every row of this flow: whoever was sent one has shown that it came, and what came was taken."""
        self._engine.drop_parts(self.flow_id)

    def start(self, flow: Flow, client_key: str | None = None) -> bytes:
        """Start another flow if this step is committed; return its id."""
        return self._engine.start(flow, client_key)

    def raise_event(self, flow_id: bytes, name: str, key: str, body: bytes = b"") -> bool:
        return self._engine.raise_event(flow_id, name, key, body)


class Handlers(Generic[U]):
    """The services of a node, by the type of request."""

    def __init__(self) -> None:
        self._handlers: dict[type, Callable[[StepContext[U], msgspec.Struct], msgspec.Struct]] = {}

    def on(self, kind: type[Q], handle: Callable[[StepContext[U], Q], msgspec.Struct]) -> None:
        """Let `handle` answer requests of `kind`; a second handler for one kind is a mistake."""
        if kind in self._handlers:
            raise ValueError(f"{kind.__name__} has a handler")
        if not issubclass(kind, Request) or not isinstance(kind.__struct_config__.tag, str):
            raise TypeError(f"{kind.__name__} is no request with a text tag")
        self._handlers[kind] = handle  # type: ignore[assignment]  # called with values of `kind` only

    def answer(self, step: StepContext[U], request: Operation) -> msgspec.Struct:
        handle = self._handlers.get(type(request))
        if handle is None:
            raise NoHandler(f"nothing here answers {type(request).__name__}")
        return handle(step, request)


class Attempt(Generic[U]):
    """What a step has done so far, and what is undone if it fails."""

    __slots__ = ("_doubt", "answering", "context", "rows")

    def __init__(self, doubt: bool) -> None:  # noqa: FBT001 - the flag is the value
        self._doubt = doubt
        self.answering = False
        self.context: StepContext[U] | None = None
        self.rows: list[JournalRow] = []

    @property
    def in_doubt(self) -> bool:
        return self._doubt if self.context is None else self.context.in_doubt
