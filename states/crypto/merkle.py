"""Merkle trees of RFC 6962/9162 over SHA-256, for transaction ids, tear-offs, blobs and logs alike.

Three kinds of proof share one tree: a *multi-proof* shows any choice of leaves of a tree that is
known whole when it is made; an *inclusion path* and a *consistency path* are those of RFC 9162
§2.1.3 and §2.1.4. A log that only grows is kept by its right edge (`GrowingTree`).
"""

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from states.crypto.hashes import HASH_SIZE
from states.crypto.proof_program import SIZE_MAX, program, split
from states.errors import InvalidProof

EMPTY_ROOT = sha256(b"").digest()
TILE_HEIGHT = 8  # C2SP tlog-tiles
TILE_WIDTH = 1 << TILE_HEIGHT


_Row = Sequence[bytes]
TileReader = Callable[[int, int], bytes]
"""(level, index) of a full tile → its 8,192 bytes."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _joined(row: Sequence[bytes]) -> list[bytes]:
    """Return the parents of `row`'s pairs; a last hash without a sibling is left out."""
    return [
        sha256(b"\1" + row[at] + row[at + 1]).digest()  # node_hash, without the call
        for at in range(0, len(row) - 1, 2)
    ]


def _row_above(row: Sequence[bytes]) -> list[bytes]:
    above = _joined(row)
    if len(row) & 1:
        above.append(row[-1])  # an only child is its own parent
    return above


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, given the leaf hashes."""
    row = leaf_hashes
    while len(row) > 1:
        row = _row_above(row)
    return row[0] if row else EMPTY_ROOT


def prove(leaf_hashes: Sequence[bytes], shown: tuple[int, ...]) -> bytes:
    """Multi-proof: the hashes of all that is hidden beside the leaves at `shown`, left to right.

    Raises InvalidProof unless `shown` is not empty, strictly ascending and inside the tree.
    """
    hidden = program(len(leaf_hashes), shown).hidden
    return b"".join(root_of(leaf_hashes[low:high]) for low, high in hidden)


def root_from_hashes(
    size: int, shown: tuple[int, ...], hashes: Sequence[bytes], proof: bytes
) -> bytes:
    """Return the root that the leaf hashes at `shown` and the multi-proof lead to.

    Raises InvalidProof where the positions are not strictly ascending inside a tree of `size`
    leaves, and where hashes or proof are not exactly as many as the shape needs.
    """
    return program(size, shown).root(hashes, proof)


def root_from(size: int, shown: tuple[int, ...], leaves: Sequence[bytes], proof: bytes) -> bytes:
    """`root_from_hashes` of the shown leaves' preimages."""
    return root_from_hashes(size, shown, [sha256(b"\0" + leaf).digest() for leaf in leaves], proof)


def inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1, from the leaf's sibling up; InvalidProof without such a leaf."""
    if not 0 <= index < len(leaf_hashes):
        raise InvalidProof("inclusion path", f"no leaf {index} among {len(leaf_hashes)}")
    path, row = list[bytes](), leaf_hashes
    while len(row) > 1:
        if index ^ 1 < len(row):
            path.append(row[index ^ 1])
        row, index = _row_above(row), index >> 1
    return path


