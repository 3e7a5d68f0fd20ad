"""Checkpoints (C2SP tlog-checkpoint v1): what a log says that it contains, and what to believe.

A node keeps the newest checkpoint of each log that it has seen, and moves on only to one that
begins with it: `advance`.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import EMPTY_ROOT, verify_consistency
from states.crypto.proof_program import SIZE_MAX
from states.errors import InvalidProof, InvalidSignature, LedgerError, MalformedBytes
from states.note import (
    COSIGNATURE,
    ED25519,
    Note,
    NoteKey,
    decode_base64,
    parse_note,
    verify_cosigned,
    verify_signed,
)

ORIGIN_BYTES_MAX = 255
_LINES = 4  # origin, size, root, and nothing after the last newline
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def parse_decimal(text: str, what: str) -> int:
    """Read an ASCII decimal below 2^63 without leading zeros; raises MalformedBytes."""
    if not _DECIMAL.fullmatch(text) or int(text) >= SIZE_MAX:
        raise MalformedBytes(what, "not a decimal below 2^63 without leading zeros")
    return int(text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The root of the log `origin` when it had `size` entries.

    Raises ValueError where the text form would be ambiguous, for a root that is no hash, and for an
    empty tree with another root than the empty tree's.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or any(each < " " for each in self.origin):
            raise ValueError("an origin is one line of text")
        if len(self.origin.encode()) > ORIGIN_BYTES_MAX:
            raise ValueError(f"an origin is at most {ORIGIN_BYTES_MAX} bytes")
        if not 0 <= self.size < SIZE_MAX or len(self.root) != HASH_SIZE:
            raise ValueError("a checkpoint has a size below 2^63 and a root of 32 bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise ValueError("the empty tree has one root")

    @property
    def text(self) -> str:
        """The note text: three lines, without extension lines."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode('ascii')}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the note text; raises MalformedBytes, also for extension lines (we have none)."""
        lines = text.split("\n")
        if len(lines) != _LINES or lines[-1]:
            raise MalformedBytes("checkpoint", "not three lines")
        size = parse_decimal(lines[1], "checkpoint size")
        root = decode_base64(lines[2], "checkpoint root")
        try:
            return cls(lines[0], size, root)
        except ValueError as refused:
            raise MalformedBytes("checkpoint", str(refused)) from refused


def _opened(note: Note, log_key: NoteKey) -> Checkpoint:
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != log_key.name:
        raise InvalidSignature("checkpoint", "of another log than its key")
    verify_signed(note, log_key)
    return checkpoint


def open_checkpoint(note_text: bytes | str, log_key: NoteKey) -> Checkpoint:
    """Return the checkpoint in a note if the log itself signed it (type 0x01).

    A log's key bears the name of its origin. Raises MalformedBytes, OverLimit, InvalidSignature.
    """
    return _opened(parse_note(note_text), log_key)


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """Proof, carried as a type, that a log's keys vouch for a checkpoint (`LogKeys.open`)."""

    checkpoint: Checkpoint
    cosigned_at: int | None
    """Seconds since 1970-01-01 UTC; None for a log that has no cosigner (a reading log)."""
    note: str
    """The evidence: the signed note as it was received."""


@dataclass(frozen=True, slots=True)
class LogKeys:
    """A log as it is pinned: its origin, its own key, and its cosigner's key if it has one.

    Raises ValueError unless the log's key is of type ED25519 and named for the origin, and the
    cosigner's of type COSIGNATURE.
    """

    origin: str
    log_key: NoteKey
    cosigner: NoteKey | None

    def __post_init__(self) -> None:
        if self.log_key.algorithm != ED25519 or self.log_key.name != self.origin:
            raise ValueError("a log's key is of type 0x01 and named for its origin")
        if self.cosigner is not None and self.cosigner.algorithm != COSIGNATURE:
            raise ValueError("a cosigner's key is of type 0x04")

    def open(self, note_text: str) -> VerifiedCheckpoint:
        """Accept a checkpoint with the log's signature and, where one is pinned, the cosignature.

        Raises MalformedBytes, OverLimit, InvalidSignature.
        """
        note = parse_note(note_text)
        checkpoint = _opened(note, self.log_key)
        at = None if self.cosigner is None else verify_cosigned(note, self.cosigner)
        return VerifiedCheckpoint(checkpoint, at, note_text)


class ForkedLog(LedgerError):
    """Two checkpoints of one log, both signed, do not fit together; the notes are the evidence.

    `proven` where the notes alone convict the log: one size, two roots. Otherwise the path between
    them failed, which may also be the fault of who served it: ask elsewhere before accusing.
    """

    def __init__(self, origin: str, known: str, offered: str, *, proven: bool) -> None:
        super().__init__(f"{origin}: two checkpoints do not fit together")
        self.origin = origin
        self.known = known
        self.offered = offered
        self.proven = proven


class RolledBack(LedgerError):
    """A log offers a smaller tree than it showed before, and not as a beginning of that one."""

    def __init__(self, origin: str, known: str, offered: str) -> None:
        super().__init__(f"{origin}: the log was larger before")
        self.origin = origin
        self.known = known
        self.offered = offered


def advance(
    known: VerifiedCheckpoint | None, offered: VerifiedCheckpoint, consistency: Sequence[bytes]
) -> VerifiedCheckpoint:
    """Return the checkpoint to keep after `offered`, of the same log, was seen.

    `consistency` is the RFC 9162 path from the smaller to the larger of the two: empty where the
    smaller is 0, and not looked at where the sizes are equal. Of two for the same tree, the later
    cosigned is kept; an older one that proves to be a beginning of `known` changes nothing. The
    first checkpoint ever seen is believed.

    Raises InvalidProof for a checkpoint of another log, ForkedLog, RolledBack.
    """
    if known is None:
        return offered
    had, has = known.checkpoint, offered.checkpoint
    if had.origin != has.origin:
        raise InvalidProof("checkpoint", f"of {has.origin} where one of {had.origin} belongs")
    if had.size == has.size:
        if had.root != has.root:
            raise ForkedLog(had.origin, known.note, offered.note, proven=True)
        return max(known, offered, key=_cosigned_at)
    smaller = has.size < had.size
    try:
        _require_beginning(*((has, had) if smaller else (had, has)), consistency)
    except InvalidProof as refused:
        if smaller:
            raise RolledBack(had.origin, known.note, offered.note) from refused
        raise ForkedLog(had.origin, known.note, offered.note, proven=False) from refused
    return known if smaller else offered


def _require_beginning(older: Checkpoint, newer: Checkpoint, path: Sequence[bytes]) -> None:
    if older.size:
        verify_consistency(older.size, newer.size, path, older.root, newer.root)
    elif path:
        raise InvalidProof("consistency path", "every log begins empty: nothing to prove")


def _cosigned_at(seen: VerifiedCheckpoint) -> int:
    return seen.cosigned_at or 0
