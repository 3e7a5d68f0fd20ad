"""A wrapped key opens for its reader, in its context, and nowhere else."""

from hashlib import sha256, shake_256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.blobs.errors import WrapRefused
from app.blobs.wrap import (
    SHARED_ITEM,
    SHARED_WRAPPED_SIZE,
    WRAP_HYBRID,
    WRAP_X25519,
    EpochKey,
    SharedWrap,
    WrapContext,
    check_epoch_public,
    wrap_data_key,
)

DATA_KEY = sha256(b"data key").digest()
CONTEXT = WrapContext(sha256(b"disclosure").digest(), 1, 202_611)
SCHEMES = pytest.mark.parametrize("scheme", [WRAP_X25519, WRAP_HYBRID], ids=["x25519", "hybrid"])


def entropy(size: int) -> bytes:
    return shake_256(b"ephemeral").digest(size)


def reader(scheme: int, seed: bytes = b"r") -> EpochKey:
    return EpochKey(sha256(seed).digest(), scheme)


def wrapped(scheme: int) -> bytes:
    return wrap_data_key(DATA_KEY, reader(scheme).public, CONTEXT, entropy)


@SCHEMES
def test_the_reader_gets_the_data_key(scheme: int) -> None:
    assert reader(scheme).unwrap(wrapped(scheme), CONTEXT) == DATA_KEY


def test_sizes_are_those_of_the_specification() -> None:
    assert [len(wrapped(scheme)) for scheme in (WRAP_X25519, WRAP_HYBRID)] == [81, 1_169]
    publics = [reader(scheme).public for scheme in (WRAP_X25519, WRAP_HYBRID)]
    assert [len(public) for public in publics] == [33, 1_217]
    assert [check_epoch_public(public) for public in publics] == [WRAP_X25519, WRAP_HYBRID]


def test_with_the_same_entropy_x25519_gives_the_same_bytes() -> None:
    assert wrapped(WRAP_X25519) == wrapped(WRAP_X25519)
    other = wrap_data_key(DATA_KEY, reader(WRAP_X25519).public, CONTEXT, lambda n: b"7" * n)
    assert other != wrapped(WRAP_X25519)


@SCHEMES
def test_another_reader_does_not_get_it(scheme: int) -> None:
    with pytest.raises(WrapRefused):
        reader(scheme, b"somebody else").unwrap(wrapped(scheme), CONTEXT)


@SCHEMES
@pytest.mark.parametrize(
    "context",
    [
        CONTEXT._replace(transaction=sha256(b"another").digest()),
        CONTEXT._replace(item=2),
        CONTEXT._replace(epoch=202_612),
    ],
    ids=["disclosure", "item", "epoch"],
)
def test_it_opens_in_its_own_context_only(scheme: int, context: WrapContext) -> None:
    with pytest.raises(WrapRefused):
        reader(scheme).unwrap(wrapped(scheme), context)


@given(st.integers(0, 80), st.integers(0, 7))
def test_no_bit_of_an_x25519_wrap_can_be_flipped(at: int, bit: int) -> None:
    # X25519 ignores the top bit of a key (RFC 7748 §5); the transcript does not.
    changed = bytearray(wrapped(WRAP_X25519))
    changed[at] ^= 1 << bit
    with pytest.raises(WrapRefused):
        reader(WRAP_X25519).unwrap(bytes(changed), CONTEXT)


@pytest.mark.parametrize("at", [0, 1, 32, 33, 600, 1_120, 1_121, 1_168])
def test_no_part_of_a_hybrid_wrap_can_be_changed(at: int) -> None:
    changed = bytearray(wrapped(WRAP_HYBRID))
    changed[at] ^= 1
    with pytest.raises(WrapRefused):
        reader(WRAP_HYBRID).unwrap(bytes(changed), CONTEXT)


