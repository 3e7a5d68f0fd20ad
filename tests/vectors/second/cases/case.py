"""One input of a vector file, with what its author means it to show."""

import hashlib
from dataclasses import dataclass

from tests.vectors.second import ed25519
from tests.vectors.second.fields import Object
from tests.vectors.second.keys import ED25519, Key, did_of


@dataclass(frozen=True)
class Case:
    """A named input that the clause lets pass or refuses; the generator checks that it does."""

    name: str
    clause: str
    given: Object
    refused: bool = False
    note: str | None = None


def accepted(name: str, clause: str, given: Object, note: str | None = None) -> Case:
    return Case(name, clause, given, refused=False, note=note)


def refused(name: str, clause: str, given: Object, note: str | None = None) -> Case:
    return Case(name, clause, given, refused=True, note=note)


def seeded(name: str, length: int = 32) -> bytes:
    """Bytes that only look random: the SHA-256 of a name, so that every run makes the same file."""
    return hashlib.sha256(f"carecord vectors: {name}".encode()).digest()[:length]


def key_of(name: str) -> Key:
    """The Ed25519 key whose seed is `seeded(name)`."""
    return Key(ED25519, ed25519.public_key(seeded(name)))


def did(name: str) -> str:
    return did_of(key_of(name))
