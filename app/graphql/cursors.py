"""Cursors: where a page ends, sealed so that a client can neither read nor change it.

A cursor holds the sort keys of a row (keyset, no offset) and the ledger sequence number at which
page one was read, so that page two shows the same world. It is sealed with AES-SIV (RFC 5297),
which needs no nonce and gives the same row the same cursor, and bound to its scope: the query,
its filter and its reader. A cursor of another query, another filter or another user does not open.
"""

import base64
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import CURSOR_CHARS_MAX, ServiceLimits

KEY_BYTES = 64
VERSION = 1

SortKey = int | str | bytes


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A row of a listing: its sort keys, in a view of the ledger up to `ledger_seq`."""

    ledger_seq: int
    keys: tuple[SortKey, ...]


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    # msgspec has no union of str and bytes, though MessagePack tells them apart.
    ledger_seq: int
    keys: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a cursor is good for: one query with one filter, read by one user."""

    query: str
    reader: str
    filter: tuple[SortKey | bool | None, ...] = ()

    def bound(self) -> bytes:
        return msgspec.msgpack.encode((VERSION, self.query, self.reader, self.filter))


class Cursors:
    """Seals and opens positions with a secret of this node; `key` is KEY_BYTES long."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a cursor key has {KEY_BYTES} bytes, not {len(key)}")
        self._siv = AESSIV(key)
        self._decoder = msgspec.msgpack.Decoder(_Sealed)

    def seal(self, position: Position, scope: Scope) -> str:
        sealed = self._siv.encrypt(msgspec.msgpack.encode(position), [scope.bound()])
        return base64.urlsafe_b64encode(bytes([VERSION]) + sealed).rstrip(b"=").decode()

    def open(self, cursor: str, scope: Scope) -> Position:
        """Return the position. Raise BAD_USER_INPUT for everything that was not sealed for
        `scope`.
        """
        try:
            opened = self._decoder.decode(self._siv.decrypt(_sealed(cursor), [scope.bound()]))
        except (InvalidTag, ValueError, msgspec.DecodeError) as refused:
            # One answer to all: what is wrong with a forged cursor helps its forger only.
            raise ApiError(ErrorCode.BAD_USER_INPUT, "the cursor is not of this query") from refused
        keys = tuple(key for key in opened.keys if isinstance(key, int | str | bytes))
        assert len(keys) == len(opened.keys), "only this node seals, and it seals sort keys"
        return Position(opened.ledger_seq, keys)


def _sealed(cursor: str) -> bytes:
    if len(cursor) > CURSOR_CHARS_MAX:
        raise ValueError("too long")
    raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
    if raw[:1] != bytes([VERSION]):
        raise ValueError("of another version")
    return raw[1:]


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows a client asked for: `size` of them after `position`, or before it if
    `backward`.
    """

    size: int
    backward: bool
    position: Position | None


@dataclass(frozen=True, slots=True)
class PageArguments:
    """The four arguments of a Relay connection, as they came."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None


def page_of(asked: PageArguments, cursors: Cursors, scope: Scope, limits: ServiceLimits) -> Page:
    """Return the page. Raise BAD_USER_INPUT for a size out of range or arguments that clash."""
    forward = asked.first is not None or asked.after is not None
    backward = asked.last is not None or asked.before is not None
    if forward and backward:
        raise ApiError(
            ErrorCode.BAD_USER_INPUT, "page either by first and after or by last and before"
        )
    size = asked.last if backward else asked.first
    if size is None:
        size = limits.page_size_default
    if not 1 <= size <= limits.page_size_max:
        raise ApiError(ErrorCode.BAD_USER_INPUT, f"a page has 1 to {limits.page_size_max} elements")
    cursor = asked.before if backward else asked.after
    return Page(size, backward, None if cursor is None else cursors.open(cursor, scope))
