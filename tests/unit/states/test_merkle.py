"""Claims about the Merkle module, against published vectors and the definition in RFC 6962."""

import json
from base64 import b64decode
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from states.crypto import proof_program
from states.crypto.merkle import (
    EMPTY_ROOT,
    FullTile,
    GrowingTree,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    prove,
    root_from,
    root_from_hashes,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from states.errors import InvalidProof

VECTORS = Path(__file__).parents[3].parent / "shared" / "data" / "vectors" / "merkle"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="shared/data/vectors/merkle absent")


class InclusionVector(msgspec.Struct):
    leafIdx: int  # noqa: N815
    treeSize: int  # noqa: N815
    root: str | None
    leafHash: str | None  # noqa: N815
    proof: list[str] | None
    wantErr: bool  # noqa: N815


class ConsistencyVector(msgspec.Struct):
    size1: int
    size2: int
    root1: str | None
    root2: str | None
    proof: list[str] | None
    wantErr: bool  # noqa: N815


def vectors(kind: str) -> list[Path]:
    return sorted((VECTORS / kind).rglob("*.json"))


def name(file: Path) -> str:
    return str(file.relative_to(VECTORS))


def data(text: str | None) -> bytes:
    return b64decode(text or "")


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2, word for word."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def some(count: int) -> list[bytes]:
    return [b"leaf %d" % at for at in range(count)]


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(each) for each in some(count)]


@needs_vectors
@pytest.mark.parametrize("file", vectors("inclusion"), ids=name)
def test_inclusion_vector(file: Path) -> None:
    vector = msgspec.json.decode(file.read_bytes(), type=InclusionVector)
    arguments = (
        vector.leafIdx,
        vector.treeSize,
        data(vector.leafHash),
        [data(each) for each in vector.proof or []],
        data(vector.root),
    )
    if vector.wantErr:
        with pytest.raises(InvalidProof):
            verify_inclusion(*arguments)
    else:
        verify_inclusion(*arguments)


@needs_vectors
@pytest.mark.parametrize("file", vectors("consistency"), ids=name)
def test_consistency_vector(file: Path) -> None:
    vector = msgspec.json.decode(file.read_bytes(), type=ConsistencyVector)
    arguments = (
        vector.size1,
        vector.size2,
        [data(each) for each in vector.proof or []],
        data(vector.root1),
        data(vector.root2),
    )
    if vector.wantErr:
        with pytest.raises(InvalidProof):
            verify_consistency(*arguments)
    else:
        verify_consistency(*arguments)


@needs_vectors
def test_the_vectors_are_all_there() -> None:
    assert len(vectors("inclusion")) > 50
    assert len(vectors("consistency")) > 50
    wanted = {json.loads(file.read_bytes())["wantErr"] for file in vectors("inclusion")}
    assert wanted == {True, False}


@pytest.mark.parametrize("count", range(70))
def test_the_root_is_that_of_the_definition(count: int) -> None:
    assert root_of(hashes(count)) == mth(some(count))


def test_paths_are_those_of_the_definition() -> None:
    for count in range(1, 35):
        for at in range(count):
            assert inclusion_path(hashes(count), at) == path(at, some(count))
        for old in range(1, count):
            assert consistency_path(hashes(count), old) == subproof(old, some(count), whole=True)
        assert consistency_path(hashes(count), 0) == consistency_path(hashes(count), count) == []


def test_every_path_of_a_small_tree_verifies_and_no_other_index_does() -> None:
    for count in range(1, 20):
        leaves, root = hashes(count), mth(some(count))
        for at in range(count):
            verify_inclusion(at, count, leaves[at], inclusion_path(leaves, at), root)
            for other in set(range(-1, count + 2)) - {at}:
                with pytest.raises(InvalidProof):
                    verify_inclusion(other, count, leaves[at], inclusion_path(leaves, at), root)


def test_every_beginning_of_a_small_tree_is_consistent_and_no_other_size_is() -> None:
    for count in range(2, 20):
        for old in range(1, count):
            proof = consistency_path(hashes(count), old)
            was, now = mth(some(old)), mth(some(count))
            verify_consistency(old, count, proof, was, now)
            for other in set(range(-1, count + 1)) - {old}:
                with pytest.raises(InvalidProof):
                    verify_consistency(other, count, proof, was, now)


