"""Checkpoints (C2SP tlog-checkpoint v1): what a log says that it contains, and what to believe.

A node keeps the newest checkpoint of each log that it has seen, and moves on only to one that
begins with it: `advance`.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from states.crypto import ed25519
from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import EMPTY_ROOT, prefix_root
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


def signed_elsewhere(note_text: str, log_key: NoteKey) -> str | None:
    """Return the origin of a checkpoint that a log's key has signed under another name than the log's; else None.

    Raises MalformedBytes, OverLimit.
    """
    note = parse_note(note_text)
    origin = Checkpoint.parse(note.text).origin
    text = note.text.encode()
    if origin == log_key.name:
        return None
    signed = any(ed25519.verify(log_key.public, text, each.raw) for each in note.signatures)
    return origin if signed else None


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
    """Two checkpoints of one log, both signed, cannot both be true: the notes and `hashes` convict the log.

    `hashes` is empty for two of one size; else it leads to the larger's root and, for the smaller's size, to another
    than the smaller's (`prefix_root`).
    """

    def __init__(self, origin: str, known: str, offered: str, hashes: Sequence[bytes] = ()) -> None:
        super().__init__(f"{origin}: two checkpoints do not fit together")
        self.origin = origin
        self.known = known
        self.offered = offered
        self.hashes = tuple(hashes)


class RolledBack(LedgerError):
    """A log was cosigned with fewer entries after it had been cosigned with more: the two notes convict it."""

    def __init__(self, origin: str, known: str, offered: str) -> None:
        super().__init__(f"{origin}: the log was larger before")
        self.origin = origin
        self.known = known
        self.offered = offered


def require_no_contradiction(known: VerifiedCheckpoint, offered: VerifiedCheckpoint) -> None:
    """Raise ForkedLog or RolledBack where two checkpoints of one log cannot both be true, by what they say alone."""
    had, has = known.checkpoint, offered.checkpoint
    assert had.origin == has.origin, "logs of different names have nothing to do with each other"
    if had.size == has.size:
        if had.root != has.root:
            raise ForkedLog(had.origin, known.note, offered.note)
        return
    smaller, larger = sorted((known, offered), key=_size)
    if larger.cosigned_at is not None and _cosigned_at(smaller) > larger.cosigned_at:
        raise RolledBack(had.origin, known.note, offered.note)


def advance(
    known: VerifiedCheckpoint | None, offered: VerifiedCheckpoint, hashes: Sequence[bytes]
) -> VerifiedCheckpoint:
    """Return the checkpoint to keep after `offered`, of the same log, was seen.

    `hashes` are those of `prefix_spans` from the smaller to the larger of the two: empty where the smaller is 0, and
    not looked at where the sizes are equal. Of two for the same tree, the later cosigned is kept; an older one that
    proves to be a beginning of `known` changes nothing. The first checkpoint ever seen is believed.

    Raises ForkedLog and RolledBack where the notary has signed what cannot be true; InvalidProof where nothing is shown
    either way (`hashes` may be damaged, or another's), and for a checkpoint of another log.
    """
    if known is None:
        return offered
    had, has = known.checkpoint, offered.checkpoint
    if had.origin != has.origin:
        raise InvalidProof("checkpoint", f"of {has.origin} where one of {had.origin} belongs")
    require_no_contradiction(known, offered)
    if had.size == has.size:
        return max(known, offered, key=_cosigned_at)
    smaller, larger = sorted((known, offered), key=_size)
    if _beginning(smaller.checkpoint, larger.checkpoint, hashes) != smaller.checkpoint.root:
        raise ForkedLog(had.origin, known.note, offered.note, hashes)
    return larger


def _beginning(older: Checkpoint, newer: Checkpoint, hashes: Sequence[bytes]) -> bytes:
    """Return the root of as many first entries of `newer` as `older` has; raises InvalidProof."""
    if older.size:
        return prefix_root(older.size, newer.size, hashes, newer.root)
    if hashes:
        raise InvalidProof("consistency path", "every log begins empty: nothing to prove")
    return EMPTY_ROOT


def _size(seen: VerifiedCheckpoint) -> int:
    return seen.checkpoint.size


def _cosigned_at(seen: VerifiedCheckpoint) -> int:
    return seen.cosigned_at or 0
