"""One process owns a node's folder at a time; who comes second is told so, and touches nothing."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_FILE = "owner.lock"
_PRIVATE = 0o600
_DIGITS_MAX = 20


class FolderOwned(Exception):
    """Another process works in this folder: a running node, or somebody changing its keys.

    `owner` is its id as it knows itself, where it wrote one; in a container that is another number outside.
    """

    def __init__(self, folder: Path, owner: int | None) -> None:
        who = "another process" if owner is None else f"another process, {owner},"
        super().__init__(f"{who} works in {folder}; stop the node first")
        self.folder = folder
        self.owner = owner


@contextmanager
def owning(folder: Path, lock: str = LOCK_FILE) -> Iterator[None]:
    """Own a folder until the block, or the process, ends. Raises FolderOwned.

    `lock` names the file in it that stands for what is owned.
    """
    descriptor = os.open(folder / lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderOwned(folder, _written(descriptor)) from None
        with suppress(OSError):  # a full disk: the lock holds without its owner's number
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield  # the file stays: to unlink it would let two own it
    finally:
        os.close(descriptor)


def owner_of(folder: Path) -> int | None:
    """Return the id of the process that owns a folder now; None where nobody does, or none was written."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _written(descriptor: int) -> int | None:
    digits = os.pread(descriptor, _DIGITS_MAX, 0).strip()
    return int(digits) if digits.isdigit() else None
