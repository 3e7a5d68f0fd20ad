"""A whole transaction as its builder sees it: leaves and id (§2.2)."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from tests.vectors.second import merkle
from tests.vectors.second.components import (
    SEALED,
    Counts,
    check_counts,
    check_size,
    header_bytes,
    position_of,
)
from tests.vectors.second.refusal import Refused, require
from tests.vectors.second.tearoff import Tearoff


@dataclass(frozen=True)
class Hidden:
    """A sealed component of another party: its leaf hash is all that the builder has (§2.2)."""

    leaf_hash: bytes


@dataclass(frozen=True)
class Sealed:
    """A sealed component with the random nonce of its own (§2.2)."""

    nonce: bytes
    component: bytes


Component = bytes | Sealed | Hidden


def nonce(salt: bytes, group: int, index: int) -> bytes:
    """The nonce of a component outside group 5 (§2.2)."""
    return hmac.digest(salt, bytes([group]) + index.to_bytes(2, "big"), "sha256")


@dataclass(frozen=True)
class Transaction:
    """Ten groups of components and the salt that the builder forgets."""

    salt: bytes
    groups: tuple[tuple[Component, ...], ...]

    @property
    def counts(self) -> Counts:
        return tuple(map(len, self.groups))

    def leaves(self) -> list[bytes | Hidden]:
        """Leaf 0 is the header's bytes, then every component in group order (§2.2)."""
        require(len(self.salt) == 32, "2.2", "a salt that is not of 32 bytes")
        check_counts(self.counts)
        leaves: list[bytes | Hidden] = [header_bytes(self.counts)]
        for group, components in enumerate(self.groups):
            leaves += [self._leaf(group, index, one) for index, one in enumerate(components)]
        return leaves

    def _leaf(self, group: int, index: int, component: Component) -> bytes | Hidden:
        if isinstance(component, bytes):
            require(group != SEALED, "2.2", "a sealed component without a nonce of its own")
            check_size(component)
            return nonce(self.salt, group, index) + bytes([group]) + component
        require(group == SEALED, "2.2", "a nonce of its own outside group 5")
        if isinstance(component, Hidden):
            require(len(component.leaf_hash) == 32, "2.2", "a leaf hash that is not of 32 bytes")
            return component
        require(len(component.nonce) == 32, "2.2", "a nonce that is not of 32 bytes")
        check_size(component.component)
        return component.nonce + bytes([group]) + component.component

    def leaf_hashes(self) -> list[bytes]:
        return [
            leaf.leaf_hash if isinstance(leaf, Hidden) else merkle.leaf_hash(leaf)
            for leaf in self.leaves()
        ]

    def id(self) -> bytes:
        """The Merkle tree hash over the leaves (§2.2)."""
        return merkle.root(self.leaf_hashes())

    def position(self, group: int, index: int) -> int:
        return position_of(self.counts, group, index)

    def tear_off(self, positions: Sequence[int]) -> Tearoff:
        """What shows these leaves and nothing else (§2.7)."""
        leaves = self.leaves()
        shown = [leaves[position] for position in positions]
        if any(isinstance(leaf, Hidden) for leaf in shown):
            raise Refused("2.7", "a leaf of which only the hash is known")
        proof = merkle.multiproof(self.leaf_hashes(), frozenset(positions))
        blobs = tuple(leaf for leaf in shown if isinstance(leaf, bytes))
        return Tearoff(tuple(positions), blobs, b"".join(proof))
