"""A node made again from its backup: it tells its peers that it is not what it was, and asks each what it has lost."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from app.assembly import Assembly, Surroundings
from app.auth.users_file import USERS_FILE
from app.blobs.disk import Disk
from app.blobs.folder import FolderBlobStore
from app.config import PASSPHRASE, Folders, load_config
from app.keystore.file import FileKeyStore, restore_key_store
from app.network.bootstrap import KEY_FILE, TLS_FILE
from app.network.folder import MapFolder
from app.network.network_map import NetworkMap
from app.node_file import NODE_FILE
from app.node_folder import DATABASE, NAME_FILE, clock, mark_begun
from app.operations.backup import (
    BLOBS,
    DATA,
    KEYS,
    MAP,
    PRIVATE,
    Manifest,
    copy_file,
    copy_tree,
    read_manifest,
)
from app.operations.refusals import BackupRefused
from app.storage.database import open_database, transaction
from app.storage.flow_store import SqliteFlowStore
from app.vault.aside import Aside, Recovery, remember_asked
from app.vault.restored import note_own_restore
from flows.recovery import Recover
from flows.subjects.confirmation import ConfirmDisclosures
from states.identity import Party

MARGIN_MS = (
    60 * 60_000
)  # peers' clocks differ, and what was on its way when the backup began is asked for, too
INCARNATION_BYTES = 16
PART = DATABASE + ".restoring"


@dataclass(frozen=True, slots=True)
class Restored:
    """A node that can be started: whose it is, its blobs, and the peers that it will ask."""

    manifest: Manifest
    blobs: int
    asks: tuple[Party, ...]


def restore(place: Path, folder: Path, passphrase: str) -> Restored:
    """Make a member's folder from its backup. The next start asks every peer for what happened since.

    The folder is not there yet, or empty. Raises BackupRefused, WrongPassphrase and what else opening raises; then the
    folder is not a node's, and can be deleted.
    """
    manifest = read_manifest(place)
    if manifest.kind == "notary":
        raise BackupRefused(
            "a notary is not restored from a backup: transactions that its log has lost could be spent twice. "
            "Bring back its own disk, or let the network name another notary and move states by notary change."
        )
    if folder.exists() and any(folder.iterdir()):
        raise BackupRefused(f"{folder} is not empty; nothing there is replaced")
    disk = Disk()
    copy_file(disk, place / PRIVATE / NODE_FILE, folder / NODE_FILE)
    folders = load_config(folder / NODE_FILE, {PASSPHRASE: passphrase}).folders
    _require_empty(folders)
    mark_begun(folders)  # whatever stops us from here on leaves a folder that does not start
    for name in (TLS_FILE, NAME_FILE):
        copy_file(disk, place / PRIVATE / name, folders.keys / name)
    if (place / PRIVATE / USERS_FILE).exists():
        copy_file(disk, place / PRIVATE / USERS_FILE, folders.data / USERS_FILE)
    keys = restore_key_store(_newest(place / KEYS), folders.keys / KEY_FILE, passphrase, os.urandom)
    copy_tree(place / MAP, folders.map, disk)
    blobs = copy_tree(place / BLOBS, folders.blobs, disk)
    # The database last, and under its name only when it knows that it was restored: as it lies in the backup it would
    # start as the node that it was, which asks nobody and opens what was closed since.
    part = folders.data / PART
    copy_file(disk, place / DATA / DATABASE, part)
    asks = _begin_anew(folders, manifest, keys, part)
    disk.publish(part, folders.data / DATABASE)
    return Restored(manifest, blobs, asks)


def _require_empty(folders: Folders) -> None:
    for _, path in folders.named():
        if path.exists() and any(path.iterdir()):
            raise BackupRefused(f"{path} is not empty; nothing there is replaced")


def _newest(folder: Path) -> Path:
    backups = sorted(folder.glob("keys-*.backup"))
    if not backups:
        raise BackupRefused(f"{folder} has no backup of the keys")
    return backups[-1]


def _begin_anew(
    folders: Folders, manifest: Manifest, keys: FileKeyStore, part: Path
) -> tuple[Party, ...]:
    """Give the node a new incarnation, and let flows wait in it that ask every other member."""
    me = Party((folders.keys / NAME_FILE).read_text("ascii").strip())
    known = NetworkMap(bytes.fromhex(manifest.network), MapFolder(folders.map), clock)
    peers = tuple(
        Party(member.party)
        for member in known.members()
        if member.party != me and member.kind != "notary"
    )
    db = open_database(part)
    try:
        since = max(manifest.began - MARGIN_MS, 0)
        begin_anew(db, lambda: _assembly(folders, me, known, keys, db), os.urandom, peers, since)
        # What was committed is in the file itself: a write-ahead log would not follow it to its name.
        db.execute("PRAGMA journal_mode=DELETE").fetchone()
    finally:
        db.close()
    return peers


def begin_anew(
    db: Connection,
    assemble: Callable[[], Assembly],
    entropy: Callable[[int], bytes],
    peers: Collection[Party],
    since: int,
) -> Assembly:
    """Give a restored database its new incarnation, and let a flow wait in it for each peer that asks it for all.

    And one for each custodian that disclosed something to this node: it opens nothing of it until that has answered.
    """
    # One transaction: a node with the new incarnation but without its questions would never ask; what peers send
    # before it has asked must not be refused for what they have not brought yet; what was closed since the backup must
    # not be opened before it knows; and nothing is read here before the reading log knows that it gives its numbers
    # anew.
    with transaction(db):
        incarnation = entropy(INCARNATION_BYTES)
        SqliteFlowStore(db).new_incarnation(incarnation)
        assembly = assemble()
        assembly.readings.begin_epoch(db, assembly.given.clock())
        assembly.transfer_permits.withdraw_all(db)
        note_own_restore(db, assembly.given.clock())
        remember_asked(db, peers, since)
        for peer in peers:
            key = f"recover {incarnation.hex()} {peer}"
            Aside.begin(db, Recovery(assembly.engine.start(Recover(peer, since), key), peer, since))
        for custodian in assembly.confirmation.custodians(db):
            key = f"confirm {incarnation.hex()} {custodian}"
            asking = assembly.engine.start(ConfirmDisclosures(custodian), key)
            assembly.confirmation.begin(db, custodian, asking)
    return assembly


def _assembly(
    folders: Folders, me: Party, known: NetworkMap, keys: FileKeyStore, db: Connection
) -> Assembly:
    return Assembly(
        Surroundings(
            me=me,
            db=db,
            keys=keys,
            blobs=FolderBlobStore(folders.blobs),
            parameters=known.history,
            directory=known,
            party_of=known.party_of_key,
            notary=known.notaries()[0].party,
            clock=clock,
            entropy=os.urandom,
        )
    )
