"""Tear-offs: any choice of a transaction's components, with one proof of them (specification §2.7)."""

import itertools
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated

import msgspec

from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import leaf_hash, prove, root_from, root_of, split_hashes
from states.crypto.narrowing import Span, hidden_spans, nodes_from
from states.encoding import Codec
from states.errors import InvalidProof
from states.groups import LEAVES_MAX, Group, Layout, layout_of
from states.sizes import U16
from states.state import TransactionId

NONCE_SIZE = 32
LEAF_BYTES_MAX = NONCE_SIZE + 1 + (1 << 16)
CACHED_SHAPE_MAX = 64  # larger choices are placed anew each time: nobody fills the cache with them


class Tearoff(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="tearoff/1"
):
    """Shown leaves at ascending positions, the header (position 0) always first, and one multi-proof."""

    positions: Annotated[tuple[U16, ...], msgspec.Meta(min_length=1, max_length=LEAVES_MAX)]
    leaves: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=LEAVES_MAX)]
    proof: bytes


TEAROFF = Codec(Tearoff, "tear-off")


class FilteredTransaction:
    """A verified tear-off: what it shows is proven to be in the transaction `id`, and nothing else is known.

    Made by `open_tearoff` only.
    """

    __slots__ = ("_at", "_nodes", "id", "layout", "tearoff")

    def __init__(self, id_: TransactionId, layout: Layout, tearoff: Tearoff) -> None:
        self.id = id_
        self.layout = layout
        self.tearoff = tearoff
        self._at = dict(zip(tearoff.positions, tearoff.leaves, strict=True))
        self._nodes: dict[Span, bytes] = {}  # of the tree, once they are needed

    @property
    def counts(self) -> tuple[int, ...]:
        """How many components each group has, shown or not."""
        return self.layout.counts

    def component(self, group: Group, index: int) -> bytes | None:
        """Return a component's bytes, or None if it is not shown; IndexError if there is none."""
        leaf = self._at.get(self.layout.position(group, index))
        return None if leaf is None else leaf[NONCE_SIZE + 1 :]

    def components(self, group: Group) -> list[tuple[int, bytes]]:
        """Return (index, bytes) of the shown components of a group, in order."""
        start = self.layout.starts[group]
        if len(self._at) == self.layout.size:  # nothing is hidden
            leaves = self.tearoff.leaves[start : start + self.layout.counts[group]]
            return [(index, leaf[NONCE_SIZE + 1 :]) for index, leaf in enumerate(leaves)]
        return [
            (position - start, self._at[position][NONCE_SIZE + 1 :])
            for position in self.layout.positions(group)
            if position in self._at
        ]

    def is_complete(self, group: Group) -> bool:
        """Whether every component of the group is shown: proven by the header's count."""
        return len(self._at) == self.layout.size or all(
            position in self._at for position in self.layout.positions(group)
        )

    def narrowed(self, keep: Iterable[int]) -> Tearoff:
        """Return a tear-off of the same transaction that shows only `keep` (positions; the header is added).

        What is dropped is not in the result: neither bytes nor nonce, only hashes over them. IndexError for a
        position that this tear-off does not show.
        """
        wanted = sorted({0, *keep})
        missing = [position for position in wanted if position not in self._at]
        if missing:
            raise IndexError(f"position {missing[0]} is not shown")
        mine, size = self.tearoff, self.layout.size
        if not self._nodes:
            self._nodes = nodes_from(size, mine.positions, mine.leaves, mine.proof)
        positions = tuple(wanted)
        proof = b"".join([self._nodes[span] for span in hidden_spans(size, positions)])
        return Tearoff(positions, tuple(self._at[position] for position in positions), proof)

    def revealing(self, position: int, leaf: bytes) -> Tearoff:
        """Return a tear-off that also shows `leaf`: what its owner had entered by its hash alone.

        Raises InvalidProof unless the proof has just that hash for just that position.
        """
        mine, at = self.tearoff, self._place_of_hidden(position)
        if at is None or mine.proof[at : at + HASH_SIZE] != leaf_hash(leaf):
            raise InvalidProof("tear-off", f"position {position} does not hide this leaf")
        shown = sorted([*zip(mine.positions, mine.leaves, strict=True), (position, leaf)])
        positions = tuple(each for each, _ in shown)
        proof = mine.proof[:at] + mine.proof[at + HASH_SIZE :]
        return Tearoff(positions, tuple(each for _, each in shown), proof)

    def hidden(self, position: int) -> bytes | None:
        """Return the leaf hash of a hidden component that lies beside shown ones; None for any other."""
        at = self._place_of_hidden(position)
        return None if at is None else self.tearoff.proof[at : at + HASH_SIZE]

    def only_output(self, index: int) -> Tearoff:
        """Return a tear-off that shows of all outputs and locks this one; IndexError if it is not shown."""
        others = {
            self.layout.position(group, each)
            for group in (Group.OUTPUTS, Group.LOCKS)
            for each in range(self.counts[group])
            if each != index
        }
        mine = {self.layout.position(group, index) for group in (Group.OUTPUTS, Group.LOCKS)}
        return self.narrowed({*mine, *(at for at in self.tearoff.positions if at not in others)})

    def _place_of_hidden(self, position: int) -> int | None:
        spans = hidden_spans(self.layout.size, self.tearoff.positions)
        alone = (position, position + 1)
        return spans.index(alone) * HASH_SIZE if alone in spans else None

    def joined(self, other: "FilteredTransaction") -> Tearoff:
        """Return a tear-off that shows all that either shows, of the same transaction; else raises InvalidProof."""
        if other.id != self.id:
            raise InvalidProof("tear-off", "of another transaction")
        size, shown, known = self.layout.size, dict[int, bytes](), dict[tuple[int, int], bytes]()
        for each in (self.tearoff, other.tearoff):
            shown |= zip(each.positions, each.leaves, strict=True)
            hashes = split_hashes(each.proof)
            known |= zip(hidden_spans(size, each.positions), hashes, strict=True)
        # What both hide and is largest lies beside something that one of them shows: its proof has just that hash.
        positions = tuple(sorted(shown))
        proof = b"".join(known[span] for span in hidden_spans(size, positions))
        return Tearoff(positions, tuple(shown[position] for position in positions), proof)


