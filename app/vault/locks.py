"""Spend locks of this node's making, and the questions to a notary that open them (specification §4, §6)."""

from collections.abc import Callable, Iterable
from sqlite3 import Connection

from app.keystore.keys import DerivedLock, KeyStore
from app.vault.reader import NotHeld
from app.vault.statements import ADD_LOCK, ADD_OPENING, GET_ENTRIES, GET_LOCK, GET_OPENING
from app.vault.subject import Step
from app.vault.vault import Vault
from states.crypto.hashes import tagged_hash
from states.crypto.keys import Key
from states.crypto.policy import One, policy_digest
from states.crypto.signatures import Signer
from states.encoding import Codec, encode
from states.groups import Group
from states.lock import (
    LOCK,
    ReferOpening,
    SpendLock,
    SpendOpening,
    lock_digest,
    make_lock,
    nullifier,
)
from states.notarisation import (
    EntryRequest,
    LivenessQuestion,
    LivenessRequest,
    LockSignature,
    NotarisationRequest,
    StatusRequest,
    lock_signing_digest,
)
from states.state import STATE_REF, StateRef, TransactionId
from states.tearoff import Tearoff

QUESTIONED: Codec[tuple[StateRef, ...]] = Codec(tuple[StateRef, ...], "states in question", 1 << 14)
"""The row of a question about liveness: at most 256 states, all of one notary."""

LABEL_SIZE = 16
OWN = b""  # this node's own lock secret; else the handle of a patient of this agent

SHOWN_TO_NOTARY = (
    Group.INPUTS,
    Group.REFERENCES,
    Group.NOTARY,
    Group.WINDOW,
    Group.PARAMETERS,
)

SHOWN_FOR_ENTRY = (Group.NOTARY, Group.WINDOW, Group.PARAMETERS)


