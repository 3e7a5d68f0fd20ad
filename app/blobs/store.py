"""The port behind which ciphertext is kept, and which orphans may go."""

from collections.abc import Container, Iterable, Iterator
from typing import Protocol

from app.blobs.cid import Cid
from app.blobs.errors import WrongCid
from app.blobs.sizes import CLASS_MAX

BLOB_BYTES_MAX = CLASS_MAX


class BlobStore(Protocol):
    """Keeps blobs by their CID and serves nothing that its CID does not name.

    Calls block on a disk or a network; the node makes them off its event loop. Every `cid` is parsed
    strictly, so MalformedBytes is raised for any text that is not the one text of a CID.
    """

    def put(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """Keep the bytes of all `chunks` in a row and return their CID; durable when it returns.

        Keeping a blob again is the same as keeping it once, and mends a damaged copy. Raises OverLimit
        above BLOB_BYTES_MAX and WrongCid where the bytes are not those of `expected`; after either, or
        if `chunks` or the disk fails, nothing is kept.
        """

    def put_all(self, blobs: Iterable[Iterable[bytes]]) -> list[str]:
        """Keep many blobs and return their CIDs, in order; all are durable when it returns.

        Costs far less than one `put` after another where the disk is slow to sync. Raises as `put`; then none is kept.
        """

    def size(self, cid: str) -> int:
        """Return the bytes of a blob; BlobMissing if there is none."""

    def chunk(self, cid: str, index: int) -> bytes:
        """Return bytes [index · CHUNK_SIZE, (index + 1) · CHUNK_SIZE), checked against the CID.

        This is the unit of a range: the smallest that a CID can vouch for. Raises BlobMissing, BlobDamaged,
        and OverLimit for a chunk after the last.
        """

    def stream(self, cid: str) -> Iterator[bytes]:
        """Yield all chunks, each checked before it is yielded; BlobMissing or BlobDamaged."""

    def has(self, cid: str) -> bool: ...

    def delete(self, cid: str) -> bool:
        """Forget a blob, durably; return whether there was one."""

    def cids(self) -> Iterator[str]:
        """Yield the CIDs of all blobs, in no order."""

    def sweep(self, live: Container[str]) -> tuple[str, ...]:
        """Delete blobs that no key row names; return their CIDs. See `Orphans`."""


class Orphans:
    """Which blobs no key row named at two sweeps in a row.

    A blob is put before the row that names it is committed, so at one moment alone it cannot be told
    from one that a crash left behind. Seen without a row twice, the time between two sweeps apart, it
    is one. No clock is asked, and a restart only begins the wait anew.
    """

    def __init__(self) -> None:
        self._suspects: frozenset[str] = frozenset()

    def put(self, cid: str) -> None:
        """Take note that somebody wants this blob from now on."""
        self._suspects -= {cid}

    def found(self, cids: Iterable[str], live: Container[str]) -> tuple[str, ...]:
        orphans = frozenset(cid for cid in cids if cid not in live)
        twice = orphans & self._suspects
        self._suspects = orphans - twice
        return tuple(sorted(twice))


def check_cid(found: Cid, expected: Cid | None) -> None:
    """Raise WrongCid unless a blob is the one that was expected, if any was."""
    if expected is not None and found != expected:
        raise WrongCid(str(expected), str(found))
