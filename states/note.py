"""Signed notes (C2SP signed-note v1): a text, and the keys that vouch for it.

Two of the assigned signature types are spoken here: 0x01, Ed25519 over the text, and 0x04, an
Ed25519 cosignature with a time (C2SP tlog-cosignature). Signatures of other types and keys are kept
and ignored.
"""

import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from states.crypto import ed25519
from states.crypto.signatures import Signer
from states.errors import InvalidSignature, MalformedBytes, OverLimit

ED25519 = 0x01
COSIGNATURE = 0x04

NOTE_BYTES_MAX = 1 << 17  # a short text and 16 post-quantum signatures of nearly 5 kB
SIGNATURES_MAX = 16
NAME_BYTES_MAX = 255
SECONDS_MAX = (1 << 63) - 1

_PUBLIC_SIZE = 32
_KEY_ID_SIZE = 4
_KEY_ID_DIGITS = 8
_TIME_SIZE = 8
_VKEY_PARTS = 3
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH = "\N{EM DASH} "


def decode_base64(text: str, what: str) -> bytes:
    """Decode the one canonical form of RFC 4648 §4, padded; raises MalformedBytes for any other."""
    try:
        data = a2b_base64(text.encode("ascii"))
    except ValueError as refused:  # UnicodeEncodeError and binascii.Error alike
        raise MalformedBytes(what, "not base64") from refused
    if b64encode(data).decode("ascii") != text:  # the decoder passes over what it does not know
        raise MalformedBytes(what, "not canonical base64")
    return data


def _check_name(name: str) -> None:
    if not name or "+" in name or any(each.isspace() or each < " " for each in name):
        raise ValueError("a key name has neither space nor plus nor control character")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise ValueError(f"a key name is at most {NAME_BYTES_MAX} bytes")


@dataclass(frozen=True, slots=True)
class NoteKey:
    """Who may sign a note: a name, a signature type (ED25519 or COSIGNATURE) and a public key.

    Raises ValueError for another type, for a key not of 32 bytes and for a name that notes forbid.
    """

    name: str
    algorithm: int
    public: bytes
    id: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.algorithm not in (ED25519, COSIGNATURE):
            raise ValueError(f"signature type {self.algorithm:#04x} is not spoken here")
        if len(self.public) != _PUBLIC_SIZE:
            raise ValueError("an Ed25519 key is 32 bytes")
        digest = sha256(b"%s\n%c%s" % (self.name.encode(), self.algorithm, self.public)).digest()
        object.__setattr__(self, "id", digest[:_KEY_ID_SIZE])

    @property
    def vkey(self) -> str:
        """The verifier key: name, key id and key in one line of text."""
        material = b64encode(bytes([self.algorithm]) + self.public).decode("ascii")
        return f"{self.name}+{self.id.hex()}+{material}"

    @classmethod
    def parse(cls, vkey: str) -> "NoteKey":
        """Read a verifier key; raises MalformedBytes."""
        what = "verifier key"
        parts = vkey.split("+", _VKEY_PARTS - 1)  # base64 has plus signs of its own
        if len(parts) != _VKEY_PARTS:
            raise MalformedBytes(what, "not a name, an id and a key")
        material = decode_base64(parts[2], what)
        try:
            key = cls(parts[0], material[0] if material else 0, material[1:])
        except ValueError as refused:
            raise MalformedBytes(what, str(refused)) from refused
        if parts[1] != key.id.hex():
            raise MalformedBytes(what, "the id is not that of name and key")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, not verified: `raw` is whatever the type of the key says."""

    name: str
    key_id: bytes
    raw: bytes

    def line(self) -> str:
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.raw).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and its signatures, of which none has been verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def render(self) -> str:
        return self.text + "\n" + "".join(each.line() for each in self.signatures)


class TextSigner(Protocol):
    """Adds one signature to a note."""

    def sign_text(self, text: str) -> NoteSignature: ...


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs as `name` with an Ed25519 key (type 0x01)."""

    name: str
    signer: Signer

    @property
    def key(self) -> NoteKey:
        return NoteKey(self.name, ED25519, self.signer.key.raw)

    def sign_text(self, text: str) -> NoteSignature:
        return NoteSignature(self.name, self.key.id, self.signer.sign(text.encode()))