def test_no_path_is_shorter_longer_or_made_of_other_than_hashes() -> None:
    leaves, root = hashes(11), mth(some(11))
    good = inclusion_path(leaves, 6)
    bad = [good[:-1], good[1:], [*good, good[0]], [b"", *good[1:]], [good[0] + b"\0", *good[1:]]]
    for each in bad:
        with pytest.raises(InvalidProof):
            verify_inclusion(6, 11, leaves[6], each, root)
    grown = consistency_path(leaves, 6)
    for each in [grown[:-1], grown[1:], [], [*grown, grown[0]]]:
        with pytest.raises(InvalidProof):
            verify_consistency(6, 11, each, mth(some(6)), root)
    for each in [[b"", *grown[1:]], [*grown[:-1], grown[-1] + b"\0"]]:
        with pytest.raises(InvalidProof, match="not made of hashes"):
            verify_consistency(6, 11, each, mth(some(6)), root)
    for was, now in ((mth(some(5)), root), (mth(some(6)), mth(some(10))), (root, mth(some(6)))):
        with pytest.raises(InvalidProof, match="leads to another"):
            verify_consistency(6, 11, grown, was, now)
    with pytest.raises(InvalidProof):
        verify_inclusion(0, 1 << 64, leaves[0], [root] * 64, root)
    with pytest.raises(InvalidProof):
        inclusion_path(leaves, 11)
    with pytest.raises(InvalidProof):
        consistency_path(leaves, 12)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, tuple[int, ...]]:
    size = draw(st.integers(1, 80))
    shown = draw(st.sets(st.integers(0, size - 1), min_size=1))
    return size, tuple(sorted(shown))


@given(shapes())
def test_a_multi_proof_leads_to_the_root(shape: tuple[int, tuple[int, ...]]) -> None:
    size, shown = shape
    proof = prove(hashes(size), shown)
    leaves = [some(size)[at] for at in shown]
    assert root_from(size, shown, leaves, proof) == mth(some(size))
    assert root_from_hashes(size, shown, [leaf_hash(x) for x in leaves], proof) == mth(some(size))


@given(shapes(), st.data())
def test_a_multi_proof_with_one_other_bit_leads_elsewhere(
    shape: tuple[int, tuple[int, ...]], draw: st.DataObject
) -> None:
    size, shown = shape
    proof = bytearray(prove(hashes(size), shown))
    leaves = [some(size)[at] for at in shown]
    if proof and draw.draw(st.booleans()):
        proof[draw.draw(st.integers(0, len(proof) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    else:
        leaves[draw.draw(st.integers(0, len(leaves) - 1))] += b"!"
    assert root_from(size, shown, leaves, bytes(proof)) != mth(some(size))


def test_a_multi_proof_holds_the_hidden_left_to_right() -> None:
    leaves = hashes(5)
    assert prove(leaves, (1,)) == leaves[0] + node_hash(leaves[2], leaves[3]) + leaves[4]
    assert prove(leaves, (0, 1, 2, 3, 4)) == b""


def test_a_misshapen_multi_proof_is_refused() -> None:
    proof = prove(hashes(6), (1, 4))
    good = (6, (1, 4), [b"leaf 1", b"leaf 4"], proof)
    assert root_from(*good) == mth(some(6))
    bad: list[tuple[int, tuple[int, ...], list[bytes], bytes]] = [
        (6, (), [], b""),
        (0, (), [], b""),
        (0, (0,), [b""], b""),
        (-1, (0,), [b""], b""),
        (4, (1, 4), good[2], proof),
        (6, (4, 1), good[2], proof),
        (6, (1, 1), good[2], proof),
        (6, (-1, 4), good[2], proof),
        (6, (1, 6), good[2], proof),
        (6, (1, 4), good[2][:1], proof),
        (6, (1, 4), [*good[2], b""], proof),
        (6, (1, 4), good[2], proof[:-1]),
        (6, (1, 4), good[2], proof + b"\0"),
        (6, (1, 4), good[2], proof[32:]),
        (6, (1, 4), good[2], proof + bytes(32)),
        ((1 << 63) + 1, (1, 4), good[2], proof),
    ]
    for each in bad:
        with pytest.raises(InvalidProof):
            root_from(*each)


def test_huge_shapes_are_judged_in_few_steps_and_not_remembered() -> None:
    before = proof_program._compile_cached.cache_info().currsize
    size = 1 << 63
    program = proof_program.program(size, (0, 5, size - 1))
    assert len(program.joins) < 400
    with pytest.raises(InvalidProof):
        root_from(size, (0, 5, size - 1), [b""] * 3, b"")
    proof_program.program(700_000, tuple(range(0, 700_000, 7_000)))
    proof_program.program(100, tuple(range(65)))
    assert proof_program._compile_cached.cache_info().currsize == before
    assert proof_program._compile_cached.cache_info().maxsize == 512


def test_a_large_tree_with_few_leaves_shown_is_proven() -> None:
    size, shown = 700_000, (0, 65_536, 699_999)
    leaves = [b"\7" * 32] * size
    proof = prove(leaves, shown)
    assert len(proof) // 32 < 60
    assert root_from_hashes(size, shown, [leaves[0]] * 3, proof) == root_of(leaves)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 7, 64, 200, 256, 300]), min_size=1, max_size=9))
