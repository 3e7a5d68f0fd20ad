"""Composite policies: one form each, bounded, and satisfied by exactly the keys that they say."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from states.crypto.ed25519 import Ed25519Signer
from states.crypto.hashes import tagged_hash
from states.crypto.keys import SCHEME_ED25519, SCHEME_WEBAUTHN, WEBAUTHN_EDDSA, WEBAUTHN_ES256, Key
from states.crypto.policy import (
    POLICY_BYTES_MAX,
    AnyOf,
    One,
    Policy,
    PolicyCodec,
    Weighted,
    any_of,
    is_satisfied,
    keys_of,
    one,
    policy_bytes,
    policy_digest,
)
from states.encoding import encode
from states.errors import MalformedBytes, OverLimit

FEW = settings(max_examples=60, deadline=None, database=None)


def key(number: int) -> Key:
    return Key(SCHEME_ED25519, number.to_bytes(32, "big"))


A, B, C, D = (one(key(number)) for number in range(1, 5))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A tree over at most nine keys, none of them twice."""
    numbers = draw(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=9, unique=True))
    return draw_tree(draw, [key(number) for number in numbers], 4)


def draw_tree(draw: st.DrawFn, keys: list[Key], depth: int) -> Policy:
    if len(keys) == 1:
        return one(keys[0])
    cuts = draw(st.sets(st.integers(1, len(keys) - 1), min_size=1)) if depth > 1 else None
    bounds = [0, *sorted(cuts or range(1, len(keys))), len(keys)]
    parts = [keys[start:end] for start, end in pairwise(bounds)]
    branches = [
        (draw(st.integers(1, 5) | st.integers(1, 65_535)), draw_tree(draw, part, depth - 1))
        for part in parts
    ]
    reach = min(65_535, sum(weight for weight, _ in branches))
    return any_of(draw(st.integers(1, reach)), branches)


def suffices(policy: Policy, keys: set[Key]) -> bool:
    """Another way to say it: there are branches, all satisfied, that weigh enough together."""
    if isinstance(policy, One):
        return policy.key in keys
    return any(
        sum(branch.weight for branch in chosen) >= policy.threshold
        and all(suffices(branch.policy, keys) for branch in chosen)
        for size in range(1, len(policy.branches) + 1)
        for chosen in combinations(policy.branches, size)
    )


@FEW
@given(policies())
def test_a_policy_survives_its_encoding(policy: Policy) -> None:
    assert PolicyCodec.decode(policy_bytes(policy)) == policy


@FEW
@given(policies(), st.data())
def test_the_order_of_making_changes_nothing(policy: Policy, data: st.DataObject) -> None:
    if isinstance(policy, AnyOf):
        pairs = data.draw(st.permutations([(b.weight, b.policy) for b in policy.branches]))
        assert policy_digest(any_of(policy.threshold, pairs)) == policy_digest(policy)


@FEW
@given(policies(), st.data())
def test_it_is_satisfied_by_what_weighs_enough(policy: Policy, data: st.DataObject) -> None:
    present = data.draw(st.sets(st.sampled_from(sorted(keys_of(policy)))))
    assert is_satisfied(policy, frozenset(present)) == suffices(policy, present)
    assert is_satisfied(policy, frozenset(present | {key(1 << 50)})) == suffices(policy, present)


@FEW
@given(policies())
def test_all_its_keys_satisfy_it_and_none_do_not(policy: Policy) -> None:
    assert is_satisfied(policy, keys_of(policy))
    assert not is_satisfied(policy, frozenset())
    assert not is_satisfied(policy, frozenset({key(1 << 50)}))


@FEW
@given(policies(), st.data())
def test_one_more_key_never_unsatisfies(policy: Policy, data: st.DataObject) -> None:
    all_keys = sorted(keys_of(policy))
    present = frozenset(data.draw(st.sets(st.sampled_from(all_keys))))
    if is_satisfied(policy, present):
        assert is_satisfied(policy, present | {data.draw(st.sampled_from(all_keys))})


@FEW
@given(policies(), policies())
def test_two_policies_have_two_digests(left: Policy, right: Policy) -> None:
    assert (policy_digest(left) == policy_digest(right)) == (left == right)


def test_two_of_three_guardians_or_the_patient() -> None:
    guardians = any_of(2, [(1, A), (1, B), (1, C)])
    policy = any_of(1, [(1, D), (1, guardians)])
    a, b, d = A.key, B.key, D.key
    assert is_satisfied(policy, {d})
    assert is_satisfied(policy, {a, b})
    assert not is_satisfied(policy, {a})
    assert keys_of(policy) == {a, b, C.key, d}


def test_dual_control_needs_both() -> None:
    policy = any_of(3, [(2, A), (1, B)])
    assert is_satisfied(policy, {A.key, B.key})
    assert not is_satisfied(policy, {A.key})