@dataclass(frozen=True, slots=True)
class Cosigner:
    """Cosigns checkpoints as `name` (type 0x04), as of `at` in seconds since 1970-01-01 UTC."""

    name: str
    signer: Signer
    at: int

    @property
    def key(self) -> NoteKey:
        return NoteKey(self.name, COSIGNATURE, self.signer.key.raw)

    def sign_text(self, text: str) -> NoteSignature:
        signature = self.signer.sign(_cosigned(text, self.at))
        return NoteSignature(self.name, self.key.id, self.at.to_bytes(_TIME_SIZE) + signature)


def _cosigned(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def sign_note(text: str, signers: Iterable[TextSigner]) -> Note:
    """Sign `text`; raises MalformedBytes or OverLimit if nobody could read the note."""
    note = Note(text, tuple(signer.sign_text(text) for signer in signers))
    return parse_note(note.render())


def parse_note(data: bytes | str) -> Note:
    """Take a note apart; `render` of the result gives back exactly `data`.

    Raises OverLimit above NOTE_BYTES_MAX bytes or SIGNATURES_MAX signatures, and MalformedBytes for
    all that C2SP signed-note forbids, and where a key has signed twice.
    """
    text = _printable(data)
    body, separator, lines = text.rpartition("\n\n")
    if not separator or not body or not lines.endswith("\n"):
        raise MalformedBytes("note", "not a text, an empty line and signature lines")
    if lines.count("\n") > SIGNATURES_MAX:
        raise OverLimit("signatures of a note", lines.count("\n"), SIGNATURES_MAX)
    signatures = tuple(_parse_line(line) for line in lines[:-1].split("\n"))
    if len({(each.name, each.key_id) for each in signatures}) != len(signatures):
        raise MalformedBytes("note", "signed twice by one key")
    return Note(body + "\n", signatures)


def _printable(data: bytes | str) -> str:
    if len(data) > NOTE_BYTES_MAX:
        raise OverLimit("note in bytes", len(data), NOTE_BYTES_MAX)
    try:
        raw = data.encode() if isinstance(data, str) else data
        text = raw.decode()
    except UnicodeError as refused:
        raise MalformedBytes("note", "not UTF-8") from refused
    if len(raw) > NOTE_BYTES_MAX:
        raise OverLimit("note in bytes", len(raw), NOTE_BYTES_MAX)
    if _CONTROL.search(text):
        raise MalformedBytes("note", "a control character")
    return text


def _parse_line(line: str) -> NoteSignature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:  # noqa: PLR2004
        raise MalformedBytes("note", "a line that is no signature")
    name, signature = parts
    try:
        _check_name(name)
    except ValueError as refused:
        raise MalformedBytes("note", str(refused)) from refused
    data = decode_base64(signature, "note signature")
    if len(data) <= _KEY_ID_SIZE:
        raise MalformedBytes("note signature", "nothing after the key id")
    return NoteSignature(name, data[:_KEY_ID_SIZE], data[_KEY_ID_SIZE:])


def _raw_of(note: Note, key: NoteKey) -> bytes:
    for signature in note.signatures:
        if signature.key_id == key.id and signature.name == key.name:
            return signature.raw
    raise InvalidSignature("note", f"not signed by {key.name}")


def verify_signed(note: Note, key: NoteKey) -> None:
    """Raise InvalidSignature unless `key`, of type ED25519, signed the note."""
    assert key.algorithm == ED25519, "a cosigner's key says when: use verify_cosigned"
    if not ed25519.verify(key.public, note.text.encode(), _raw_of(note, key)):
        raise InvalidSignature("note", f"the signature of {key.name} does not verify")


def verify_cosigned(note: Note, key: NoteKey) -> int:
    """Return when `key`, of type COSIGNATURE, cosigned the note, in seconds since 1970.

    Raises InvalidSignature if it did not.
    """
    assert key.algorithm == COSIGNATURE, "only a cosigner's key says when"
    raw = _raw_of(note, key)
    at = int.from_bytes(raw[:_TIME_SIZE])
    if at > SECONDS_MAX:
        raise InvalidSignature("cosignature", "a time beyond 2^63 - 1")
    if not ed25519.verify(key.public, _cosigned(note.text, at), raw[_TIME_SIZE:]):
        raise InvalidSignature("cosignature", f"that of {key.name} does not verify")
    return at
