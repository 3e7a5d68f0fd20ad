"""Blobs in memory, with every promise of BlobStore but to outlive the process: for the simulator."""

from collections.abc import Container, Iterable, Iterator

from app.blobs.cid import Cid, cid_of
from app.blobs.errors import BlobMissing
from app.blobs.store import BLOB_BYTES_MAX, Orphans, check_cid
from app.blobs.verified import VerifiedReader
from states.errors import OverLimit


class MemoryBlobStore:
    """A BlobStore over a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[Cid, bytes] = {}
        self._reader = VerifiedReader(_Dictionary(self._blobs))
        self._orphans = Orphans()

    def put(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """See BlobStore.put."""
        wanted = Cid.parse(expected) if expected is not None else None
        data = _gathered(chunks)
        cid = cid_of([data])
        check_cid(cid, wanted)
        return self._keep(cid, data)

    def put_all(self, blobs: Iterable[Iterable[bytes]]) -> list[str]:
        """See BlobStore.put_all."""
        whole = [_gathered(chunks) for chunks in blobs]
        return [self._keep(cid_of([data]), data) for data in whole]

    def _keep(self, cid: Cid, data: bytes) -> str:
        self._orphans.put(str(cid))
        self._blobs[cid] = data
        self._reader.forget(cid)
        return str(cid)

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
        return Cid.parse(cid) in self._blobs

    def delete(self, cid: str) -> bool:
        """See BlobStore.delete."""
        parsed = Cid.parse(cid)
        self._reader.forget(parsed)
        return self._blobs.pop(parsed, None) is not None

    def cids(self) -> Iterator[str]:
        """See BlobStore.cids."""
        return map(str, tuple(self._blobs))

    def sweep(self, live: Container[str]) -> tuple[str, ...]:
        """See BlobStore.sweep."""
        orphans = self._orphans.found(self.cids(), live)
        return tuple(cid for cid in orphans if self.delete(cid))


class _Dictionary:
    """The shelf: bytes by CID."""

    def __init__(self, blobs: dict[Cid, bytes]) -> None:
        self._blobs = blobs

    def size(self, cid: Cid) -> int | None:
        blob = self._blobs.get(cid)
        return None if blob is None else len(blob)

    def read(self, cid: Cid, start: int, size: int) -> bytes:
        blob = self._blobs.get(cid)
        if blob is None:
            raise BlobMissing(str(cid))
        return blob[start : start + size]


def _gathered(chunks: Iterable[bytes]) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > BLOB_BYTES_MAX:
            raise OverLimit("blob in bytes", len(data), BLOB_BYTES_MAX)
    return bytes(data)
