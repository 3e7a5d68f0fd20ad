"""A folder of blobs: what a full disk, a crash or a stranger's file may and may not do to it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from app.blobs.cid import CHUNK_SIZE, cid_of
from app.blobs.disk import Disk
from app.blobs.folder import FolderBlobStore

DATA = bytes(2 * CHUNK_SIZE) + b"end"
CID = str(cid_of([DATA]))
STEPS = 5  # two writes; syncs of the file, of the new shard's parent and of the shard


class FailingDisk(Disk):
    """Fails at the nth of its writes or syncs, before or after it was carried out; notes what it did."""

    def __init__(self, fail_at: int, *, carried_out: bool) -> None:
        self._left = fail_at
        self._carried_out = carried_out
        self.done: list[str] = []

    def write(self, file: BinaryIO, data: bytes) -> None:
        # A full disk takes a part of what it is given.
        self._step(
            "write", lambda part: super(FailingDisk, self).write(file, data[:part]), len(data)
        )

    def sync(self, descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self._step(f"sync {name}", lambda _: super(FailingDisk, self).sync(descriptor), 0)

    def publish(self, part: Path, final: Path) -> None:
        self.done.append("publish")
        super().publish(part, final)

    def _step(self, name: str, act: Callable[[int], None], size: int) -> None:
        self._left -= 1
        if self._left == 0:
            if self._carried_out:
                act(size // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        act(size)
        self.done.append(name)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("carried_out", [False, True], ids=["failed", "failed but carried out"])
@pytest.mark.parametrize("fail_at", range(1, STEPS + 2))
def test_a_disk_that_fails_leaves_nothing_half_written(
    tmp_path: Path,
    fail_at: int,
    carried_out: bool,  # noqa: FBT001
) -> None:
    root = tmp_path / "blobs"
    FolderBlobStore(root)
    store = FolderBlobStore(root, FailingDisk(fail_at, carried_out=carried_out))
    chunks = [DATA[:CHUNK_SIZE], DATA[CHUNK_SIZE:]]
    if fail_at <= STEPS:
        with pytest.raises(OSError, match="No space left"):
            store.put(chunks)
    else:
        assert store.put(chunks) == CID
    assert all(path.name == CID and path.read_bytes() == DATA for path in files(root))
    again = FolderBlobStore(root)
    assert again.put([DATA]) == CID
    assert b"".join(again.stream(CID)) == DATA


def test_bytes_are_on_disk_before_the_name_and_the_name_before_put_returns(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    FolderBlobStore(root)
    disk = FailingDisk(0, carried_out=False)
    FolderBlobStore(root, disk).put([DATA])
    shard = CID[-3:-1]
    assert disk.done == ["write", "sync 0.part", "sync blobs", "publish", f"sync {shard}"]


def test_a_start_removes_what_a_crash_left_half_written(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    FolderBlobStore(root)
    (root / "incoming" / "0.part").write_bytes(DATA[:100])
    store = FolderBlobStore(root)
    assert files(root) == []
    assert store.put([DATA]) == CID


def test_a_blob_outlives_the_process(tmp_path: Path) -> None:
    FolderBlobStore(tmp_path / "blobs").put([DATA])
    assert b"".join(FolderBlobStore(tmp_path / "blobs").stream(CID)) == DATA


def test_nobody_else_on_the_machine_reads_a_blob(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    FolderBlobStore(root).put([DATA])
    assert {path.stat().st_mode & 0o777 for path in files(root)} == {0o600}
    assert {path.stat().st_mode & 0o077 for path in root.rglob("*") if path.is_dir()} == {0}


def test_a_strangers_file_is_neither_named_nor_swept(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    store = FolderBlobStore(root)
    store.put([DATA])
    (root / CID[-3:-1] / "notes.txt").write_text("mine")
    (root / "notes.txt").write_text("mine")
    assert list(store.cids()) == [CID]
    store.sweep(frozenset())
    assert store.sweep(frozenset()) == (CID,)
    assert len(files(root)) == 2


def test_a_link_out_of_the_folder_is_not_followed_to_other_bytes(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    store = FolderBlobStore(root)
    store.put([DATA])
    (path,) = root.rglob(CID)
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * len(DATA))
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(Exception, match="another CID"):
        list(store.stream(CID))
