"""A data key, wrapped for one reader's epoch key and bound to one item of one disclosure.

    wrapped = scheme 1 ‖ ephemeral X25519 key 32 ‖ [ML-KEM-768 ciphertext 1,088] ‖ AES-256-GCM 48

Scheme 1 is X25519 alone (81 bytes); scheme 2 adds ML-KEM-768 (1,169 bytes), so that who records it
today must break both. The scheme is a byte of its own, not a length, so that a third one may have
the length of a first. The AES key is HKDF over the shared secrets (ML-KEM's first, as in X-Wing)
with ephemeral key, reader's public key and ML-KEM ciphertext as context: a wrapped key for one
reader is never one for another. The nonce is zero: the key is used once, as the ephemeral key is.
Further data are scheme, transaction id, item and epoch, so a wrapped key cannot be passed off as
that of another item.
"""

from collections.abc import Callable
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.blobs.cipher import DATA_KEY_SIZE
from app.blobs.errors import WrapRefused
from app.blobs.sizes import TAG_SIZE
from states.crypto.hashes import HASH_SIZE, hkdf

WRAP_X25519 = 1
WRAP_HYBRID = 2

EPOCH_SEED_SIZE = 32
_X25519_SIZE = 32
_MLKEM_PUBLIC_SIZE = 1_184
_MLKEM_CIPHERTEXT_SIZE = 1_088
_MLKEM_SEED_SIZE = 64
_NONCE = bytes(12)

SHARED_ITEM = 0xFFFF_FFFF
"""In a WrapContext: not one item's data key, but the key that all of the transaction's are wrapped under."""
SHARED_WRAPPED_SIZE = DATA_KEY_SIZE + TAG_SIZE

PUBLIC_SIZES = {WRAP_X25519: 1 + _X25519_SIZE, WRAP_HYBRID: 1 + _X25519_SIZE + _MLKEM_PUBLIC_SIZE}
WRAPPED_SIZES = {
    WRAP_X25519: 1 + _X25519_SIZE + DATA_KEY_SIZE + TAG_SIZE,
    WRAP_HYBRID: 1 + _X25519_SIZE + _MLKEM_CIPHERTEXT_SIZE + DATA_KEY_SIZE + TAG_SIZE,
}

Entropy = Callable[[int], bytes]
"""n → n bytes that nobody can guess."""


class WrapContext(NamedTuple):
    """What a wrapped key is for: item `item` of transaction `transaction`, under the reader's epoch key."""

    transaction: bytes
    item: int
    epoch: int

    def encoded(self, scheme: int) -> bytes:
        """Raises ValueError for a transaction id that is none, OverflowError for a number above 2³²."""
        if len(self.transaction) != HASH_SIZE:
            raise ValueError("a transaction id is 32 bytes")
        numbers = self.item.to_bytes(4, "big") + self.epoch.to_bytes(4, "big")
        return bytes((scheme,)) + self.transaction + numbers


class EpochKey:
    """The private half of an epoch key; one seed of 32 bytes makes the same key in both schemes."""

    __slots__ = ("_mlkem", "_x25519", "public", "scheme")

    def __init__(self, seed: bytes, scheme: int) -> None:
        if len(seed) != EPOCH_SEED_SIZE:
            raise ValueError(f"an epoch seed is {EPOCH_SEED_SIZE} bytes")
        if scheme not in PUBLIC_SIZES:
            raise ValueError(f"{scheme} is no wrapping scheme")
        self.scheme = scheme
        self._x25519 = X25519PrivateKey.from_private_bytes(hkdf(seed, b"", "epoch-x25519"))
        self._mlkem: MLKEM768PrivateKey | None = None
        self.public = bytes((scheme,)) + self._x25519.public_key().public_bytes_raw()
        if scheme == WRAP_HYBRID:
            seed_mlkem = hkdf(seed, b"", "epoch-mlkem", _MLKEM_SEED_SIZE)
            self._mlkem = MLKEM768PrivateKey.from_seed_bytes(seed_mlkem)
            self.public += self._mlkem.public_key().public_bytes_raw()

    def unwrap(self, wrapped: bytes, context: WrapContext) -> bytes:
        """Return the data key. Raises WrapRefused unless it was wrapped for this key and context."""
        scheme = wrapped[0] if wrapped else 0
        if scheme != self.scheme:
            raise WrapRefused(f"scheme {scheme} for a key of scheme {self.scheme}")
        if len(wrapped) != WRAPPED_SIZES[scheme]:
            raise WrapRefused(f"{len(wrapped)} bytes where {WRAPPED_SIZES[scheme]} belong")
        ephemeral, rest = wrapped[1 : 1 + _X25519_SIZE], wrapped[1 + _X25519_SIZE :]
        encapsulated, secret = b"", b""
        if self._mlkem is not None:
            encapsulated, rest = rest[:_MLKEM_CIPHERTEXT_SIZE], rest[_MLKEM_CIPHERTEXT_SIZE:]
            secret = self._mlkem.decapsulate(encapsulated)
        shared = _exchange(self._x25519, ephemeral)
        cipher = _cipher(secret + shared, ephemeral + self.public + encapsulated)
        try:
            return cipher.decrypt(_NONCE, rest, context.encoded(scheme))
        except InvalidTag as refused:
            raise WrapRefused("altered, or for another reader, item or epoch") from refused


