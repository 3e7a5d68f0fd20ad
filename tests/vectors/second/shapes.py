"""Structs and their field types: an array of just these fields, of just these ranges (§1.3)."""

from tests.vectors.second.msgpack import Value
from tests.vectors.second.refusal import Refused, require

U8, U16, U32, U63 = (1 << 8) - 1, (1 << 16) - 1, (1 << 32) - 1, (1 << 63) - 1


def untagged(value: Value, fields: int) -> tuple[Value, ...]:
    """The fields of an untagged struct (§1.3)."""
    got = items(value)
    require(len(got) >= fields, "1.3", "a missing field")
    require(len(got) <= fields, "1.3", "a surplus field")
    return got


def tag_of(value: Value) -> str:
    """The tag with which a tagged struct begins (§1.3)."""
    got = items(value)
    require(len(got) > 0, "1.3", "a tagged struct without its tag")
    return text(got[0])


def tagged(value: Value, tag: str, fields: int) -> tuple[Value, ...]:
    """The fields behind the tag of a tagged struct (§1.3)."""
    require(tag_of(value) == tag, "1.3", "an unknown tag")
    return untagged(items(value)[1:], fields)


def items(value: Value) -> tuple[Value, ...]:
    if not isinstance(value, tuple):
        raise Refused("1.3", "not an array")
    return value


def integer(value: Value, most: int) -> int:
    """An unsigned integer of at most `most`; true and false are no integers (§1.3)."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("1.3", "not an integer")
    require(0 <= value <= most, "1.3", "an integer outside its type's range")
    return value


def text(value: Value) -> str:
    if not isinstance(value, str):
        raise Refused("1.3", "not a string")
    return value


def blob(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise Refused("1.3", "not a byte string")
    return value


def exactly(value: Value, length: int) -> bytes:
    """A byte string of exactly that length: b16, b32, b64 (§1.3)."""
    got = blob(value)
    require(len(got) == length, "1.3", "a byte string of the wrong length")
    return got


def boolean(value: Value) -> bool:
    if not isinstance(value, bool):
        raise Refused("1.3", "not a boolean")
    return value
