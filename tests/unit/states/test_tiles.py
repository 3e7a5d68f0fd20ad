"""Claims about tiles: the specification's examples, two foreign logs, and hostile readers."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from states.checkpoint import Checkpoint, open_checkpoint
from states.crypto.merkle import (
    EMPTY_ROOT,
    GrowingTree,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
    split_hashes,
)
from states.errors import InvalidProof, MalformedBytes, OverLimit
from states.note import NoteKey, parse_note
from states.tiles import (
    Reader,
    TiledTree,
    TileName,
    bundles_of,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_path,
    tile_path,
    tiles_of,
    verify_bundle,
    verify_tiles,
)

TLOG = Path(__file__).parents[3].parent / "shared" / "data" / "vectors" / "tlog"
TESSERA = TLOG / "tessera"
MIRROR = (
    TLOG
    / "skylight"
    / "witness"
    / "mirror"
    / "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706"
)
needs_tlog = pytest.mark.skipif(not TLOG.is_dir(), reason="shared/data/vectors/tlog absent")


class TesseraLog(msgspec.Struct):
    verifier_key: str
    leaves_utf8_in_order: list[str]


def reader_of(folder: Path) -> Reader:
    return lambda name: (folder / name.path).read_bytes()


def tiles_for(leaves: list[bytes]) -> dict[str, bytes]:
    """All tiles of a tree, made from the definition."""
    tiles, level, row = dict[str, bytes](), 0, leaves
    while row:
        for at in range(0, len(row), 256):
            part = row[at : at + 256]
            tiles[tile_path(level, at // 256, len(part))] = b"".join(part)
        row = [root_of(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
        level += 1
    return tiles


def reading(tiles: Mapping[str, bytes]) -> Reader:
    return lambda name: tiles[name.path]


LEAVES = [leaf_hash(b"%d" % at) for at in range(70_000)]


@pytest.fixture(scope="module")
def example() -> dict[str, bytes]:
    """The specification's example, a tree of 70,000."""
    return tiles_for(LEAVES)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 0, 256), "tile/0/000"),
        (TileName(1, 0, 1), "tile/1/000.p/1"),
        (TileName(0, 999, 256), "tile/0/999"),
        (TileName(0, 1_000, 255), "tile/0/x001/000.p/255"),
        (TileName(0, 273, 112), "tile/0/273.p/112"),
        (TileName(7, 1_234_067, 256), "tile/7/x001/x234/067"),
        (TileName(None, 1_234_067, 5), "tile/entries/x001/x234/067.p/5"),
        (TileName(None, 0, 256), "tile/entries/000"),
    ],
)
def test_a_tile_has_one_path(name: TileName, path: str) -> None:
    assert name.path == path
    assert parse_path(path) == name


def test_paths_are_written_from_their_parts() -> None:
    assert tile_path(2, 1_234_067) == "tile/2/x001/x234/067"
    assert tile_path(2, 1, 17) == "tile/2/001.p/17"
    assert entries_path(1_234_067) == "tile/entries/x001/x234/067"
    assert entries_path(1, 3) == "tile/entries/001.p/3"


@given(st.one_of(st.none(), st.integers(0, 7)), st.integers(0, (1 << 63) - 1), st.integers(1, 256))
def test_every_path_is_read_back(level: int | None, number: int, width: int) -> None:
    name = TileName(level, number, width)
    assert parse_path(name.path) == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/x000/001",
        "tile/0/x000/x001/000",
        "tile/0/x001",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/X001/000",
        "tile/0/x001//000",
        "tile/00/000",
        "tile/01/000",
        "tile/8/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/x/000",
        "tile/data/000",
        "tile/Entries/000",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/1000",
        "tile/0/000.p/-1",
        "tile/0/000.p/1.p/1",
        "tile/0/000\n",
        "tile/0/000.p/1\n",
        "tile/0/000\r\n",
        "tile/0/../000",
        "tile/0/..",
        "tile/0/000%00",
        "tile/0/000?x",
        "tile/0/\N{ARABIC-INDIC DIGIT ZERO}00",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/x009/x223/x372/x036/x854/x775/x808/000",
        "tile/0/" + "x999/" * 9_999 + "999",
    ],
)
def test_a_path_in_another_form_is_refused(path: str) -> None:
    with pytest.raises(MalformedBytes):
        parse_path(path)


