"""Enums of the API whose every value says what it means."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeVar

import strawberry

E = TypeVar("E", bound=Enum)


def documented(description: str, values: Mapping[str, str]) -> Callable[[type[E]], type[E]]:
    """Return a decorator as `strawberry.enum`, with a description of each value by its name.

    `strawberry.enum_value` would put an object in the place of a value, which a StrEnum cannot have.
    """

    def decorate(kind: type[E]) -> type[E]:
        assert list(values) == [each.name for each in kind], "each value is described, in order"
        made = strawberry.enum(kind, description=description)
        for value in made.__strawberry_definition__.values:  # type: ignore[attr-defined]  # strawberry puts it there
            value.description = values[value.name]
        return made

    return decorate
