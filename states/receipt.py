"""A notary's log entry for a transaction, and the receipt that proves it (C2SP tlog-proof v1).

entry = 0x01 ‖ transaction id (32 bytes) ‖ time (u64) ‖ count (u16) ‖ count nullifiers (32 bytes each)
extra = 0x01 ‖ time (u64) ‖ count (u16) ‖ count nullifiers (32 bytes each)

Integers are big-endian, the time is in milliseconds since 1970-01-01 UTC. The receipt's `extra` line
is the entry without the transaction id: who verifies has the id, and so learns that it is *this* one.
"""

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from states.checkpoint import Checkpoint, LogKeys, VerifiedCheckpoint, parse_decimal
from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import leaf_hash, verify_inclusion
from states.errors import MalformedBytes, OverLimit
from states.note import parse_note

ENTRY_VERSION = 0x01
NULLIFIERS_MAX = 2_046  # more do not fit the 65,535 bytes of an entry in a C2SP entry bundle
RECEIPT_LENGTH_MAX = 1 << 17  # 87,360 for `extra` with all of those; 1,304 in the ordinary case
PATH_MAX = 63
CHECKPOINTS_REMEMBERED = 64

_HEADER = "c2sp.org/tlog-proof@v1"
_VERSION = bytes([ENTRY_VERSION])
_TIME_MAX = (1 << 63) - 1
_TIME_SIZE, _COUNT_SIZE = 8, 2
_FIXED_SIZE = 1 + _TIME_SIZE + _COUNT_SIZE


class LogEntry(msgspec.Struct, frozen=True):
    """What a notary committed: a transaction, when (ms since 1970 UTC), and what it consumed.

    Raises ValueError for an id or nullifier not of 32 bytes, for a time beyond 2^63 - 1, for more
    than NULLIFIERS_MAX nullifiers and for one that is there twice.
    """

    transaction: bytes
    at: int
    nullifiers: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.transaction) != HASH_SIZE:
            raise ValueError("a transaction id is 32 bytes")
        if not 0 <= self.at <= _TIME_MAX:
            raise ValueError("a time is at most 2^63 - 1")
        if len(self.nullifiers) > NULLIFIERS_MAX:
            raise ValueError(f"an entry has at most {NULLIFIERS_MAX} nullifiers")
        if any(len(each) != HASH_SIZE for each in self.nullifiers):
            raise ValueError("a nullifier is 32 bytes")
        if len(set(self.nullifiers)) != len(self.nullifiers):
            raise ValueError("an entry consumes nothing twice")


def entry_bytes(entry: LogEntry) -> bytes:
    """Return the log's leaf for `entry`."""
    return _VERSION + entry.transaction + _rest(entry)


def _rest(entry: LogEntry) -> bytes:
    count = len(entry.nullifiers).to_bytes(_COUNT_SIZE)
    return entry.at.to_bytes(_TIME_SIZE) + count + b"".join(entry.nullifiers)


def parse_entry(data: bytes) -> LogEntry:
    """Read a leaf; raises MalformedBytes."""
    split = 1 + HASH_SIZE
    return _entry(data[1:split], data[:1] + data[split:])


def _entry(transaction: bytes, extra: bytes) -> LogEntry:
    """Join a transaction id and `extra`."""
    if extra[:1] != _VERSION:
        raise MalformedBytes("log entry", "of another version")
    count = int.from_bytes(extra[1 + _TIME_SIZE : _FIXED_SIZE])
    if len(extra) != _FIXED_SIZE + count * HASH_SIZE:
        raise MalformedBytes("log entry", "not as many nullifiers as it counts")
    nullifiers = tuple(
        extra[at : at + HASH_SIZE] for at in range(_FIXED_SIZE, len(extra), HASH_SIZE)
    )
    try:
        return LogEntry(transaction, int.from_bytes(extra[1 : 1 + _TIME_SIZE]), nullifiers)
    except ValueError as refused:
        raise MalformedBytes("log entry", str(refused)) from refused


class Receipt(msgspec.Struct, frozen=True):
    """A receipt taken apart, of which nothing has been verified."""

    extra: bytes
    index: int
    path: tuple[bytes, ...]
    note: str

    def entry(self, transaction: bytes) -> LogEntry:
        """Return the entry that this receipt is about if it is of `transaction`; MalformedBytes."""
        return _entry(transaction, self.extra)


