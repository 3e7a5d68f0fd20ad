"""Why a connection or a request was refused: closed lists of reasons, without any secret."""

from enum import StrEnum

from states.errors import LedgerError
from states.identity import Party


class Reason(StrEnum):
    """Why a link was refused or ended; the value is what an operator reads."""

    UNKNOWN_PARTY = "its certificate is of no member of the network"
    WRONG_CERTIFICATE = "its certificate is not the one that the map pins for this member"
    WRONG_NETWORK = "it greets for another network"
    WRONG_VERSION = "it speaks another version of this protocol"
    LYING_IDENTITY = "it greets as another member than its certificate's"
    OWN_IDENTITY = "it is this node itself"
    UNSUITABLE_KEY = "the map's box key of this member is no key"
    NOT_SEALED = "a frame was not sealed by this member for this connection"
    MALFORMED = "a frame is not what this protocol allows here"
    OVERSIZE = "a frame or an envelope is over its limit"
    SLOW_GREETING = "it did not greet in time"
    SLOW_FRAME = "a frame did not become complete in time"
    SLOW_READER = "it does not read what it is sent"
    SILENT = "nothing was heard of it for too long"
    REPLACED = "another connection to this member is kept"
    MAP_CHANGED = "the map has other keys for this member now"
    IDLE = "nothing was said for long"
    AFRESH = "this node lost what it had in memory of it, and greets anew"
    STOPPING = "a side stops"
    REFUSED_BY_PEER = "the other side closed the connection"
    LOST = "the connection broke"


QUIET = frozenset(
    {Reason.REPLACED, Reason.MAP_CHANGED, Reason.IDLE, Reason.AFRESH, Reason.STOPPING, Reason.LOST}
)
"""Ends that are nobody's fault: logged for information, not as a refusal."""


class LinkRefused(LedgerError):
    """A connection cannot be used, or cannot go on; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Unreachable(LedgerError):
    """There is no link to the peer, or it broke while an answer was awaited. Asking again is safe."""

    def __init__(self, peer: Party) -> None:
        super().__init__(f"{peer} cannot be reached now")
        self.peer = peer


class RequestTimedOut(LedgerError):
    """The peer did not answer in time; whether it did what was asked is not known."""

    def __init__(self, peer: Party, kind: str) -> None:
        super().__init__(f"{peer} did not answer a request {kind} in time")
        self.peer = peer
        self.kind = kind


class RequestRefused(LedgerError):
    """The peer answered that it does not do this; `code` is its one word."""

    def __init__(self, peer: Party, kind: str, code: str) -> None:
        super().__init__(f"{peer} refused a request {kind}: {code}")
        self.peer = peer
        self.kind = kind
        self.code = code


class NotShown(LedgerError):
    """A notary answers, and does not show its log or a tile of it."""


class RequestDenied(LedgerError):
    """Raised by a handler: the asking peer is told `code` and nothing else."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
