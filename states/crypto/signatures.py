"""Signatures of transactions and of evidence messages (story part 3, row signature)."""

from functools import lru_cache
from typing import Protocol

import msgspec

from states.crypto import ed25519, p256
from states.crypto.hashes import HASH_SIZE, tagged_hash
from states.crypto.keys import SCHEME_ED25519, SCHEME_P256, Key
from states.crypto.webauthn import RelyingParties, verify_assertion
from states.encoding import Codec, encode
from states.errors import InvalidSignature

RAW_BYTES_MAX = 4_096  # a WebAuthn assertion is the longest
PLATFORM = 1  # the version of this ledger's rules that the signer's software knows
_U8_MAX = 255
_U16_MAX = 65_535


class SignatureMeta(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="meta/1"
):
    """What a signer says of itself under its signature: its scheme, its software's version."""

    scheme: int
    platform: int

    def __post_init__(self) -> None:
        if not 0 <= self.scheme <= _U8_MAX or not 0 <= self.platform <= _U16_MAX:
            raise ValueError("a scheme is a u8 and a platform a u16")


class TransactionSignature(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="signature/1"
):
    """A signature over `signing_digest`.

    `raw` is by scheme: Ed25519 64 bytes; P-256 64 bytes of r ‖ s; WebAuthn an encoded Assertion.
    P-256 and ES256 are malleable, so signatures are counted by key and never compared or stored by
    their bytes.
    """

    key: Key
    meta: SignatureMeta
    raw: bytes

    def __post_init__(self) -> None:
        _require_bounded(self.raw)


class EvidenceSignature(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="evidence/1"
):
    """A signature over a message that can be shown to a third party but is no transaction."""

    key: Key
    raw: bytes

    def __post_init__(self) -> None:
        _require_bounded(self.raw)


class Signer(Protocol):
    """Holds a private key, or asks the one who does."""

    @property
    def key(self) -> Key: ...

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a 32-byte digest, in the form of the key's scheme."""


transaction_signature_codec = Codec(TransactionSignature, "signature", RAW_BYTES_MAX + 256)
evidence_signature_codec = Codec(EvidenceSignature, "evidence signature", RAW_BYTES_MAX + 256)


def signing_digest(network: bytes, transaction: bytes, meta: SignatureMeta) -> bytes:
    """H("signature", network id, transaction id, meta): what a signer of a transaction signs."""
    # Fixed lengths, so that no byte can move between the parts.
    assert len(network) == HASH_SIZE, "a network id is 32 bytes"
    assert len(transaction) == HASH_SIZE, "a transaction id is 32 bytes"
    return tagged_hash("signature", network, transaction, encode(meta))


def sign_transaction(
    signer: Signer, network: bytes, transaction: bytes, platform: int = PLATFORM
) -> TransactionSignature:
    key = signer.key
    meta = SignatureMeta(key.scheme, platform)
    return TransactionSignature(key, meta, signer.sign(signing_digest(network, transaction, meta)))


def verify_signature(
    signature: TransactionSignature, network: bytes, transaction: bytes, relying: RelyingParties
) -> None:
    """Raise InvalidSignature unless `signature.key` signed the transaction in this network."""
    if signature.meta.scheme != signature.key.scheme:
        raise InvalidSignature("transaction signature", "the scheme is not that of the key")
    digest = signing_digest(network, transaction, signature.meta)
    _verify(signature.key, digest, signature.raw, relying, "transaction signature")


def evidence_digest(network: bytes, body: bytes) -> bytes:
    """H("evidence", network id, body): what a signer of an evidence message signs."""
    assert len(network) == HASH_SIZE, "a network id is 32 bytes"
    return tagged_hash("evidence", network, body)


def sign_evidence(signer: Signer, network: bytes, body: bytes) -> EvidenceSignature:
    """Sign a message outside of transactions; `body` is its encoding, whose tag says what it is."""
    return EvidenceSignature(signer.key, signer.sign(evidence_digest(network, body)))


def verify_evidence(
    signature: EvidenceSignature, network: bytes, body: bytes, relying: RelyingParties
) -> None:
    """Raise InvalidSignature unless `signature.key` signed `body` as evidence in this network."""
    digest = evidence_digest(network, body)
    _verify(signature.key, digest, signature.raw, relying, "evidence signature")


def _verify(key: Key, digest: bytes, raw: bytes, relying: RelyingParties, what: str) -> None:
    if key.scheme == SCHEME_ED25519:  # first: nearly all are
        verified = _verify_once(key.raw, digest, raw)
    elif key.scheme == SCHEME_P256:
        verified = p256.verify(key.raw, digest, raw)
    else:
        verify_assertion(key, digest, raw, relying)
        return
    if not verified:
        raise InvalidSignature(what, "does not verify by its key")


# A node sees a signature when it is proposed, when another is added, and when the transaction is recorded.
_verify_once = lru_cache(4_096)(ed25519.verify)


def _require_bounded(raw: bytes) -> None:
    if len(raw) > RAW_BYTES_MAX:
        raise ValueError(f"a signature is at most {RAW_BYTES_MAX} bytes")
