"""Spend locks, their openings, and nullifiers (specification §4)."""

import msgspec

from states.crypto.hashes import hkdf, tagged_hash
from states.crypto.policy import Policy, policy_digest
from states.encoding import Codec
from states.errors import InvalidProof
from states.groups import Group
from states.sizes import U63, Bytes16, Bytes32
from states.state import StateRef
from states.tearoff import FilteredTransaction, Tearoff, open_tearoff


class SpendLock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What lies beside an output: a random label, and the digest of who may consume it.

    The owner restores key and salt from its own secret and the label, so any copy of the transaction is enough.
    """

    label: Bytes16
    digest: Bytes32


class SpendOpening(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Shown to a notary to consume an output; the lock signatures beside it must satisfy `policy`.

    `at` is the creating transaction's index in the notary's log, `shown` its header and that lock.
    """

    salt: Bytes32
    policy: Policy
    at: U63
    shown: Tearoff


class ReferOpening(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Shown to a notary to refer to an output: proof of holding it, without the power to consume it."""

    salt: Bytes32
    policy_digest: Bytes32
    at: U63
    shown: Tearoff


_SHOWN = 2  # header and lock: an opening tells a notary nothing else

LOCK = Codec(SpendLock, "spend lock", 64)


def lock_digest(salt: bytes, digest_of_policy: bytes) -> bytes:
    """H("lock", salt ‖ policy digest)."""
    return tagged_hash("lock", salt, digest_of_policy)


def make_lock(label: bytes, salt: bytes, policy: Policy) -> SpendLock:
    return SpendLock(label, lock_digest(salt, policy_digest(policy)))


def lock_seed(secret: bytes, label: bytes) -> bytes:
    """The seed of the one-time Ed25519 key of the lock with this label."""
    return hkdf(secret, label, "lock-key")


def lock_salt(secret: bytes, label: bytes) -> bytes:
    return hkdf(secret, label, "lock-salt")


def nullifier(salt: bytes, ref: StateRef) -> bytes:
    """H("nullifier", salt ‖ tx ‖ index): what the log shows of a consumed state."""
    return tagged_hash("nullifier", salt, ref.tx, ref.index.to_bytes(2, "big"))


def check_opening(opening: SpendOpening | ReferOpening, ref: StateRef) -> FilteredTransaction:
    """Check that `opening` opens the lock of `ref`; return the creating transaction's tear-off.

    Raises InvalidProof if the tear-off is of another transaction, shows another leaf, or the digest differs.
    """
    created = open_tearoff(opening.shown)
    if created.id != ref.tx:
        raise InvalidProof("opening", "the tear-off is of another transaction")
    if ref.index >= created.counts[Group.LOCKS]:
        raise InvalidProof("opening", f"the transaction has no output {ref.index}")
    lock = created.component(Group.LOCKS, ref.index)
    if lock is None or len(opening.shown.positions) != _SHOWN:
        raise InvalidProof("opening", "it shows something else than the header and that lock")
    digest = (
        policy_digest(opening.policy)
        if isinstance(opening, SpendOpening)
        else opening.policy_digest
    )
    # Label is 16 bytes behind a 2-byte head, digest 32 behind another: LOCK is canonical, so the tail is the digest.
    if LOCK.decode(lock).digest != lock_digest(opening.salt, digest):
        raise InvalidProof("opening", "salt and policy do not open the lock")
    return created
