"""C2SP signed notes, checkpoints and cosignatures with a time (§6.3)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.vectors.second import ed25519
from tests.vectors.second.refusal import Refused, require

LOG, COSIGNER = 0x01, 0x04
_LATEST = (1 << 63) - 1
_SPACE_OR_PLUS = re.compile(r"[\s+]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class VerifierKey:
    """`<name>+hex(key id)+base64(type ‖ public key)` (signed-note, Verifier keys)."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        hashed = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(hashed).digest()[:4]

    @property
    def text(self) -> str:
        coded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{coded}"


def read_verifier_key(text: str) -> VerifierKey:
    name, key_id, coded = text.split("+", 2)
    raw = from_base64(coded)
    key = VerifierKey(name, raw[0], raw[1:])
    require(key.id.hex() == key_id, "6.3", "a verifier key whose id is not its own")
    return key


def from_base64(text: str) -> bytes:
    """Standard base64, padded, of one spelling."""
    try:
        raw = base64.b64decode(text.encode(), validate=True)
    except binascii.Error:
        raise Refused("6.3", "not base64") from None
    require(base64.b64encode(raw).decode() == text, "6.3", "a second spelling of base64")
    return raw


def decimal(text: str) -> int:
    """An ASCII decimal without leading zeros, below 2^63."""
    require(_DECIMAL.fullmatch(text) is not None, "6.3", "not a decimal of one spelling")
    number = int(text)
    require(number <= _LATEST, "6.3", "a number of 2^63 or more")
    return number


@dataclass(frozen=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes
    raw: bytes


@dataclass(frozen=True)
class Note:
    """A note's text, up to and with its last newline, and its signature lines."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def by(self, key: VerifierKey) -> Iterator[bytes]:
        for one in self.signatures:
            if (one.name, one.key_id) == (key.name, key.id):
                yield one.raw


def read_note(text: str) -> Note:
    """Split at the last empty line (signed-note, Format)."""
    controls = any(ord(character) < 0x20 and character != "\n" for character in text)
    require(not controls, "6.3", "a control character")
    body, blank, signatures = text.rpartition("\n\n")
    require(bool(body) and bool(blank), "6.3", "a note without its blank line")
    require(signatures.endswith("\n"), "6.3", "a note without a last newline")
    lines = signatures.removesuffix("\n").split("\n")
    return Note(body + "\n", tuple(map(_read_line, lines)))


def _read_line(line: str) -> NoteSignature:
    parts = line.split(" ")
    require(len(parts) == 3 and parts[0] == "—", "6.3", "a malformed signature line")
    _, name, coded = parts
    spelt = bool(name) and _SPACE_OR_PLUS.search(name) is None
    require(spelt, "6.3", "a malformed key name")
    raw = from_base64(coded)
    require(len(raw) > 4, "6.3", "a signature without its key id")
    return NoteSignature(name, raw[:4], raw[4:])


def check_signed(note: Note, key: VerifierKey) -> None:
    """The note carries a signature of type 0x01 of this key, and no false one (signed-note)."""
    require(key.kind == LOG, "6.3", "a log key of another type than 0x01")
    signatures = list(note.by(key))
    require(bool(signatures), "6.3", "a checkpoint without the log's signature")
    good = all(ed25519.verify(key.public, note.text.encode(), raw) for raw in signatures)
    require(good, "6.3", "a log signature that does not verify")


def check_cosigned(note: Note, key: VerifierKey) -> int:
    """The seconds since 1970 in the cosignature of type 0x04 of this key (tlog-cosignature)."""
    require(key.kind == COSIGNER, "6.3", "a cosigner's key of another type than 0x04")
    signatures = list(note.by(key))
    require(bool(signatures), "6.3", "a checkpoint without the cosignature")
    return max([_cosigned_at(note, key, raw) for raw in signatures])


def _cosigned_at(note: Note, key: VerifierKey, raw: bytes) -> int:
    require(len(raw) == 72, "6.3", "a cosignature of the wrong length")
    at = int.from_bytes(raw[:8], "big")
    require(at <= _LATEST, "6.3", "a number of 2^63 or more")
    good = ed25519.verify(key.public, cosigned_message(note.text, at), raw[8:])
    require(good, "6.3", "a cosignature that does not verify")
    return at


def cosigned_message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def sign_line(key: VerifierKey, seed: bytes, text: str, at: int | None = None) -> str:
    """The signature line of a note (0x01), or of a checkpoint at a time (0x04)."""
    if at is None:
        raw = ed25519.sign(seed, text.encode())
    else:
        raw = at.to_bytes(8, "big") + ed25519.sign(seed, cosigned_message(text, at))
    return f"— {key.name} {base64.b64encode(key.id + raw).decode()}\n"


@dataclass(frozen=True)
class Checkpoint:
    """Origin, size and root of a log's tree (tlog-checkpoint, Note text)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def read_checkpoint(text: str) -> Checkpoint:
    lines = text.removesuffix("\n").split("\n")
    require(len(lines) == 3 and all(lines), "6.3", "a checkpoint of other than three lines")
    root = from_base64(lines[2])
    require(len(root) == 32, "6.3", "a root that is not of 32 bytes")
    return Checkpoint(lines[0], decimal(lines[1]), root)
