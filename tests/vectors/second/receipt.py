"""Log entries, receipts and statements of liveness (§6.3, §6.4)."""

import base64
from dataclasses import dataclass

from tests.vectors.second import ed25519, merkle, shapes
from tests.vectors.second.digests import tagged_hash
from tests.vectors.second.keys import read_did
from tests.vectors.second.msgpack import Value, decode
from tests.vectors.second.note import (
    Note,
    VerifierKey,
    check_cosigned,
    check_signed,
    decimal,
    from_base64,
    read_checkpoint,
    read_note,
)
from tests.vectors.second.refusal import require

_FIRST_LINE = "c2sp.org/tlog-proof@v1"
_LONGEST_PATH = 63
_MOST_NULLIFIERS = 2_046


@dataclass(frozen=True)
class Entry:
    """One line of a notary's log: `0x01 ‖ tx ‖ time u64 ‖ count u16 ‖ nullifiers`."""

    tx: bytes
    time: int
    nullifiers: tuple[bytes, ...]

    @property
    def line(self) -> bytes:
        return b"\x01" + self.tx + self.extra[1:]

    @property
    def extra(self) -> bytes:
        """The entry without its transaction: what a receipt carries beside the proof."""
        time, count = self.time.to_bytes(8, "big"), len(self.nullifiers).to_bytes(2, "big")
        return b"\x01" + time + count + b"".join(self.nullifiers)


def read_entry(raw: bytes) -> Entry:
    """An entry of just its length (§6.3)."""
    require(len(raw) >= 43, "6.3", "an entry that is too short")
    return read_extra(raw[1:33], raw[:1] + raw[33:])


def read_extra(tx: bytes, extra: bytes) -> Entry:
    """The entry of this transaction, from a receipt's extra (§6.3)."""
    require(len(extra) >= 11, "6.3", "an entry that is too short")
    require(extra[0] == 1, "6.3", "an entry of another version")
    time, count = int.from_bytes(extra[1:9], "big"), int.from_bytes(extra[9:11], "big")
    require(time <= shapes.U63, "1.3", "a time outside u63")
    rest = extra[11:]
    require(len(rest) == 32 * count, "6.3", "an entry whose count is not that of its nullifiers")
    nullifiers = tuple(rest[at : at + 32] for at in range(0, len(rest), 32))
    require(count <= _MOST_NULLIFIERS, "6.3", "more than 2,046 nullifiers")
    require(len(set(nullifiers)) == count, "6.3", "a nullifier twice")
    return Entry(tx, time, nullifiers)


@dataclass(frozen=True)
class Proof:
    """A tlog-proof text, taken apart and not yet believed."""

    extra: bytes
    index: int
    path: tuple[bytes, ...]
    note: Note


def read_proof(text: str) -> Proof:
    """The lines of a tlog-proof (C2SP tlog-proof, Format); a receipt's has its extra (§6.3)."""
    head, blank, checkpoint = text.partition("\n\n")
    require(bool(blank), "6.3", "a proof without its blank line")
    lines = head.split("\n")
    require(lines[0] == _FIRST_LINE, "6.3", "not a tlog-proof of version 1")
    require(len(lines) >= 3, "6.3", "a proof without extra or index")
    require(lines[1].startswith("extra "), "6.3", "a receipt without extra")
    require(lines[2].startswith("index "), "6.3", "a proof without its index")
    require(len(lines) - 3 <= _LONGEST_PATH, "6.3", "a path that is too long")
    path = tuple(map(from_base64, lines[3:]))
    require(all(len(one) == 32 for one in path), "6.3", "a path that is not of hashes")
    extra = from_base64(lines[1].removeprefix("extra "))
    return Proof(extra, decimal(lines[2].removeprefix("index ")), path, read_note(checkpoint))


def proof_text(extra: bytes, index: int, path: list[bytes], checkpoint: str) -> str:
    siblings = "".join(base64.b64encode(one).decode() + "\n" for one in path)
    coded = base64.b64encode(extra).decode()
    return f"{_FIRST_LINE}\nextra {coded}\nindex {index}\n{siblings}\n{checkpoint}"


@dataclass(frozen=True)
class Trust:
    """Whose log it must be: its origin, the key that signs it and the one that cosigns it."""

    origin: str
    log: VerifierKey
    cosigner: VerifierKey


@dataclass(frozen=True)
class Receipt:
    """What a verified receipt says."""

    entry: Entry
    index: int
    size: int
    root: bytes
    cosigned_at: int


def check_receipt(text: str, tx: bytes, trust: Trust) -> Receipt:
    """Whether this text proves that this transaction stands in that log (§6.3)."""
    proof = read_proof(text)
    entry = read_extra(tx, proof.extra)
    checkpoint = read_checkpoint(proof.note.text)
    require(checkpoint.origin == trust.origin, "6.3", "a checkpoint of another log")
    check_signed(proof.note, trust.log)
    at = check_cosigned(proof.note, trust.cosigner)
    leaf = merkle.leaf_hash(entry.line)
    root = merkle.root_of_path(leaf, proof.index, checkpoint.size, proof.path)
    require(root == checkpoint.root, "6.3", "a path that does not lead to the root")
    return Receipt(entry, proof.index, checkpoint.size, checkpoint.root, at)


@dataclass(frozen=True)
class Liveness:
    """`liveness/1{network, notary DID, nullifier, size u63, root b32, at ms, live bool}`."""

    network: bytes
    notary: str
    nullifier: bytes
    size: int
    root: bytes
    at: int
    live: bool

    @property
    def value(self) -> Value:
        return (
            "liveness/1",
            self.network,
            self.notary,
            self.nullifier,
            self.size,
            self.root,
            self.at,
            self.live,
        )


def read_liveness(value: Value) -> Liveness:
    """The body of a statement of liveness (§6.4)."""
    network, notary, nullifier, size, root, at, live = shapes.tagged(value, "liveness/1", 7)
    read_did(shapes.text(notary))
    return Liveness(
        shapes.exactly(network, 32),
        shapes.text(notary),
        shapes.exactly(nullifier, 32),
        shapes.integer(size, shapes.U63),
        shapes.exactly(root, 32),
        shapes.integer(at, shapes.U63),
        shapes.boolean(live),
    )


def liveness_digest(body: bytes) -> bytes:
    """What the log key signs (§6.4)."""
    return tagged_hash("liveness", body)


def check_liveness(value: Value, log_key: bytes) -> Liveness:
    """`is-live/1{body bytes, b64}`, signed by the log key (§6.4)."""
    body_value, raw = shapes.tagged(value, "is-live/1", 2)
    body = shapes.blob(body_value)
    good = ed25519.verify(log_key, liveness_digest(body), shapes.exactly(raw, 64))
    require(good, "6.4", "a statement whose signature does not verify")
    return read_liveness(decode(body))
