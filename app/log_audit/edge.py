"""The right edge of a Merkle tree that only grows: all that it takes to know its root."""

from dataclasses import dataclass

from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import EMPTY_ROOT, leaf_hash, node_hash, split_hashes


@dataclass(frozen=True, slots=True)
class Edge:
    """Roots of the complete subtrees of a tree of `size` leaves, the largest first: one for each bit of `size`."""

    size: int = 0
    roots: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, size: int, data: bytes) -> "Edge":
        assert len(data) == size.bit_count() * HASH_SIZE, "one root for each bit"
        return cls(size, tuple(split_hashes(data)))

    @property
    def data(self) -> bytes:
        return b"".join(self.roots)

    def grown(self, leaves: list[bytes]) -> "Edge":
        """Return the edge after these leaves."""
        size, roots = self.size, list(self.roots)
        for leaf in leaves:
            roots.append(leaf_hash(leaf))
            for _ in range(_trailing_ones(size)):
                right = roots.pop()
                roots[-1] = node_hash(roots[-1], right)
            size += 1
        return Edge(size, tuple(roots))

    def root(self) -> bytes:
        """Return the tree's root, as RFC 9162 §2.1.1 says."""
        root = b""
        for each in reversed(self.roots):
            root = node_hash(each, root) if root else each
        return root or EMPTY_ROOT


def _trailing_ones(number: int) -> int:
    return (~number & (number + 1)).bit_length() - 1
