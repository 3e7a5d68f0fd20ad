"""Domain-separated SHA-256 (specification §1.4)."""

import hmac
from functools import lru_cache
from hashlib import sha256

HASH_SIZE = 32


@lru_cache(256)  # names are constants of the code
def domain(name: str) -> bytes:
    """Return the prefix that keeps one use of a hash or signature apart from every other."""
    return b"carecord/" + name.encode("ascii") + b"/1\0"


def tagged_hash(name: str, *parts: bytes) -> bytes:
    """H(name, parts): SHA-256 over the domain text and the parts, in order."""
    digest = sha256(domain(name))
    for part in parts:
        digest.update(part)
    return digest.digest()


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def hkdf(secret: bytes, context: bytes, purpose: str, length: int = HASH_SIZE) -> bytes:
    """HKDF-SHA-256 (RFC 5869) with `context` as the salt and the domain text of `purpose` as the info.

    `length` is at most 8,160 bytes.
    """
    key = hmac_sha256(context or bytes(HASH_SIZE), secret)
    block, out, counter = b"", b"", 1
    while len(out) < length:
        block = hmac_sha256(key, block + domain(purpose) + bytes([counter]))
        out += block
        counter += 1
    return out[:length]
