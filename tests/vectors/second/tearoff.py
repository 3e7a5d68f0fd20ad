"""Tear-offs: the part of a transaction that travels, and the id it leads to (§2.7)."""

from dataclasses import dataclass
from itertools import pairwise

from tests.vectors.second import merkle, shapes
from tests.vectors.second.components import (
    GROUPS,
    LOCKS,
    OUTPUTS,
    Counts,
    check_size,
    places,
    read_component,
    read_header,
    read_lock,
    read_state_ref,
)
from tests.vectors.second.msgpack import Value
from tests.vectors.second.refusal import require

_NONCE = 32
_FULL_IN_VERIFICATION = (0, 1, 4, 7, 8, 9)  # §7, second check
_STATE_REFS = (0, 1)


@dataclass(frozen=True)
class Tearoff:
    """`tearoff/1{positions (u16, …), leaves (bytes, …), proof bytes}`."""

    positions: tuple[int, ...]
    leaves: tuple[bytes, ...]
    proof: bytes

    @property
    def value(self) -> Value:
        return ("tearoff/1", self.positions, self.leaves, self.proof)


@dataclass(frozen=True)
class Shown:
    """One component that a verified tear-off shows."""

    position: int
    group: int
    index: int
    nonce: bytes
    component: bytes


@dataclass(frozen=True)
class Verified:
    """What a tear-off proves: an id, the counts, and some components."""

    id: bytes
    counts: Counts
    shown: tuple[Shown, ...]

    def complete(self, group: int) -> bool:
        """Whether each position of the group is shown; an empty group is complete (§2.7)."""
        return sum(one.group == group for one in self.shown) == self.counts[group]

    def find(self, group: int, index: int) -> Shown | None:
        found = (one for one in self.shown if (one.group, one.index) == (group, index))
        return next(found, None)


def read_tearoff(value: Value) -> Tearoff:
    """The shape of a tear-off; whether it leads to an id is `verify_tearoff`'s to say (§2.7)."""
    positions_value, leaves_value, proof = shapes.tagged(value, "tearoff/1", 3)
    positions = tuple(shapes.integer(one, shapes.U16) for one in shapes.items(positions_value))
    leaves = tuple(shapes.blob(one) for one in shapes.items(leaves_value))
    return Tearoff(positions, leaves, shapes.blob(proof))


def verify_tearoff(tearoff: Tearoff) -> Verified:
    """Recompute the root, which is the id (§2.7)."""
    positions = tearoff.positions
    require(positions[:1] == (0,), "2.7", "positions that do not begin with the header")
    ascending = all(a < b for a, b in pairwise(positions))
    require(ascending, "2.7", "positions that do not ascend")
    require(len(positions) == len(tearoff.leaves), "2.7", "not one leaf for each position")
    require(len(tearoff.proof) % 32 == 0, "2.7", "a proof that is not of whole hashes")
    counts = read_header(tearoff.leaves[0])
    size = 1 + sum(counts)
    require(positions[-1] < size, "2.7", "a position outside the tree")
    place = dict(enumerate(places(counts), start=1))
    shown = tuple(
        _shown(position, place[position], leaf)
        for position, leaf in zip(positions[1:], tearoff.leaves[1:], strict=True)
    )
    hashes = dict(zip(positions, map(merkle.leaf_hash, tearoff.leaves), strict=True))
    proof = [tearoff.proof[at : at + 32] for at in range(0, len(tearoff.proof), 32)]
    return Verified(merkle.root_of_multiproof(size, hashes, proof), counts, shown)


def _shown(position: int, place: tuple[int, int], leaf: bytes) -> Shown:
    group, index = place
    require(len(leaf) > _NONCE, "2.2", "a leaf too short for a nonce and a group")
    require(leaf[_NONCE] == group, "2.7", "a leaf of another group than its position's")
    component = leaf[_NONCE + 1 :]
    check_size(component)
    return Shown(position, group, index, leaf[:_NONCE], component)


def verify_structure(tearoff: Tearoff) -> Verified:
    """Checks 1, 2, 3 and 7 of §7: what can be said without parameters, contracts and keys."""
    verified = verify_tearoff(tearoff)
    for group in _FULL_IN_VERIFICATION:
        require(verified.complete(group), "7.2", f"{GROUPS[group]} that are not complete")
    values = [
        (one, read_component(one.group, one.component, verified.counts)) for one in verified.shown
    ]
    states = [read_state_ref(value) for one, value in values if one.group in _STATE_REFS]
    require(len(set(states)) == len(states), "7.3", "a state named twice")
    for one in verified.shown:
        has_lock = one.group != OUTPUTS or verified.find(LOCKS, one.index) is not None
        require(has_lock, "7.7", "an output without its lock")
    labels = [read_lock(value)[0] for one, value in values if one.group == LOCKS]
    require(len(set(labels)) == len(labels), "7.7", "a label twice")
    return verified