def wrap_data_key(
    data_key: bytes, reader_public: bytes, context: WrapContext, entropy: Entropy
) -> bytes:
    """Wrap `data_key` for the reader whose `EpochKey.public` is given, in the scheme it names.

    Raises WrapRefused for a public key of no known scheme, length or use. ML-KEM's part of scheme 2 draws
    from the operating system (`cryptography` takes no randomness from outside): only scheme 1 repeats.
    """
    if len(data_key) != DATA_KEY_SIZE:
        raise ValueError(f"a data key is {DATA_KEY_SIZE} bytes")
    scheme = check_epoch_public(reader_public)
    private = X25519PrivateKey.from_private_bytes(entropy(_X25519_SIZE))
    ephemeral = private.public_key().public_bytes_raw()
    shared = _exchange(private, reader_public[1 : 1 + _X25519_SIZE])
    encapsulated, secret = b"", b""
    if scheme == WRAP_HYBRID:
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(reader_public[1 + _X25519_SIZE :])
        except ValueError as refused:
            raise WrapRefused("the reader's ML-KEM key is none") from refused
        secret, encapsulated = mlkem.encapsulate()
    cipher = _cipher(secret + shared, ephemeral + reader_public + encapsulated)
    body = cipher.encrypt(_NONCE, data_key, context.encoded(scheme))
    return bytes((scheme,)) + ephemeral + encapsulated + body


class SharedWrap:
    """Wraps the data keys of one transaction's records under one key, which is wrapped for their reader once.

        wrapped = AES-256-GCM 48, nonce = item 12 bytes big-endian, further data = transaction ‖ item ‖ commitment

    The AES key is HKDF of the shared key with the transaction as context. The shared key is `SHARED_ITEM` of its
    transaction to `wrap_data_key`. It is drawn anew each time, so a nonce meets one data key.
    """

    __slots__ = ("_cipher", "_transaction")

    def __init__(self, shared_key: bytes, transaction: bytes) -> None:
        if len(shared_key) != DATA_KEY_SIZE or len(transaction) != HASH_SIZE:
            raise ValueError("a shared key and a transaction id are 32 bytes each")
        self._transaction = transaction
        self._cipher = AESGCM(hkdf(shared_key, transaction, "shared-wrap"))

    def wrap(self, item: int, data_key: bytes, commitment: bytes) -> bytes:
        """Return a record's data key, wrapped for the place of its output and its commitment."""
        if len(data_key) != DATA_KEY_SIZE:
            raise ValueError(f"a data key is {DATA_KEY_SIZE} bytes")
        return self._cipher.encrypt(_nonce(item), data_key, self._about(item, commitment))

    def unwrap(self, item: int, wrapped: bytes, commitment: bytes) -> bytes:
        """Return the data key. Raises WrapRefused unless it was wrapped for this item and commitment."""
        if len(wrapped) != SHARED_WRAPPED_SIZE:
            raise WrapRefused(f"{len(wrapped)} bytes where {SHARED_WRAPPED_SIZE} belong")
        try:
            return self._cipher.decrypt(_nonce(item), wrapped, self._about(item, commitment))
        except InvalidTag as refused:
            raise WrapRefused("altered, or for another record") from refused

    def _about(self, item: int, commitment: bytes) -> bytes:
        return self._transaction + item.to_bytes(4, "big") + commitment


def _nonce(item: int) -> bytes:
    return item.to_bytes(len(_NONCE), "big")


def check_epoch_public(public: bytes) -> int:
    """Return the scheme of an epoch key's public half; WrapRefused unless it has the form of one."""
    scheme = public[0] if public else 0
    if PUBLIC_SIZES.get(scheme) != len(public):
        raise WrapRefused(f"an epoch key of scheme {scheme} does not have {len(public)} bytes")
    return scheme


def _exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as refused:
        # A point of small order gives a secret that everybody knows (RFC 7748 §6.1).
        raise WrapRefused("an X25519 key of small order") from refused


def _cipher(secrets: bytes, transcript: bytes) -> AESGCM:
    return AESGCM(hkdf(secrets, transcript, "data-key-wrap"))
