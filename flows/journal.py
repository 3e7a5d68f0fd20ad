"""What a flow was answered, so that a fresh coroutine can be brought to the same place (flows/README.md §1.3)."""

from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from flows.flow import (
    AskNotary,
    AwaitEvent,
    CounterpartyFailed,
    Operation,
    Receive,
    Received,
    Request,
    SessionEnded,
    SessionLost,
    Sleep,
    TimedOut,
)
from states.encoding import encode
from states.errors import LedgerError
from states.identity import Party
from states.notarisation import Answer

if TYPE_CHECKING:
    from flows.store import JournalRow

HASH_SIZE = 8  # tells versions of a flow apart; nobody forges his own journal


class Answered(IntEnum):
    """The kind of a journal row: how the operation was answered."""

    RECEIVED = 1
    SLEPT = 2
    EVENT = 3
    NOTARY = 4
    RESULT = 5
    RAISED = 6


class JournalMismatch(Exception):
    """A journal that the code no longer fits: the flow is parked with this difference."""

    def __init__(self, seq: int, difference: str) -> None:
        super().__init__(f"entry {seq}: {difference}")
        self.seq = seq
        self.difference = difference


class ForeignAwait(Exception):
    """A flow awaited something that the engine did not give it, so that it cannot be replayed."""

    def __init__(self, found: object) -> None:
        super().__init__(f"a flow awaited a {type(found).__name__}")


class Trouble(msgspec.Struct, frozen=True, array_like=True):
    """An answer that raises in the flow."""

    what: str
    party: str
    code: str
    public: str

    def error(self) -> LedgerError:
        match self.what:
            case "failed":
                return CounterpartyFailed(Party(self.party), self.code, self.public)
            case "timed-out":
                return TimedOut("what was awaited did not come in time")
            case "ended":
                return SessionEnded(f"{self.party} ended the session")
            case _:
                return SessionLost(f"the session with {self.party} cannot go on")


TIMED_OUT = Trouble("timed-out", "", "", "")

_received = msgspec.msgpack.Decoder(Received).decode
_trouble = msgspec.msgpack.Decoder(Trouble).decode
_answer = msgspec.msgpack.Decoder[Answer](Answer).decode
_results: dict[type, msgspec.msgpack.Decoder[object]] = {}

_EXPECTED: dict[type, int] = {
    Receive: Answered.RECEIVED,
    Sleep: Answered.SLEPT,
    AwaitEvent: Answered.EVENT,
    AskNotary: Answered.NOTARY,
}


def operation_hash(operation: Operation, sent: bytes) -> bytes:
    """Return what must be the same at every replay: the operation, and the digest of what was sent before it."""
    return sha256(encode(operation) + sent).digest()[:HASH_SIZE]


def recorded(row: "JournalRow", operation: Operation, sent: bytes) -> object:
    """Return the answer that `row` holds for `operation`, a LedgerError where it raises one.

    Raises JournalMismatch when the row was written for another operation.
    """
    fits = _EXPECTED.get(type(operation), Answered.RESULT)
    if row.kind not in (fits, Answered.RAISED):
        said = Answered(row.kind).name.lower()
        raise JournalMismatch(row.seq, f"was {said}, the code now awaits {name_of(operation)}")
    if row.hash != operation_hash(operation, sent):
        raise JournalMismatch(row.seq, f"another {name_of(operation)}, or other messages before it")
    match row.kind:
        case Answered.RECEIVED:
            return _received(row.value)
        case Answered.SLEPT:
            return None
        case Answered.EVENT:
            return row.value
        case Answered.NOTARY:
            return _answer(row.value)
        case Answered.RESULT:
            return _result(operation, row.value)
        case _:
            return _trouble(row.value).error()


def name_of(operation: object) -> str:
    """Return the tag of an operation, or the name of what is none."""
    config = getattr(operation, "__struct_config__", None)
    return str(config.tag) if config is not None and config.tag else type(operation).__name__


def _result(operation: Operation, value: bytes) -> object:
    kind = type(operation)
    decoder = _results.get(kind)
    if decoder is None:
        assert isinstance(operation, Request)
        decoder = _results[kind] = msgspec.msgpack.Decoder[object](operation.answers)
    return decoder.decode(value)
