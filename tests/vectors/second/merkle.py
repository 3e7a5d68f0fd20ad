"""Merkle trees of RFC 6962/9162, proofs for one leaf and for many (§2.2, §2.7)."""

import hashlib
from collections.abc import Mapping, Sequence

from tests.vectors.second.refusal import Refused, require


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two smaller than the size (§2.2)."""
    return 1 << ((size - 1).bit_length() - 1)


def root(hashes: Sequence[bytes]) -> bytes:
    """The tree hash over leaf hashes (§2.2; RFC 6962 §2.1)."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    cut = split(len(hashes))
    return node_hash(root(hashes[:cut]), root(hashes[cut:]))


def path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings of a leaf, from its own up to the root's child (RFC 6962 §2.1.1)."""
    if len(hashes) == 1:
        return []
    cut = split(len(hashes))
    if index < cut:
        return [*path(hashes[:cut], index), root(hashes[cut:])]
    return [*path(hashes[cut:], index - cut), root(hashes[:cut])]


def root_of_path(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes:
    """The root to which an inclusion path leads; refused if not just as long as the tree asks."""
    require(0 <= index < size, "6.3", "an index outside the tree")
    if size == 1:
        require(not siblings, "6.3", "a path that is too long")
        return leaf
    require(len(siblings) > 0, "6.3", "a path that is too short")
    cut = split(size)
    if index < cut:
        return node_hash(root_of_path(leaf, index, cut, siblings[:-1]), siblings[-1])
    return node_hash(siblings[-1], root_of_path(leaf, index - cut, size - cut, siblings[:-1]))


def consistency(hashes: Sequence[bytes], earlier: int) -> list[bytes]:
    """The proof that the first `earlier` leaves are a tree's beginning (RFC 6962 §2.1.2)."""
    return _subproof(hashes, earlier, known=True)


def _subproof(hashes: Sequence[bytes], earlier: int, *, known: bool) -> list[bytes]:
    if earlier == len(hashes):
        return [] if known else [root(hashes)]
    cut = split(len(hashes))
    if earlier <= cut:
        return [*_subproof(hashes[:cut], earlier, known=known), root(hashes[cut:])]
    return [*_subproof(hashes[cut:], earlier - cut, known=False), root(hashes[:cut])]


def roots_of_consistency(
    earlier: int, later: int, first: bytes, proof: Sequence[bytes], *, known: bool = True
) -> tuple[bytes, bytes]:
    """The earlier and the later root that a consistency proof leads to (RFC 6962 §2.1.2)."""
    if earlier == later and known:
        require(not proof, "6.3", "a path that is too long")
        return first, first
    require(len(proof) > 0, "6.3", "a path that is too short")
    if earlier == later:
        require(len(proof) == 1, "6.3", "a path that is too long")
        return proof[0], proof[0]
    cut, last = split(later), proof[-1]
    if earlier <= cut:
        old, new = roots_of_consistency(earlier, cut, first, proof[:-1], known=known)
        return old, node_hash(new, last)
    old, new = roots_of_consistency(earlier - cut, later - cut, first, proof[:-1], known=False)
    return node_hash(last, old), node_hash(last, new)


def multiproof(hashes: Sequence[bytes], shown: frozenset[int]) -> list[bytes]:
    """The hashes of the largest subtrees without a shown leaf, left to right (§2.7)."""
    return _hidden(hashes, 0, shown)


def _hidden(hashes: Sequence[bytes], start: int, shown: frozenset[int]) -> list[bytes]:
    if not any(start <= position < start + len(hashes) for position in shown):
        return [root(hashes)]
    if len(hashes) == 1:
        return []
    cut = split(len(hashes))
    return _hidden(hashes[:cut], start, shown) + _hidden(hashes[cut:], start + cut, shown)


def root_of_multiproof(size: int, shown: Mapping[int, bytes], proof: Sequence[bytes]) -> bytes:
    """The root that shown leaf hashes and a proof lead to (§2.7).

    Raises:
        Refused: a position outside the tree, a hash too many or too few.
    """
    require(all(0 <= at < size for at in shown), "2.7", "a position outside the tree")
    unused = list(reversed(proof))
    found = _recompute(0, size, shown, unused)
    require(not unused, "2.7", "a proof with a hash too many")
    return found


def _recompute(start: int, size: int, shown: Mapping[int, bytes], unused: list[bytes]) -> bytes:
    if not any(start <= position < start + size for position in shown):
        if not unused:
            raise Refused("2.7", "a proof with a hash too few")
        return unused.pop()
    if size == 1:
        return shown[start]
    cut = split(size)
    left = _recompute(start, cut, shown, unused)
    return node_hash(left, _recompute(start + cut, size - cut, shown, unused))
