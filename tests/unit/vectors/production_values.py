"""What the ledger's own code says to a vector about values: bytes, hashes, keys, components, trees, locks."""

from typing import cast

import msgspec

from states.builder import HiddenSeal, OpenSeal, TransactionDraft, build
from states.crypto.did import key_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.hashes import hkdf, tagged_hash
from states.crypto.keys import Key
from states.crypto.merkle import root_from_hashes
from states.crypto.policy import One, Policy, PolicyCodec, is_satisfied, policy_digest
from states.encoding import Codec, encode
from states.errors import InvalidProof, MalformedBytes
from states.groups import Group, header_bytes, layout_of
from states.identity import Party
from states.lock import (
    LOCK,
    ReferOpening,
    SpendOpening,
    check_opening,
    lock_salt,
    lock_seed,
    make_lock,
    nullifier,
)
from states.notarisation import spender_hash
from states.parameters import network_id, parameters_id
from states.sealed import Place, Sealed
from states.state import StateRef, TransactionId
from states.tearoff import NONCE_SIZE, TEAROFF, FilteredTransaction, open_tearoff
from states.timewindow import TimeWindow
from tests.vectors.second.components import GROUPS
from tests.vectors.second.fields import (
    Json,
    Object,
    as_object,
    as_text,
    bytes_of,
    hexes,
    list_of,
    number_of,
    text_of,
    unhex,
)

# One decoder cannot hold both kinds of string, so two hold all that a field of the ledger may be.
Part = bool | int | str | tuple[msgspec.Raw, ...] | None
PART: Codec[Part] = Codec(cast("type[Part]", Part), "value", 1 << 17)
BYTES = Codec(bytes, "byte string", 1 << 17)
KEY = Codec(Key, "key", 64)
SPEND = Codec(SpendOpening, "opening")
REFER = Codec(ReferOpening, "opening")


