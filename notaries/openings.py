"""Opens tear-offs and spend locks fast: most of what a notary computes is four of them a request.

`states.tearoff.open_tearoff` and `states.lock.check_opening` decide; what they would accept, and only that, is
recognised here in less time. Everything else is left to them, so that a refusal is theirs.
"""

from collections.abc import Sequence
from functools import lru_cache

from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import leaf_hash
from states.crypto.policy import policy_digest
from states.crypto.proof_program import Program, program
from states.errors import InvalidProof, MalformedBytes, OverLimit
from states.groups import Group, layout_of
from states.lock import ReferOpening, SpendOpening, check_opening, lock_digest
from states.state import StateRef, TransactionId
from states.tearoff import LEAF_BYTES_MAX, NONCE_SIZE, Tearoff, open_tearoff

# A lock's leaf is nonce (32), group, and one encoding of fixed length: {label (16), digest (32)}.
_LEAF_SIZE = 32 + 1 + 3 + 16 + 2 + 32
_BEFORE_LABEL, _LABEL = bytes([Group.LOCKS]) + b"\x92\xc4\x10", slice(32, 36)
_BEFORE_DIGEST, _DIGEST = b"\xc4\x20", slice(52, 54)


@lru_cache(4_096)
def _shape(header: bytes, index: int) -> tuple[Program, tuple[int, ...], bytes]:
    """Return how to hash up from header and lock, their positions, and the header's leaf hash."""
    layout = layout_of(header)
    positions = (0, layout.position(Group.LOCKS, index))
    return program(layout.size, positions), positions, leaf_hash(header)


@lru_cache(256)  # a shape with all inputs and references is some 40 kB
def _exact(
    header: bytes, groups: tuple[Group, ...]
) -> tuple[Program, tuple[int, ...], bytes, bytes]:
    """Return how to hash up from header and groups, their positions, the group byte of each, the header's hash."""
    layout = layout_of(header)
    places = [(position, group) for group in groups for position in layout.positions(group)]
    positions = (0, *(position for position, _ in places))
    groups_at = bytes(group for _, group in places)
    return program(layout.size, positions), positions, groups_at, leaf_hash(header)


def open_exactly(tearoff: Tearoff, groups: tuple[Group, ...]) -> TransactionId | None:
    """Return the id that a tear-off proves, or None if it does not show exactly the header and these groups, whole.

    Raises what `open_tearoff` raises.
    """
    leaves = tearoff.leaves
    shape, positions, expected, header_hash = _exact(leaves[0], groups)
    if tearoff.positions != positions:
        return None
    if len(leaves) != len(positions) or not _are_leaves(leaves[1:], expected):
        return open_tearoff(tearoff).id
    hashes = [header_hash, *map(leaf_hash, leaves[1:])]
    return TransactionId(shape.root(hashes, tearoff.proof))


def _are_leaves(leaves: Sequence[bytes], groups: bytes) -> bool:
    for leaf, group in zip(leaves, groups, strict=True):
        if not NONCE_SIZE + 1 < len(leaf) <= LEAF_BYTES_MAX or leaf[NONCE_SIZE] != group:
            return False
    return True


def open_lock(opening: SpendOpening | ReferOpening, ref: StateRef) -> None:
    """Raise what `check_opening` raises; where it would not, this says so in half the time."""
    if not _opens(opening, ref):
        check_opening(opening, ref)


def _opens(opening: SpendOpening | ReferOpening, ref: StateRef) -> bool:
    shown = opening.shown
    if len(shown.leaves) != 2:  # noqa: PLR2004
        return False
    header, leaf = shown.leaves
    if isinstance(opening, SpendOpening):
        digest = lock_digest(opening.salt, policy_digest(opening.policy))
    else:
        digest = lock_digest(opening.salt, opening.policy_digest)
    if (
        len(leaf) != _LEAF_SIZE
        or leaf[_LABEL] != _BEFORE_LABEL
        or leaf[_DIGEST] != _BEFORE_DIGEST
        or leaf[-HASH_SIZE:] != digest
    ):
        return False
    try:
        shape, positions, header_hash = _shape(header, ref.index)
        if shown.positions != positions:
            return False
        root = shape.root((header_hash, leaf_hash(leaf)), shown.proof)
    except (IndexError, InvalidProof, MalformedBytes, OverLimit):
        return False
    return root == ref.tx