def _decompose(index: int, size: int) -> tuple[int, int]:
    """Count a path's siblings up to where it meets the tree's right edge, and those from there."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _climb(seed: bytes, siblings: Sequence[bytes], turns: int) -> bytes:
    """Hash upwards; bit k of `turns` says whether the k-th sibling is on the left."""
    for at, sibling in enumerate(siblings):
        seed = node_hash(sibling, seed) if turns >> at & 1 else node_hash(seed, sibling)
    return seed


def _check_hashes(what: str, hashes: Iterable[bytes]) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise InvalidProof(what, "not made of hashes")


def verify_inclusion(
    index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes
) -> None:
    """Check (RFC 9162 §2.1.3.2) that a tree of `size` leaves holds the leaf *hash* at `index`.

    Raises InvalidProof.
    """
    what = "inclusion path"
    if not 0 <= index < size <= SIZE_MAX:
        raise InvalidProof(what, "an index outside the tree")
    _check_hashes(what, (leaf, *path))
    inner, border = _decompose(index, size)
    if len(path) != inner + border:
        raise InvalidProof(what, f"{len(path)} hashes where {inner + border} belong")
    turns = index & (1 << inner) - 1 | (1 << border) - 1 << inner
    if _climb(leaf, path, turns) != root:
        raise InvalidProof(what, "leads to another root")


def prefix_spans(old: int, size: int) -> list[tuple[int, int]]:
    """Return the leaves [low, high) under hashes that lead to the root of all leaves and to that of the first `old`.

    They are those of `consistency_spans`, and before them [0, old) where a verifier would take it from the old tree.
    Empty where `old` is 0. Raises InvalidProof if it is the larger.
    """
    if not 0 <= old <= size <= SIZE_MAX:
        raise InvalidProof("consistency path", f"from {old} to {size} leaves")
    low, high, spans = 0, size, list[tuple[int, int]]()
    while 0 < old < high:
        middle = low + split(high - low)
        if old <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    if old:
        spans.append((low, high))
    return spans[::-1]


def consistency_spans(old: int, size: int) -> list[tuple[int, int]]:
    """Return the leaves [low, high) under each hash of PROOF(old, D[size]), RFC 9162 §2.1.4.1.

    Empty where `old` is 0 or `size`. Raises InvalidProof if `old` is the larger.
    """
    return [span for span in prefix_spans(old, size) if span != (0, old)]


def consistency_path(leaf_hashes: Sequence[bytes], old: int) -> list[bytes]:
    """PROOF(old, leaves) of RFC 9162 §2.1.4.1; empty where `old` is 0 or counts all leaves."""
    return [root_of(leaf_hashes[a:b]) for a, b in consistency_spans(old, len(leaf_hashes))]


def verify_consistency(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Check (RFC 9162 §2.1.4.2) that a tree of `new` leaves begins with that of `old` leaves.

    Between equal sizes the path must be empty. Raises InvalidProof, also where `old` is 0: all trees
    begin with the empty one, there is nothing to prove.
    """
    what = "consistency path"
    if 0 < old == new and not path and old_root == new_root:
        return
    if not 0 < old < new <= SIZE_MAX:
        raise InvalidProof(what, f"cannot lead from {old} to {new} leaves with these roots")
    _check_hashes(what, (old_root,))
    parts = [old_root, *path] if old & (old - 1) == 0 else path
    if prefix_root(old, new, parts, new_root) != old_root:
        raise InvalidProof(what, "leads to another old root")


def prefix_root(old: int, new: int, hashes: Sequence[bytes], new_root: bytes) -> bytes:
    """Return the root of the first `old` leaves of a tree of `new` leaves, by the hashes of `prefix_spans`.

    No other is possible for this tree. Raises InvalidProof where the hashes do not lead to `new_root`.
    """
    what = "consistency path"
    if not 0 < old < new <= SIZE_MAX:
        raise InvalidProof(what, f"from {old} to {new} leaves")
    _check_hashes(what, hashes)
    whole = (old & -old).bit_length() - 1  # the last complete subtree of the old tree is 2^whole
    inner, border = _decompose(old - 1, new)
    if len(hashes) != 1 + inner - whole + border:
        raise InvalidProof(what, f"{len(hashes)} hashes do not lead from {old} to {new} leaves")
    seed, below, above = hashes[0], hashes[1 : 1 + inner - whole], hashes[1 + inner - whole :]
    lefts, turns = (1 << border) - 1, old - 1 >> whole
    if _climb(_climb(seed, below, turns), above, lefts) != new_root:
        raise InvalidProof(what, "leads to another new root")
    old_parts = [part for at, part in enumerate(below) if turns >> at & 1] + list(above)
    return _climb(seed, old_parts, (1 << len(old_parts)) - 1)


def split_hashes(data: bytes) -> list[bytes]:
    """Cut a tile into its hashes."""
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


class FullTile(NamedTuple):
    """256 consecutive nodes of one tile level, never to change again."""

    level: int
    number: int
    hashes: bytes  # 8,192 bytes


class AppendResult(NamedTuple):
    """What a batch did to a tree: the new root, a path for each new leaf, the tiles it filled."""

    root: bytes
    path_texts: list[str]
    """For each new leaf, its inclusion path: one base64 line (with its newline) a hash."""
    tiles: list[FullTile]


