"""The inputs and outcomes of vectors as JSON: bytes as hex, read and written in one place."""

from typing import TypeAlias

from tests.vectors.second.msgpack import Value

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
Object: TypeAlias = dict[str, Json]


def unhex(text: str) -> bytes:
    """Bytes from hex in parts set apart by spaces; `61*300` is the byte 0x61 three hundred times."""
    return b"".join(map(_part, text.split()))


def _part(part: str) -> bytes:
    digits, star, times = part.partition("*")
    return bytes.fromhex(digits) * (int(times) if star else 1)


def text_of(given: Object, name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is a string")
    return value


def bytes_of(given: Object, name: str) -> bytes:
    return unhex(text_of(given, name))


def number_of(given: Object, name: str) -> int:
    value = given[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is a number")
    return value


def list_of(given: Object, name: str) -> list[Json]:
    value = given[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is a list")
    return value


def as_text(value: Json) -> str:
    return text_of({"value": value}, "value")


def as_number(value: Json) -> int:
    return number_of({"value": value}, "value")


def as_object(value: Json) -> Object:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value


def json_of(value: Value) -> Json:
    """A decoded value: arrays as lists, byte strings as {"bytes": hex}, all else as itself."""
    if isinstance(value, tuple):
        return [json_of(one) for one in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return value


def hexes(values: "tuple[bytes, ...] | list[bytes]") -> list[Json]:
    return [value.hex() for value in values]
