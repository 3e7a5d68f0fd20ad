"""Why a flow failed or waits: the stable codes, and what may be said to whom.

The engine keeps an exception's name and sentence. Neither is for clients: a name changes with the code, a sentence
begins with a DID and may be about what its reader must not know. So each name has a code here, and the sentences of
refusals, which are written for people, are shown to who started the flow, with names in the place of DIDs.
"""

import re
from collections.abc import Callable
from enum import StrEnum

import strawberry

from app.blobs import errors as blobs
from app.graphql.enums import documented
from app.readings.bundles import NothingToProve
from app.subjects.notary_change import UnexpectedEntry
from app.vault.reader import (
    AlteredTransaction,
    BasisNotHeld,
    NotEnrolled,
    NotHeld,
    NotYet,
    PartlyShown,
)
from app.vault.vault import NotConcerned
from flows.envelope import EarlyOverflow
from flows.finality import AlreadyConsumed, NotCommitted, WindowLapsed
from flows.flow import (
    CounterpartyFailed,
    FlowRefused,
    Parked,
    SessionEnded,
    SessionLost,
    TimedOut,
)
from states import checkpoint, errors, parameters, reading, verifier
from states.contract import UnknownContract
from states.subjects.pinned import NotPinned
from states.timewindow import WindowRefused


@documented(
    "Why a flow failed or waits; stable, for programs. What `ErrorCode` names too means the same here.",
    {
        "REFUSED": "This node will not do it; the message says why.",
        "COUNTERPARTY_REFUSED": "Another organisation will not do it; the message has its words.",
        "COUNTERPARTY_LOST": "Another organisation ended the conversation, or forgot it.",
        "TIMED_OUT": "Another organisation did not answer in time. Ask again, by another key.",
        "NOT_FOUND": "This node has no such thing, or not any more as it was asked for.",
        "NOT_ENROLLED": "The patient is not enrolled where this needs her to be.",
        "CONFLICT": "What it rests on was changed or ended meanwhile. Look, then ask again.",
        "WINDOW_CLOSED": "The notary was not reached in time; nothing was recorded.",
        "LIMIT_EXCEEDED": "Something is larger or more than the network allows.",
        "RULE_BROKEN": "A rule of the ledger forbids it; the message names the rule.",
        "NOT_VERIFIED": "What another organisation sent does not verify, or is not complete.",
        "OPERATOR_NEEDED": "It can neither go on nor be failed: an operator has to look.",
        "PAUSED": "An operator paused it.",
        "KILLED": "An operator ended it.",
        "INTERNAL_SERVER_ERROR": "A fault of this node, of which its operator can learn more.",
    },
)
class FailureCode(StrEnum):
    """The values of `FlowFailure.code`."""

    REFUSED = "REFUSED"
    COUNTERPARTY_REFUSED = "COUNTERPARTY_REFUSED"
    COUNTERPARTY_LOST = "COUNTERPARTY_LOST"
    TIMED_OUT = "TIMED_OUT"
    NOT_FOUND = "NOT_FOUND"
    NOT_ENROLLED = "NOT_ENROLLED"
    CONFLICT = "CONFLICT"
    WINDOW_CLOSED = "WINDOW_CLOSED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    RULE_BROKEN = "RULE_BROKEN"
    NOT_VERIFIED = "NOT_VERIFIED"
    OPERATOR_NEEDED = "OPERATOR_NEEDED"
    PAUSED = "PAUSED"
    KILLED = "KILLED"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


