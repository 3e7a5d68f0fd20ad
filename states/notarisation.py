"""What a requester and a notary say to each other (specification §6)."""

from typing import Annotated

import msgspec

from states.crypto.hashes import tagged_hash
from states.crypto.keys import Key
from states.encoding import Codec
from states.lock import ReferOpening, SpendOpening
from states.sizes import U32, Bytes32, Bytes64, Millis, Name
from states.state import StateRef, TransactionId, TransactionIdField
from states.tearoff import Tearoff

INPUTS_MAX = 240  # so that a receipt's nullifiers stay below its limit; a bulk erasure uses several
REFERENCES_MAX = 64
LIVENESS_MAX = 256


class LockSignature(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One-time lock key over H("lock-signature", network ‖ tx)."""

    key: Key
    raw: Bytes64


class NotarisationRequest(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="notarise/1"
):
    """Commit this transaction: what the notary may see, the openings in order, the lock signatures."""

    tearoff: Tearoff
    spends: Annotated[tuple[SpendOpening, ...], msgspec.Meta(max_length=INPUTS_MAX)]
    refers: Annotated[tuple[ReferOpening, ...], msgspec.Meta(max_length=REFERENCES_MAX)]
    signatures: Annotated[tuple[LockSignature, ...], msgspec.Meta(max_length=INPUTS_MAX)]


class Committed(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="committed/1"
):
    """The transaction is in the log for ever; `receipt` proves it."""

    receipt: str


class ConsumedState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A contested state, and H("spender", tx) of what consumed it: only the spender recognises it."""

    ref: StateRef
    spender: Bytes32


class Conflict(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="conflict/1"
):
    """Final: an input or a reference was consumed before."""

    consumed: tuple[ConsumedState, ...]


class WindowClosed(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="closed/1"
):
    """Final: the time-window ended before the transaction was committed."""

    now: Millis


class WindowNotOpen(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="early/1"
):
    """The time-window has not begun at the notary's `now`."""

    now: Millis


class NotAllowed(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="refused/1"
):
    """The request is not one that this notary may commit; `code` says why in one word."""

    code: Name


class Busy(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="busy/1"):
    """The queue is full; nothing was kept. Ask again after `after_ms` milliseconds."""

    after_ms: U32


class StatusRequest(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="status/1"
):
    """What became of this transaction? `until` is the end of its window, by which it is found."""

    tx: TransactionIdField
    until: Millis


class Never(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="never/1"
):
    """It was not committed, and its window has closed: it never will be."""


class Unknown(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="unknown/1"
):
    """It is not committed at the notary's `now`; it still may be."""

    now: Millis


class LivenessQuestion(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A state and the opening that proves that the asker holds it."""

    ref: StateRef
    opening: ReferOpening


class LivenessRequest(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="ask-liveness/1"
):
    """Are these states unconsumed? Asked for all that one holds, at a fixed beat."""

    questions: Annotated[
        tuple[LivenessQuestion, ...], msgspec.Meta(min_length=1, max_length=LIVENESS_MAX)
    ]


class LivenessAnswer(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="are-live/1"
):
    """A signed statement (§6.4) for each question, in order."""

    statements: tuple[bytes, ...]


class EntryRequest(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="enter/1"
):
    """Enter a notary change of another notary, with its receipt, in this notary's log once."""

    tearoff: Tearoff
    receipt: str


Question = NotarisationRequest | StatusRequest | LivenessRequest | EntryRequest
Answer = (
    Committed
    | Conflict
    | WindowClosed
    | WindowNotOpen
    | NotAllowed
    | Busy
    | Never
    | Unknown
    | LivenessAnswer
)

QUESTION: Codec[Question] = Codec(Question, "question to a notary")  # type: ignore[arg-type]  # a union is a type to msgspec
ANSWER: Codec[Answer] = Codec(Answer, "answer of a notary")  # type: ignore[arg-type]  # as above


def lock_signing_digest(network: bytes, tx: TransactionId) -> bytes:
    """What a lock key signs to consume its output in `tx`."""
    return tagged_hash("lock-signature", network, tx)


def spender_hash(tx: TransactionId) -> bytes:
    """H("spender", tx): shown in a conflict in place of the id."""
    return tagged_hash("spender", tx)
