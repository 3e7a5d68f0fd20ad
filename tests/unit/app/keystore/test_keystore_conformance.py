"""What every key store promises; a file-backed one is also closed and opened again between the steps."""

import copy
import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.blobs.errors import WrapRefused
from app.blobs.wrap import WRAP_HYBRID, WRAP_X25519, WrapContext, wrap_data_key
from app.keystore.errors import KeyExists, UnknownKey
from app.keystore.file import create_key_store, open_key_store
from app.keystore.keys import AuthorityKey, KeyStore, NodeKey
from app.keystore.memory import SeededEntropy, memory_key_store
from app.keystore.sealed_file import KdfCost
from states.crypto.ed25519 import verify
from states.crypto.hashes import hkdf
from states.errors import InvalidSignature, OverLimit
from states.lock import lock_salt, lock_seed

CHEAP = KdfCost(memory_kib=128, iterations=1, lanes=1)
MERCY, RIVERSIDE = "did:key:zMercy", "did:key:zRiverside"
ADA, BEN = b"ada".ljust(16), b"ben".ljust(16)
CONTEXT = WrapContext(sha256(b"disclosure").digest(), 0, 202_611)


class Kept:
    """A store under test, and the same store as a restart finds it."""

    def __init__(self, store: KeyStore, restarted: Callable[[], KeyStore]) -> None:
        self.store = store
        self.restarted = restarted


def in_memory(_: Path) -> Kept:
    store = memory_key_store(b"node A")
    return Kept(store, lambda: store)


def in_file(folder: Path) -> Kept:
    path = folder / "keys"
    entropy = SeededEntropy(b"node A")
    store = create_key_store(path, "correct horse", entropy, cost=CHEAP)
    return Kept(store, lambda: open_key_store(path, "correct horse", entropy))


