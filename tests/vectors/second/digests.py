"""Hashes and derived keys, each under a tag of its own (§1.4, §3.4, §4.6)."""

import hashlib
import hmac

from tests.vectors.second.msgpack import Value, encode


def tagged_hash(tag: str, data: bytes) -> bytes:
    """H("tag", data) (§1.4)."""
    return hashlib.sha256(_domain(tag) + data).digest()


def hkdf(secret: bytes, context: bytes, tag: str) -> bytes:
    """HKDF(secret, context, "tag"): RFC 5869, one block of SHA-256 (§1.4)."""
    extracted = hmac.digest(context or bytes(32), secret, "sha256")
    return hmac.digest(extracted, _domain(tag) + b"\x01", "sha256")


def _domain(tag: str) -> bytes:
    return f"carecord/{tag}/1".encode("ascii") + b"\x00"


def network_id(founding_key: Value, name: str) -> bytes:
    """The network's id (§3.4)."""
    return tagged_hash("network", encode(founding_key) + name.encode())


def spender(transaction: bytes) -> bytes:
    """How a conflict names a spender (§4.6)."""
    return tagged_hash("spender", transaction)