@lru_cache(4_096)
def _groups_of(header: bytes, positions: tuple[int, ...]) -> bytes:
    return _place(layout_of(header), positions)


def _place(layout: Layout, positions: Sequence[int]) -> bytes:
    """The group byte that each shown leaf after the header must carry."""
    if positions[-1] >= layout.size:
        raise InvalidProof("tear-off", f"position {positions[-1]} of {layout.size} leaves")
    return bytes([layout.place(position)[0] for position in positions[1:]])


def open_tearoff(tearoff: Tearoff) -> FilteredTransaction:
    """Verify a tear-off and compute the id that it proves.

    Raises MalformedBytes, OverLimit or InvalidProof: positions not ascending from 0, a leaf of another group at a
    position, a proof that is too long or too short.
    """
    positions, leaves = tearoff.positions, tearoff.leaves
    if len(positions) != len(leaves) or positions[0] != 0:
        raise InvalidProof("tear-off", "each position has a leaf, and the header is the first")
    layout = layout_of(leaves[0])
    if any(a >= b for a, b in itertools.pairwise(positions)):
        raise InvalidProof("tear-off", "positions do not ascend")
    groups = (
        _groups_of(leaves[0], positions)
        if len(positions) <= CACHED_SHAPE_MAX
        else _place(layout, positions)
    )
    for group, leaf in zip(groups, leaves[1:], strict=True):
        if not NONCE_SIZE + 1 < len(leaf) <= LEAF_BYTES_MAX or leaf[NONCE_SIZE] != group:
            raise InvalidProof("tear-off", f"a leaf of group {group} was expected")
    root = root_from(layout.size, positions, leaves, tearoff.proof)
    return FilteredTransaction(TransactionId(root), layout, tearoff)


def tear(
    leaves: Sequence[bytes | None], hashes: Sequence[bytes], positions: tuple[int, ...]
) -> Tearoff:
    """Make a tear-off of a transaction whose leaf hashes are all known; `positions` start with 0."""
    shown = []
    for position in positions:
        leaf = leaves[position]
        if leaf is None:
            raise IndexError(f"the leaf at {position} is known by its hash only")
        shown.append(leaf)
    return Tearoff(positions, tuple(shown), prove(hashes, positions))


def id_of(hashes: Sequence[bytes]) -> TransactionId:
    """Return the transaction id over all leaf hashes."""
    return TransactionId(root_of(hashes))
