"""What is signed, and Ed25519 signatures over it (§3.1, §3.2, §4.4)."""

from tests.vectors.second import ed25519, shapes
from tests.vectors.second.digests import tagged_hash
from tests.vectors.second.keys import ED25519, Key, read_key
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.refusal import require


def transaction_digest(network: bytes, transaction: bytes, meta: Value) -> bytes:
    """What a transaction signature is over (§3.1)."""
    return tagged_hash("signature", network + transaction + encode(meta))


def evidence_digest(network: bytes, body: bytes) -> bytes:
    """What evidence is over (§3.2)."""
    return tagged_hash("evidence", network + body)


def lock_signature_digest(network: bytes, transaction: bytes) -> bytes:
    """What a lock signature is over (§4.4)."""
    return tagged_hash("lock-signature", network + transaction)


def check_signature(value: Value, network: bytes, transaction: bytes) -> Key:
    """`signature/1{Key, meta/1{scheme u8, platform u16}, raw bytes}` (§3.1)."""
    key_value, meta, raw = shapes.tagged(value, "signature/1", 3)
    key = read_key(key_value)
    scheme_value, platform = shapes.tagged(meta, "meta/1", 2)
    scheme = shapes.integer(scheme_value, shapes.U8)
    shapes.integer(platform, shapes.U16)
    require(scheme == key.scheme, "3.1", "a meta of another scheme than the key's")
    _verify(key, transaction_digest(network, transaction, meta), shapes.blob(raw), "3.1")
    return key


def check_evidence(value: Value, network: bytes, body: bytes) -> Key:
    """`evidence/1{Key, raw}` (§3.2)."""
    key_value, raw = shapes.tagged(value, "evidence/1", 2)
    key = read_key(key_value)
    _verify(key, evidence_digest(network, body), shapes.blob(raw), "3.2")
    return key


def check_lock_signature(value: Value, network: bytes, transaction: bytes) -> Key:
    """`{Key, b64}` (§4.4)."""
    key_value, raw = shapes.untagged(value, 2)
    key = read_key(key_value)
    _verify(key, lock_signature_digest(network, transaction), shapes.exactly(raw, 64), "4.4")
    return key


def _verify(key: Key, digest: bytes, raw: bytes, clause: str) -> None:
    require(key.scheme == ED25519, clause, "a scheme that this implementation does not check")
    require(ed25519.verify(key.raw, digest, raw), clause, "a signature that does not verify")
