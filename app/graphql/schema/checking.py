"""Which part of a value its type refuses, in the words of the input that it was made of."""

from typing import NamedTuple

import msgspec
from strawberry.utils.str_converters import to_camel_case


class Flaw(NamedTuple):
    """The field at fault, from the value inwards, and why its type refuses it."""

    path: tuple[str, ...]
    why: str


def flaw_of(value: msgspec.Struct) -> Flaw | None:
    """Return the first field that does not decode as its type; None where each by itself is right.

    Field by field and not by msgspec's own path: a struct that is an array on the wire has no names there.
    """
    for field in msgspec.structs.fields(value):
        part = getattr(value, field.name)
        try:
            msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=field.type)
        except (msgspec.MsgspecError, ValueError) as refused:
            inner = flaw_of(part) if isinstance(part, msgspec.Struct) else None
            if inner is None:
                return Flaw((field.name,), str(refused))
            return Flaw((field.name, *inner.path), inner.why)
    return None


def input_path(asked: object, path: tuple[str, ...]) -> tuple[str, ...]:
    """Return as much of `path` as the input has, in its spelling."""
    found: list[str] = []
    for name in path:
        if not hasattr(asked, name):
            break
        found.append(to_camel_case(name))
        asked = getattr(asked, name)
    return tuple(found)
