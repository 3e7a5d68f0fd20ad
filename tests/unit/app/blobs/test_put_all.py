"""Many blobs at once: as durable as one by one, in two syncs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.blobs.disk import Disk
from app.blobs.folder import FolderBlobStore
from app.blobs.memory import MemoryBlobStore
from states.errors import OverLimit

BLOBS = [bytes([number]) * 5_000 for number in range(30)]


class CountingDisk(Disk):
    """Counts syncs; fails at one of them if told to."""

    def __init__(self, fails_at: int = 0) -> None:
        self.syncs = 0
        self._fails_at = fails_at

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        super().sync(descriptor)

    def sync_file_system(self, folder: Path) -> None:
        self.syncs += 1
        if self.syncs == self._fails_at:
            raise OSError("the disk is gone")
        super().sync_file_system(folder)


def test_many_blobs_are_kept_as_one_by_one_in_two_syncs(tmp_path: Path) -> None:
    disk = CountingDisk()
    store, one_by_one = FolderBlobStore(tmp_path / "many", disk), MemoryBlobStore()
    disk.syncs = 0
    cids = store.put_all([blob] for blob in BLOBS)
    assert disk.syncs == 2
    assert (
        cids
        == [one_by_one.put([blob]) for blob in BLOBS]
        == one_by_one.put_all([[b] for b in BLOBS])
    )
    assert [b"".join(store.stream(cid)) for cid in cids] == BLOBS
    assert sorted(store.cids()) == sorted(cids)
    assert list((tmp_path / "many" / "incoming").iterdir()) == []


def test_the_same_blob_twice_is_kept_once(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path / "blobs")
    first, second = store.put_all([[b"same"], [b"same"]])
    assert first == second
    assert list(store.cids()) == [first]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_if_the_disk_fails_none_is_kept(tmp_path: Path, fails_at: int) -> None:
    FolderBlobStore(tmp_path / "blobs")  # so that nothing but the two syncs is left to fail
    store = FolderBlobStore(tmp_path / "blobs", CountingDisk(fails_at))
    with pytest.raises(OSError, match="the disk is gone"):
        store.put_all([blob] for blob in BLOBS)
    assert list(store.cids()) == []
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []


def test_a_blob_that_was_there_before_stays_if_the_disk_fails(tmp_path: Path) -> None:
    cid = FolderBlobStore(tmp_path / "blobs").put([BLOBS[0]])
    store = FolderBlobStore(tmp_path / "blobs", CountingDisk(2))
    with pytest.raises(OSError, match="the disk is gone"):
        store.put_all([blob] for blob in BLOBS)
    assert list(store.cids()) == [cid]


def test_if_one_of_them_fails_none_is_kept(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"begins well"
        raise OverLimit("document in bytes", 2, 1)

    for store in (FolderBlobStore(tmp_path / "blobs"), MemoryBlobStore()):
        with pytest.raises(OverLimit):
            store.put_all([[b"whole"], broken()])
        assert list(store.cids()) == []
