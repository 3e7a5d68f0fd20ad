"""ECDSA over P-256 with SHA-256 (FIPS 186-5), for keys that live in hardware.

ECDSA is malleable: whoever sees (r, s) can write (r, n - s), which verifies as well, and low s is
not required because hardware does not promise it. So nothing may count or identify signatures by
their bytes; the ledger counts keys.
"""

from cryptography.exceptions import InvalidSignature as Refused
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from states.crypto.keys import P256_PUBLIC_SIZE, SCHEME_P256, Key

SCALAR_SIZE = 32
SIGNATURE_SIZE = 64  # r ‖ s, each 32 bytes big-endian (IEEE P1363)

_CURVE = ec.SECP256R1()
_VERIFYING = ec.ECDSA(SHA256())


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature`, 64 bytes of r ‖ s, is one over `message` by `public`."""
    if len(signature) != SIGNATURE_SIZE:
        return False
    r = int.from_bytes(signature[:SCALAR_SIZE], "big")
    s = int.from_bytes(signature[SCALAR_SIZE:], "big")
    return _verify(public, message, encode_dss_signature(r, s))


def verify_der(public: bytes, message: bytes, signature: bytes) -> bool:
    """Like `verify` for a signature in DER, as WebAuthn has it.

    OpenSSL refuses every other form of BER: it encodes anew what it read and compares.
    """
    return _verify(public, message, signature)


def _verify(public: bytes, message: bytes, der: bytes) -> bool:
    if len(public) != P256_PUBLIC_SIZE:
        return False
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public)
        point.verify(der, message, _VERIFYING)
    except (ValueError, Refused):  # ValueError: not a point of the curve
        return False
    return True


class P256Signer:
    """Signs with a private key given as its scalar, 32 bytes big-endian, in 1 … n - 1.

    Nonces are those of RFC 6979, so signing draws no randomness; where the linked OpenSSL (before
    3.2) has no such nonces, `sign` raises cryptography's UnsupportedAlgorithm. Hardware may draw
    its own.
    """

    __slots__ = ("_private", "key", "public")

    def __init__(self, scalar: bytes) -> None:
        if len(scalar) != SCALAR_SIZE:
            raise ValueError("a P-256 scalar is 32 bytes")
        self._private = ec.derive_private_key(int.from_bytes(scalar, "big"), _CURVE)
        self.public = self._private.public_key().public_bytes(
            Encoding.X962, PublicFormat.CompressedPoint
        )
        self.key = Key(SCHEME_P256, self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the signature as 64 bytes of r ‖ s."""
        r, s = decode_dss_signature(self.sign_der(message))
        return r.to_bytes(SCALAR_SIZE, "big") + s.to_bytes(SCALAR_SIZE, "big")

    def sign_der(self, message: bytes) -> bytes:
        """Return the signature in DER, as a WebAuthn authenticator would."""
        return self._private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
