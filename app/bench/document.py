"""A document of 50 MB on its way into ciphertext and back: how much memory that takes beside what is there."""

import multiprocessing
import os
import re
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import msgspec

from app.bench.primitives import Yardstick
from app.bench.result import Result, Target
from app.blobs.cipher import open_stream, seal
from app.blobs.folder import FolderBlobStore

SIZE = 50_000_000
PIECE = 1 << 20
PATIENCE_S = 120
_CLEAR_REFS = Path("/proc/self/clear_refs")


class Streamed(msgspec.Struct, frozen=True, array_like=True):
    """Seconds in, seconds out, and how many bytes the process grew by at most."""

    sealing: float
    opening: float
    grown: int


def _forget_peak() -> int:
    """Let the system count this process's peak from here on; return what it is now."""
    _CLEAR_REFS.write_text("5", "ascii")  # proc(5): reset the peak resident set size
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text("ascii", "replace")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, "Linux tells the peak"
    return int(found[1]) * 1_024


def stream(folder: Path, size: int) -> Streamed:
    """Seal a file into a blob store and open it again, in this process."""
    plain = folder / "document"
    with plain.open("wb") as file:
        for at in range(0, size, PIECE):
            file.write(os.urandom(min(PIECE, size - at)))
    store, key, before = FolderBlobStore(folder / "blobs"), os.urandom(32), _forget_peak()
    begun = perf_counter()
    with plain.open("rb") as reader:
        sealing = seal(reader, key)
        store.put(sealing)
    half, sealed = perf_counter(), sealing.sealed
    chunks, read = store.stream(sealed.cid), 0
    for piece in open_stream(chunks, key, sealed.commitment, store.size(sealed.cid)):
        read += len(piece)
    assert read == size, f"{read} of {size} bytes came back"
    return Streamed(half - begun, perf_counter() - half, _peak() - before)


def _work(pipe: "Connection[bytes, bytes]", folder: Path, size: int) -> None:
    pipe.send_bytes(msgspec.msgpack.encode(stream(folder, size)))


def measure_document(_: Yardstick, size: int = SIZE) -> Iterator[Result]:
    """Yield the memory and the speed of a process that does nothing else."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="carecord-bench-") as folder:
        process = context.Process(target=_work, args=(theirs, Path(folder), size), daemon=True)
        process.start()
        theirs.close()
        if not mine.poll(PATIENCE_S):
            process.kill()
            raise TimeoutError("the document did not come through")
        told = msgspec.msgpack.decode(mine.recv_bytes(), type=Streamed)
        process.join()
    name = f"a document of {size / 1e6:.0f} MB"
    yield Target("<", 100).judge(f"{name}, memory beside", told.grown / 1e6, "MB")
    yield Result(f"{name}, sealed and stored", size / 1e6 / told.sealing, "MB/s")
    yield Result(f"{name}, read and opened", size / 1e6 / told.opening, "MB/s")
