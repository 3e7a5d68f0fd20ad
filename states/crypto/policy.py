"""Who may act: one key, or a weighted threshold over policies (guardians, dual control)."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import TypeAlias, cast

import msgspec

from states.crypto.hashes import tagged_hash
from states.crypto.keys import Key
from states.encoding import Codec, encode

BRANCHES_MIN = 2
DEPTH_MAX = 4  # of thresholds above a key
KEYS_MAX = 64
WEIGHT_MAX = 65_535
POLICY_BYTES_MAX = 8_192  # 64 keys in the most thresholds that can hold them take less


class One(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="one/1"):
    """Satisfied by a signature of `key`."""

    key: Key


class Weighted(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A branch and what it adds, 1 … 65,535, when it is satisfied."""

    weight: int
    policy: "Policy"

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= WEIGHT_MAX:
            raise ValueError(f"a weight is from 1 to {WEIGHT_MAX}")


class AnyOf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="any/1"):
    """Satisfied when the weights of its satisfied branches reach `threshold`.

    One policy has one form: branches are sorted by the encoding of their policy. No key occurs
    twice in the whole tree, nor does one public key under two schemes, because one signer would
    count twice. Raises ValueError where that does not hold, for fewer than two branches, a
    threshold that is 0 or that all branches together do not reach, more than four thresholds above
    a key or more than 64 keys.
    """

    threshold: int
    branches: tuple[Weighted, ...]

    def __post_init__(self) -> None:
        if len(self.branches) < BRANCHES_MIN:
            raise ValueError("a threshold has at least two branches")
        if not 1 <= self.threshold <= min(WEIGHT_MAX, sum(b.weight for b in self.branches)):
            raise ValueError("the threshold is 0 or out of the branches' reach")
        order = [encode(branch.policy) for branch in self.branches]
        if any(left >= right for left, right in pairwise(order)):
            raise ValueError("the branches are not sorted, or one is there twice")
        if _depth(self) > DEPTH_MAX:
            raise ValueError(f"more than {DEPTH_MAX} thresholds above a key")
        keys = _keys(self)
        if len(keys) > KEYS_MAX:
            raise ValueError(f"more than {KEYS_MAX} keys")
        if len({key.public_key for key in keys}) != len(keys):
            raise ValueError("a key is there twice")


Policy: TypeAlias = One | AnyOf

# A union is no `type` to mypy, but it is what msgspec decodes.
PolicyCodec: Codec[Policy] = Codec(cast("type[Policy]", Policy), "policy", POLICY_BYTES_MAX)


def one(key: Key) -> One:
    return One(key)


def any_of(threshold: int, branches: Iterable[tuple[int, Policy]]) -> AnyOf:
    """Make an AnyOf of (weight, policy) in any order; raises what AnyOf and Weighted raise."""
    ordered = sorted(branches, key=lambda branch: encode(branch[1]))
    return AnyOf(threshold, tuple(Weighted(weight, policy) for weight, policy in ordered))


def policy_bytes(policy: Policy) -> bytes:
    return encode(policy)


def policy_digest(policy: Policy) -> bytes:
    """H("policy", the policy's encoding): what a spend lock hides."""
    return tagged_hash("policy", encode(policy))


def is_satisfied(policy: Policy, keys: AbstractSet[Key]) -> bool:
    """Return whether signatures by `keys` (which the caller has verified) are enough."""
    if isinstance(policy, One):
        return policy.key in keys
    reached = sum(b.weight for b in policy.branches if is_satisfied(b.policy, keys))
    return reached >= policy.threshold


def keys_of(policy: Policy) -> frozenset[Key]:
    """Return every key that the policy names."""
    return frozenset(_keys(policy))


def _keys(policy: Policy) -> list[Key]:
    if isinstance(policy, One):
        return [policy.key]
    return [key for branch in policy.branches for key in _keys(branch.policy)]


def _depth(policy: Policy) -> int:
    if isinstance(policy, One):
        return 0
    return 1 + max(_depth(branch.policy) for branch in policy.branches)
