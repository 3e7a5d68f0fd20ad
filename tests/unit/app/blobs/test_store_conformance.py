"""What every blob store promises, and what a folder promises beyond: each test runs on every store."""

from collections.abc import Callable, Iterator
from hashlib import shake_256
from pathlib import Path

import pytest

from app.blobs.cid import CHUNK_SIZE, Cid, cid_of
from app.blobs.errors import BlobDamaged, BlobMissing, WrongCid
from app.blobs.folder import FolderBlobStore
from app.blobs.memory import MemoryBlobStore
from app.blobs.store import BlobStore
from states.errors import MalformedBytes, OverLimit
from tests.attack.bad_input import said

Damage = Callable[[str, Callable[[bytes], bytes]], None]


def blob(name: str, size: int) -> bytes:
    return shake_256(name.encode()).digest(size)


ONE = blob("one", 4_096)
MANY = blob("many", 3 * CHUNK_SIZE + 4_096)
MISSING = str(cid_of([b"nobody put this"]))


class Kept:
    """A store under test, and a way to damage what it keeps."""

    def __init__(self, store: BlobStore, damage: Damage) -> None:
        self.store = store
        self.damage = damage


def in_memory(_: Path) -> Kept:
    store = MemoryBlobStore()

    def damage(cid: str, how: Callable[[bytes], bytes]) -> None:
        store._blobs[Cid.parse(cid)] = how(store._blobs[Cid.parse(cid)])

    return Kept(store, damage)


def in_folder(root: Path) -> Kept:
    def damage(cid: str, how: Callable[[bytes], bytes]) -> None:
        (file,) = root.rglob(cid)
        file.write_bytes(how(file.read_bytes()))

    return Kept(FolderBlobStore(root), damage)


