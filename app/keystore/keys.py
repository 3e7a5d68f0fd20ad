"""The port behind which a node's secrets lie: handles go in, signatures and opened keys come out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.blobs.wrap import WRAP_X25519, WrapContext
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import Key


class NodeKey(StrEnum):
    """The signing keys of a node; a notary has the last two besides."""

    IDENTITY = "identity"
    READING_LOG = "reading-log"
    NOTARY_LOG = "notary-log"
    NOTARY_COSIGNER = "notary-cosigner"


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """A patient's key at one custodian, which an agent derives from that patient's seed."""

    patient: bytes
    """The agent's own name of the patient, as in `KeyStore.add_patient`."""
    custodian: str
    """The custodian's DID."""


Signing = NodeKey | AuthorityKey


@dataclass(frozen=True, slots=True, repr=False)
class DerivedLock:
    """The one-time key of a spend lock, and the salt of its digest; both are secret until it is opened."""

    signer: Ed25519Signer
    salt: bytes


class PeerBox(Protocol):
    """Seals and opens the batches between this node and one peer."""

    def seal(self, plaintext: bytes, nonce: bytes) -> bytes:
        """Return 24 bytes of nonce, 16 of tag, and the ciphertext; a nonce is never used twice."""

    def open(self, sealed: bytes) -> bytes:
        """Return the plaintext; InvalidSignature unless this peer sealed it for this node."""


class KeyStore(Protocol):
    """Holds a node's secrets. What changes is durable when the method returns.

    No method returns a private key or seed of the store. Data keys do come out, since documents are
    sealed outside; who holds one keeps it no longer than that takes, and stores it wrapped.
    UnknownKey is raised for a key that is not there.
    """

    def public(self, handle: Signing) -> Key: ...

    def sign(self, handle: Signing, message: bytes) -> bytes:
        """Return the Ed25519 signature, 64 bytes, over `message` as it is: domains are the caller's."""

    def prepare(self, handle: NodeKey) -> Key:
        """Make the key that shall follow this one, or return the one made before, to be announced."""

    def switch(self, handle: NodeKey) -> Key:
        """Sign with the prepared key from now on, and destroy the one before. UnknownKey if none is prepared."""

    def box_public(self) -> bytes: ...

    def box_with(self, peer_public: bytes) -> PeerBox:
        """Agree on the key shared with a peer's box key; InvalidSignature where that is no key."""

    def derive_lock(self, label: bytes, owner: bytes | None = None) -> DerivedLock:
        """Restore the one-time key and salt of the lock with this label.

        It comes from the lock secret of the node, or of the patient `owner`.
        """

    def new_data_key(self) -> bytes: ...

    def wrap_at_rest(self, secret: bytes, aad: bytes) -> bytes:
        """Encrypt a data key or salt for the vault; `aad` names its row and is not contained."""

    def unwrap_at_rest(self, wrapped: bytes, aad: bytes) -> bytes:
        """Return what was wrapped with the same `aad`; WrapRefused for anything else."""

    def new_epoch(self, epoch: int, scheme: int = WRAP_X25519) -> bytes:
        """Make the epoch key with this id and return its public half; KeyExists if there is one."""

    def epochs(self) -> tuple[int, ...]:
        """Return the ids of all epoch keys, ascending."""

    def epoch_public(self, epoch: int) -> bytes: ...

    def open_epoch(self, epoch: int, wrapped: bytes, context: WrapContext) -> bytes:
        """Return the data key that was wrapped for this epoch key; WrapRefused otherwise."""

    def destroy_epoch(self, epoch: int) -> None:
        """Destroy the private half; what is still wrapped to it is lost when the last backup expires."""

    def add_patient(self, patient: bytes) -> None:
        """Draw the seed of a patient of this agent; KeyExists if there is one."""

    def patients(self) -> tuple[bytes, ...]: ...

    def forget_patient(self, patient: bytes) -> None:
        """Destroy a patient's seed, and with it her authority keys and lock secret here."""
