"""Locks, their openings and nullifiers (§4)."""

from dataclasses import dataclass

from tests.vectors.second import ed25519, shapes
from tests.vectors.second.components import LOCKS, read_component, read_lock
from tests.vectors.second.digests import hkdf, tagged_hash
from tests.vectors.second.keys import ED25519, Key, One, policy_digest, read_policy
from tests.vectors.second.msgpack import Value
from tests.vectors.second.refusal import Refused, require
from tests.vectors.second.tearoff import read_tearoff, verify_tearoff

StateRef = tuple[bytes, int]


def lock_digest(salt: bytes, of_policy: bytes) -> bytes:
    """H("lock", salt ‖ digest of the policy) (§4.1)."""
    return tagged_hash("lock", salt + of_policy)


@dataclass(frozen=True)
class OwnLock:
    """A lock with all that its owner derives for it (§4.2)."""

    label: bytes
    seed: bytes
    salt: bytes
    policy: One

    @property
    def value(self) -> Value:
        return (self.label, lock_digest(self.salt, policy_digest(self.policy)))


def own_lock(secret: bytes, label: bytes) -> OwnLock:
    """The lock that an owner makes from a secret of its own and a label (§4.2)."""
    seed = hkdf(secret, label, "lock-key")
    policy = One(Key(ED25519, ed25519.public_key(seed)))
    return OwnLock(label, seed, hkdf(secret, label, "lock-salt"), policy)


def nullifier(salt: bytes, ref: StateRef) -> bytes:
    """What a consumed state becomes in the notary's log (§4.5)."""
    tx, index = ref
    return tagged_hash("nullifier", salt + tx + index.to_bytes(2, "big"))


@dataclass(frozen=True)
class Opening:
    """An opening that fits the lock of the state that it is for."""

    salt: bytes
    digest_of_policy: bytes
    at: int
    label: bytes


def check_opening(value: Value, ref: StateRef, *, spends: bool) -> Opening:
    """Whether an opening, to spend or to refer, opens the lock of this state (§4.3)."""
    salt_value, second, at_value, tearoff_value = shapes.untagged(value, 4)
    salt = shapes.exactly(salt_value, 32)
    digest = policy_digest(read_policy(second)) if spends else shapes.exactly(second, 32)
    at = shapes.integer(at_value, shapes.U63)
    verified = verify_tearoff(read_tearoff(tearoff_value))
    require(verified.id == ref[0], "4.3", "a tear-off of another transaction")
    lock = verified.find(LOCKS, ref[1])
    if lock is None:
        raise Refused("4.3", "a tear-off that does not show the lock of this index")
    require(len(verified.shown) == 1, "4.3", "a tear-off that shows more than that lock")
    label, locked = read_lock(read_component(LOCKS, lock.component))
    require(locked == lock_digest(salt, digest), "4.1", "an opening that does not fit the lock")
    return Opening(salt, digest, at, label)