class Locks:
    """Makes locks for outputs that this node owns, and opens them."""

    def __init__(
        self, vault: Vault, keys: KeyStore, entropy: Callable[[int], bytes], network: bytes
    ) -> None:
        self._vault = vault
        self._keys = keys
        self._entropy = entropy
        self._network = network

    def make(self, step: Step, owner: bytes = OWN) -> SpendLock:
        """Make a fresh lock by the secret of `owner`; a patient's is remembered with its label."""
        label = self._entropy(LABEL_SIZE)
        lock = self._keys.derive_lock(label, owner or None)
        if owner != OWN:
            step.unit.execute(ADD_LOCK, {"label": label, "owner": owner})
        return make_lock(label, lock.salt, One(lock.signer.key))

    def nonce_beside(self, lock: SpendLock) -> bytes:
        """Return a secret nonce for a sealed component that goes with a lock of this node's making.

        It comes from the same secret under a label that no lock has, so opening the lock does not tell it.
        """
        label = tagged_hash("nonce-beside", lock.label)[:LABEL_SIZE]
        return self._keys.derive_lock(label, None).salt

    def opening_of(self, db: Connection, lock: SpendLock) -> tuple[bytes, bytes]:
        """Return (salt, policy digest) of a lock of this node's making, for those who may refer to it."""
        _, made = self._open(db, lock)
        return made.salt, policy_digest(One(made.signer.key))

    def owner_of(self, db: Connection, lock: SpendLock) -> bytes:
        """Return by whose secret this node made a lock: OWN, or a patient's handle; raises NotHeld."""
        return self._open(db, lock)[0]

    def lock_of(self, db: Connection, ref: StateRef) -> SpendLock:
        """Return the lock of a state whose transaction is recorded here; raises NotHeld."""
        return self._shown_lock(db, ref)[0]

    def is_mine(self, db: Connection, lock: SpendLock) -> bool:
        """Whether this node made the lock: what an owner looks for before it signs."""
        try:
            salt, digest = self.opening_of(db, lock)
        except NotHeld:
            return False
        return lock.digest == lock_digest(salt, digest)

    def learn_opening(self, step: Step, ref: StateRef, salt: bytes, digest: bytes) -> None:
        """Keep what a sealed component told about another's lock."""
        step.unit.execute(
            ADD_OPENING, {"tx": ref.tx, "idx": ref.index, "salt": salt, "policy_digest": digest}
        )

    def nullifier(self, db: Connection, ref: StateRef) -> bytes:
        """Return what the log will show when `ref` is consumed; raises NotHeld."""
        salt, _ = self._reference(db, ref)
        return nullifier(salt, ref)

    # -- questions ---------------------------------------------------------------------------------

    def notarise(self, db: Connection, tx: bytes) -> bytes:
        """Return the encoded request to notarise a held transaction."""
        filtered = self._vault.stored(db, tx).filtered
        shown = filtered.narrowed(
            at for group in SHOWN_TO_NOTARY for at in filtered.layout.positions(group)
        )
        inputs = [STATE_REF.decode(c) for _, c in filtered.components(Group.INPUTS)]
        references = [STATE_REF.decode(c) for _, c in filtered.components(Group.REFERENCES)]
        signers: dict[Key, Signer] = {}
        spends = tuple(self._spend(db, ref, signers) for ref in inputs)
        digest = lock_signing_digest(self._network, TransactionId(tx))
        signatures = tuple(
            LockSignature(key, signer.sign(digest)) for key, signer in signers.items()
        )
        refers = tuple(self._refer(db, ref) for ref in references)
        return encode(NotarisationRequest(shown, spends, refers, signatures))

    def entry(self, db: Connection, tx: bytes) -> bytes:
        """Return the encoded request to enter a recorded change of notary in the new notary's log."""
        recorded = self._vault.stored(db, tx)
        if recorded.receipt is None:
            raise NotHeld(f"transaction {tx.hex()[:16]} is not notarised")
        filtered = recorded.filtered
        shown = filtered.narrowed(
            at for group in SHOWN_FOR_ENTRY for at in filtered.layout.positions(group)
        )
        return encode(EntryRequest(shown, recorded.receipt))

    def status(self, db: Connection, tx: bytes) -> bytes:
        return encode(StatusRequest(TransactionId(tx), self._vault.window_end(db, tx)))

    def liveness(self, db: Connection, refs: Iterable[StateRef]) -> bytes:
        return encode(
            LivenessRequest(tuple(LivenessQuestion(ref, self._refer(db, ref)) for ref in refs))
        )

    def _spend(self, db: Connection, ref: StateRef, signers: dict[Key, Signer]) -> SpendOpening:
        lock, shown, at = self._shown_lock(db, ref)
        _, made = self._open(db, lock)
        signers[made.signer.key] = made.signer
        return SpendOpening(made.salt, One(made.signer.key), at, shown)

    def _refer(self, db: Connection, ref: StateRef) -> ReferOpening:
        _, shown, at = self._shown_lock(db, ref)
        salt, digest = self._reference(db, ref)
        return ReferOpening(salt, digest, at, shown)

    def _reference(self, db: Connection, ref: StateRef) -> tuple[bytes, bytes]:
        row = db.execute(GET_OPENING, {"tx": ref.tx, "idx": ref.index}).fetchone()
        if row is not None:
            return row[0], row[1]
        lock, _, _ = self._shown_lock(db, ref)
        return self.opening_of(db, lock)

    def _open(self, db: Connection, lock: SpendLock) -> tuple[bytes, DerivedLock]:
        """Return whose secret made a lock of this node, and its key and salt; raises NotHeld.

        Which patient's is remembered; a database that was restored has forgotten, and every secret is tried.
        """
        row = db.execute(GET_LOCK, {"label": lock.label}).fetchone()
        for owner in (OWN, *self._keys.patients()) if row is None else (row[0],):
            derived = self._keys.derive_lock(lock.label, owner or None)
            digest = policy_digest(One(derived.signer.key))
            if lock.digest == lock_digest(derived.salt, digest):
                return owner, derived
        raise NotHeld(f"lock {lock.label.hex()} is not of this node's making")

    def _shown_lock(self, db: Connection, ref: StateRef) -> tuple[SpendLock, Tearoff, int]:
        """Return a state's lock, the tear-off that shows it alone, and where the log of its notary has its creator."""
        created = self._vault.stored(db, ref.tx)
        if created.log_index is None:
            raise NotHeld(f"transaction {ref.tx.hex()[:16]} is not notarised")
        filtered = created.filtered
        component = filtered.component(Group.LOCKS, ref.index)
        if component is None:
            raise NotHeld(f"the lock of {ref.tx.hex()[:16]}:{ref.index} is not shown here")
        shown = filtered.narrowed((filtered.layout.position(Group.LOCKS, ref.index),))
        at = self._entered(db, ref)
        return LOCK.decode(component), shown, created.log_index if at is None else at

    def _entered(self, db: Connection, ref: StateRef) -> int | None:
        """Where another notary's log has the change of notary that created a state, if it has moved there."""
        for notary, index in db.execute(GET_ENTRIES, {"tx": ref.tx}):
            state = self._vault.state(db, ref)
            if state is not None and state.notary == notary:
                return int(index)
        return None
