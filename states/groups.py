"""The component groups of a transaction and its header leaf (specification §2.1)."""

from bisect import bisect_right
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from states.encoding import Codec, encode
from states.errors import MalformedBytes, OverLimit
from states.sizes import U16

LEAVES_MAX = 1 << 16  # positions are 16 bits


class Group(IntEnum):
    """Component groups, in the order of their leaves."""

    INPUTS = 0
    REFERENCES = 1
    OUTPUTS = 2
    LOCKS = 3
    COMMANDS = 4
    SEALED = 5
    ATTACHMENTS = 6
    NOTARY = 7
    WINDOW = 8
    PARAMETERS = 9


Counts = tuple[U16, U16, U16, U16, U16, U16, U16, U16, U16, U16]


class Header(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="carecord/tx/1"
):
    """Leaf 0: the format, and how many components each group has."""

    counts: Counts

    def __post_init__(self) -> None:
        counts = self.counts
        if counts[Group.OUTPUTS] != counts[Group.LOCKS]:
            raise ValueError("every output has a lock, and nothing else has")
        if counts[Group.NOTARY] != 1 or counts[Group.WINDOW] != 1 or counts[Group.PARAMETERS] != 1:
            raise ValueError(
                "a transaction names one notary, one time-window, one set of parameters"
            )
        if not counts[Group.COMMANDS]:
            raise ValueError("a transaction has a command")


HEADER = Codec(Header, "transaction header", 64)


class Layout(NamedTuple):
    """Where each group's leaves lie."""

    size: int
    starts: tuple[int, ...]
    counts: tuple[int, ...]

    def position(self, group: int, index: int) -> int:
        """Return the position of a component's leaf; IndexError if the group is shorter."""
        if not 0 <= index < self.counts[group]:
            raise IndexError(f"group {group} has {self.counts[group]} components, not {index + 1}")
        return self.starts[group] + index

    def positions(self, group: int) -> range:
        return range(self.starts[group], self.starts[group] + self.counts[group])

    def place(self, position: int) -> tuple[int, int]:
        """Return (group, index) of the leaf at `position` (1 or more)."""
        group = bisect_right(self.starts, position) - 1
        while not self.counts[group]:
            group -= 1
        return group, position - self.starts[group]


@lru_cache(4_096)  # few shapes of transaction exist; a hostile one only costs its own decoding
def layout_of(header: bytes) -> Layout:
    """Read a header leaf; raises MalformedBytes or OverLimit."""
    counts = HEADER.decode(header).counts
    starts, at = [], 1
    for count in counts:
        starts.append(at)
        at += count
    if at > LEAVES_MAX:
        raise OverLimit("components of a transaction", at, LEAVES_MAX)
    return Layout(at, tuple(starts), counts)


def header_bytes(counts: tuple[int, ...]) -> bytes:
    """Return the header leaf of a transaction with these counts; raises MalformedBytes."""
    data = encode(["carecord/tx/1", list(counts)])
    if len(counts) != len(Group):
        raise MalformedBytes("transaction header", f"{len(counts)} groups, not {len(Group)}")
    HEADER.decode(data)
    return data