@pytest.fixture(params=[in_memory, in_file], ids=["memory", "file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    make: Callable[[Path], Kept] = request.param
    return make(tmp_path)


@pytest.mark.parametrize("handle", list(NodeKey))
def test_what_a_key_signs_its_public_half_verifies(kept: Kept, handle: NodeKey) -> None:
    signature = kept.store.sign(handle, b"message")
    assert verify(kept.restarted().public(handle).raw, b"message", signature)
    assert not verify(kept.store.public(handle).raw, b"another", signature)


def test_every_key_is_another(kept: Kept) -> None:
    for patient in (ADA, BEN):
        kept.store.add_patient(patient)
    handles = [*NodeKey, *(AuthorityKey(p, c) for p in (ADA, BEN) for c in (MERCY, RIVERSIDE))]
    assert len({kept.store.public(handle) for handle in handles}) == len(handles)


def test_a_prepared_key_signs_only_after_the_switch(kept: Kept) -> None:
    before = kept.store.public(NodeKey.IDENTITY)
    following = kept.store.prepare(NodeKey.IDENTITY)
    assert kept.store.prepare(NodeKey.IDENTITY) == following
    assert kept.restarted().prepare(NodeKey.IDENTITY) == following
    assert kept.store.public(NodeKey.IDENTITY) == before
    assert kept.store.switch(NodeKey.IDENTITY) == following != before
    assert kept.restarted().public(NodeKey.IDENTITY) == following
    assert verify(following.raw, b"m", kept.store.sign(NodeKey.IDENTITY, b"m"))
    assert kept.store.prepare(NodeKey.IDENTITY) not in (before, following)


def test_there_is_no_switch_without_a_prepared_key(kept: Kept) -> None:
    before = kept.store.public(NodeKey.READING_LOG)
    with pytest.raises(UnknownKey):
        kept.store.switch(NodeKey.READING_LOG)
    assert kept.store.public(NodeKey.READING_LOG) == before


def test_two_nodes_share_a_box_and_a_third_does_not(kept: Kept) -> None:
    peer, stranger = memory_key_store(b"node B"), memory_key_store(b"node C")
    sealed = kept.store.box_with(peer.box_public()).seal(b"batch", b"n" * 24)
    assert len(sealed) == 24 + 16 + 5
    assert peer.box_with(kept.restarted().box_public()).open(sealed) == b"batch"
    for wrong in (stranger.box_with(kept.store.box_public()), peer.box_with(stranger.box_public())):
        with pytest.raises(InvalidSignature):
            wrong.open(sealed)
    with pytest.raises(InvalidSignature):
        peer.box_with(kept.store.box_public()).open(sealed[:-1] + bytes((sealed[-1] ^ 1,)))
    with pytest.raises(InvalidSignature):
        peer.box_with(kept.store.box_public()).open(b"short")


@pytest.mark.parametrize(
    "public", [b"", bytes(31), bytes(32)], ids=["none", "short", "small order"]
)
def test_there_is_no_box_with_what_is_no_key(kept: Kept, public: bytes) -> None:
    with pytest.raises(InvalidSignature):
        kept.store.box_with(public)


def test_a_lock_is_restored_from_its_label(kept: Kept) -> None:
    label = b"l" * 16
    one, again = kept.store.derive_lock(label), kept.restarted().derive_lock(label)
    assert (one.signer.key, one.salt) == (again.signer.key, again.salt)
    other = kept.store.derive_lock(b"m" * 16)
    assert other.signer.key != one.signer.key
    assert other.salt != one.salt


def test_a_patients_locks_and_keys_come_from_her_seed_by_the_specification() -> None:
    store = memory_key_store(b"agent")
    store.add_patient(ADA)
    seed = store._secrets.patients[0].seed
    secret, label = hkdf(seed, b"", "lock-secret"), b"l" * 16
    lock = store.derive_lock(label, ADA)
    assert lock.salt == lock_salt(secret, label)
    assert verify(lock.signer.public, b"m", lock.signer.sign(b"m"))
    assert lock.signer.sign(b"m") == type(lock.signer)(lock_seed(secret, label)).sign(b"m")
    authority = type(lock.signer)(hkdf(seed, MERCY.encode(), "authority-key"))
    assert store.public(AuthorityKey(ADA, MERCY)) == authority.key


def test_locks_of_node_and_patients_have_nothing_in_common(kept: Kept) -> None:
    for patient in (ADA, BEN):
        kept.store.add_patient(patient)
    owners = (None, ADA, BEN)
    assert len({kept.store.derive_lock(b"l" * 16, owner).salt for owner in owners}) == 3


def test_a_patients_keys_outlive_a_restart_and_end_when_she_is_forgotten(kept: Kept) -> None:
    kept.store.add_patient(ADA)
    kept.store.add_patient(BEN)
    key = kept.store.public(AuthorityKey(ADA, MERCY))
    with pytest.raises(KeyExists):
        kept.store.add_patient(ADA)
    assert kept.restarted().public(AuthorityKey(ADA, MERCY)) == key
    kept.store.forget_patient(ADA)
    assert kept.restarted().patients() == (BEN,)
    calls: list[Callable[[], object]] = [
        lambda: kept.restarted().sign(AuthorityKey(ADA, MERCY), b"m"),
        lambda: kept.restarted().derive_lock(b"l" * 16, ADA),
        lambda: kept.store.forget_patient(ADA),
    ]
    for call in calls:
        with pytest.raises(UnknownKey):
            call()
    kept.store.add_patient(ADA)
    assert kept.store.public(AuthorityKey(ADA, MERCY)) != key


@pytest.mark.parametrize("name", [b"", b"x" * 65])
def test_a_patients_name_has_a_limit(kept: Kept, name: bytes) -> None:
    with pytest.raises(OverLimit):
        kept.store.add_patient(name)


def test_there_is_a_limit_on_patients_and_epochs(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.keystore.ring.PATIENTS_MAX", 1)
    monkeypatch.setattr("app.keystore.ring.EPOCHS_MAX", 1)
    kept.store.add_patient(ADA)
    kept.store.new_epoch(1)
    with pytest.raises(OverLimit):
        kept.store.add_patient(BEN)
    with pytest.raises(OverLimit):
        kept.store.new_epoch(2)


def test_data_keys_are_wrapped_for_the_vault(kept: Kept) -> None:
    key = kept.store.new_data_key()
    assert len(key) == 32
    assert kept.store.new_data_key() != key
    wrapped = kept.store.wrap_at_rest(key, b"row 7")
    assert key not in wrapped
    assert len(wrapped) == 1 + 24 + 32 + 16
    assert kept.store.wrap_at_rest(key, b"row 7") != wrapped
    assert kept.restarted().unwrap_at_rest(wrapped, b"row 7") == key
    with pytest.raises(WrapRefused):
        kept.store.unwrap_at_rest(wrapped, b"row 8")
    with pytest.raises(WrapRefused):
        memory_key_store(b"another node").unwrap_at_rest(wrapped, b"row 7")


@given(st.integers(0, 72), st.integers(0, 7))
def test_no_bit_of_a_key_at_rest_can_be_flipped(at: int, bit: int) -> None:
    store = memory_key_store(b"x")
    changed = bytearray(store.wrap_at_rest(bytes(32), b""))
    changed[at] ^= 1 << bit
    with pytest.raises(WrapRefused):
        store.unwrap_at_rest(bytes(changed), b"")


@pytest.mark.parametrize("wrapped", [b"", b"\1", b"\1" + bytes(24), b"\1" + bytes(39)])
def test_a_cut_key_at_rest_is_refused(kept: Kept, wrapped: bytes) -> None:
    with pytest.raises(WrapRefused):
        kept.store.unwrap_at_rest(wrapped, b"")


@pytest.mark.parametrize("scheme", [WRAP_X25519, WRAP_HYBRID])
def test_an_epoch_key_opens_what_was_wrapped_to_it(kept: Kept, scheme: int) -> None:
    public = kept.store.new_epoch(202_611, scheme)
    assert kept.restarted().epoch_public(202_611) == public
    key = sha256(b"data key").digest()
    wrapped = wrap_data_key(key, public, CONTEXT, SeededEntropy(b"custodian"))
    assert kept.restarted().open_epoch(202_611, wrapped, CONTEXT) == key
    kept.store.new_epoch(202_612, scheme)
    with pytest.raises(WrapRefused):
        kept.store.open_epoch(202_612, wrapped, CONTEXT._replace(epoch=202_612))
    with pytest.raises(WrapRefused, match="of epoch 202611"):
        kept.store.open_epoch(202_612, wrapped, CONTEXT)


def test_a_destroyed_epoch_key_opens_nothing_any_more(kept: Kept) -> None:
    public = kept.store.new_epoch(202_611)
    kept.store.new_epoch(202_610)
    with pytest.raises(KeyExists):
        kept.store.new_epoch(202_611)
    assert kept.restarted().epochs() == (202_610, 202_611)
    wrapped = wrap_data_key(bytes(32), public, CONTEXT, SeededEntropy(b"c"))
    kept.store.destroy_epoch(202_611)
    assert kept.restarted().epochs() == (202_610,)
    calls: list[Callable[[], object]] = [
        lambda: kept.restarted().open_epoch(202_611, wrapped, CONTEXT),
        lambda: kept.store.epoch_public(202_611),
        lambda: kept.store.destroy_epoch(202_611),
    ]
    for call in calls:
        with pytest.raises(UnknownKey):
            call()


def test_one_seed_makes_one_node_and_another_seed_another() -> None:
    one, same, other = (memory_key_store(seed) for seed in (b"a", b"a", b"b"))
    for store in (one, same, other):
        store.add_patient(ADA)
        store.new_epoch(1)
    assert one.public(NodeKey.IDENTITY) == same.public(NodeKey.IDENTITY)
    assert one.epoch_public(1) == same.epoch_public(1)
    assert one.wrap_at_rest(b"k", b"") == same.wrap_at_rest(b"k", b"")
    assert one.public(NodeKey.IDENTITY) != other.public(NodeKey.IDENTITY)


def test_secrets_are_neither_pickled_nor_copied(kept: Kept) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(kept.store)
    with pytest.raises(TypeError):
        copy.deepcopy(kept.store)
