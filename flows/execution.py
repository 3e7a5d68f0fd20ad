"""One flow in memory: its coroutine, the operation it waits at, and how it is rebuilt from its journal."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from flows.flow import (
    AskNotary,
    AwaitEvent,
    FlowCoroutine,
    Operation,
    Receive,
    Request,
    Sleep,
)
from flows.journal import ForeignAwait, JournalMismatch, name_of, operation_hash, recorded
from flows.registry import Registry
from flows.session import Context
from flows.store import FlowRow, JournalRow, Status
from states.encoding import encode
from states.identity import Party

FLOW_ID_SIZE, _TIME_SIZE = 16, 6


def flow_id(now: int, entropy: Callable[[int], bytes]) -> bytes:
    """Return the id of a new flow: the time (48 bits of milliseconds), then 80 random bits.

    Rows of one time lie beside each other in every table and index, so that a commit writes few pages however many
    flows there were. Nobody outside learns it: a session's name is a hash of it.
    """
    return now.to_bytes(_TIME_SIZE, "big") + entropy(FLOW_ID_SIZE - _TIME_SIZE)


def id_floor(at: int) -> bytes:
    """Return what every id of a flow made at a time (ms) or later is above, and every earlier one below."""
    return max(at, 0).to_bytes(_TIME_SIZE, "big")


_AWAITABLE = frozenset((Receive, Sleep, AwaitEvent, AskNotary))


class Ended(NamedTuple):
    """What a coroutine returned."""

    result: msgspec.Struct


class NotDeterministic(AssertionError):
    """A replay of a flow did something else than its first run."""


class Execution:
    """A flow that has a coroutine. The engine alone changes it."""

    __slots__ = (
        "_coroutine",
        "_sent",
        "arguments",
        "attempts",
        "client_key",
        "context",
        "created",
        "id",
        "in_doubt",
        "operation",
        "peer",
        "result",
        "seq",
        "session",
        "started",
        "status",
        "tag",
        "torn",
        "touched",
        "why",
    )  # fmt: skip

    def __init__(self, row: FlowRow, registry: Registry, me: Party) -> None:
        self.id = row.id
        self.tag = row.tag
        self.arguments = row.args
        self.status = Status(row.status)
        self.torn = bool(row.torn)
        self.in_doubt = bool(row.in_doubt)
        self.attempts = row.attempts
        self.created = row.created
        self.client_key = row.client_key
        self.peer = Party(row.peer)
        self.session = row.session
        self.result = row.result
        self.why = row.why
        self.started = False  # its row is in the database, or will be by a batch
        self.touched = 0
        self.seq = 0
        self.operation: Operation | None = None
        self._sent = b""
        self.context = Context(row.id, row.tag, me)
        self._coroutine = self._begin(registry)

    def _begin(self, registry: Registry) -> FlowCoroutine:
        if not self.peer:
            return registry.coroutine(self.tag, self.arguments, self.context)
        coroutine, _ = registry.answer(
            self.tag, self.arguments, self.context, self.peer, self.session
        )
        return coroutine

    def row(self) -> FlowRow:
        return FlowRow(
            self.id, self.tag, self.arguments, int(self.status), int(self.torn), int(self.in_doubt), self.attempts,
            self.created, self.client_key, self.peer, self.session, self.result, self.why,
        )  # fmt: skip

    def step(self, answer: object) -> Ended | None:
        """Give the coroutine an answer, and let it run to its next operation, which is then in `operation`.

        A LedgerError is raised in it. Raises whatever it raises, and ForeignAwait.
        """
        try:
            if isinstance(answer, Exception):
                operation: object = self._coroutine.throw(answer)
            else:
                operation = self._coroutine.send(answer)
        except StopIteration as stop:
            self.operation = None
            return Ended(stop.value)
        if type(operation) not in _AWAITABLE and not isinstance(operation, Request):
            raise ForeignAwait(operation)
        self.operation = operation  # type: ignore[assignment]  # checked in the line above
        self._sent = self.context.take_digest()
        return None

    def write(self, kind: int, value: bytes) -> JournalRow:
        """Return the journal row that answers the current operation."""
        assert self.operation is not None
        row = JournalRow(self.id, self.seq, kind, operation_hash(self.operation, self._sent), value)
        self.seq += 1
        return row

    def replay(self, rows: Sequence[JournalRow]) -> object:
        """Bring a new coroutine to its last answer, and return that answer; None for a flow that has none.

        The caller gives the answer by `step`: muted where the flow had been suspended after it, else for real.
        Raises JournalMismatch.
        """
        self.context.muted = True
        answer: object = None
        for row in rows:
            self._advance(answer, row.seq)
            operation = self.operation
            assert operation is not None
            answer = recorded(row, operation, self._sent)
            self.seq = row.seq + 1
        return answer

    def resume(self, answer: object) -> None:
        """Give the last answer of a flow that was suspended after it; raises JournalMismatch if it now goes on."""
        self._advance(answer, self.seq)
        if isinstance(self.operation, Request):
            raise JournalMismatch(self.seq, f"the code now asks for {name_of(self.operation)}")

    def _advance(self, answer: object, seq: int) -> None:
        try:
            ended = self.step(answer)
        except Exception as error:
            raise JournalMismatch(seq, f"the code now raises {type(error).__name__}") from error
        if ended is not None:
            raise JournalMismatch(seq, "the code now ends here")

    def compare(self, again: "Execution", ended: Ended | None, ended_again: Ended | None) -> None:
        """Raise NotDeterministic unless `again`, a replay, came to the same place (test mode)."""
        mine, theirs = self._place(ended), again._place(ended_again)  # noqa: SLF001 - of this class
        if mine != theirs:
            raise NotDeterministic(f"{self.tag} at {self.seq}: {mine!r}, and then {theirs!r}")

    def _place(self, ended: Ended | None) -> tuple[Operation | None, bytes, bytes]:
        return self.operation, self._sent, b"" if ended is None else encode(ended.result)

    def close(self) -> None:
        """Drop the coroutine. What it does on the way out has no effect: nobody takes its posts."""
        self.context.muted = True
        try:
            self._coroutine.close()
        except RuntimeError:
            return  # it awaited in a `finally`; it is dropped all the same
