"""Hashes and derived keys, each under a tag of its own (§1.4, §3.4, §4.6)."""

import hashlib
import hmac

from tests.vectors.second.msgpack import Value, encode


def tagged_hash(tag: str, data: bytes) -> bytes:
    """H("tag", data) (§1.4)."""
    return hashlib.sha256(_domain(tag) + data).digest()


def hkdf(secret: bytes, context: bytes, tag: str) -> bytes:
    """HKDF(secret, context, "tag") (§1.4)."""
    return rfc5869(secret, context, _domain(tag))


def rfc5869(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF with SHA-256, its first 32 bytes (RFC 5869 §2)."""
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _domain(tag: str) -> bytes:
    return f"carecord/{tag}/1".encode("ascii") + b"\x00"


def network_id(founding_key: Value, name: str) -> bytes:
    """The network's id (§3.4)."""
    return tagged_hash("network", encode(founding_key) + name.encode())


def spender(transaction: bytes) -> bytes:
    """How a conflict names a spender (§4.6)."""
    return tagged_hash("spender", transaction)