_EXCEPTIONS: dict[FailureCode, tuple[type[Exception], ...]] = {
    FailureCode.REFUSED: (FlowRefused, NotConcerned),
    FailureCode.COUNTERPARTY_REFUSED: (CounterpartyFailed,),
    FailureCode.COUNTERPARTY_LOST: (SessionLost, SessionEnded),
    FailureCode.TIMED_OUT: (TimedOut,),
    FailureCode.NOT_FOUND: (NotHeld, NothingToProve),
    FailureCode.NOT_ENROLLED: (NotEnrolled,),
    FailureCode.CONFLICT: (NotCommitted, AlreadyConsumed),
    FailureCode.WINDOW_CLOSED: (WindowLapsed,),
    FailureCode.LIMIT_EXCEEDED: (errors.OverLimit, EarlyOverflow),
    FailureCode.RULE_BROKEN: (errors.RuleBroken, WindowRefused),
    FailureCode.NOT_VERIFIED: (
        errors.MalformedBytes,
        errors.InvalidProof,
        errors.InvalidSignature,
        blobs.BlobRefused,
        blobs.ChunkTampered,
        blobs.ChunkMisplaced,
        blobs.BlobTruncated,
        blobs.BlobOverlong,
        blobs.WrongDataKey,
        blobs.WrongCommitment,
        blobs.BlobMalformed,
        blobs.WrongCid,
        blobs.WrapRefused,
        checkpoint.ForkedLog,
        checkpoint.RolledBack,
        parameters.UnknownParameters,
        parameters.UnknownParty,
        reading.ReadingsMissing,
        reading.ReadingContradicted,
        verifier.IncompleteTransaction,
        verifier.UnresolvedInput,
        verifier.DistrustedNotary,
        verifier.WrongNotary,
        UnknownContract,
        NotPinned,
        UnexpectedEntry,
        NotYet,
        BasisNotHeld,
        PartlyShown,
    ),
    FailureCode.OPERATOR_NEEDED: (Parked, AlteredTransaction),
}
_BY_NAME = {kind.__name__: code for code, kinds in _EXCEPTIONS.items() for kind in kinds}
_CODED = frozenset(
    kind.__name__
    for kinds in _EXCEPTIONS.values()
    for kind in kinds
    if issubclass(kind, FlowRefused)
)
"""Those that put their own code before their words."""
_PUBLIC = frozenset(
    {
        FailureCode.REFUSED,
        FailureCode.COUNTERPARTY_REFUSED,
        FailureCode.NOT_FOUND,
        FailureCode.NOT_ENROLLED,
        FailureCode.CONFLICT,
        FailureCode.WINDOW_CLOSED,
        FailureCode.LIMIT_EXCEEDED,
        FailureCode.RULE_BROKEN,
    }
)
"""Those whose words may be shown to who started the flow: refusals, written for people."""

_DID = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]+")
_OTHERS = re.compile(
    r"(did:key:\S+) ended the session: (\S*) ?(.*)", re.DOTALL
)  # CounterpartyFailed


@strawberry.type(description="Why a flow failed or waits.")
class FlowFailure:
    """Words of a refusal are shown to who started the flow only."""

    code: FailureCode = strawberry.field(description="The kind of failure, for programs.")
    message: str | None = strawberry.field(
        description="Why, for people; null where it is not public."
    )
    exception: str | None = strawberry.field(
        description="To an operator: the exception's name in this node's code. Not stable."
    )


def code_of(exception: str) -> FailureCode:
    """Return the code for an exception's name; of what is on no list, that it is a fault of this node."""
    return _BY_NAME.get(exception, FailureCode.INTERNAL_SERVER_ERROR)


def failure_of(
    why: str, stopped: FailureCode, name_of: Callable[[str], str], *, is_own: bool, operates: bool
) -> FlowFailure:
    """Return what may be said of `why`, which is "exception: sentence", or an operator's doing in plain words.

    `stopped` is the code of the latter; `name_of` returns the name of a DID's organisation.
    """
    exception, found, sentence = why.partition(": ")
    if not found:
        return FlowFailure(code=stopped, message=why or None, exception=None)
    code = code_of(exception)
    public = is_own and code in _PUBLIC
    return FlowFailure(
        code=code,
        message=_words(exception, sentence, name_of) if public else None,
        exception=exception if operates else None,
    )


def _words(exception: str, sentence: str, name_of: Callable[[str], str]) -> str:
    if exception in _CODED:
        sentence = sentence.partition(": ")[2]
    others = _OTHERS.fullmatch(sentence)
    if others is not None:
        party, _, words = others.groups()
        said = f"refused: {words}" if words else "could not go on, and does not say why"
        sentence = f"{party} {said}"
    return _DID.sub(lambda did: name_of(did[0]), sentence)


__all__ = ["FailureCode", "FlowFailure", "code_of", "failure_of"]