def test_a_hybrid_key_accepts_no_wrap_without_its_second_half() -> None:
    seed = sha256(b"r").digest()
    weak = EpochKey(seed, WRAP_X25519)
    with pytest.raises(WrapRefused):
        EpochKey(seed, WRAP_HYBRID).unwrap(
            wrap_data_key(DATA_KEY, weak.public, CONTEXT, entropy), CONTEXT
        )


@SCHEMES
@pytest.mark.parametrize("cut", [0, 1, 33, 80])
def test_a_wrap_of_another_length_is_refused(scheme: int, cut: int) -> None:
    with pytest.raises(WrapRefused):
        reader(scheme).unwrap(wrapped(scheme)[:cut], CONTEXT)
    with pytest.raises(WrapRefused):
        reader(scheme).unwrap(wrapped(scheme) + b"\0", CONTEXT)


@pytest.mark.parametrize(
    "public",
    [b"", b"\1", b"\3" + bytes(32), b"\2" + bytes(32), b"\1" + bytes(32), b"\2" + b"\xff" * 1_216],
    ids=["nothing", "short", "unknown scheme", "half a hybrid", "small order", "no ML-KEM key"],
)
def test_a_public_key_that_is_none_is_refused(public: bytes) -> None:
    with pytest.raises(WrapRefused):
        wrap_data_key(DATA_KEY, public, CONTEXT, entropy)


def test_an_ephemeral_key_of_small_order_is_refused() -> None:
    with pytest.raises(WrapRefused, match="small order"):
        reader(WRAP_X25519).unwrap(b"\1" + bytes(80), CONTEXT)


TX = CONTEXT.transaction
COMMITMENT = sha256(b"commitment").digest()
SHARED = SharedWrap(sha256(b"shared key").digest(), TX)


def test_many_data_keys_open_under_one_shared_key_each_in_its_place() -> None:
    keys = [sha256(b"%d" % item).digest() for item in range(1_000)]
    wraps = [SHARED.wrap(item, key, COMMITMENT) for item, key in enumerate(keys)]
    assert {len(each) for each in wraps} == {SHARED_WRAPPED_SIZE}
    assert [SHARED.unwrap(item, each, COMMITMENT) for item, each in enumerate(wraps)] == keys


@pytest.mark.parametrize(
    ("item", "commitment", "transaction", "shared"),
    [
        (2, COMMITMENT, TX, b"shared key"),
        (1, bytes(32), TX, b"shared key"),
        (1, COMMITMENT, bytes(32), b"shared key"),
        (1, COMMITMENT, TX, b"another key"),
    ],
)
def test_a_shared_wrap_opens_for_its_record_alone(
    item: int, commitment: bytes, transaction: bytes, shared: bytes
) -> None:
    wrap = SHARED.wrap(1, DATA_KEY, COMMITMENT)
    other = SharedWrap(sha256(shared).digest(), transaction)
    with pytest.raises(WrapRefused):
        other.unwrap(item, wrap, commitment)


@given(at=st.integers(0, SHARED_WRAPPED_SIZE - 1), bit=st.integers(0, 7))
def test_no_bit_of_a_shared_wrap_can_be_flipped(at: int, bit: int) -> None:
    wrap = bytearray(SHARED.wrap(1, DATA_KEY, COMMITMENT))
    wrap[at] ^= 1 << bit
    with pytest.raises(WrapRefused):
        SHARED.unwrap(1, bytes(wrap), COMMITMENT)


@pytest.mark.parametrize("length", [0, SHARED_WRAPPED_SIZE - 1, SHARED_WRAPPED_SIZE + 1])
def test_a_shared_wrap_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(WrapRefused):
        SHARED.unwrap(1, bytes(length), COMMITMENT)


def test_the_shared_key_is_never_one_items_data_key() -> None:
    """Its place in a context is one that no item of a transaction has."""
    context = CONTEXT._replace(item=SHARED_ITEM)
    wrap = wrap_data_key(DATA_KEY, reader(WRAP_X25519).public, context, entropy)
    with pytest.raises(WrapRefused):
        reader(WRAP_X25519).unwrap(wrap, CONTEXT._replace(item=0))