def json_of(value: object) -> Json:
    """A decoded value as vectors write it."""
    if isinstance(value, tuple | list):
        return [json_of(one) for one in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    assert value is None or isinstance(value, bool | int | str)
    return value


def fields_of(value: object) -> Json:
    """A value of one of the ledger's types, as its bytes have it."""
    return json_of(msgspec.msgpack.decode(encode(value)))


def encoding(given: Object) -> Object:
    return {"value": _read(bytes_of(given, "hex"))}


def _read(data: bytes) -> Json:
    """Read an array's items one by one, each strictly; raises MalformedBytes."""
    try:
        found = PART.decode(data)
    except MalformedBytes:
        return json_of(BYTES.decode(data))
    return [_read(bytes(item)) for item in found] if isinstance(found, tuple) else found


def digest(given: Object) -> Object:
    match text_of(given, "function"):
        case "H":
            found = tagged_hash(text_of(given, "tag"), bytes_of(given, "x"))
        case "HKDF":
            secret, context = bytes_of(given, "secret"), bytes_of(given, "context")
            found = hkdf(secret, context, text_of(given, "tag"))
        case "network id":
            found = network_id(KEY.decode(bytes_of(given, "key")), text_of(given, "name"))
        case "parameters id":
            found = parameters_id(bytes_of(given, "parameters"))
        case "spender":
            found = spender_hash(TransactionId(bytes_of(given, "transaction")))
        case other:
            raise AssertionError(other)
    return {"hex": found.hex()}


def key_fields(found: Key) -> Object:
    return {"scheme": found.scheme, "raw": found.raw.hex()}


def did(given: Object) -> Object:
    return key_fields(key_of(text_of(given, "did")))


def key(given: Object) -> Object:
    return key_fields(KEY.decode(bytes_of(given, "hex")))


def policy(given: Object) -> Object:
    found = PolicyCodec.decode(bytes_of(given, "hex"))
    by = frozenset(KEY.decode(unhex(as_text(one))) for one in list_of(given, "by"))
    return {
        "digest": policy_digest(found).hex(),
        "keys": [encode(one).hex() for one in _keys_in_order(found)],
        "satisfied": is_satisfied(found, by),
    }


def _keys_in_order(found: Policy) -> list[Key]:
    if isinstance(found, One):
        return [found.key]
    return [one for branch in found.branches for one in _keys_in_order(branch.policy)]


def header(given: Object) -> Object:
    layout = layout_of(bytes_of(given, "hex"))
    return {"counts": list(layout.counts), "leaves": layout.size}


class RawDraft(TransactionDraft, frozen=True):
    """A draft whose components are any bytes: what they say plays no part in leaves and id."""

    raw: tuple[tuple[bytes, ...], ...] = ()

    def components(self) -> tuple[tuple[bytes, ...], ...]:
        return self.raw


def transaction(given: Object) -> Object:
    groups = as_object(given["groups"])
    listed = [list_of(groups, name) for name in GROUPS]
    draft = RawDraft(
        Party(""),
        TimeWindow(0, 1),
        b"",
        sealed=tuple(map(_seal, list_of(groups, "sealed"))),
        raw=tuple(
            tuple(_raw(name, one) for one in group)
            for name, group in zip(GROUPS, listed, strict=True)
        ),
    )
    built = build(draft, bytes_of(given, "salt"))
    counts = tuple(map(len, draft.raw))
    return {
        "header": header_bytes(counts).hex(),
        "leaf_hashes": hexes(built.hashes),
        "id": built.id.hex(),
    }


def _raw(group: str, given: Json) -> bytes:
    if isinstance(given, str):
        return unhex(given)
    if group != "sealed":
        raise ValueError("a draft has no place for a nonce or a hash outside the seals")
    fields = as_object(given)
    return b"" if "leaf_hash" in fields else bytes_of(fields, "component")


_ANY_SEAL = Sealed(("custodian",), Place(0, 0), b"\x90")


def _seal(given: Json) -> OpenSeal | HiddenSeal:
    if isinstance(given, str):
        raise ValueError("a draft has no place for a seal without a nonce")  # noqa: TRY004
    fields = as_object(given)
    if "leaf_hash" in fields:
        return HiddenSeal(bytes_of(fields, "leaf_hash"))
    return OpenSeal(_ANY_SEAL, bytes_of(fields, "nonce"))


def complete(found: FilteredTransaction) -> list[Json]:
    return [name for group, name in zip(Group, GROUPS, strict=True) if found.is_complete(group)]


def tearoff(given: Object) -> Object:
    torn = TEAROFF.decode(bytes_of(given, "hex"))
    found = open_tearoff(torn)
    shown: list[Json] = []
    for position, leaf in zip(torn.positions[1:], torn.leaves[1:], strict=True):
        group, index = found.layout.place(position)
        shown.append(
            {
                "position": position,
                "group": GROUPS[group],
                "index": index,
                "nonce": leaf[:NONCE_SIZE].hex(),
                "component": leaf[NONCE_SIZE + 1 :].hex(),
            }
        )
    counts = list[Json](found.counts)
    return {"id": found.id.hex(), "counts": counts, "complete": complete(found), "shown": shown}


def multiproof(given: Object) -> Object:
    shown = [as_object(one) for one in list_of(given, "shown")]
    positions = tuple(number_of(one, "position") for one in shown)
    hashes = [bytes_of(one, "leaf_hash") for one in shown]
    proof = b"".join(unhex(as_text(one)) for one in list_of(given, "proof"))
    return {"root": root_from_hashes(number_of(given, "size"), positions, hashes, proof).hex()}


def lock(given: Object) -> Object:
    secret, label = bytes_of(given, "secret"), bytes_of(given, "label")
    seed, salt = lock_seed(secret, label), lock_salt(secret, label)
    policy_of_lock = One(Ed25519Signer(seed).key)
    return {
        "seed": seed.hex(),
        "public_key": policy_of_lock.key.raw.hex(),
        "salt": salt.hex(),
        "policy": encode(policy_of_lock).hex(),
        "policy_digest": policy_digest(policy_of_lock).hex(),
        "lock": encode(make_lock(label, salt, policy_of_lock)).hex(),
    }


def _ref(given: Object) -> StateRef:
    return StateRef(TransactionId(bytes_of(given, "transaction")), number_of(given, "index"))


def nullifier_of(given: Object) -> Object:
    found = nullifier(bytes_of(given, "salt"), _ref(given)).hex()
    if found != text_of(given, "nullifier"):  # as a verifier compares it with a receipt's
        raise InvalidProof("nullifier", "of another state")
    return {"nullifier": found}


def opening(given: Object) -> Object:
    data, ref = bytes_of(given, "hex"), _ref(given)
    found: SpendOpening | ReferOpening
    if text_of(given, "kind") == "spend":
        found = SPEND.decode(data)
        digest_of_policy = policy_digest(found.policy)
    else:
        found = REFER.decode(data)
        digest_of_policy = found.policy_digest
    check_opening(found, ref)
    shown = LOCK.decode(found.shown.leaves[1][NONCE_SIZE + 1 :])
    return {
        "at": found.at,
        "label": shown.label.hex(),
        "policy_digest": digest_of_policy.hex(),
        "nullifier": nullifier(found.salt, ref).hex(),
    }
