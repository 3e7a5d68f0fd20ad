"""Public keys, composite policies and did:key names (§1.5, §2.4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.vectors.second import shapes
from tests.vectors.second.digests import tagged_hash
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.refusal import Refused, require

ED25519, P256, WEBAUTHN = 1, 2, 3
MOST_KEYS, MOST_THRESHOLDS = 64, 4
_LENGTHS = {ED25519: 32, P256: 33}
_SELECTED = {1: ED25519, 2: P256}  # a WebAuthn key's first byte: EdDSA, ES256
_MULTICODEC = {ED25519: b"\xed\x01", P256: b"\x80\x24"}
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True)
class Key:
    """`{scheme u8, raw bytes}` (§2.4)."""

    scheme: int
    raw: bytes

    @property
    def value(self) -> Value:
        return (self.scheme, self.raw)


@dataclass(frozen=True)
class One:
    """`one/1{Key}` (§2.4)."""

    key: Key

    @property
    def value(self) -> Value:
        return ("one/1", self.key.value)


@dataclass(frozen=True)
class Threshold:
    """`any/1{threshold u16, ({weight u16, Policy}, …)}` (§2.4)."""

    threshold: int
    branches: tuple[tuple[int, "Policy"], ...]

    @property
    def value(self) -> Value:
        branches = tuple((weight, policy.value) for weight, policy in self.branches)
        return ("any/1", self.threshold, branches)


Policy = One | Threshold


def read_key(value: Value) -> Key:
    """A key of a known scheme and of that scheme's length (§2.4)."""
    scheme_value, raw_value = shapes.untagged(value, 2)
    scheme, raw = shapes.integer(scheme_value, shapes.U8), shapes.blob(raw_value)
    if scheme == WEBAUTHN:
        require(raw[:1] in {b"\x01", b"\x02"}, "2.4", "a WebAuthn key without its selector byte")
        _check_raw(_SELECTED[raw[0]], raw[1:])
    else:
        _check_raw(scheme, raw)
    return Key(scheme, raw)


def _check_raw(scheme: int, raw: bytes) -> None:
    require(scheme in _LENGTHS, "2.4", "an unknown scheme")
    require(len(raw) == _LENGTHS[scheme], "2.4", "a key of the wrong length")
    if scheme == P256:
        require(raw[0] in {2, 3}, "2.4", "a P-256 key that is not compressed")


def read_policy(value: Value) -> Policy:
    """A policy that keeps every bound of §2.4."""
    policy = _read_policy(value, 0)
    keys = list(keys_of(policy))
    require(len(keys) <= MOST_KEYS, "2.4", "more than 64 keys")
    require(len(set(keys)) == len(keys), "2.4", "a public key twice")
    return policy


def _read_policy(value: Value, above: int) -> Policy:
    if shapes.tag_of(value) == "one/1":
        (key,) = shapes.tagged(value, "one/1", 1)
        return One(read_key(key))
    threshold_value, branches_value = shapes.tagged(value, "any/1", 2)
    require(above < MOST_THRESHOLDS, "2.4", "more than four thresholds above a key")
    threshold = shapes.integer(threshold_value, shapes.U16)
    branches = tuple(_read_branch(one, above + 1) for one in shapes.items(branches_value))
    require(len(branches) >= 2, "2.4", "fewer than two branches")
    require(
        strictly_ascending(encode(policy.value) for _, policy in branches),
        "2.4",
        "branches that do not ascend by their policy's encoding",
    )
    total = sum(weight for weight, _ in branches)
    require(1 <= threshold <= total, "2.4", "a threshold outside 1 … the sum of the weights")
    return Threshold(threshold, branches)


def _read_branch(value: Value, above: int) -> tuple[int, Policy]:
    weight_value, policy = shapes.untagged(value, 2)
    weight = shapes.integer(weight_value, shapes.U16)
    require(weight >= 1, "2.4", "a weight of 0")
    return weight, _read_policy(policy, above)


def strictly_ascending(encodings: Iterator[bytes]) -> bool:
    """Ascending, none twice."""
    listed = list(encodings)
    return all(left < right for left, right in pairwise(listed))


def keys_of(policy: Policy) -> Iterator[Key]:
    """Every key in a policy, in the order in which its encoding has them."""
    if isinstance(policy, One):
        yield policy.key
    else:
        for _, branch in policy.branches:
            yield from keys_of(branch)


def satisfied(policy: Policy, by: frozenset[Key]) -> bool:
    """Whether these keys together satisfy the policy: weights of satisfied branches add up (§2.4)."""
    if isinstance(policy, One):
        return policy.key in by
    reached = sum(weight for weight, branch in policy.branches if satisfied(branch, by))
    return reached >= policy.threshold


def policy_digest(policy: Policy) -> bytes:
    """H("policy", encoding of the policy) (§4.1)."""
    return tagged_hash("policy", encode(policy.value))


def did_of(key: Key) -> str:
    """`did:key:z…` of an Ed25519 or P-256 key (§1.5)."""
    return "did:key:z" + _base58(_MULTICODEC[key.scheme] + key.raw)


def read_did(name: str) -> Key:
    """The key that a DID names; only its one spelling is a name (§1.5)."""
    require(name.startswith("did:key:z"), "1.5", "not a did:key in base58btc")
    raw = _unbase58(name.removeprefix("did:key:z"))
    for scheme, code in _MULTICODEC.items():
        if raw.startswith(code):
            key = Key(scheme, raw.removeprefix(code))
            require(len(key.raw) == _LENGTHS[scheme], "1.5", "a key of the wrong length")
            require(scheme != P256 or key.raw[0] in {2, 3}, "1.5", "a key that is not compressed")
            require(did_of(key) == name, "1.5", "a second spelling of a name")
            return key
    raise Refused("1.5", "a multicodec other than Ed25519 and P-256")


def _base58(raw: bytes) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\x00"))) + text


def _unbase58(text: str) -> bytes:
    require(len(text) <= 64, "1.5", "a key of the wrong length")
    require(all(digit in _ALPHABET for digit in text), "1.5", "a character outside base58btc")
    number = 0
    for digit in text:
        number = number * 58 + _ALPHABET.index(digit)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
