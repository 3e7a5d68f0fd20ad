"""Which field of an input is at fault, and why: found on the value that was made of it."""

from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from app.graphql.schema.checking import Flaw, flaw_of, input_path


class Inner(msgspec.Struct, frozen=True, array_like=True, tag="inner/1"):
    number: Annotated[int, msgspec.Meta(ge=0)]
    shown_as: Annotated[str, msgspec.Meta(max_length=3)]


class Outer(msgspec.Struct, frozen=True, array_like=True, tag="outer/1"):
    key: bytes
    part: Inner


@dataclass
class AskedPart:
    shown_as: str = ""


@dataclass
class Asked:
    part: AskedPart = field(default_factory=AskedPart)


def test_the_flaw_is_found_however_deep_it_lies() -> None:
    flaw = flaw_of(Outer(b"", Inner(1, "long")))
    assert flaw == Flaw(("part", "shown_as"), "Expected `str` of length <= 3")


def test_what_is_right_has_no_flaw() -> None:
    assert flaw_of(Outer(b"", Inner(1, "ok"))) is None


def test_the_path_is_as_the_input_spells_it_and_ends_where_the_input_ends() -> None:
    assert input_path(Asked(), ("part", "shown_as")) == ("part", "shownAs")
    assert input_path(Asked(), ("part", "number")) == ("part",)
    assert input_path(Asked(), ("ref", "tx")) == ()
