"""Ed25519 (RFC 8032) by libsodium: strict, and thin because every signature passes here."""

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from states.crypto.keys import ED25519_PUBLIC_SIZE, SCHEME_ED25519, Key

SEED_SIZE = 32
SIGNATURE_SIZE = 64


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` is one by `public` over `message`; no peer's bytes make it raise.

    libsodium refuses S ≥ L, points of small order and keys that are not canonical.
    """
    # The binding checks neither length: libsodium would read past a short key.
    if len(signature) != SIGNATURE_SIZE or len(public) != ED25519_PUBLIC_SIZE:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


class Ed25519Signer:
    """Signs with a private key given as its 32-byte seed."""

    __slots__ = ("_secret", "key", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_SIZE:
            raise ValueError("an Ed25519 seed is 32 bytes")
        self.public, self._secret = crypto_sign_seed_keypair(seed)
        self.key = Key(SCHEME_ED25519, self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of 64 bytes; the same message always has the same one."""
        return crypto_sign(message, self._secret)[:SIGNATURE_SIZE]
