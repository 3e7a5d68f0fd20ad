"""Reads a blob's chunks from wherever they lie, and checks each against the CID."""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from threading import Lock
from typing import NamedTuple, Protocol

from app.blobs.cid import CHUNK_SIZE, RAW, Cid, CidBuilder
from app.blobs.errors import BlobDamaged, BlobMissing
from app.blobs.sizes import chunk_count, chunk_size
from app.blobs.store import BLOB_BYTES_MAX
from states.errors import OverLimit

_CACHED_BLOBS = 64  # of at most 128 KiB of leaf digests each


class Shelf(Protocol):
    """Where the bytes lie; it may return what it likes."""

    def size(self, cid: Cid) -> int | None:
        """Return the bytes kept under this CID; None if nothing is."""

    def read(self, cid: Cid, start: int, size: int) -> bytes: ...


class _Leaves(NamedTuple):
    size: int
    digests: tuple[bytes, ...]


class VerifiedReader:
    """Serves chunks of a shelf that is not trusted.

    The first read of a blob of several chunks hashes it whole and remembers its leaves, whose CID was
    checked; every chunk is then hashed again when it is served, so a blob that is altered later is found.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._cache: OrderedDict[Cid, _Leaves] = OrderedDict()
        self._lock = Lock()  # chunks are read in worker threads

    def size(self, cid: Cid) -> int:
        size = self._shelf.size(cid)
        if size is None:
            raise BlobMissing(str(cid))
        return size

    def chunk(self, cid: Cid, index: int) -> bytes:
        """Return one chunk; BlobMissing, BlobDamaged, or OverLimit for a chunk after the last."""
        leaves = self._leaves(cid)
        if not 0 <= index < len(leaves.digests):
            raise OverLimit("chunk index", index, len(leaves.digests) - 1)
        return self._checked(cid, index, leaves)

    def stream(self, cid: Cid) -> Iterator[bytes]:
        leaves = self._leaves(cid)
        for index in range(len(leaves.digests)):
            yield self._checked(cid, index, leaves)

    def forget(self, cid: Cid) -> None:
        with self._lock:
            self._cache.pop(cid, None)

    def _checked(self, cid: Cid, index: int, leaves: _Leaves) -> bytes:
        data = self._shelf.read(cid, index * CHUNK_SIZE, chunk_size(leaves.size, index))
        if sha256(data).digest() != leaves.digests[index]:
            self.forget(cid)
            raise BlobDamaged(str(cid), f"chunk {index} is not the one that was stored")
        return data

    def _leaves(self, cid: Cid) -> _Leaves:
        size = self.size(cid)
        with self._lock:
            known = self._cache.get(cid)
            if known is not None and known.size == size:
                self._cache.move_to_end(cid)
                return known
        leaves = self._counted(cid, size)
        with self._lock:
            self._cache[cid] = leaves
            if len(self._cache) > _CACHED_BLOBS:
                self._cache.popitem(last=False)
        return leaves

    def _counted(self, cid: Cid, size: int) -> _Leaves:
        if size > BLOB_BYTES_MAX:
            raise BlobDamaged(str(cid), f"{size} bytes are more than any blob has")
        if cid.codec == RAW:
            # The CID is the digest of the only chunk: nothing to read twice.
            if size > CHUNK_SIZE:
                raise BlobDamaged(str(cid), f"{size} bytes cannot be one chunk")
            return _Leaves(size, (cid.digest,))
        builder, digests = CidBuilder(), list[bytes]()
        for index in range(chunk_count(size)):
            data = self._shelf.read(cid, index * CHUNK_SIZE, chunk_size(size, index))
            digests.append(sha256(data).digest())
            builder.add_leaf(digests[-1], len(data))
        if builder.finish() != cid:
            raise BlobDamaged(str(cid), "the bytes are of another CID")
        return _Leaves(size, tuple(digests))