def _head(extra: bytes, index: int) -> str:
    return f"{_HEADER}\nextra {b64encode(extra).decode('ascii')}\nindex {index}\n"


def write_receipt(
    entry: LogEntry, index: int, path: str | Sequence[bytes], checkpoint_note: str
) -> str:
    """Write the receipt of the `index`-th entry of the log.

    `path` is the hashes from the leaf's sibling up, or their text as `GrowingTree.append` gives it.
    """
    text = path if isinstance(path, str) else _path_text(path)
    return f"{_head(_VERSION + _rest(entry), index)}{text}\n{checkpoint_note}"


def _path_text(path: Sequence[bytes]) -> str:
    return "".join(b64encode(each).decode("ascii") + "\n" for each in path)


def read_receipt(text: str) -> Receipt:
    """Take a receipt apart; to write it again gives back exactly `text`.

    Raises OverLimit above RECEIPT_LENGTH_MAX characters or PATH_MAX hashes, and MalformedBytes.
    """
    receipt = _read(text)
    Checkpoint.parse(parse_note(receipt.note).text)
    return receipt


def _read(text: str) -> Receipt:
    """Read all but the checkpoint: what `ReceiptVerifier` has seen it need not read again."""
    if len(text) > RECEIPT_LENGTH_MAX:
        raise OverLimit("receipt in characters", len(text), RECEIPT_LENGTH_MAX)
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    if len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):  # noqa: PLR2004
        raise MalformedBytes("receipt", "not a header, extra and index")
    if len(lines) - 3 > PATH_MAX:
        raise OverLimit("hashes of a receipt", len(lines) - 3, PATH_MAX)
    try:
        extra = a2b_base64(lines[1][6:].encode("ascii"))
        path = tuple([a2b_base64(line.encode("ascii")) for line in lines[3:]])
    except ValueError as refused:
        raise MalformedBytes("receipt", "not base64") from refused
    if any(len(each) != HASH_SIZE for each in path):
        raise MalformedBytes("receipt", "a path that is not made of hashes")
    receipt = Receipt(extra, parse_decimal(lines[2][6:], "receipt index"), path, note)
    # One comparison finds every base64 form but the canonical one, and whatever else was let pass.
    if f"{_head(extra, receipt.index)}{_path_text(path)}\n{note}" != text:
        raise MalformedBytes("receipt", "not in its canonical form")
    _entry(bytes(HASH_SIZE), extra)
    return receipt


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """Proof, carried as a type, that a notary committed `entry` (`ReceiptVerifier.verify`)."""

    entry: LogEntry
    index: int
    checkpoint: VerifiedCheckpoint


class ReceiptVerifier:
    """Verifies the receipts of one log.

    It remembers the newest checkpoints that it verified: a batch of transactions shares one, and
    its signatures cost more than all the rest.
    """

    __slots__ = ("_keys", "_seen")

    def __init__(self, keys: LogKeys) -> None:
        if keys.cosigner is None:
            raise ValueError("a notary's log has a cosigner")
        self._keys = keys
        self._seen: dict[str, VerifiedCheckpoint] = {}

    def verify(self, transaction: bytes, text: str) -> VerifiedReceipt:
        """Return what `text` proves about the transaction with this id.

        Raises MalformedBytes, OverLimit, InvalidSignature, InvalidProof.
        """
        receipt = _read(text)
        entry = receipt.entry(transaction)
        seen = self._opened(receipt.note)
        leaf = leaf_hash(entry_bytes(entry))
        tree = seen.checkpoint
        verify_inclusion(receipt.index, tree.size, leaf, receipt.path, tree.root)
        return VerifiedReceipt(entry, receipt.index, seen)

    def _opened(self, note: str) -> VerifiedCheckpoint:
        seen = self._seen.get(note)
        if seen is None:
            seen = self._keys.open(note)
            if len(self._seen) >= CHECKPOINTS_REMEMBERED:
                del self._seen[next(iter(self._seen))]
            self._seen[note] = seen
        return seen