class GrowingTree:
    """The right edge of a tree that is only appended to: its state is O(log size).

    `append` changes the tree in place; who may have to undo it keeps a `copy`.
    """

    __slots__ = ("_edge", "_tails", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: dict[int, bytes] = {}  # level → the complete node that waits for its sibling
        self._tails: list[list[bytes]] = []  # tile level → the hashes after its last full tile

    @classmethod
    def restore(
        cls, size: int, tile_reader: TileReader, tail_leaf_hashes: Iterable[bytes]
    ) -> "GrowingTree":
        """Rebuild from full tiles and the `size` mod 256 leaf hashes after the last full one.

        Reads at most 255 tiles a level. Raises ValueError if the tail is not as long as it must be.
        """
        tree = cls()
        tree.size = size
        tail = list(tail_leaf_hashes)
        if len(tail) != size % TILE_WIDTH:
            raise ValueError(f"{len(tail)} leaf hashes after the last tile of {size} leaves")
        while True:
            level = len(tree._tails) * TILE_HEIGHT
            tree._tails.append(tail)
            for up in range(TILE_HEIGHT):
                width = 1 << up
                if len(tail) & width:
                    end = len(tail) >> up << up
                    tree._edge[level + up] = root_of(tail[end - width : end])
            full = size >> (level + TILE_HEIGHT)
            if not full:
                return tree
            below = len(tree._tails) - 1
            start = full - full % TILE_WIDTH
            tail = [root_of(split_hashes(tile_reader(below, at))) for at in range(start, full)]

    def copy(self) -> "GrowingTree":
        twin = GrowingTree()
        twin.size = self.size
        twin._edge = self._edge.copy()
        twin._tails = [tail.copy() for tail in self._tails]
        return twin

    def root(self) -> bytes:
        seen = b""
        for level in sorted(self._edge):
            seen = node_hash(self._edge[level], seen) if seen else self._edge[level]
        return seen or EMPTY_ROOT

    def partial_tiles(self) -> list[tuple[int, int, bytes]]:
        """Return (level, index, hashes) of the tile at each level that is begun but not full."""
        return [
            (level, self.size >> TILE_HEIGHT * (level + 1), b"".join(tail))
            for level, tail in enumerate(self._tails)
            if tail
        ]

    def append(self, hashes: Sequence[bytes]) -> AppendResult:
        """Add leaf hashes, in order."""
        before, first = self._edge.copy(), self.size
        rows, tiles = self._climb(first, hashes)
        self.size += len(hashes)
        return AppendResult(self.root(), self._path_texts(first, before, rows), tiles)

    def _climb(self, start: int, row: Sequence[bytes]) -> tuple[list[_Row], list[FullTile]]:
        """Hash upwards: at each level, the nodes that the new ones complete."""
        rows, tiles = list[_Row](), list[FullTile]()
        while row:
            level = len(rows)
            if level % TILE_HEIGHT == 0:
                tiles += self._fill(level // TILE_HEIGHT, start, row)
            rows.append(row)
            children = [self._edge.pop(level), *row] if start & 1 else row
            if len(children) & 1:
                self._edge[level] = children[-1]
            row, start = _joined(children), start >> 1
        return rows, tiles

    def _fill(self, level: int, start: int, row: Sequence[bytes]) -> list[FullTile]:
        if level == len(self._tails):
            self._tails.append([])
        tail = self._tails[level]
        index = (start - len(tail)) >> TILE_HEIGHT
        tail += row
        full = len(tail) >> TILE_HEIGHT
        tiles = [
            FullTile(level, index + at, b"".join(tail[at << TILE_HEIGHT : at + 1 << TILE_HEIGHT]))
            for at in range(full)
        ]
        del tail[: full << TILE_HEIGHT]
        return tiles

    def _path_texts(self, first: int, before: dict[int, bytes], rows: list[_Row]) -> list[str]:
        """Write paths downwards from the root, so that what paths share is written once."""
        size, last = self.size, self.size - 1
        if first == size:
            return []
        ragged = self._ragged()
        texts = [""]
        for level in range(last.bit_length() - 1, -1, -1):
            start, complete = first >> level, size >> level
            row = rows[level] if level < len(rows) else ()
            beside = {start - 1: before.get(level, b""), complete: ragged[level]}
            parent, above_all, texts = start >> 1, texts, list[str]()
            for node in range(start, (last >> level) + 1):
                above = above_all[(node >> 1) - parent]
                at = node ^ 1
                sibling = row[at - start] if start <= at < complete else beside.get(at, b"")
                # an only child's hash is its parent's
                texts.append(b2a_base64(sibling).decode("ascii") + above if sibling else above)
        return texts

    def _ragged(self) -> list[bytes]:
        """At each level, the incomplete node on the right; empty where there is none."""
        ragged, seen = list[bytes](), b""
        for level in range(self.size.bit_length()):
            ragged.append(seen)
            if level in self._edge:
                seen = node_hash(self._edge[level], seen) if seen else self._edge[level]
        return ragged
