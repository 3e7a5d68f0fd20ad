"""Entries of reading logs, the proofs of them, and daily heads (§10)."""

import hashlib
import re
from dataclasses import dataclass

from tests.vectors.second import ed25519, merkle, shapes
from tests.vectors.second.digests import tagged_hash
from tests.vectors.second.msgpack import Value, decode
from tests.vectors.second.note import (
    LOG,
    VerifierKey,
    check_signed,
    decimal,
    from_base64,
    read_checkpoint,
    read_note,
)
from tests.vectors.second.refusal import require

_FIRST_LINE = "c2sp.org/tlog-proof@v1"
_LONGEST_PATH = 63
_MOST_CHARACTERS = 8_192
_MOST_ITEMS = 1_024
_LONGEST_ENTRY, _LONGEST_HEAD = 65_536, 512
_NO_EPOCH, _NOTHING = bytes(16), bytes(32)
_DID = re.compile(r"did:key:z.{3,119}", re.DOTALL)
_OUTCOMES = ("read", "refused", "released", "not-released", "withdrawn")
_ROLE = re.compile(r"[a-z][a-z-]{0,31}")
_EPOCH = re.compile(r"/[0-9a-f]{32}")


@dataclass(frozen=True)
class Restored:
    """`{epoch b16, at ms, after u63}`: a log that goes on from a backup (§10.4)."""

    epoch: bytes
    at: int
    after: int


def _restored(value: Value) -> Restored | None:
    if value is None:
        return None
    epoch, at, after = shapes.untagged(value, 3)
    found = Restored(
        shapes.exactly(epoch, 16),
        shapes.integer(at, shapes.U63),
        shapes.integer(after, shapes.U63),
    )
    require(found.epoch != _NO_EPOCH, "10.4", "an epoch of zeros")
    return found


def _after(restored: Restored | None) -> int:
    return 0 if restored is None else restored.after


def _party(value: Value) -> str:
    """A party in a subject's own field: any text that begins as a name (§1.5)."""
    named = shapes.text(value)
    require(_DID.fullmatch(named) is not None, "1.5", "a text that does not begin as a name")
    return named


@dataclass(frozen=True)
class Entry:
    """What an entry says of itself: whose, its place in its chain, and of which epoch (§10.1)."""

    organisation: str
    chain: bytes
    number: int
    previous: bytes
    items: tuple[bytes, ...]
    restored: Restored | None


def read_entry(body: bytes) -> Entry:
    """`reading/2{…}` of just these fields (§10.1)."""
    require(len(body) <= _LONGEST_ENTRY, "10.1", "an entry that is too long")
    fields = shapes.tagged(decode(body), "reading/2", 15)
    organisation, chain, number, previous, at, person, shown_as, role = fields[:8]
    purpose, by, emergency, disclosure, items, outcome, restored = fields[8:]
    shapes.integer(at, shapes.U63)
    shapes.exactly(person, 16)
    require(len(shapes.text(shown_as)) <= 1_024, "10.1", "a name that is too long")
    require(_ROLE.fullmatch(shapes.text(role)) is not None, "10.1", "a malformed role")
    shapes.text(purpose)
    require(shapes.text(by) in {"person", "system"}, "10.1", "read by neither person nor system")
    shapes.boolean(emergency)
    if disclosure is not None:
        shapes.exactly(disclosure, 32)
    require(shapes.text(outcome) in _OUTCOMES, "10.1", "an unknown outcome")
    found = Entry(
        _party(organisation),
        shapes.exactly(chain, 32),
        shapes.integer(number, shapes.U63),
        shapes.exactly(previous, 32),
        tuple(shapes.exactly(one, 32) for one in shapes.items(items)),
        _restored(restored),
    )
    require(len(found.items) <= _MOST_ITEMS, "10.1", "too many items")
    require(found.number > 0, "10.1", "a number below 1")
    first = found.previous == _NOTHING
    require(
        (found.number == 1) == first, "10.1", "a first entry that is not, or a later one that is"
    )
    require(found.number > _after(found.restored), "10.4", "a number that its epoch kept")
    return found


