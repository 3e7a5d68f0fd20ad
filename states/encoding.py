"""Canonical bytes ⇄ values (specification §1): one value has one encoding, and nothing else is accepted."""

from typing import Generic, TypeVar

import msgspec

from states.errors import MalformedBytes, OverLimit

T = TypeVar("T")

VALUE_BYTES_MAX = 1 << 20  # an envelope's limit: no value on its own may be larger

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode


class Codec(Generic[T]):
    """Decodes one type (or a union of tagged types) strictly and canonically.

    `decode` raises MalformedBytes for an unknown tag, a missing or surplus field, a trailing byte, a value that
    its type refuses, and for every input whose re-encoding is not the same bytes (msgspec by itself accepts
    longer forms of an integer or a length); OverLimit where `data` is longer than `limit` bytes.
    """

    __slots__ = ("_decode", "limit", "what")

    def __init__(self, kind: type[T], what: str, limit: int = VALUE_BYTES_MAX) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self.what = what
        self.limit = limit

    def decode(self, data: bytes) -> T:
        if len(data) > self.limit:
            raise OverLimit(self.what + " in bytes", len(data), self.limit)
        try:
            value = self._decode(data)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as refused:
            raise MalformedBytes(self.what, str(refused)) from refused
        except RecursionError as refused:
            raise MalformedBytes(self.what, "nested too deeply") from refused
        if encode(value) != data:
            raise MalformedBytes(self.what, "not the canonical encoding")
        return value
