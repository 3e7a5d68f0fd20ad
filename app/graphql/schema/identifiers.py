"""Global ids: opaque to clients, the same for the same thing, of one node only."""

import base64
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import strawberry
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from app.graphql.cursors import KEY_BYTES, SortKey
from app.graphql.limits import ID_CHARS_MAX

VERSION = 1
REMEMBERED = (
    4_096  # ids of either direction; a page shows the same few organisations again and again
)


class _Named(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    keys: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """What an id names: a kind of thing and its primary key."""

    kind: str
    keys: tuple[SortKey, ...]


class GlobalIds:
    """Seals ids with a secret of this node (AES-SIV, as cursors); `key` is KEY_BYTES long.

    Sealed and not merely encoded: a primary key may be a patient number, and a forged id must not be a question.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"an id key has {KEY_BYTES} bytes, not {len(key)}")
        self._siv = AESSIV(key)
        self._decoder = msgspec.msgpack.Decoder(_Named)
        self.seal = lru_cache(REMEMBERED)(self._seal)
        self._opened = lru_cache(REMEMBERED)(self._named)

    def _seal(self, kind: str, *keys: SortKey) -> strawberry.ID:
        sealed = self._siv.encrypt(msgspec.msgpack.encode((kind, keys)), [b"id"])
        text = base64.urlsafe_b64encode(bytes([VERSION]) + sealed).rstrip(b"=").decode()
        return strawberry.ID(text)

    def open(self, id_: str) -> Named | None:
        """Return what an id of this node names; None for everything else."""
        if len(id_) > ID_CHARS_MAX:  # before anything remembers it
            return None
        try:
            return self._opened(id_)
        except (InvalidTag, ValueError, msgspec.DecodeError):
            return None  # and forgotten: what a client makes up takes no other id's place

    def _named(self, id_: str) -> Named:
        raw = base64.b64decode(id_ + "=" * (-len(id_) % 4), b"-_", validate=True)
        if raw[:1] != bytes([VERSION]):
            raise ValueError("of another version")
        named = self._decoder.decode(self._siv.decrypt(raw[1:], [b"id"]))
        keys = tuple(key for key in named.keys if isinstance(key, int | str | bytes))
        return Named(named.kind, keys)