def test_a_tree_that_grows_agrees_with_one_built_whole(batches: list[int]) -> None:
    tree, every = GrowingTree(), list[bytes]()
    stored: dict[tuple[int, int], bytes] = {}
    for total in accumulate(batches):
        first = len(every)
        every += [leaf_hash(b"%d" % at) for at in range(first, total)]
        result = tree.append(every[first:])
        assert tree.size == total
        assert result.root == tree.root() == root_of(every)
        assert len(result.path_texts) == total - first
        for tile in result.tiles:
            assert (tile.level, tile.number) not in stored
            stored[tile.level, tile.number] = tile.hashes
        for at in {first, (first + total) // 2, total - 1} & set(range(first, total)):
            lines = result.path_texts[at - first].splitlines()
            assert [b64decode(line) for line in lines] == inclusion_path(every, at)
        check_tiles(every, stored, tree)
        again = GrowingTree.restore(total, lambda k, n: stored[k, n], every[total - total % 256 :])
        tree = again if total % 2 else tree  # grow on from both
        assert again.root() == tree.root()
        assert again.partial_tiles() == tree.partial_tiles()


def check_tiles(
    every: list[bytes], stored: dict[tuple[int, int], bytes], tree: GrowingTree
) -> None:
    level, row = 0, every
    while row:
        full = len(row) // 256
        tiles = [b"".join(row[at * 256 : at * 256 + 256]) for at in range(full)]
        assert [stored[level, at] for at in range(full)] == tiles
        rest = b"".join(row[full * 256 :])
        assert [each for each in tree.partial_tiles() if each[0] == level] == (
            [(level, full, rest)] if rest else []
        )
        row = [root_of(row[at * 256 : at * 256 + 256]) for at in range(full)]
        level += 1
    assert not [key for key in stored if key[0] >= level]


def test_a_tree_of_three_tile_levels_grows_and_is_restored() -> None:
    leaves = [Random(1).randbytes(32)] * 66_000
    tree, stored = GrowingTree(), dict[tuple[int, int], bytes]()
    for start in range(0, 66_000, 11_000):
        for tile in tree.append(leaves[start : start + 11_000]).tiles:
            stored[tile.level, tile.number] = tile.hashes
    assert tree.root() == root_of(leaves)
    assert max(level for level, _ in stored) == 1
    again = GrowingTree.restore(66_000, lambda k, n: stored[k, n], leaves[65_792:])
    more = [b"\1" * 32] * 300
    assert again.append(more) == tree.append(more)
    assert tree.root() == root_of(leaves + more)


def test_a_copy_does_not_grow_with_its_original() -> None:
    tree = GrowingTree()
    tree.append(hashes(300))
    twin, root = tree.copy(), tree.root()
    tree.append(hashes(300))
    assert (twin.size, twin.root()) == (300, root)
    assert twin.partial_tiles()[0] == (0, 1, b"".join(hashes(300)[256:]))
    assert twin.append(hashes(300)).root == tree.root()


def test_nothing_is_restored_from_a_tail_of_another_length() -> None:
    with pytest.raises(ValueError, match="after the last tile"):
        GrowingTree.restore(5, lambda _level, _number: b"", hashes(4))


def test_the_empty_tree_has_the_empty_root() -> None:
    assert GrowingTree().root() == EMPTY_ROOT == root_of([]) == mth([])
    assert GrowingTree().append([]) == (EMPTY_ROOT, [], [])
    assert GrowingTree.restore(0, lambda _level, _number: b"", []).root() == EMPTY_ROOT


def test_a_full_tile_is_handed_out_once_it_is_full() -> None:
    tree, leaves = GrowingTree(), hashes(256)
    assert tree.append(leaves[:255]).tiles == []
    assert tree.append(leaves[255:]).tiles == [FullTile(0, 0, b"".join(leaves))]
    assert tree.partial_tiles() == [(1, 0, root_of(leaves))]