def test_the_largest_number_below_the_limit_is_read() -> None:
    assert parse_path("tile/0/x009/x223/x372/x036/x854/x775/807").number == (1 << 63) - 1


def test_the_tiles_of_the_specifications_example() -> None:
    names = list(tiles_of(70_000))
    by_level = [[each for each in names if each.level == level] for level in range(3)]
    assert len(by_level[0]) == 274
    assert by_level[0][272:] == [TileName(0, 272, 256), TileName(0, 273, 112)]
    assert by_level[1] == [TileName(1, 0, 256), TileName(1, 1, 17)]
    assert by_level[2] == [TileName(2, 0, 1)]
    assert len(names) == 277
    assert list(tiles_of(256)) == [TileName(0, 0, 256), TileName(1, 0, 1)]
    assert list(tiles_of(0)) == list(bundles_of(0)) == []
    assert list(bundles_of(513)) == [
        TileName(None, 0, 256),
        TileName(None, 1, 256),
        TileName(None, 2, 1),
    ]


@given(st.integers(0, 140_000), st.integers(0, 140_000))
@settings(max_examples=60, deadline=None)
def test_new_tiles_are_those_that_an_older_tree_did_not_have(one: int, other: int) -> None:
    since, size = sorted((one, other))
    had = set(tiles_of(since))
    assert list(tiles_of(size, since)) == [each for each in tiles_of(size) if each not in had]
    bundles = set(bundles_of(since))
    assert list(bundles_of(size, since)) == [e for e in bundles_of(size) if e not in bundles]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_is_read_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_a_bundle_has_lengths_of_two_bytes() -> None:
    assert encode_bundle([b"", b"ab"]) == b"\0\0\0\2ab"
    assert decode_bundle(encode_bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    with pytest.raises(OverLimit):
        encode_bundle([bytes(65_536)])


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"", 1),
        (b"\0", 1),
        (b"\0\1", 1),
        (b"\0\2a", 1),
        (b"\xff\xff" + bytes(65_534), 1),
        (b"\0\1a", 2),
        (b"\0\1a\0", 2),
        (b"\0\1a\0\1b", 1),
        (b"\0\1ab", 1),
        (b"\0\0\0\0", 1),
        (b"\0\0", 0),
    ],
)
def test_a_bundle_cut_or_of_another_width_is_refused(data: bytes, width: int) -> None:
    with pytest.raises(MalformedBytes):
        decode_bundle(data, width)


def test_a_bundle_is_checked_against_its_tile() -> None:
    entries = [b"%d" % at for at in range(256)]
    tile = b"".join(LEAVES[:256])
    verify_bundle(entries, tile)
    for bad in (entries[:-1], entries[::-1], [*entries, b""], [b"x", *entries[1:]]):
        with pytest.raises(InvalidProof):
            verify_bundle(bad, tile)


@needs_tlog
@pytest.mark.parametrize("size", range(1, 16))
def test_a_tessera_log_leads_to_its_checkpoints(size: int) -> None:
    log = msgspec.json.decode((TESSERA / "KEY-AND-LEAVES.json").read_bytes(), type=TesseraLog)
    note = (TESSERA / "log" / f"checkpoint.{size}").read_bytes()
    checkpoint = open_checkpoint(note, NoteKey.parse(log.verifier_key))
    read = reader_of(TESSERA / "log")
    verify_tiles(size, checkpoint.root, read)
    (bundle,) = bundles_of(size)
    entries = decode_bundle(read(bundle), bundle.width)
    assert [each.decode() for each in entries] == log.leaves_utf8_in_order[:size]
    (tile,) = tiles_of(size)
    verify_bundle(entries, read(tile))


