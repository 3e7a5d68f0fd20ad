"""Signatures over transactions, evidence and lock signatures, by Ed25519 keys: §3, §4.4."""

from tests.vectors.second import ed25519
from tests.vectors.second.cases import ledger
from tests.vectors.second.cases.case import Case, accepted, key_of, refused, seeded
from tests.vectors.second.fields import Object
from tests.vectors.second.keys import ED25519
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.signatures import (
    evidence_digest,
    lock_signature_digest,
    transaction_digest,
)

_BODY = encode(("enrolment/1", "a body"))
_META: Value = ("meta/1", ED25519, 1)
_CLAUSES = {"transaction": "3.1", "evidence": "3.2", "lock": "4.4"}


def signatures() -> list[Case]:
    cases = []
    for kind, clause in _CLAUSES.items():
        cases.append(accepted(f"{kind}: good", clause, _given(kind)))
        cases += _refused(kind, clause)
    seal_all = ("meta/1", ED25519, 65_535)
    return [
        *cases,
        accepted("transaction: another platform", "3.1", _given("transaction", meta=seal_all)),
        *_refused_metas(),
        *_refused_shapes(),
    ]


def _digest(kind: str, network: bytes, over: bytes, meta: Value = _META) -> bytes:
    if kind == "transaction":
        return transaction_digest(network, over, meta)
    return {"evidence": evidence_digest, "lock": lock_signature_digest}[kind](network, over)


def _value(kind: str, key: Value, raw: Value, meta: Value = _META) -> Value:
    return {
        "transaction": ("signature/1", key, meta, raw),
        "evidence": ("evidence/1", key, raw),
        "lock": (key, raw),
    }[kind]


def _over(kind: str) -> bytes:
    return _BODY if kind == "evidence" else ledger.SPEND.id()


def _raw(kind: str, meta: Value = _META) -> bytes:
    return ed25519.sign(seeded("signer"), _digest(kind, ledger.NETWORK, _over(kind), meta))


def _given(
    kind: str, raw: Value = None, key: Value = None, meta: Value = _META, over: bytes | None = None
) -> Object:
    value = _value(kind, key or key_of("signer").value, raw or _raw(kind, meta), meta)
    return {
        "kind": kind,
        "network": ledger.NETWORK.hex(),
        "over": (over or _over(kind)).hex(),
        "hex": encode(value).hex(),
    }


def _refused(kind: str, clause: str) -> list[Case]:
    raw = _raw(kind)
    scalar = int.from_bytes(raw[32:], "little") + ed25519.L
    # The neutral point as key, R = B, S = 1: holds for every message, unless the check is strict.
    neutral = (1).to_bytes(32, "little")
    by_nobody = ed25519.public_key_of_scalar(1) + neutral
    other_kind = next(name for name in _CLAUSES if name != kind)
    foreign = ed25519.sign(seeded("signer"), _digest(other_kind, ledger.NETWORK, _over(kind)))
    naked = ed25519.sign(seeded("signer"), ledger.NETWORK + _over(kind))
    listed: dict[str, Object] = {
        "a bit of R flipped": _given(kind, bytes([raw[0] ^ 1]) + raw[1:]),
        "a bit of S flipped": _given(kind, raw[:32] + bytes([raw[32] ^ 1]) + raw[33:]),
        "S plus the order": _given(kind, raw[:32] + scalar.to_bytes(32, "little")),
        "another key": _given(kind, key=key_of("another signer").value),
        "over something else": _given(kind, over=seeded("something else")),
        "in another network": _given(kind) | {"network": seeded("another network").hex()},
        f"the digest of {other_kind}": _given(kind, foreign),
        "the bytes and not their hash": _given(kind, naked),
        "a key of small order": _given(kind, by_nobody, (ED25519, neutral)),
        "a key that is no point": _given(kind, key=(ED25519, (2).to_bytes(32, "little"))),
    }
    notes = {"a key of small order": "As libsodium and verify_strict: any message has a signature."}
    return [
        refused(f"{kind}: {name}", clause, given, notes.get(name)) for name, given in listed.items()
    ]


def _refused_metas() -> list[Case]:
    signed = _raw("transaction")
    other: Value = ("meta/1", ED25519, 2)
    scheme: Value = ("meta/1", 2, 1)
    metas: dict[str, Value] = {
        "a later meta": ("meta/2", ED25519, 1),
        "a meta of one field": ("meta/1", ED25519),
        "a meta of three fields": ("meta/1", ED25519, 1, 0),
        "platform 65,536": ("meta/1", ED25519, 65_536),
    }
    wrong_key: Value = (ED25519, bytes(31))
    return [
        refused("transaction: a meta of another scheme", "3.1", _given("transaction", meta=scheme)),
        refused("transaction: another meta", "3.1", _given("transaction", signed, meta=other)),
        refused("transaction: a key of 31 bytes", "2.4", _given("transaction", key=wrong_key)),
        *(
            refused(f"transaction: {name}", "1.3", _given("transaction", meta=meta))
            for name, meta in metas.items()
        ),
    ]


def _refused_shapes() -> list[Case]:
    key, raw = key_of("signer").value, _raw("transaction")
    shapes: dict[str, tuple[str, Value]] = {
        "a later tag": ("transaction", ("signature/2", key, _META, raw)),
        "a surplus field": ("transaction", ("signature/1", key, _META, raw, 0)),
        "a missing field": ("transaction", ("signature/1", key, raw)),
        "raw as text": ("transaction", ("signature/1", key, _META, "a" * 64)),
    }
    cases = [
        refused(f"{kind}: {name}", "1.3", _given(kind) | {"hex": encode(value).hex()})
        for name, (kind, value) in shapes.items()
    ]
    for kind, clause in _CLAUSES.items():
        cut = "1.3" if kind == "lock" else clause
        cases.append(refused(f"{kind}: 63 bytes", cut, _given(kind, _raw(kind)[:63])))
        cases.append(refused(f"{kind}: 65 bytes", cut, _given(kind, _raw(kind) + b"\x00")))
        whole = str(_given(kind)["hex"])
        cases.append(
            refused(f"{kind}: a trailing byte", "1.2", _given(kind) | {"hex": whole + "00"})
        )
    return cases
