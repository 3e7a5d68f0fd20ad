"""The default key store: one encrypted file, replaced whole at each change, and its rolling backup."""

import re
from collections.abc import Iterator
from pathlib import Path

from app.blobs.disk import Disk
from app.blobs.wrap import Entropy
from app.keystore.errors import KeyExists, KeyStoreDamaged, KeyStoreExposed
from app.keystore.ring import KeyRing
from app.keystore.sealed_file import (
    COST,
    FILE_BYTES_MAX,
    FileSeal,
    KdfCost,
    new_seal,
    open_sealed,
)
from app.keystore.secrets import Secrets, new_secrets

BACKUP_DAYS = 7
BACKUP_MS = BACKUP_DAYS * 24 * 60 * 60 * 1_000

_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_STICKY = 0o1000
_BACKUP = re.compile(r"keys-(\d{13})\.backup")


class FileKeyStore(KeyRing):
    """A KeyStore in an encrypted file. One process owns it."""

    def __init__(
        self, path: Path, secrets: Secrets, seal: FileSeal, entropy: Entropy, disk: Disk
    ) -> None:
        self._path = path
        self._seal = seal
        self._disk = disk
        super().__init__(secrets, entropy, self._write)

    def backup_to(self, folder: Path, now_ms: int) -> Path:
        """Copy the key file, as encrypted as it is, and delete the backups older than BACKUP_DAYS.

        Called at least daily: a destroyed key is gone for good only when the last backup with it is.
        """
        with self._lock:
            data = self._path.read_bytes()
        self._disk.make_folder(folder)
        copy = folder / f"keys-{now_ms:013d}.backup"
        _replace(self._disk, copy, data)
        expire_backups(folder, now_ms, self._disk)
        return copy

    def _write(self, secrets: Secrets) -> None:
        _replace(self._disk, self._path, self._seal.seal(secrets))


def create_key_store(
    path: Path,
    passphrase: str,
    entropy: Entropy,
    *,
    disk: Disk | None = None,
    cost: KdfCost = COST,
) -> FileKeyStore:
    """Draw the secrets of a new node and write them; KeyExists rather than replace a file."""
    disk = disk or Disk()
    if path.exists():
        raise KeyExists(str(path))
    disk.make_folder(path.parent)
    secrets, seal = new_secrets(entropy), new_seal(passphrase, entropy, cost)
    _replace(disk, path, seal.seal(secrets))
    return FileKeyStore(path, secrets, seal, entropy, disk)


def open_key_store(
    path: Path, passphrase: str, entropy: Entropy, disk: Disk | None = None
) -> FileKeyStore:
    """Open a key file. Raises FileNotFoundError, KeyStoreExposed, KeyStoreDamaged or WrongPassphrase."""
    _check_private(path)
    secrets, seal = open_sealed(_read(path), passphrase, entropy)
    return FileKeyStore(path, secrets, seal, entropy, disk or Disk())


def restore_key_store(
    backup: Path, path: Path, passphrase: str, entropy: Entropy, disk: Disk | None = None
) -> FileKeyStore:
    """Put a backup in the place of a lost key file and open it.

    The backup is opened first: what does not open replaces nothing. Raises KeyExists where there is a
    file still, and what `open_key_store` raises. Keys made since the backup are lost; keys destroyed
    since are there again and must be destroyed again.
    """
    if path.exists():
        raise KeyExists(str(path))
    disk = disk or Disk()
    data = _read(backup)
    open_sealed(data, passphrase, entropy)
    disk.make_folder(path.parent)
    _replace(disk, path, data)
    return open_key_store(path, passphrase, entropy, disk)


def expire_backups(folder: Path, now_ms: int, disk: Disk | None = None) -> None:
    """Delete the backups made BACKUP_DAYS or longer before `now_ms`."""
    for made_ms, path in list(_backups(folder)):
        if made_ms <= now_ms - BACKUP_MS:
            (disk or Disk()).remove(path)


def backups_expire_ms(folder: Path) -> int | None:
    """Return when the newest backup expires: a key destroyed now is in none after that. None without one."""
    made = [made_ms for made_ms, _ in _backups(folder)]
    return max(made) + BACKUP_MS if made else None


def _backups(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.iterdir():
        named = _BACKUP.fullmatch(path.name)
        if named:
            yield int(named[1]), path


def _replace(disk: Disk, path: Path, data: bytes) -> None:
    """Give `path` these bytes. A crash leaves the old file whole, or the new one."""
    part = path.with_name(path.name + ".part")
    disk.remove(part)  # of a crash before the rename
    try:
        disk.write_new(part, [data])
        disk.publish(part, path)
    except BaseException:
        disk.remove(part)
        raise


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise KeyStoreDamaged("longer than any key file")
    return data


def _check_private(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & _OTHERS:
        raise KeyStoreExposed(path, f"mode {mode & 0o777:o} where 600 is needed")
    folder = path.parent.stat().st_mode
    if folder & _OTHERS_WRITE and not folder & _STICKY:
        raise KeyStoreExposed(path.parent, f"mode {folder & 0o777:o}: others may replace the file")