@needs_tlog
def test_a_sunlight_mirror_leads_to_its_checkpoint() -> None:
    checkpoint = Checkpoint.parse(parse_note((MIRROR / "checkpoint").read_bytes()).text)
    assert checkpoint.size == 300
    verify_tiles(300, checkpoint.root, reader_of(MIRROR))
    # The bundles of this sample are placeholders: only their paths can be compared.
    assert {each.path for each in [*tiles_of(300), *bundles_of(300)]} == {
        str(file.relative_to(MIRROR)) for file in MIRROR.rglob("tile/**/*") if file.is_file()
    }


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 70_000), st.data())
def test_a_tree_read_by_tiles_is_the_tree(size: int, draw: st.DataObject) -> None:
    leaves = LEAVES[:size]
    tree = TiledTree(size, reading(tiles_for(leaves)))
    assert tree.root() == root_of(leaves)
    old = draw.draw(st.integers(0, size))
    assert tree.consistency_path(old) == consistency_path(leaves, old)
    if size:
        index = draw.draw(st.integers(0, size - 1))
        assert tree.inclusion_path(index) == inclusion_path(leaves, index)


def test_every_proof_of_small_trees_is_read_by_tiles() -> None:
    for size in [*range(1, 20), 255, 256, 257, 511, 512, 513]:
        leaves = LEAVES[:size]
        tree = TiledTree(size, reading(tiles_for(leaves)))
        for index in {*range(min(size, 20)), size // 2, size - 1}:
            assert tree.inclusion_path(index) == inclusion_path(leaves, index)
            assert tree.consistency_path(index) == consistency_path(leaves, index)
        with pytest.raises(InvalidProof):
            tree.inclusion_path(size)
        with pytest.raises(InvalidProof):
            tree.consistency_path(size + 1)


def test_a_proof_reads_few_tiles(example: dict[str, bytes]) -> None:
    asked: list[str] = []

    def read(name: TileName) -> bytes:
        asked.append(name.path)
        return example[name.path]

    TiledTree(70_000, read).inclusion_path(12_345)
    assert len(asked) <= 5
    assert len(set(asked)) == len(asked)


def test_the_tiles_of_a_growing_tree_are_these(example: dict[str, bytes]) -> None:
    tree, stored = GrowingTree(), dict[str, bytes]()
    for start in range(0, 70_000, 7_000):
        for tile in tree.append(LEAVES[start : start + 7_000]).tiles:
            stored[tile_path(tile.level, tile.number)] = tile.hashes
    for level, number, hashes in tree.partial_tiles():
        stored[tile_path(level, number, len(hashes) // 32)] = hashes
    assert stored == example


def test_all_tiles_of_the_example_fit_together(example: dict[str, bytes]) -> None:
    verify_tiles(70_000, root_of(LEAVES), reading(example))
    verify_tiles(0, EMPTY_ROOT, reading({}))


def damaged(example: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    for path in ("tile/0/000", "tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17"):
        for at in (0, len(example[path]) - 1):
            changed = bytearray(example[path])
            changed[at] ^= 1
            yield path, {**example, path: bytes(changed)}
        swapped = split_hashes(example[path])
        swapped[0], swapped[1] = swapped[1], swapped[0]
        yield path, {**example, path: b"".join(swapped)}


def test_one_changed_bit_in_any_tile_is_found(example: dict[str, bytes]) -> None:
    for path, tiles in damaged(example):
        with pytest.raises(InvalidProof):
            verify_tiles(70_000, root_of(LEAVES), reading(tiles))
        assert path in tiles


def test_tiles_that_fit_together_but_lead_elsewhere_are_refused(example: dict[str, bytes]) -> None:
    with pytest.raises(InvalidProof, match="another root"):
        verify_tiles(70_000, root_of(LEAVES[:-1]), reading(example))


@pytest.mark.parametrize("change", [b"", bytes(32), bytes(31), bytes(112 * 32 + 1), bytes(8_192)])
def test_a_tile_of_another_length_is_refused(example: dict[str, bytes], change: bytes) -> None:
    with pytest.raises(MalformedBytes):
        verify_tiles(70_000, root_of(LEAVES), reading({**example, "tile/0/273.p/112": change}))


def test_a_tree_of_an_impossible_size_is_none() -> None:
    for size in (-1, 1 << 63):
        with pytest.raises(ValueError, match="less than"):
            TiledTree(size, reading({}))
