"""A key store over secrets in memory, which hands every change to whoever makes it durable."""

from collections.abc import Callable
from threading import RLock
from typing import NoReturn

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from app.blobs.cipher import DATA_KEY_SIZE
from app.blobs.errors import WrapRefused
from app.blobs.wrap import EPOCH_SEED_SIZE, WRAP_X25519, Entropy, EpochKey, WrapContext
from app.keystore.errors import KeyExists, UnknownKey
from app.keystore.keys import DerivedLock, NodeKey, Signing
from app.keystore.secrets import (
    EPOCHS_MAX,
    PATIENT_BYTES_MAX,
    PATIENTS_MAX,
    EpochSecret,
    NodeSecret,
    PatientSecret,
    Secrets,
)
from states.crypto.ed25519 import SEED_SIZE, Ed25519Signer
from states.crypto.hashes import hkdf
from states.crypto.keys import Key
from states.errors import InvalidSignature, OverLimit
from states.lock import lock_salt, lock_seed

_AT_REST_VERSION = b"\1"
_AT_REST_SALT = 24
_NONCE = bytes(12)
DERIVED_REMEMBERED = 1_024  # one-time lock keys; forgotten when any secret changes

Save = Callable[[Secrets], None]
"""Makes these secrets the ones that a restart finds; durable when it returns."""


