"""Blobs as files in a local folder, the default store.

    ROOT/incoming/N.part   being written; what a crash left here is removed at the next start
    ROOT/k5/bafy…k5m       a blob; the folder is named by the two characters before the CID's last

One process owns a folder.
"""

from collections.abc import Container, Iterable, Iterator
from itertools import count
from pathlib import Path
from threading import Lock

from app.blobs.cid import Cid, CidBuilder
from app.blobs.disk import Disk
from app.blobs.errors import BlobMissing
from app.blobs.store import BLOB_BYTES_MAX, Orphans, check_cid
from app.blobs.verified import VerifiedReader
from states.errors import MalformedBytes, OverLimit

_INCOMING = "incoming"  # eight characters: never the name of a shard


class FolderBlobStore:
    """A BlobStore over a folder of a local file system."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self._root = root
        self._disk = disk or Disk()
        self._reader = VerifiedReader(_Files(root))
        self._orphans = Orphans()
        self._numbers = count()
        self._lock = Lock()  # a sweep must not delete what is put at the same moment
        self._disk.make_folder(root / _INCOMING)
        for part in (root / _INCOMING).iterdir():
            self._disk.remove(part)

    def put(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """See BlobStore.put."""
        wanted = Cid.parse(expected) if expected is not None else None
        part = self._root / _INCOMING / f"{next(self._numbers)}.part"
        builder = CidBuilder()
        try:
            self._disk.write_new(part, _counted(chunks, builder))
            # The bytes are on disk under a name that nobody reads. A crash from here to the rename loses
            # them, and nothing names them: the row that does is committed after this function returned.
            cid = builder.finish()
            check_cid(cid, wanted)
            path = _path(self._root, cid)
            self._disk.make_folder(path.parent)
            with self._lock:
                self._orphans.put(str(cid))
                self._disk.publish(part, path)
        except BaseException:
            self._disk.remove(part)
            raise
        self._reader.forget(cid)
        return str(cid)

    def put_all(self, blobs: Iterable[Iterable[bytes]]) -> list[str]:
        """See BlobStore.put_all. Two syncs of the file system take the place of two or three a blob."""
        parts, kept = dict[Path, Cid](), list[Path]()
        try:
            for chunks in blobs:
                part = self._root / _INCOMING / f"{next(self._numbers)}.part"
                builder = CidBuilder()
                kept.append(part)
                self._disk.write_new(part, _counted(chunks, builder), lasting=False)
                parts[part] = builder.finish()
            # Bytes before names: a crash from here on leaves whole blobs that nothing names, or parts.
            self._disk.sync_file_system(self._root)
            for part, cid in parts.items():
                path = _path(self._root, cid)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                with self._lock:
                    self._orphans.put(str(cid))
                    if not path.is_file():  # what was here before stays, whatever comes
                        kept.append(path)
                    part.replace(path)
            self._disk.sync_file_system(self._root)
        except BaseException:
            for path in kept:
                self._disk.remove(path)
            raise
        for cid in parts.values():
            self._reader.forget(cid)
        return [str(cid) for cid in parts.values()]

    def size(self, cid: str) -> int:
        """See BlobStore.size."""
        return self._reader.size(Cid.parse(cid))

    def chunk(self, cid: str, index: int) -> bytes:
        """See BlobStore.chunk."""
        return self._reader.chunk(Cid.parse(cid), index)

    def stream(self, cid: str) -> Iterator[bytes]:
        """See BlobStore.stream."""
        return self._reader.stream(Cid.parse(cid))

    def has(self, cid: str) -> bool:
        return _path(self._root, Cid.parse(cid)).is_file()

    def delete(self, cid: str) -> bool:
        """See BlobStore.delete."""
        parsed = Cid.parse(cid)
        self._reader.forget(parsed)
        return self._disk.remove(_path(self._root, parsed))

    def cids(self) -> Iterator[str]:
        """See BlobStore.cids. Files that are no blobs are left alone and not named."""
        for shard in self._root.iterdir():
            if shard.name == _INCOMING or not shard.is_dir():
                continue
            for file in shard.iterdir():
                try:
                    yield str(Cid.parse(file.name))
                except MalformedBytes:
                    continue

    def sweep(self, live: Container[str]) -> tuple[str, ...]:
        """See BlobStore.sweep."""
        kept = tuple(self.cids())
        with self._lock:
            orphans = self._orphans.found(kept, live)
            return tuple(cid for cid in orphans if self.delete(cid))


class _Files:
    """The shelf: files by CID."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, cid: Cid) -> int | None:
        try:
            return _path(self._root, cid).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, cid: Cid, start: int, size: int) -> bytes:
        try:
            with _path(self._root, cid).open("rb") as file:
                file.seek(start)
                return file.read(size)
        except FileNotFoundError as gone:
            raise BlobMissing(str(cid)) from gone  # deleted between two chunks


def _path(root: Path, cid: Cid) -> Path:
    name = str(cid)
    return root / name[-3:-1] / name


def _counted(chunks: Iterable[bytes], builder: CidBuilder) -> Iterator[bytes]:
    """Pass `chunks` on to the disk, to the CID, and up to the limit."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > BLOB_BYTES_MAX:
            raise OverLimit("blob in bytes", total, BLOB_BYTES_MAX)
        builder.update(chunk)
        yield chunk
