"""A restore that is cut off leaves nothing that starts as a node; nor does a member start without its database."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from app.blobs.disk import Disk
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork
from app.node import DATABASE, MemberNode
from app.node_folder import Opening, clock
from app.operations import restore as restoring
from app.storage.database import DatabaseDamaged
from tests.unit.app.operations.test_backup import _back_up, _node, network

__all__ = ["network"]


class PowerCut(BaseException):
    """Nothing after it is done, and nothing is cleaned up."""


def _cut_off(*_: object) -> None:
    raise PowerCut


def _at_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Disk.write_new

    def write_until(disk: Disk, path: Path, pieces: Iterable[bytes]) -> None:
        if path.name.startswith(DATABASE):
            raise PowerCut
        write(disk, path, pieces)

    monkeypatch.setattr(Disk, "write_new", write_until)


def _before_it_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "begin_anew", _cut_off)


def _before_it_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Disk.publish

    def publish_until(disk: Disk, part: Path, final: Path) -> None:
        if final.name == DATABASE:
            raise PowerCut
        publish(disk, part, final)

    monkeypatch.setattr(Disk, "publish", publish_until)


def _start(folder: Path, network: DemoNetwork) -> MemberNode:
    return MemberNode(Opening(folder, network.network, DEMO_PASSPHRASE))


@pytest.mark.parametrize("cut", [_at_the_database, _before_it_begins_anew, _before_it_has_its_name])
def test_a_restore_that_is_cut_off_leaves_no_node(
    network: DemoNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: Callable[[pytest.MonkeyPatch], None],
) -> None:
    _node(network).db.close()
    backup = tmp_path / "backup"
    _back_up(network, backup, clock())
    with monkeypatch.context() as patch:
        cut(patch)
        with pytest.raises(PowerCut):
            restoring.restore(backup, tmp_path / "again", DEMO_PASSPHRASE)
    for _ in range(2):
        with pytest.raises(DatabaseDamaged, match="cut off"):
            _start(tmp_path / "again", network)
    restoring.restore(backup, tmp_path / "once more", DEMO_PASSPHRASE)
    _start(tmp_path / "once more", network).db.close()


def test_what_was_restored_is_one_file(network: DemoNetwork, tmp_path: Path) -> None:
    """What restoring has written does not lie in a write-ahead log of another name."""
    _node(network).db.close()
    _back_up(network, tmp_path / "backup", clock())
    restoring.restore(tmp_path / "backup", tmp_path / "again", DEMO_PASSPHRASE)
    assert [path.name for path in (tmp_path / "again" / "data").iterdir()] == [DATABASE]


def test_a_member_that_has_run_does_not_begin_again_without_its_database(
    network: DemoNetwork,
) -> None:
    node = _node(network)
    node.db.close()
    (node.folders.data / DATABASE).unlink()
    with pytest.raises(DatabaseDamaged, match="this member has run"):
        _node(network)
    assert not (node.folders.data / DATABASE).exists()