@pytest.fixture(params=[in_memory, in_folder], ids=["memory", "folder"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    make: Callable[[Path], Kept] = request.param
    return make(tmp_path / "blobs")


def pieces(data: bytes, size: int = 100_000) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("data", [b"", b"x", ONE, blob("c", CHUNK_SIZE), MANY], ids=len)
def test_a_blob_comes_back_by_its_cid(kept: Kept, data: bytes) -> None:
    cid = kept.store.put(pieces(data))
    assert cid == str(cid_of([data]))
    assert b"".join(kept.store.stream(cid)) == data
    assert kept.store.size(cid) == len(data)
    assert kept.store.has(cid)
    assert list(kept.store.cids()) == [cid]


def test_chunks_are_cut_where_the_cid_cuts_them(kept: Kept) -> None:
    cid = kept.store.put(pieces(MANY))
    for index in (3, 0, 2, 1):
        expected = MANY[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE]
        assert kept.store.chunk(cid, index) == expected
    assert [len(chunk) for chunk in kept.store.stream(cid)] == [CHUNK_SIZE] * 3 + [4_096]


@pytest.mark.parametrize("index", [-1, 4, 1 << 40])
def test_there_is_no_chunk_outside_the_blob(kept: Kept, index: int) -> None:
    cid = kept.store.put(pieces(MANY))
    with pytest.raises(OverLimit):
        kept.store.chunk(cid, index)


def test_a_blob_that_was_never_put_is_missing(kept: Kept) -> None:
    assert not kept.store.has(MISSING)
    assert not kept.store.delete(MISSING)
    with pytest.raises(BlobMissing):
        kept.store.chunk(MISSING, 0)
    with pytest.raises(BlobMissing):
        list(kept.store.stream(MISSING))
    with pytest.raises(BlobMissing):
        kept.store.size(MISSING)


def test_a_deleted_blob_is_gone_also_for_who_read_it_before(kept: Kept) -> None:
    cid = kept.store.put([MANY])
    kept.store.chunk(cid, 1)
    assert kept.store.delete(cid)
    assert not kept.store.has(cid)
    assert not list(kept.store.cids())
    with pytest.raises(BlobMissing):
        kept.store.chunk(cid, 1)


def test_a_blob_deleted_while_it_is_read_ends_as_missing(kept: Kept) -> None:
    cid = kept.store.put([MANY])
    stream = kept.store.stream(cid)
    next(stream)
    kept.store.delete(cid)
    with pytest.raises(BlobMissing):
        next(stream)


def test_putting_twice_keeps_once(kept: Kept) -> None:
    assert kept.store.put([ONE]) == kept.store.put(pieces(ONE, 7))
    assert len(list(kept.store.cids())) == 1


def test_bytes_of_another_cid_are_not_kept(kept: Kept) -> None:
    assert kept.store.put([ONE], str(cid_of([ONE]))) == str(cid_of([ONE]))
    with pytest.raises(WrongCid):
        kept.store.put([MANY], str(cid_of([ONE])))
    assert list(kept.store.cids()) == [str(cid_of([ONE]))]


@pytest.mark.parametrize("data", [ONE, MANY], ids=["one chunk", "many"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:0],
        lambda data: bytes((data[0] ^ 1,)) + data[1:],
        lambda data: data[:-1] + bytes((data[-1] ^ 0x80,)),
    ],
    ids=["truncated", "longer", "empty", "first bit", "last bit"],
)
@pytest.mark.parametrize("read_before", [False, True], ids=["unread", "read before"])
def test_a_damaged_blob_is_never_served(
    kept: Kept,
    data: bytes,
    damage: Callable[[bytes], bytes],
    read_before: bool,  # noqa: FBT001
) -> None:
    cid = kept.store.put([data])
    if read_before:
        assert b"".join(kept.store.stream(cid)) == data
    kept.damage(cid, damage)
    served = list[bytes]()
    with pytest.raises(BlobDamaged) as alarm:
        served.extend(kept.store.stream(cid))
    assert alarm.value.cid == cid
    said("blob", alarm.value)
    assert data.startswith(b"".join(served))


def test_damage_while_a_blob_is_read_is_found_at_that_chunk(kept: Kept) -> None:
    cid = kept.store.put([MANY])
    stream = kept.store.stream(cid)
    assert next(stream) == MANY[:CHUNK_SIZE]
    kept.damage(cid, lambda data: data[:CHUNK_SIZE] + bytes(len(data) - CHUNK_SIZE))
    with pytest.raises(BlobDamaged):
        next(stream)


def test_putting_a_damaged_blob_again_mends_it(kept: Kept) -> None:
    cid = kept.store.put([MANY])
    kept.damage(cid, lambda data: data[:10])
    kept.store.put([MANY])
    assert b"".join(kept.store.stream(cid)) == MANY


@pytest.mark.parametrize(
    "text",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "incoming/0.part",
        "",
        ".",
        MISSING.upper(),
        MISSING + "/..",
        "../" + MISSING[3:],
        MISSING + "\0",
    ],
)
def test_a_text_that_is_no_cid_reaches_no_store(kept: Kept, text: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: kept.store.chunk(text, 0),
        lambda: list(kept.store.stream(text)),
        lambda: kept.store.size(text),
        lambda: kept.store.has(text),
        lambda: kept.store.delete(text),
        lambda: kept.store.put([b"x"], text),
    ]
    for call in calls:
        with pytest.raises(MalformedBytes):
            call()
    assert not list(kept.store.cids())


def test_a_blob_over_the_limit_is_refused(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("folder", "memory"):
        monkeypatch.setattr(f"app.blobs.{module}.BLOB_BYTES_MAX", 10_000)
    with pytest.raises(OverLimit):
        kept.store.put(pieces(bytes(10_001), 1_000))
    assert not list(kept.store.cids())
    assert kept.store.put([bytes(10_000)])


def test_chunks_that_fail_half_way_leave_nothing(kept: Kept) -> None:
    def broken() -> Iterator[bytes]:
        yield MANY[:300_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        kept.store.put(broken())
    assert not list(kept.store.cids())


def test_a_sweep_takes_what_no_row_names_but_only_at_the_second_look(kept: Kept) -> None:
    live, orphan = kept.store.put([b"live"]), kept.store.put([b"orphan"])
    assert kept.store.sweep({live}) == ()
    assert kept.store.has(orphan)
    assert kept.store.sweep({live}) == (orphan,)
    assert list(kept.store.cids()) == [live]


def test_a_blob_whose_row_came_between_two_sweeps_stays(kept: Kept) -> None:
    cid = kept.store.put([b"its row is being committed"])
    assert kept.store.sweep(frozenset()) == ()
    assert kept.store.sweep({cid}) == ()
    assert kept.store.sweep(frozenset()) == ()
    assert kept.store.has(cid)


def test_a_suspect_that_is_put_again_is_no_suspect(kept: Kept) -> None:
    cid = kept.store.put([b"again"])
    kept.store.sweep(frozenset())
    kept.store.put([b"again"])
    assert kept.store.sweep(frozenset()) == ()
    assert kept.store.sweep(frozenset()) == (cid,)
