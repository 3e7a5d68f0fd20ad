"""The few file operations whose order decides what survives a crash."""

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_LIBC = ctypes.CDLL(None, use_errno=True)
_PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700


class Disk:
    """Writes files that are whole or not there. What the operating system refuses is an OSError."""

    def write_new(self, path: Path, pieces: Iterable[bytes], *, lasting: bool = True) -> None:
        """Create a file that only its owner reads, and force its bytes to disk before returning.

        Its *name* is durable only after `publish` or `sync_folder`. Not `lasting`: its bytes, too, are durable only
        after `sync_file_system`.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                self.write(file, piece)
            file.flush()
            if lasting:
                self.sync(file.fileno())

    def publish(self, part: Path, final: Path) -> None:
        """Give a written file its final name, at once and durably, in place of what had it before."""
        part.replace(final)
        self.sync_folder(final.parent)

    def remove(self, path: Path) -> bool:
        """Remove a file durably; return whether there was one."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        self.sync_folder(path.parent)
        return True

    def make_folder(self, path: Path) -> None:
        """Create a folder, and those above it, durably, where there is none."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        with suppress(FileExistsError):
            path.mkdir(_PRIVATE_FOLDER)
        self.sync_folder(path.parent)

    def sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def sync_file_system(self, folder: Path) -> None:
        """Force all that was written, made or renamed on the folder's file system to disk: Linux's syncfs(2)."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _LIBC.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(folder))
        finally:
            os.close(descriptor)

    def write(self, file: BinaryIO, data: bytes) -> None:
        file.write(data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)
