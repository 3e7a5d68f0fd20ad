"""A public key as the ledger names it: a scheme and its raw bytes (architecture §2.4)."""

import msgspec

SCHEME_ED25519 = 1
SCHEME_P256 = 2
SCHEME_WEBAUTHN = 3
# Ids 4 to 255 are free, so that another scheme (ML-DSA, say) can join without a new `Key`.

ED25519_PUBLIC_SIZE = 32
P256_PUBLIC_SIZE = 33  # SEC 1, compressed

WEBAUTHN_EDDSA = (
    1  # first byte of a WebAuthn key: which COSE algorithm the credential signs with (-8)
)
WEBAUTHN_ES256 = 2  # (-7)

_SCHEME_OF_SELECTOR = {WEBAUTHN_EDDSA: SCHEME_ED25519, WEBAUTHN_ES256: SCHEME_P256}
_COMPRESSED = (2, 3)  # SEC 1 §2.3.3: the parity of y


class Key(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True):
    """A public key; hashable, ordered by (scheme, raw).

    `raw` is, by scheme: Ed25519 32 bytes; P-256 a compressed point of 33 bytes; WebAuthn one byte
    of algorithm selector and the public key of that algorithm. Raises ValueError for an unknown
    scheme and for a form that the scheme does not have. Whether the bytes are a point of the curve
    is found when a signature is verified: a key that is not verifies nothing.
    """

    scheme: int
    raw: bytes

    def __post_init__(self) -> None:
        if self.scheme == SCHEME_ED25519:
            if len(self.raw) != ED25519_PUBLIC_SIZE:
                raise ValueError("an Ed25519 key is 32 bytes")
        elif self.scheme == SCHEME_P256:
            _require_compressed(self.raw)
        elif self.scheme == SCHEME_WEBAUTHN:
            _require_webauthn(self.raw)
        else:
            raise ValueError(f"{self.scheme} is no known signature scheme")

    @property
    def public_key(self) -> tuple[int, bytes]:
        """The algorithm (SCHEME_ED25519 or SCHEME_P256) and its public key.

        One private key may stand behind two `Key`s, one of them a WebAuthn credential; this is
        equal for both.
        """
        if self.scheme == SCHEME_WEBAUTHN:
            return _SCHEME_OF_SELECTOR[self.raw[0]], self.raw[1:]
        return self.scheme, self.raw


def _require_compressed(point: bytes) -> None:
    if len(point) != P256_PUBLIC_SIZE or point[0] not in _COMPRESSED:
        raise ValueError("a P-256 key is a compressed point of 33 bytes")


def _require_webauthn(raw: bytes) -> None:
    selector = raw[0] if raw else 0
    if selector == WEBAUTHN_EDDSA:
        if len(raw) != 1 + ED25519_PUBLIC_SIZE:
            raise ValueError("a WebAuthn EdDSA key is a selector and 32 bytes")
    elif selector == WEBAUTHN_ES256:
        _require_compressed(raw[1:])
    else:
        raise ValueError(f"{selector} is no known WebAuthn algorithm")
