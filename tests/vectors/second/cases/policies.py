"""Keys and policies: §2.4."""

from tests.vectors.second.cases.case import Case, accepted, key_of, refused, seeded
from tests.vectors.second.cases.encodings import P256_2G, P256_G
from tests.vectors.second.fields import Object
from tests.vectors.second.keys import P256, WEBAUTHN, Key, One, Policy, Threshold
from tests.vectors.second.msgpack import Value, encode

_NAMES = ("authority 1", "authority 2", "authority 3", "authority 4")


def ascending(*branches: tuple[int, Policy]) -> tuple[tuple[int, Policy], ...]:
    return tuple(sorted(branches, key=lambda branch: encode(branch[1].value)))


def one(name: str) -> One:
    return One(key_of(name))


def _bare(name: str) -> One:
    """A branch whose key is any 32 bytes: for policies of many keys, which nobody signs with."""
    return One(Key(1, seeded(name)))


def _keys() -> dict[str, Value]:
    ed25519 = key_of("authority 1").raw
    return {
        "Ed25519": (1, ed25519),
        "P-256, odd": (P256, bytes.fromhex(P256_G)),
        "P-256, another": (P256, bytes.fromhex(P256_2G)),
        "WebAuthn with Ed25519": (WEBAUTHN, b"\x01" + ed25519),
        "WebAuthn with P-256": (WEBAUTHN, b"\x02" + bytes.fromhex(P256_G)),
    }


def keys() -> list[Case]:
    ed25519, p256 = key_of("authority 1").raw, bytes.fromhex(P256_G)
    wrong: dict[str, Value] = {
        "scheme 0": (0, ed25519),
        "scheme 4": (4, ed25519),
        "Ed25519 of 31 bytes": (1, ed25519[:31]),
        "Ed25519 of 33 bytes": (1, ed25519 + b"\x00"),
        "P-256 of 32 bytes": (2, p256[:32]),
        "P-256 of 65 bytes, uncompressed": (2, b"\x04" + bytes(64)),
        "P-256 that begins with 4": (2, b"\x04" + p256[1:]),
        "WebAuthn without selector": (3, ed25519),
        "WebAuthn with selector 0": (3, b"\x00" + ed25519),
        "WebAuthn with selector 3": (3, b"\x03" + ed25519),
        "WebAuthn, EdDSA with a P-256 key": (3, b"\x01" + p256),
        "WebAuthn, ES256 with an Ed25519 key": (3, b"\x02" + ed25519),
        "WebAuthn of nothing": (3, b""),
    }
    shapes: dict[str, Value] = {
        "a surplus field": (1, ed25519, None),
        "a missing field": (1,),
        "scheme 256": (256, ed25519),
        "scheme true": (True, ed25519),
        "raw as a string": (1, "a" * 32),
        "not an array": ed25519,
    }
    cases = [accepted(name, "2.4", _hex(value)) for name, value in _keys().items()]
    cases += [refused(name, "2.4", _hex(value)) for name, value in wrong.items()]
    return cases + [refused(name, "1.3", _hex(value)) for name, value in shapes.items()]


def _hex(value: Value) -> Object:
    return {"hex": encode(value).hex()}


def _given(value: Value, *by: str) -> Object:
    return _hex(value) | {"by": [encode(key_of(name).value).hex() for name in by]}


def _nested(thresholds: int, inner: Policy) -> Policy:
    for level in range(thresholds):
        inner = Threshold(1, ascending((1, inner), (1, _bare(f"level {level}"))))
    return inner


