"""Builds transactions: components and nonces in, leaves and id out (specification §2.2)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from states.command import Command
from states.crypto.hashes import HASH_SIZE, hmac_sha256
from states.crypto.merkle import leaf_hash
from states.encoding import encode
from states.errors import MalformedBytes, OverLimit
from states.groups import Group, Layout, header_bytes, layout_of
from states.identity import Party
from states.lock import SpendLock
from states.sealed import Sealed
from states.state import StateRef, TransactionId, TransactionState
from states.tearoff import NONCE_SIZE, Tearoff, id_of, tear
from states.timewindow import TimeWindow

COMPONENT_BYTES_MAX = 1 << 16
SALT_SIZE = 32


@dataclass(frozen=True, slots=True)
class OpenSeal:
    """A sealed component with the random nonce of its own; ValueError for one that is not 32 bytes."""

    sealed: Sealed
    nonce: bytes

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_SIZE:
            raise ValueError(f"a nonce is {NONCE_SIZE} bytes")


@dataclass(frozen=True, slots=True)
class HiddenSeal:
    """A sealed component of another party, known by its leaf hash only; ValueError for no hash."""

    leaf: bytes

    def __post_init__(self) -> None:
        if len(self.leaf) != HASH_SIZE:
            raise ValueError(f"a leaf hash is {HASH_SIZE} bytes")


class TransactionDraft(msgspec.Struct, frozen=True):
    """Everything that a transaction says. Frozen; `build` makes its leaves."""

    notary: Party
    window: TimeWindow
    parameters: bytes
    inputs: tuple[StateRef, ...] = ()
    references: tuple[StateRef, ...] = ()
    outputs: tuple[TransactionState, ...] = ()
    locks: tuple[SpendLock, ...] = ()
    commands: tuple[Command, ...] = ()
    sealed: tuple[OpenSeal | HiddenSeal, ...] = ()
    attachments: tuple[bytes, ...] = ()

    def components(self) -> tuple[tuple[bytes, ...], ...]:
        """Return each group's encoded components; hidden seals are empty."""
        return (
            tuple(map(encode, self.inputs)),
            tuple(map(encode, self.references)),
            tuple(map(encode, self.outputs)),
            tuple(map(encode, self.locks)),
            tuple(map(encode, self.commands)),
            tuple(encode(s.sealed) if isinstance(s, OpenSeal) else b"" for s in self.sealed),
            tuple(map(encode, self.attachments)),
            (encode(self.notary),),
            (encode(self.window),),
            (encode(self.parameters),),
        )


@dataclass(frozen=True, slots=True)
class BuiltTransaction:
    """A transaction's leaves (None where only the hash is known), their hashes, and the id."""

    id: TransactionId
    layout: Layout
    leaves: tuple[bytes | None, ...]
    hashes: tuple[bytes, ...] = field(repr=False)

    def whole(self) -> Tearoff:
        """Return a tear-off of everything that the builder knows."""
        shown = tuple(at for at, leaf in enumerate(self.leaves) if leaf is not None)
        return tear(self.leaves, self.hashes, shown)

    def showing(self, positions: Iterable[int]) -> Tearoff:
        return tear(self.leaves, self.hashes, tuple(sorted({0, *positions})))


def seal_leaf(seal: OpenSeal) -> bytes:
    """Return the leaf of a sealed component: what its owner hashes to enter it in another's transaction."""
    return seal.nonce + bytes([Group.SEALED]) + encode(seal.sealed)


def _check_size(component: bytes) -> None:
    if not component:
        raise MalformedBytes("component", "of no bytes")
    if len(component) > COMPONENT_BYTES_MAX:
        raise OverLimit("component in bytes", len(component), COMPONENT_BYTES_MAX)


def build(draft: TransactionDraft, salt: bytes) -> BuiltTransaction:
    """Make the leaves of a transaction. `salt` is 32 random bytes; forget it afterwards.

    Raises OverLimit for a component that is too large, MalformedBytes for an empty one and for counts that no
    transaction has, ValueError for another salt.
    """
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt is {SALT_SIZE} bytes")
    groups = draft.components()
    header = header_bytes(tuple(map(len, groups)))
    leaves: list[bytes | None] = [header]
    hashes = [leaf_hash(header)]
    for group, components in enumerate(groups):
        tag = bytes([group])
        for index, component in enumerate(components):
            seal = draft.sealed[index] if group == Group.SEALED else None
            if isinstance(seal, HiddenSeal):
                leaves.append(None)
                hashes.append(seal.leaf)
                continue
            _check_size(component)
            nonce = (
                hmac_sha256(salt, tag + index.to_bytes(2, "big")) if seal is None else seal.nonce
            )
            leaf = nonce + tag + component
            leaves.append(leaf)
            hashes.append(leaf_hash(leaf))
    return BuiltTransaction(id_of(hashes), layout_of(header), tuple(leaves), tuple(hashes))