def test_the_bytes_and_digest_of_a_policy_are_fixed() -> None:
    member = b"\x92\xa5one/1\x92\x01\xc4\x20"
    first, second = member + A.key.raw, member + B.key.raw
    assert policy_bytes(A) == first
    both = any_of(2, [(1, B), (300, A)])
    expected = b"\x93\xa5any/1\x02\x92\x92\xcd\x01\x2c" + first + b"\x92\x01" + second
    assert policy_bytes(both) == expected
    assert policy_digest(both) == tagged_hash("policy", expected)


@pytest.mark.parametrize(
    ("threshold", "branches", "why"),
    [
        (1, [], "two branches"),
        (1, [Weighted(1, A)], "two branches"),
        (0, [Weighted(1, A), Weighted(1, B)], "threshold"),
        (-1, [Weighted(1, A), Weighted(1, B)], "threshold"),
        (3, [Weighted(1, A), Weighted(1, B)], "threshold"),
        (65_536, [Weighted(65_535, A), Weighted(65_535, B)], "threshold"),
        (1, [Weighted(1, B), Weighted(1, A)], "sorted"),
        (2, [Weighted(1, A), Weighted(1, A)], "sorted"),
        (2, [Weighted(1, A), Weighted(2, A)], "sorted"),
    ],
)
def test_a_threshold_of_another_form_is_refused_made_and_read(
    threshold: int, branches: list[Weighted], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        AnyOf(threshold, tuple(branches))
    with pytest.raises(MalformedBytes, match=why):
        PolicyCodec.decode(encode(("any/1", threshold, branches)))


@pytest.mark.parametrize("weight", [0, -1, 65_536])
def test_a_weight_out_of_range_is_refused_made_and_read(weight: int) -> None:
    with pytest.raises(ValueError, match="weight"):
        Weighted(weight, A)
    with pytest.raises(MalformedBytes, match="weight"):
        PolicyCodec.decode(encode(("any/1", 1, ((weight, A), (1, B)))))


def test_a_key_may_not_be_in_two_places_of_the_tree() -> None:
    with pytest.raises(ValueError, match="twice"):
        any_of(2, [(1, A), (1, any_of(1, [(1, A), (1, B)]))])
    with pytest.raises(ValueError, match="twice"):
        any_of(1, [(1, any_of(2, [(1, A), (1, B)])), (1, any_of(1, [(1, A), (1, C)]))])


def test_a_key_and_its_own_credential_are_not_two_signers() -> None:
    plain = Ed25519Signer(bytes(32)).key
    credential = Key(SCHEME_WEBAUTHN, bytes([WEBAUTHN_EDDSA]) + plain.raw)
    with pytest.raises(ValueError, match="twice"):
        any_of(2, [(1, one(plain)), (1, one(credential))])


def nested(depth: int) -> Policy:
    policy: Policy = A
    for number in range(depth):
        policy = any_of(1, [(1, policy), (1, one(key(100 + number)))])
    return policy


def test_four_thresholds_may_lie_above_a_key_but_not_five() -> None:
    four = nested(4)
    assert PolicyCodec.decode(policy_bytes(four)) == four
    with pytest.raises(ValueError, match="thresholds above"):
        nested(5)


def test_a_nesting_bomb_is_refused() -> None:
    data = policy_bytes(A)
    for number in range(100):
        other = policy_bytes(one(key(100 + number)))
        data = b"\x93\xa5any/1\x01\x92\x92\x01" + other + b"\x92\x01" + data
    with pytest.raises(MalformedBytes):
        PolicyCodec.decode(data)


def wide(number: int) -> Policy:
    """The longest policy of so many keys: pairs of pairs, and the longest keys and weights."""
    level: list[Policy] = [
        one(Key(SCHEME_WEBAUTHN, bytes([WEBAUTHN_ES256, 2]) + n.to_bytes(32, "big")))
        for n in range(number)
    ]
    for _ in range(3):
        level = [
            any_of(65_535, [(65_535, left), (65_535, right)])
            for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    return any_of(65_535, [(65_535, policy) for policy in level])


def test_the_longest_policy_of_64_keys_fits_its_limit_and_65_keys_are_refused() -> None:
    assert len(keys_of(wide(64))) == 64
    assert PolicyCodec.decode(policy_bytes(wide(64))) == wide(64)
    assert len(policy_bytes(wide(64))) <= POLICY_BYTES_MAX
    with pytest.raises(ValueError, match="64 keys"):
        any_of(1, [(1, one(key(n))) for n in range(65)])


def test_bytes_over_the_limit_are_not_even_parsed() -> None:
    with pytest.raises(OverLimit):
        PolicyCodec.decode(bytes(POLICY_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        policy_bytes(A) + b"\0",
        policy_bytes(A)[:-1],
        policy_bytes(A).replace(b"one/1", b"one/2"),
        policy_bytes(A).replace(b"\x92\x01", b"\x92\xcc\x01"),
        encode(("any/1", 1, ((1, A), (1, B)), 0)),
        encode(("any/1", True, ((1, A), (1, B)))),
        encode(("any/1", 1.0, ((1, A), (1, B)))),
    ],
)
def test_bytes_of_another_form_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        PolicyCodec.decode(data)