def policies() -> list[Case]:
    first, second, third, fourth = map(one, _NAMES)
    two_of_three = Threshold(2, ascending((1, first), (1, second), (1, third)))
    weighted = Threshold(3, ascending((2, first), (1, second), (1, third)))
    nested = Threshold(2, ascending((1, two_of_three), (1, fourth)))
    many = Threshold(64, ascending(*((1, _bare(f"many {n}")) for n in range(64))))
    heavy = Threshold(65_535, ascending((65_535, first), (65_535, second)))
    kinds = Threshold(1, ascending((1, first), (1, One(Key(P256, bytes.fromhex(P256_G))))))
    cases = [
        accepted("one key, nobody signed", "2.4", _given(first.value)),
        accepted("one key, another signed", "2.4", _given(first.value, _NAMES[1])),
        accepted("one key, it signed", "2.4", _given(first.value, _NAMES[0])),
        accepted("two of three, one signed", "2.4", _given(two_of_three.value, _NAMES[0])),
        accepted("two of three, two signed", "2.4", _given(two_of_three.value, *_NAMES[1:3])),
        accepted("two of three, all signed", "2.4", _given(two_of_three.value, *_NAMES)),
        accepted("weights: 1 + 1 of 3", "2.4", _given(weighted.value, *_NAMES[1:3])),
        accepted("weights: 2 + 1 of 3", "2.4", _given(weighted.value, *_NAMES[:2])),
        accepted("nested, the inner alone", "2.4", _given(nested.value, *_NAMES[:2])),
        accepted("nested, both", "2.4", _given(nested.value, *_NAMES[1:])),
        accepted("64 keys", "2.4", _given(many.value)),
        accepted("largest weights", "2.4", _given(heavy.value, _NAMES[1])),
        accepted("keys of two schemes", "2.4", _given(kinds.value, _NAMES[0])),
        accepted("four thresholds above a key", "2.4", _given(_nested(4, first).value)),
    ]
    return cases + _refused_bounds() + _refused_shapes()


def _refused_bounds() -> list[Case]:
    first, second = one(_NAMES[0]), one(_NAMES[1])
    pair = ascending((1, first), (1, second))
    inner = Threshold(1, pair)
    listed: dict[str, Policy] = {
        "threshold 0": Threshold(0, pair),
        "threshold above the sum of the weights": Threshold(3, pair),
        "a weight of 0": Threshold(1, ascending((0, first), (1, second))),
        "no branch": Threshold(1, ()),
        "one branch": Threshold(1, ((1, first),)),
        "branches that descend": Threshold(1, pair[::-1]),
        "a branch twice": Threshold(1, (pair[0], pair[0])),
        "a key twice, in two branches": Threshold(2, ascending((1, first), (1, inner))),
        "five thresholds above a key": _nested(5, first),
        "65 keys": Threshold(1, ascending(*((1, _bare(f"many {n}")) for n in range(65)))),
        "a key of 31 bytes": One(Key(1, bytes(31))),
        "an unknown scheme inside": Threshold(
            1, ascending((1, first), (1, One(Key(9, bytes(32)))))
        ),
    }
    # A branch begins with its weight, but it is the policies behind the weights that ascend.
    by_weight = ((1, pair[1][1]), (2, pair[0][1]))
    listed["branches ascending by weight, not by policy"] = Threshold(1, by_weight)
    return [refused(name, "2.4", _given(value.value)) for name, value in listed.items()]


def _refused_shapes() -> list[Case]:
    key = key_of(_NAMES[0]).value
    pair = tuple((1, one(name).value) for name in sorted(_NAMES[:2]))
    listed: dict[str, Value] = {
        "an unknown tag": ("all/1", 1, pair),
        "a later tag": ("one/2", key),
        "a surplus field": ("one/1", key, None),
        "a missing field": ("one/1",),
        "no tag": (),
        "a tag that is a byte string": (b"one/1", key),
        "the key's fields without their array": ("one/1", 1, seeded("x")),
        "a branch of three fields": ("any/1", 1, ((*pair[0], 0), pair[1])),
        "threshold 65,536": ("any/1", 65_536, pair),
        "threshold as a string": ("any/1", "1", pair),
        "branches that are no array": ("any/1", 1, None),
    }
    return [refused(name, "1.3", _given(value)) for name, value in listed.items()]
