"""One process owns a node's folder at a time; who comes second is told so, and touches nothing."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "owner.lock"
_PRIVATE = 0o600


class FolderOwned(Exception):
    """Another process works in this folder: a running node, or somebody changing its keys."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another process works in {folder}; stop the node first")
        self.folder = folder


@contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Own a folder until the block, or the process, ends. Raises FolderOwned."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderOwned(folder) from None
        yield  # the file stays: to unlink it would let two own it
    finally:
        os.close(descriptor)
