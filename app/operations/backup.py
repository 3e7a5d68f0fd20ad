"""A node's backup: one folder, brought up to date while the node runs.

DEST/manifest.json   whose it is, and since when a restored node must ask its peers
DEST/keys/           the key store's own rolling backups: none is older than seven days, so that erasure becomes final
DEST/private/        the sealed TLS key, the node's name, the users file
DEST/data/           node.db (or a notary's log.db), by SQLite's online backup
DEST/map/, DEST/blobs/   copies; what was erased at the node is erased here by the next backup

In this order, so that no row of the database names a key or a blob that the backup has not got.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from app.auth.users_file import USERS_FILE
from app.blobs.disk import Disk
from app.config import Folders
from app.keystore.file import FileKeyStore
from app.network.bootstrap import TLS_FILE
from app.node_file import NODE_FILE
from app.node_folder import DATABASE, NAME_FILE
from app.operations.refusals import BackupRefused
from notaries.sqlite import LOG_NAME

MANIFEST = "manifest.json"
FORMAT: Literal[1] = 1
PAGES_A_STEP = 1_024  # 4 MiB; between steps the node may write
PIECE = 1 << 20
KEYS, PRIVATE, DATA, MAP, BLOBS = "keys", "private", "data", "map", "blobs"
_PARTS = ".part"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose backup this is. `began` (ms since 1970) is when it was begun: all that was durable then is in it."""

    format: Literal[1]
    network: str
    party: str
    kind: str
    began: int


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup came to: bytes of databases, and blobs that are new in it, already there, or erased."""

    manifest: Manifest
    database_bytes: int
    new_blobs: int
    kept_blobs: int
    erased_blobs: int


def read_manifest(place: Path) -> Manifest:
    """Read a backup's manifest; BackupRefused where there is none that this release knows."""
    try:
        return msgspec.json.decode((place / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupRefused(f"{place} is no backup: it has no {MANIFEST}") from None
    except msgspec.MsgspecError as refused:
        raise BackupRefused(f"{place / MANIFEST}: {refused}") from refused


def back_up(
    folder: Path, folders: Folders, keys: FileKeyStore, place: Path, found: Manifest
) -> Copied:
    """Bring the backup of a node up to date; `found` says whose it is. The node may run meanwhile.

    Raises BackupRefused where another node's backup lies there; OSError and sqlite3.Error as they come. What a crash
    leaves is the former backup with some newer parts, which restores as well.
    """
    disk = Disk()
    disk.make_folder(place)
    if (place / MANIFEST).exists():
        former = read_manifest(place)
        if (former.network, former.party) != (found.network, found.party):
            raise BackupRefused(f"{place} is the backup of another node, {former.party}")
    size = _copy_databases(folders.data, place / DATA, disk)
    keys.backup_to(place / KEYS, found.began)
    for source in _private_files(folder, folders):
        _replace(disk, place / PRIVATE / source.name, source)
    _mirror(folders.map, place / MAP, disk)
    new, kept, erased = _mirror(folders.blobs, place / BLOBS, disk)
    part = place / (MANIFEST + _PARTS)
    disk.remove(part)
    disk.write_new(part, [msgspec.json.format(msgspec.json.encode(found))])
    disk.publish(part, place / MANIFEST)
    return Copied(found, size, new, kept, erased)


def copy_database(source: Path, target: Path, disk: Disk) -> int:
    """Copy a SQLite database that may be in use, whole or not at all; return its bytes."""
    part = target.with_name(target.name + _PARTS)
    disk.make_folder(target.parent)
    disk.remove(part)
    disk.write_new(part, [])  # SQLite would make it for everybody to read
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    with closing(reading), closing(sqlite3.connect(part)) as copy:
        reading.backup(copy, pages=PAGES_A_STEP, sleep=0.01)
        copy.execute("PRAGMA journal_mode=DELETE").fetchone()
    with part.open("rb") as file:
        disk.sync(file.fileno())
    disk.publish(part, target)
    return target.stat().st_size


def copy_file(disk: Disk, source: Path, target: Path) -> None:
    """Copy a file under a name that nobody has; durable when it returns."""
    disk.make_folder(target.parent)
    disk.write_new(target, _pieces(source))
    disk.sync_folder(target.parent)


def copy_tree(source: Path, target: Path, disk: Disk) -> int:
    """Copy every file below `source` into a folder that has none of them; return how many."""
    count = 0
    disk.make_folder(target)
    for path in _files(source):
        copy_file(disk, path, target / path.relative_to(source))
        count += 1
    return count


def _copy_databases(data: Path, target: Path, disk: Disk) -> int:
    # A notary's index is derived from its log, sessions end with a restore: neither is worth a copy.
    there = [name for name in (DATABASE, LOG_NAME) if (data / name).exists()]
    return sum(copy_database(data / name, target / name, disk) for name in there)


def _private_files(folder: Path, folders: Folders) -> list[Path]:
    wanted = (
        folder / NODE_FILE,
        folders.keys / TLS_FILE,
        folders.keys / NAME_FILE,
        folders.data / USERS_FILE,
    )
    return [path for path in wanted if path.exists()]


def _mirror(source: Path, target: Path, disk: Disk) -> tuple[int, int, int]:
    """Make `target` hold what `source` holds. A file of one name never changes, but for the map's."""
    disk.make_folder(target)
    new = kept = erased = 0
    wanted = set[Path]()
    for path in _files(source):
        name = path.relative_to(source)
        wanted.add(name)
        try:
            if _is_same(path, target / name):
                kept += 1
                continue
            _replace(disk, target / name, path)
        except FileNotFoundError:
            continue  # erased at this moment
        new += 1
    for path in list(_files(target)):
        if path.relative_to(target) not in wanted:
            erased += disk.remove(path)
    return new, kept, erased


def _is_same(path: Path, copy: Path) -> bool:
    try:
        ours, theirs = path.stat(), copy.stat()
    except FileNotFoundError:
        return False
    return ours.st_size == theirs.st_size and ours.st_mtime_ns <= theirs.st_mtime_ns


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix != _PARTS:
            yield path


def _replace(disk: Disk, target: Path, source: Path) -> None:
    disk.make_folder(target.parent)
    part = target.with_name(target.name + _PARTS)
    disk.remove(part)
    try:
        disk.write_new(part, _pieces(source))
    except BaseException:
        disk.remove(part)
        raise
    disk.publish(part, target)


def _pieces(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
