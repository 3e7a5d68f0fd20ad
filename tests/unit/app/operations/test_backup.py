"""Claims about backup and restore: what is in it, what is erased in it, and what a restored node does first."""

import io
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from app.blobs.cipher import seal
from app.blobs.folder import FolderBlobStore
from app.config import usual_folders
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, make_network
from app.keystore.errors import WrongPassphrase
from app.keystore.file import BACKUP_MS, open_key_store
from app.network.bootstrap import KEY_FILE
from app.node import MemberNode
from app.node_folder import Opening, clock
from app.operations.backup import FORMAT, MANIFEST, Copied, Manifest, back_up, read_manifest
from app.operations.refusals import BackupRefused
from app.operations.restore import MARGIN_MS, restore
from flows.recovery import Recover
from flows.store import Status
from states.encoding import Codec
from tests.ports import free_port

KEY = bytes(range(32))


@pytest.fixture
def network(tmp_path: Path) -> DemoNetwork:
    return make_network(tmp_path / "network", free_port, clock())


def _node(network: DemoNetwork) -> MemberNode:
    return MemberNode(Opening(network.member("mercy").folder, network.network, DEMO_PASSPHRASE))


def _back_up(network: DemoNetwork, place: Path, began: int, key: str = "mercy") -> Copied:
    node = next(each for each in network.nodes if each.key == key)
    folders = usual_folders(node.folder)
    keys = open_key_store(folders.keys / KEY_FILE, DEMO_PASSPHRASE, bytes)
    found = Manifest(FORMAT, network.network.hex(), node.party, node.kind, began)
    return back_up(node.folder, folders, keys, place, found)


def test_a_running_nodes_backup_has_what_was_committed_and_its_blobs(
    network: DemoNetwork, tmp_path: Path
) -> None:
    node = _node(network)
    cid = node.blobs.put(seal(io.BytesIO(b"a document"), KEY))
    node.db.execute("CREATE TABLE mark (n INTEGER)")
    node.db.execute("INSERT INTO mark VALUES (7)")  # in the write-ahead log only
    copied = _back_up(network, tmp_path / "backup", clock())
    assert (copied.new_blobs, copied.kept_blobs, copied.erased_blobs) == (1, 0, 0)
    node.db.execute("DELETE FROM mark")
    node.db.close()
    restored = restore(tmp_path / "backup", tmp_path / "again", DEMO_PASSPHRASE)
    assert restored.blobs == 1
    opened = MemberNode(Opening(tmp_path / "again", network.network, DEMO_PASSPHRASE))
    assert opened.db.execute("SELECT n FROM mark").fetchall() == [(7,)]
    assert opened.blobs.has(cid)
    assert opened.me == network.member("mercy").party
    opened.db.close()


def test_what_was_erased_at_the_node_is_erased_by_the_next_backup(
    network: DemoNetwork, tmp_path: Path
) -> None:
    node, place, now = _node(network), tmp_path / "backup", clock()
    kept = node.blobs.put(seal(io.BytesIO(b"kept"), KEY))
    erased = node.blobs.put(seal(io.BytesIO(b"erased"), bytes(32)))
    _back_up(network, place, now - BACKUP_MS - 1)
    assert node.blobs.delete(erased)
    copied = _back_up(network, place, now)
    assert (copied.new_blobs, copied.kept_blobs, copied.erased_blobs) == (0, 1, 1)
    assert list(FolderBlobStore(place / "blobs").cids()) == [kept]
    assert len(list((place / "keys").iterdir())) == 1  # the one of a week ago has expired
    assert read_manifest(place).began == now
    node.db.close()


def test_everything_in_a_backup_is_its_owners_alone(network: DemoNetwork, tmp_path: Path) -> None:
    _node(network).db.close()
    _back_up(network, tmp_path / "backup", clock())
    modes = {
        stat.S_IMODE(path.stat().st_mode) & 0o077
        for path in [tmp_path / "backup", *(tmp_path / "backup").rglob("*")]
    }
    assert modes == {0}
    assert "founding.key" not in {path.name for path in (tmp_path / "backup").rglob("*")}


def test_a_restored_node_is_another_incarnation_and_will_ask_each_peer(
    network: DemoNetwork, tmp_path: Path
) -> None:
    node = _node(network)
    before = node.assembly.engine.store.incarnation()
    node.db.close()
    began = clock()
    _back_up(network, tmp_path / "backup", began)
    restored = restore(tmp_path / "backup", tmp_path / "again", DEMO_PASSPHRASE)
    peers = {member.party for member in network.members if member.key != "mercy"}
    assert set(restored.asks) == peers
    opened = MemberNode(Opening(tmp_path / "again", network.network, DEMO_PASSPHRASE))
    engine = opened.assembly.engine
    assert engine.store.incarnation() not in (before, b"")
    asked = Codec(Recover, "flow")
    waiting = [asked.decode(row.args) for row in engine.flows((Status.RUNNING,))]
    assert {flow.peer for flow in waiting} == peers
    assert {flow.since for flow in waiting} == {began - MARGIN_MS}
    opened.db.close()


def test_a_notary_is_backed_up_but_never_restored(network: DemoNetwork, tmp_path: Path) -> None:
    _back_up(network, tmp_path / "backup", clock(), "notary")
    with pytest.raises(BackupRefused, match="spent twice"):
        restore(tmp_path / "backup", tmp_path / "again", DEMO_PASSPHRASE)
    assert not (tmp_path / "again").exists()


def test_another_nodes_backup_is_not_overwritten(network: DemoNetwork, tmp_path: Path) -> None:
    _node(network).db.close()
    _back_up(network, tmp_path / "backup", clock())
    with pytest.raises(BackupRefused, match="another node"):
        _back_up(network, tmp_path / "backup", clock(), "agent")


def test_nothing_is_restored_over_a_folder_that_has_something_in_it(
    network: DemoNetwork, tmp_path: Path
) -> None:
    _node(network).db.close()
    _back_up(network, tmp_path / "backup", clock())
    with pytest.raises(BackupRefused, match="not empty"):
        restore(tmp_path / "backup", network.member("mercy").folder, DEMO_PASSPHRASE)


def test_a_backup_does_not_open_with_another_passphrase(
    network: DemoNetwork, tmp_path: Path
) -> None:
    _node(network).db.close()
    _back_up(network, tmp_path / "backup", clock())
    with pytest.raises(WrongPassphrase):
        restore(tmp_path / "backup", tmp_path / "again", "another")
    assert not (tmp_path / "again" / "data" / "node.db").exists()


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="no backup"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode({"format": 2}))
    with pytest.raises(BackupRefused, match="format"):
        read_manifest(tmp_path)
    shutil.rmtree(tmp_path)