def entry_digest(salt: bytes, body: bytes) -> bytes:
    return hashlib.sha256(salt + body).digest()


@dataclass(frozen=True)
class Reported:
    """What a reported entry proves, and where."""

    entry: Entry
    digest: bytes
    index: int
    origin: str
    size: int
    root: bytes


def check_reported(value: Value, party: str, log_key: bytes) -> Reported:
    """`reported/1{body bytes, salt b32, proof text}` against the reading-log key of a party (§10.3)."""
    body_value, salt_value, proof = shapes.tagged(value, "reported/1", 3)
    body, salt = shapes.blob(body_value), shapes.exactly(salt_value, 32)
    entry = read_entry(body)
    require(entry.organisation == party, "10.3", "an entry of another organisation")
    digest = entry_digest(salt, body)
    index, path, checkpoint = _read_proof(shapes.text(proof))
    note = read_note(checkpoint)
    tree = read_checkpoint(note.text)
    first = f"{party}/readings"
    require(tree.origin.startswith(first), "10.3", "a log of another name")
    epoch = tree.origin.removeprefix(first)
    named = not epoch or (_EPOCH.fullmatch(epoch) is not None and epoch[1:] != _NO_EPOCH.hex())
    require(named, "10.3", "a log of another name")
    check_signed(note, VerifierKey(tree.origin, LOG, log_key))
    leaf = merkle.leaf_hash(b"\x01" + digest)
    root = merkle.root_of_path(leaf, index, tree.size, path)
    require(root == tree.root, "10.3", "a path that does not lead to the root")
    return Reported(entry, digest, index, tree.origin, tree.size, tree.root)


def _read_proof(text: str) -> tuple[int, tuple[bytes, ...], str]:
    """A tlog-proof without extra data: index, path, and the checkpoint that it is of (§10.3)."""
    require(len(text) <= _MOST_CHARACTERS, "10.3", "a proof that is too long")
    head, blank, checkpoint = text.partition("\n\n")
    require(bool(blank), "10.3", "a proof without its blank line")
    lines = head.split("\n")
    require(lines[0] == _FIRST_LINE, "10.3", "not a tlog-proof of version 1")
    indexed = len(lines) > 1 and lines[1].startswith("index ")
    require(indexed, "10.3", "a proof without its index behind the first line")
    require(len(lines) - 2 <= _LONGEST_PATH, "10.3", "a path that is too long")
    path = tuple(map(from_base64, lines[2:]))
    require(all(len(one) == 32 for one in path), "10.3", "a path that is not of hashes")
    return decimal(lines[1].removeprefix("index ")), path, checkpoint


@dataclass(frozen=True)
class Head:
    """`reading-head/2{…}`: how far a chain goes on a day (§10.5)."""

    network: bytes
    organisation: str
    chain: bytes
    number: int
    digest: bytes
    day: int
    at: int
    restored: Restored | None


def head_digest(body: bytes) -> bytes:
    return tagged_hash("reading-head", body)


def check_head(value: Value, network: bytes, party: str, log_key: bytes) -> Head:
    """`signed-head/1{body bytes, b64}` of this network and party, by its reading-log key (§10.5)."""
    body_value, raw = shapes.tagged(value, "signed-head/1", 2)
    body, signature = shapes.blob(body_value), shapes.exactly(raw, 64)
    require(len(body) <= _LONGEST_HEAD, "10.5", "a head that is too long")
    of, organisation, chain, number, digest, day, at, restored = shapes.tagged(
        decode(body), "reading-head/2", 8
    )
    found = Head(
        shapes.exactly(of, 32),
        _party(organisation),
        shapes.exactly(chain, 32),
        shapes.integer(number, shapes.U63),
        shapes.exactly(digest, 32),
        shapes.integer(day, shapes.U32),
        shapes.integer(at, shapes.U63),
        _restored(restored),
    )
    require(found.number >= _after(found.restored), "10.5", "a chain shorter than what was kept")
    same = (found.network, found.organisation) == (network, party)
    require(same, "10.5", "a head of another network or party")
    good = ed25519.verify(log_key, head_digest(body), signature)
    require(good, "10.5", "a head whose signature does not verify")
    return found
