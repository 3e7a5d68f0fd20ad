"""A node's folder opened: its name, key store, map and TLS key; what a member and a notary have in common."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection

from app.blobs.disk import Disk
from app.config import Folders, make_folders, usual_folders
from app.keystore.file import FileKeyStore, open_key_store
from app.network.bootstrap import KEY_FILE, TLS_FILE
from app.network.errors import MapIncomplete
from app.network.folder import MapFolder
from app.network.network_map import NetworkMap
from app.storage.database import DatabaseDamaged, open_database
from app.transport.certificate import open_tls_key
from app.transport.transport import Credentials, TransportSettings
from states.identity import Party
from states.parameters import UnknownParameters

DATABASE = "node.db"
NAME_FILE = "party"
BEGUN_FILE = "begun"  # beside the keys: their member has a past, which is not begun a second time


def clock() -> int:
    """The machine's clock, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def mark_begun(folders: Folders) -> None:
    """Let these keys open no new database any more; durable when it returns."""
    mark = folders.keys / BEGUN_FILE
    if not mark.exists():
        disk = Disk()
        disk.make_folder(folders.keys)
        disk.write_new(mark, [])
        disk.sync_folder(folders.keys)


def open_own_database(folders: Folders) -> Connection:
    """Open a member's database, or make it where its keys have had none yet.

    Raises DatabaseDamaged, also where it is gone or a restore was cut off: under these keys a node without past would
    number its readings from one again, and know nothing of what it owes and what its patients have closed.
    """
    path = folders.data / DATABASE
    if (folders.keys / BEGUN_FILE).exists() and not path.exists():
        why = "it is not there, though this member has run, or a restore was cut off"
        raise DatabaseDamaged(path, why)
    db = open_database(path)
    mark_begun(folders)
    return db


@dataclass(frozen=True, slots=True, repr=False)
class Opening:
    """What it takes to open a node's folder: where, in which network (its pinned id), with which passphrase.

    `folders` says where its parts lie, if not at their usual places in it.
    """

    folder: Path
    network: bytes
    passphrase: str
    transport: TransportSettings = field(default_factory=TransportSettings)
    folders: Folders | None = None

    @property
    def places(self) -> Folders:
        return self.folders or usual_folders(self.folder)


def _require_map(known: NetworkMap, me: Party, path: Path) -> None:
    """Raise MapIncomplete unless the map has what a node needs from its first moment."""
    try:
        known.parameters()
    except UnknownParameters as refused:
        raise MapIncomplete(path, "the network's parameters") from refused
    if not known.notaries():
        raise MapIncomplete(path, "the entry of a notary that the parameters name")
    if known.latest(me) is None:
        raise MapIncomplete(path, "this node's own entry")


class OpenFolder:
    """A node's folder: its name, key store, map and TLS key. What a member and a notary have in common."""

    def __init__(self, opening: Opening) -> None:
        self.folders = folders = opening.places
        make_folders(folders)
        self.keys: FileKeyStore = open_key_store(
            folders.keys / KEY_FILE, opening.passphrase, os.urandom
        )
        self.map = NetworkMap(opening.network, MapFolder(folders.map), clock)
        self.me = Party((folders.keys / NAME_FILE).read_text("ascii").strip())
        _require_map(self.map, self.me, folders.map)
        tls = open_tls_key(self.keys, (folders.keys / TLS_FILE).read_bytes())
        self.credentials = Credentials(self.me, self.keys, tls)

    def close(self) -> None:
        """Nothing is held open between calls."""
