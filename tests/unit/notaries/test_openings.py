"""The fast path opens what `states` opens, and nothing else: both are asked the same questions."""

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from app.bench.workshop import Held, Workshop
from notaries.openings import open_exactly, open_lock
from notaries.request import SHOWN
from states.builder import BuiltTransaction
from states.crypto.merkle import leaf_hash
from states.errors import LedgerError
from states.groups import Group
from states.lock import ReferOpening, SpendOpening, check_opening
from states.state import StateRef
from states.tearoff import Tearoff, id_of, open_tearoff
from tests.unit.notaries.desk import NETWORK, NOTARY

WORKSHOP = Workshop(NETWORK, NOTARY.party, 11)


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (LedgerError, IndexError) as refused:
        return f"{type(refused).__name__}: {refused}"
    return "opened"


def with_leaf(built: BuiltTransaction, position: int, leaf: bytes) -> BuiltTransaction:
    """Another transaction, truly hashed, with this leaf: only its builder can do that."""
    leaves = [*built.leaves[:position], leaf, *built.leaves[position + 1 :]]
    hashes = [*built.hashes[:position], leaf_hash(leaf), *built.hashes[position + 1 :]]
    return BuiltTransaction(id_of(hashes), built.layout, tuple(leaves), tuple(hashes))


def lock_leaves(leaf: bytes) -> Iterator[bytes]:
    """The same lock in encodings that msgpack would read alike, or nearly."""
    nonce, group, label, digest = leaf[:32], leaf[32:33], leaf[36:52], leaf[54:]
    yield leaf
    yield nonce + group + b"\x92\xc5\x00\x10" + label + b"\xc4\x20" + digest
    yield nonce + group + b"\x92\xc4\x10" + label + b"\xc5\x00\x20" + digest
    yield nonce + group + b"\x92\xd9\x10" + label + b"\xc4\x20" + digest
    yield nonce + group + b"\x92\xc4\x10" + label + b"\xd9\x20" + digest
    yield nonce + group + b"\x93\xc4\x10" + label + b"\xc4\x20" + digest
    yield nonce + bytes([Group.OUTPUTS]) + leaf[33:]
    yield leaf + b"\0"
    yield nonce + group + b"\x92\xc4\x10" + label + b"\xc4\x20" + b"\0" + digest
    yield nonce + group
    yield nonce


def openings() -> Iterator[tuple[SpendOpening | ReferOpening, StateRef]]:
    made = WORKSHOP.make(outputs=3)
    position = made.built.layout.position(Group.LOCKS, 1)
    honest = made.outputs[1]
    lock = honest.shown.leaves[1]
    for leaf in lock_leaves(lock):
        built = with_leaf(made.built, position, leaf)
        held = Held(built, 1, honest.salt, honest.signer, 5)
        yield held.spend(), held.ref
        yield held.refer(), held.ref
    for opening in (honest.spend(), honest.refer()):
        shown = opening.shown
        for positions in (
            (0, position + 1),
            (0, position - 1),
            (0, 0),
            (position, 0),
            (1, position),
            (0,),
        ):
            yield replace(opening, shown=replace(shown, positions=positions)), honest.ref
        for index in (0, 2, 3, 65_535):
            yield opening, StateRef(made.built.id, index)
        for proof in (shown.proof[:-32], shown.proof + bytes(32), shown.proof[:-1] + b"\0"):
            yield replace(opening, shown=replace(shown, proof=proof)), honest.ref
        for leaves in ((lock, lock), (shown.leaves[0],), (b"", lock), (*shown.leaves, lock)):
            yield replace(opening, shown=replace(shown, leaves=leaves)), honest.ref
        yield replace(opening, shown=made.built.whole()), honest.ref
        yield opening, WORKSHOP.make().outputs[0].ref
        yield replace(opening, salt=bytes(32)), honest.ref


OPENINGS = list(openings())


@pytest.mark.parametrize("number", range(len(OPENINGS)))
def test_a_lock_opens_here_where_it_opens_by_the_specification(number: int) -> None:
    opening, ref = OPENINGS[number]
    assert outcome(lambda: open_lock(opening, ref)) == outcome(lambda: check_opening(opening, ref))


def test_the_honest_ones_are_opened() -> None:
    assert [outcome(lambda o=o, r=r: open_lock(o, r)) for o, r in OPENINGS].count("opened") == 2  # type: ignore[misc]


def tearoffs() -> Iterator[Tearoff]:
    made = WORKSHOP.make(WORKSHOP.make(outputs=2).outputs, WORKSHOP.make().outputs)
    tearoff = made.seen_by_notary
    yield tearoff
    for at in range(1, len(tearoff.leaves)):
        leaf, position = tearoff.leaves[at], tearoff.positions[at]
        for odd in (
            leaf[:32] + bytes([Group.SEALED]) + leaf[33:],
            leaf[:33],
            leaf[:5],
            bytes(70_000),
        ):
            built = with_leaf(made.built, position, odd)
            yield built.showing(tearoff.positions)
    yield replace(tearoff, proof=tearoff.proof + bytes(32))
    yield replace(tearoff, leaves=tearoff.leaves[:-1])
    yield replace(tearoff, leaves=(*tearoff.leaves, b""))
    yield replace(tearoff, leaves=(b"\x90", *tearoff.leaves[1:]))


TEAROFFS = list(tearoffs())


@pytest.mark.parametrize("number", range(len(TEAROFFS)))
def test_a_tear_off_opens_here_where_it_opens_by_the_specification(number: int) -> None:
    tearoff = TEAROFFS[number]
    told = outcome(lambda: open_tearoff(tearoff))
    assert outcome(lambda: open_exactly(tearoff, SHOWN)) == told
    if told == "opened":
        assert open_exactly(tearoff, SHOWN) == open_tearoff(tearoff).id


def test_a_tear_off_that_shows_anything_else_is_none() -> None:
    made = WORKSHOP.make(WORKSHOP.make(outputs=2).outputs)
    positions = made.seen_by_notary.positions
    for shown in (positions[2:], positions[:-1], (*positions, 3), range(made.built.layout.size)):
        assert open_exactly(made.built.showing(shown), SHOWN) is None
