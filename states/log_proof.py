"""Proofs that a log holds a leaf (C2SP tlog-proof v1, without extra data): what a reading log gives out.

A notary's receipts are of the same format with extra data; they have a module of their own.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from states.checkpoint import Checkpoint, LogKeys, VerifiedCheckpoint, parse_decimal
from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import leaf_hash, verify_inclusion
from states.errors import MalformedBytes, OverLimit
from states.note import decode_base64, parse_note

PROOF_CHARS_MAX = 8_192  # 63 hashes of 45 characters, and a checkpoint with a few signatures
PATH_MAX = 63

_HEADER = "c2sp.org/tlog-proof@v1"
_WHAT = "log proof"
_LINES_BEFORE_PATH = 2


@dataclass(frozen=True, slots=True)
class LogProof:
    """A proof taken apart, of which nothing has been verified."""

    index: int
    path: tuple[bytes, ...]
    note: str


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """Proof, carried as a type, that a log holds a leaf at `index` (`verify_proof`)."""

    index: int
    checkpoint: VerifiedCheckpoint


def write_proof(index: int, path: Sequence[bytes], checkpoint_note: str) -> str:
    """Write the proof of the leaf at `index`; `path` is the hashes from the leaf's sibling up."""
    lines = "".join(b64encode(each).decode("ascii") + "\n" for each in path)
    return f"{_HEADER}\nindex {index}\n{lines}\n{checkpoint_note}"


def read_proof(text: str) -> LogProof:
    """Take a proof apart; to write it again gives back exactly `text`.

    Raises OverLimit above PROOF_CHARS_MAX characters or PATH_MAX hashes, and MalformedBytes.
    """
    if len(text) > PROOF_CHARS_MAX:
        raise OverLimit("log proof in characters", len(text), PROOF_CHARS_MAX)
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != _HEADER or len(lines) < _LINES_BEFORE_PATH:
        raise MalformedBytes(_WHAT, "not a header, an index and a checkpoint")
    if not lines[1].startswith("index "):
        raise MalformedBytes(_WHAT, "no index behind the header")
    hashes = lines[_LINES_BEFORE_PATH:]
    if len(hashes) > PATH_MAX:
        raise OverLimit("hashes of a log proof", len(hashes), PATH_MAX)
    path = tuple(decode_base64(line, _WHAT) for line in hashes)
    if any(len(each) != HASH_SIZE for each in path):
        raise MalformedBytes(_WHAT, "a path that is not made of hashes")
    Checkpoint.parse(parse_note(note).text)
    return LogProof(parse_decimal(lines[1][6:], "log index"), path, note)


def verify_proof(text: str, leaf: bytes, keys: LogKeys) -> ProvenLeaf:
    """Return where the log with these keys holds `leaf`.

    Raises MalformedBytes, OverLimit, InvalidSignature, InvalidProof.
    """
    proof = read_proof(text)
    seen = keys.open(proof.note)
    tree = seen.checkpoint
    verify_inclusion(proof.index, tree.size, leaf_hash(leaf), proof.path, tree.root)
    return ProvenLeaf(proof.index, seen)
