"""The strict part of MessagePack that the ledger is written in (§1.1, §1.2)."""

from typing import TypeAlias

from tests.vectors.second.refusal import Refused, require

Value: TypeAlias = "bool | int | str | bytes | tuple[Value, ...] | None"

# Head byte: how many bytes of number follow, and the smallest number for which no shorter head
# exists. (bin 8 is the shortest head that byte strings have.)
_UNSIGNED = {0xCC: (1, 1 << 7), 0xCD: (2, 1 << 8), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}
_TEXT = {0xD9: (1, 32), 0xDA: (2, 1 << 8), 0xDB: (4, 1 << 16)}
_BYTES = {0xC4: (1, 0), 0xC5: (2, 1 << 8), 0xC6: (4, 1 << 16)}
_ARRAY = {0xDC: (2, 16), 0xDD: (4, 1 << 16)}
# Signed heads carry negative numbers only: one value has one encoding. The number is the first
# (towards zero) for which no shorter head exists.
_SIGNED = {0xD0: (1, -33), 0xD1: (2, -129), 0xD2: (4, -(1 << 15) - 1), 0xD3: (8, -(1 << 31) - 1)}
_CONSTANTS: dict[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}


def encode(value: Value) -> bytes:
    """The one encoding of a value (§1.2)."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return _encode_integer(value)
    if isinstance(value, str):
        raw = value.encode()
        return _encode_head(len(raw), 0xA0, 32, _TEXT) + raw
    if isinstance(value, bytes):
        return _encode_head(len(value), 0, 0, _BYTES) + value
    return _encode_head(len(value), 0x90, 16, _ARRAY) + b"".join(map(encode, value))


def _encode_integer(value: int) -> bytes:
    if -32 <= value < 0:
        return value.to_bytes(1, "big", signed=True)
    if value >= 0:
        return _encode_head(value, 0, 1 << 7, _UNSIGNED)
    head = max(head for head, (_, first) in _SIGNED.items() if value <= first)
    return bytes([head]) + value.to_bytes(_SIGNED[head][0], "big", signed=True)


def _encode_head(number: int, fix: int, fix_below: int, wide: dict[int, tuple[int, int]]) -> bytes:
    if number < fix_below:
        return bytes([fix | number])
    head = max(head for head, (_, least) in wide.items() if number >= least)
    return bytes([head]) + number.to_bytes(wide[head][0], "big")


def decode(data: bytes) -> Value:
    """Read exactly one value in its one encoding; anything else is refused (§1.2)."""
    reader = _Reader(data)
    value = reader.value()
    require(reader.at == len(data), "1.2", "bytes behind the value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        require(self.at + count <= len(self.data), "1.2", "the bytes end inside a value")
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def value(self) -> Value:
        head = self.take(1)[0]
        if head in _CONSTANTS:
            return _CONSTANTS[head]
        integer = self._integer(head)
        return self._sized(head) if integer is None else integer

    def _integer(self, head: int) -> int | None:
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head in _UNSIGNED:
            return self._number(_UNSIGNED[head])
        if head in _SIGNED:
            width, first = _SIGNED[head]
            number = int.from_bytes(self.take(width), "big", signed=True)
            require(number <= first, "1.2", "an integer is not in its shortest form")
            return number
        return None

    def _sized(self, head: int) -> Value:
        if 0xA0 <= head < 0xC0:
            return self._text(head & 0x1F)
        if head in _TEXT:
            return self._text(self._number(_TEXT[head]))
        if head in _BYTES:
            return self.take(self._number(_BYTES[head]))
        if 0x90 <= head < 0xA0:
            return self._array(head & 0x0F)
        if head in _ARRAY:
            return self._array(self._number(_ARRAY[head]))
        raise Refused("1.1", "a map, a float or an extension type")

    def _number(self, form: tuple[int, int]) -> int:
        width, least = form
        number = int.from_bytes(self.take(width), "big")
        require(number >= least, "1.2", "an integer or a head is not in its shortest form")
        return number

    def _text(self, length: int) -> str:
        try:
            return self.take(length).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise Refused("1.1", "a string that is not UTF-8") from None

    def _array(self, length: int) -> tuple[Value, ...]:
        require(length <= len(self.data) - self.at, "1.2", "the bytes end inside a value")
        return tuple(self.value() for _ in range(length))
