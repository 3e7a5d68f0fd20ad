"""What each vector file asks: one function a file, from a vector's input to what is expected."""

import hashlib
from collections.abc import Callable

from tests.vectors.second import (
    components,
    digests,
    merkle,
    reading,
    receipt,
    signatures,
    spending,
)
from tests.vectors.second.fields import (
    Json,
    Object,
    as_number,
    as_object,
    as_text,
    bytes_of,
    hexes,
    json_of,
    list_of,
    number_of,
    text_of,
    unhex,
)
from tests.vectors.second.keys import (
    Key,
    keys_of,
    policy_digest,
    read_did,
    read_key,
    read_policy,
    satisfied,
)
from tests.vectors.second.messages import check_request, read_message
from tests.vectors.second.msgpack import decode, encode
from tests.vectors.second.note import read_verifier_key
from tests.vectors.second.refusal import Refused, require
from tests.vectors.second.tearoff import Verified, read_tearoff, verify_structure, verify_tearoff
from tests.vectors.second.transaction import Component, Hidden, Sealed, Transaction


def encoding(given: Object) -> Object:
    value = decode(bytes_of(given, "hex"))
    return {"value": json_of(value)}


def digest(given: Object) -> Object:
    return {"hex": _DIGESTS[text_of(given, "function")](given).hex()}


_DIGESTS: dict[str, Callable[[Object], bytes]] = {
    "H": lambda given: digests.tagged_hash(text_of(given, "tag"), bytes_of(given, "x")),
    "HKDF": lambda given: digests.hkdf(
        bytes_of(given, "secret"), bytes_of(given, "context"), text_of(given, "tag")
    ),
    "network id": lambda given: digests.network_id(
        read_key(decode(bytes_of(given, "key"))).value, text_of(given, "name")
    ),
    "parameters id": lambda given: hashlib.sha256(bytes_of(given, "parameters")).digest(),
    "spender": lambda given: digests.spender(bytes_of(given, "transaction")),
}


def did(given: Object) -> Object:
    return _key(read_did(text_of(given, "did")))


def key(given: Object) -> Object:
    return _key(read_key(decode(bytes_of(given, "hex"))))


def _key(found: Key) -> Object:
    return {"scheme": found.scheme, "raw": found.raw.hex()}


def policy(given: Object) -> Object:
    found = read_policy(decode(bytes_of(given, "hex")))
    by = frozenset(read_key(decode(unhex(as_text(one)))) for one in list_of(given, "by"))
    return {
        "digest": policy_digest(found).hex(),
        "keys": [encode(one.value).hex() for one in keys_of(found)],
        "satisfied": satisfied(found, by),
    }


def header(given: Object) -> Object:
    counts = components.read_header(bytes_of(given, "hex"))
    return {"counts": list(counts), "leaves": 1 + sum(counts)}


def component(given: Object) -> Object:
    counts = tuple(map(as_number, list_of(given, "counts"))) if "counts" in given else None
    group = components.GROUPS.index(text_of(given, "group"))
    return {"value": json_of(components.read_component(group, bytes_of(given, "hex"), counts))}


def transaction(given: Object) -> Object:
    built = read_transaction(given)
    return {
        "header": components.header_bytes(built.counts).hex(),
        "leaf_hashes": hexes(built.leaf_hashes()),
        "id": built.id().hex(),
    }


def read_transaction(given: Object) -> Transaction:
    groups = as_object(given["groups"])
    listed = (list_of(groups, name) for name in components.GROUPS)
    return Transaction(
        bytes_of(given, "salt"), tuple(tuple(map(_component, group)) for group in listed)
    )


def _component(given: Json) -> Component:
    if isinstance(given, str):
        return unhex(given)
    fields = as_object(given)
    if "leaf_hash" in fields:
        return Hidden(bytes_of(fields, "leaf_hash"))
    return Sealed(bytes_of(fields, "nonce"), bytes_of(fields, "component"))


def tearoff(given: Object) -> Object:
    found = verify_tearoff(read_tearoff(decode(bytes_of(given, "hex"))))
    return {
        "id": found.id.hex(),
        "counts": list(found.counts),
        "complete": _complete(found),
        "shown": [
            {
                "position": one.position,
                "group": components.GROUPS[one.group],
                "index": one.index,
                "nonce": one.nonce.hex(),
                "component": one.component.hex(),
            }
            for one in found.shown
        ],
    }


def _complete(found: Verified) -> list[Json]:
    return [name for group, name in enumerate(components.GROUPS) if found.complete(group)]


def structure(given: Object) -> Object:
    found = verify_structure(read_tearoff(decode(bytes_of(given, "hex"))))
    return {"id": found.id.hex(), "complete": _complete(found)}


def multiproof(given: Object) -> Object:
    shown = {number_of(one, "position"): bytes_of(one, "leaf_hash") for one in _shown(given)}
    proof = [unhex(as_text(one)) for one in list_of(given, "proof")]
    return {"root": merkle.root_of_multiproof(number_of(given, "size"), shown, proof).hex()}


def _shown(given: Object) -> list[Object]:
    return [as_object(one) for one in list_of(given, "shown")]


def lock(given: Object) -> Object:
    own = spending.own_lock(bytes_of(given, "secret"), bytes_of(given, "label"))
    return {
        "seed": own.seed.hex(),
        "public_key": own.policy.key.raw.hex(),
        "salt": own.salt.hex(),
        "policy": encode(own.policy.value).hex(),
        "policy_digest": policy_digest(own.policy).hex(),
        "lock": encode(own.value).hex(),
    }