class KeyRing:
    """A KeyStore; see there. Safe to use from several threads."""

    def __init__(self, secrets: Secrets, entropy: Entropy, save: Save) -> None:
        self._entropy = entropy
        self._save = save
        self._lock = RLock()
        self._take(secrets)

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled or copied")

    def public(self, handle: Signing) -> Key:
        return self._signer(handle).key

    def sign(self, handle: Signing, message: bytes) -> bytes:
        """See KeyStore.sign."""
        return self._signer(handle).sign(message)

    def prepare(self, handle: NodeKey) -> Key:
        """See KeyStore.prepare."""
        with self._lock:
            secret = self._node_secret(handle)
            if secret.following is None:
                secret = msgspec.structs.replace(secret, following=self._entropy(SEED_SIZE))
                self._replace_node(secret)
            assert secret.following is not None, "a key was just prepared"
            return Ed25519Signer(secret.following).key

    def switch(self, handle: NodeKey) -> Key:
        """See KeyStore.switch."""
        with self._lock:
            following = self._node_secret(handle).following
            if following is None:
                raise UnknownKey(f"none is prepared to follow {handle}")
            self._replace_node(NodeSecret(handle, following))
            return self.public(handle)

    def box_public(self) -> bytes:
        return bytes(PrivateKey(self._secrets.box).public_key)

    def box_with(self, peer_public: bytes) -> "SharedBox":
        """See KeyStore.box_with."""
        try:
            # Not kept: PyNaCl's keys print themselves.
            return SharedBox(Box(PrivateKey(self._secrets.box), PublicKey(peer_public)))
        except (CryptoError, ValueError, TypeError, RuntimeError) as refused:
            raise InvalidSignature("box key", "not a key that can be shared with") from refused

    def derive_lock(self, label: bytes, owner: bytes | None = None) -> DerivedLock:
        """See KeyStore.derive_lock. What was derived last is kept: a lock is made, recognised, opened."""
        derived = self._derived.get((label, owner))
        if derived is None:
            secret = (
                self._secrets.lock
                if owner is None
                else hkdf(self._seed_of(owner), b"", "lock-secret")
            )
            derived = DerivedLock(Ed25519Signer(lock_seed(secret, label)), lock_salt(secret, label))
            with self._lock:
                if len(self._derived) >= DERIVED_REMEMBERED:
                    del self._derived[next(iter(self._derived))]
                self._derived[label, owner] = derived
        return derived

    def new_data_key(self) -> bytes:
        return self._entropy(DATA_KEY_SIZE)

    def wrap_at_rest(self, secret: bytes, aad: bytes) -> bytes:
        """See KeyStore.wrap_at_rest. A key of its own from 192 random bits: no limit on their number."""
        salt = self._entropy(_AT_REST_SALT)
        return _AT_REST_VERSION + salt + self._at_rest(salt).encrypt(_NONCE, secret, aad)

    def unwrap_at_rest(self, wrapped: bytes, aad: bytes) -> bytes:
        """See KeyStore.unwrap_at_rest."""
        if wrapped[:1] != _AT_REST_VERSION:
            raise WrapRefused("at rest: of an unknown version")
        salt, body = wrapped[1 : 1 + _AT_REST_SALT], wrapped[1 + _AT_REST_SALT :]
        try:
            return self._at_rest(salt).decrypt(_NONCE, body, aad)
        except InvalidTag as refused:
            raise WrapRefused("at rest: altered, or of another row") from refused

    def new_epoch(self, epoch: int, scheme: int = WRAP_X25519) -> bytes:
        """See KeyStore.new_epoch."""
        with self._lock:
            if epoch in self._epochs:
                raise KeyExists(f"epoch {epoch}")
            _check_room("epoch keys", len(self._epochs), EPOCHS_MAX)
            secret = EpochSecret(epoch, scheme, self._entropy(EPOCH_SEED_SIZE))
            public = EpochKey(secret.seed, scheme).public
            epochs = sorted((*self._secrets.epochs, secret), key=lambda each: each.epoch)
            self._change(msgspec.structs.replace(self._secrets, epochs=tuple(epochs)))
            return public

    def epochs(self) -> tuple[int, ...]:
        return tuple(sorted(self._epochs))

    def epoch_public(self, epoch: int) -> bytes:
        return self._epoch(epoch).public

    def open_epoch(self, epoch: int, wrapped: bytes, context: WrapContext) -> bytes:
        """See KeyStore.open_epoch."""
        if context.epoch != epoch:
            raise WrapRefused(f"of epoch {context.epoch}, not {epoch}")
        return self._epoch(epoch).unwrap(wrapped, context)

    def destroy_epoch(self, epoch: int) -> None:
        """See KeyStore.destroy_epoch."""
        with self._lock:
            self._epoch(epoch)
            rest = tuple(each for each in self._secrets.epochs if each.epoch != epoch)
            self._change(msgspec.structs.replace(self._secrets, epochs=rest))

    def add_patient(self, patient: bytes) -> None:
        """See KeyStore.add_patient."""
        if not 0 < len(patient) <= PATIENT_BYTES_MAX:
            raise OverLimit("patient name in bytes", len(patient), PATIENT_BYTES_MAX)
        with self._lock:
            if patient in self._patients:
                raise KeyExists(f"patient {patient.hex()}")
            _check_room("patients", len(self._patients), PATIENTS_MAX)
            added = PatientSecret(patient, self._entropy(SEED_SIZE))
            patients = (*self._secrets.patients, added)
            self._change(msgspec.structs.replace(self._secrets, patients=patients))

    def patients(self) -> tuple[bytes, ...]:
        return tuple(self._patients)

    def forget_patient(self, patient: bytes) -> None:
        """See KeyStore.forget_patient."""
        with self._lock:
            self._seed_of(patient)
            rest = tuple(each for each in self._secrets.patients if each.patient != patient)
            self._change(msgspec.structs.replace(self._secrets, patients=rest))

    def _signer(self, handle: Signing) -> Ed25519Signer:
        if isinstance(handle, NodeKey):
            self._node_secret(handle)
            return self._signers[handle]
        custodian = handle.custodian.encode("utf-8")
        return Ed25519Signer(hkdf(self._seed_of(handle.patient), custodian, "authority-key"))

    def _node_secret(self, handle: NodeKey) -> NodeSecret:
        secret = self._node.get(handle)
        if secret is None:
            raise UnknownKey(handle)
        return secret

    def _seed_of(self, patient: bytes) -> bytes:
        secret = self._patients.get(patient)
        if secret is None:
            raise UnknownKey(f"patient {patient.hex()}")
        return secret.seed

    def _epoch(self, epoch: int) -> EpochKey:
        key = self._epochs.get(epoch)
        if key is None:
            raise UnknownKey(f"epoch {epoch}")
        return key

    def _at_rest(self, salt: bytes) -> AESGCM:
        return AESGCM(hkdf(self._secrets.storage, salt, "at-rest"))

    def _replace_node(self, secret: NodeSecret) -> None:
        node = tuple(secret if each.name == secret.name else each for each in self._secrets.node)
        self._change(msgspec.structs.replace(self._secrets, node=node))

    def _change(self, secrets: Secrets) -> None:
        # First the disk: nobody may hear of a key that a crash would lose.
        self._save(secrets)
        self._take(secrets)

    def _take(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._derived: dict[tuple[bytes, bytes | None], DerivedLock] = {}
        self._node = {each.name: each for each in secrets.node}
        self._signers = {each.name: Ed25519Signer(each.seed) for each in secrets.node}
        self._epochs = {each.epoch: EpochKey(each.seed, each.scheme) for each in secrets.epochs}
        self._patients = {each.patient: each for each in secrets.patients}


class SharedBox:
    """A PeerBox over NaCl's, whose shared key was computed once."""

    __slots__ = ("_box",)

    def __init__(self, box: Box) -> None:
        self._box = box

    def seal(self, plaintext: bytes, nonce: bytes) -> bytes:
        return bytes(self._box.encrypt(plaintext, nonce))

    def open(self, sealed: bytes) -> bytes:
        """See PeerBox.open."""
        try:
            return self._box.decrypt(sealed)
        except (CryptoError, ValueError) as refused:
            raise InvalidSignature("box", "not sealed by this peer for this node") from refused


def _check_room(what: str, count: int, allowed: int) -> None:
    if count >= allowed:
        raise OverLimit(what, count + 1, allowed)