def nullifier(given: Object) -> Object:
    ref = (bytes_of(given, "transaction"), number_of(given, "index"))
    found = spending.nullifier(bytes_of(given, "salt"), ref)
    require(found.hex() == text_of(given, "nullifier"), "4.5", "the nullifier of another state")
    return {"nullifier": found.hex()}


def opening(given: Object) -> Object:
    ref = (bytes_of(given, "transaction"), number_of(given, "index"))
    spends = text_of(given, "kind") == "spend"
    found = spending.check_opening(decode(bytes_of(given, "hex")), ref, spends=spends)
    return {
        "at": found.at,
        "label": found.label.hex(),
        "policy_digest": found.digest_of_policy.hex(),
        "nullifier": spending.nullifier(found.salt, ref).hex(),
    }


def signature(given: Object) -> Object:
    check, digest_of = _SIGNATURES[text_of(given, "kind")]
    network, over = bytes_of(given, "network"), bytes_of(given, "over")
    value = decode(bytes_of(given, "hex"))
    found = check(value, network, over)
    if digest_of is not None:
        return {"key": _key(found), "digest": digest_of(network, over).hex()}
    meta = value[2] if isinstance(value, tuple) else None
    return {
        "key": _key(found),
        "digest": signatures.transaction_digest(network, over, meta).hex(),
    }


_SIGNATURES = {
    "transaction": (signatures.check_signature, None),
    "evidence": (signatures.check_evidence, signatures.evidence_digest),
    "lock": (signatures.check_lock_signature, signatures.lock_signature_digest),
}


def entry(given: Object) -> Object:
    found = receipt.read_entry(bytes_of(given, "hex"))
    return {
        "transaction": found.tx.hex(),
        "time": found.time,
        "nullifiers": hexes(found.nullifiers),
        "extra": found.extra.hex(),
        "leaf_hash": merkle.leaf_hash(found.line).hex(),
    }


def receipt_text(given: Object) -> Object:
    trust = receipt.Trust(
        text_of(given, "origin"),
        read_verifier_key(text_of(given, "log")),
        read_verifier_key(text_of(given, "cosigner")),
    )
    tx = bytes_of(given, "transaction")
    found = receipt.check_receipt(text_of(given, "text"), tx, trust)
    return {
        "index": found.index,
        "size": found.size,
        "root": found.root.hex(),
        "time": found.entry.time,
        "nullifiers": hexes(found.entry.nullifiers),
        "cosigned_at": found.cosigned_at,
    }


def request(given: Object) -> Object:
    found = check_request(decode(bytes_of(given, "hex")), bytes_of(given, "network"))
    return {"transaction": found.transaction.hex(), "nullifiers": hexes(found.nullifiers)}


def message(given: Object) -> Object:
    value = decode(bytes_of(given, "hex"))
    return {"tag": read_message(value), "value": json_of(value)}


def liveness(given: Object) -> Object:
    found = receipt.check_liveness(decode(bytes_of(given, "hex")), bytes_of(given, "log_key"))
    return {
        "network": found.network.hex(),
        "notary": found.notary,
        "nullifier": found.nullifier.hex(),
        "size": found.size,
        "root": found.root.hex(),
        "at": found.at,
        "live": found.live,
        "digest": receipt.liveness_digest(encode(found.value)).hex(),
    }


def _restored(found: reading.Restored | None) -> Json:
    if found is None:
        return None
    return {"epoch": found.epoch.hex(), "at": found.at, "after": found.after}


def reported(given: Object) -> Object:
    value, party = decode(bytes_of(given, "hex")), text_of(given, "organisation")
    found = reading.check_reported(value, party, bytes_of(given, "log_key"))
    return {
        "chain": found.entry.chain.hex(),
        "number": found.entry.number,
        "previous": found.entry.previous.hex(),
        "restored": _restored(found.entry.restored),
        "digest": found.digest.hex(),
        "index": found.index,
        "origin": found.origin,
        "size": found.size,
        "root": found.root.hex(),
    }


def head(given: Object) -> Object:
    value, party = decode(bytes_of(given, "hex")), text_of(given, "organisation")
    found = reading.check_head(value, bytes_of(given, "network"), party, bytes_of(given, "log_key"))
    return {
        "chain": found.chain.hex(),
        "number": found.number,
        "digest": found.digest.hex(),
        "day": found.day,
        "at": found.at,
        "restored": _restored(found.restored),
    }


OPERATIONS: dict[str, Callable[[Object], Object]] = {
    "encodings": encoding,
    "digests": digest,
    "dids": did,
    "keys": key,
    "policies": policy,
    "headers": header,
    "components": component,
    "transactions": transaction,
    "tearoffs": tearoff,
    "structures": structure,
    "multiproofs": multiproof,
    "locks": lock,
    "nullifiers": nullifier,
    "openings": opening,
    "signatures": signature,
    "requests": request,
    "messages": message,
    "entries": entry,
    "receipts": receipt_text,
    "liveness": liveness,
    "readings": reported,
    "heads": head,
}


def evaluate(file: str, given: Object) -> Object:
    """Outcome, and what is expected or the sentence with which the input is refused."""
    try:
        return {"outcome": "accepted", "expected": OPERATIONS[file](given)}
    except Refused as refused:
        return {"outcome": "refused", "clause": refused.clause, "why": refused.why}
