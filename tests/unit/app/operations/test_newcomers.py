"""A restored node asks a member that its backup's map did not name: when the map has news, and each hour."""

import asyncio
import shutil
from pathlib import Path

import pytest

from app.config import usual_folders
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork
from app.network.exchange import map_handler
from app.network.folder import member_file
from app.node import MemberNode
from app.node_folder import Opening, clock
from app.operations.restore import restore
from app.vault.aside import recoveries
from states.identity import Party
from tests.unit.app.operations.test_backup import _back_up, _node, network

__all__ = ["network"]


@pytest.fixture
def agent(network: DemoNetwork) -> Party:
    return Party(network.member("agent").party)


@pytest.fixture
def folder(network: DemoNetwork, agent: Party, tmp_path: Path) -> Path:
    """A member's folder, restored from a backup that was made before the agent joined."""
    _node(network).db.close()
    _back_up(network, tmp_path / "backup", clock())
    (tmp_path / "backup" / "map" / f"{member_file(agent)}.signed").unlink()
    restored = restore(tmp_path / "backup", tmp_path / "again", DEMO_PASSPHRASE)
    assert agent not in restored.asks
    return tmp_path / "again"


def opened(network: DemoNetwork, folder: Path) -> MemberNode:
    return MemberNode(Opening(folder, network.network, DEMO_PASSPHRASE))


def asked(node: MemberNode, party: Party) -> int:
    return [each.peer for each in recoveries(node.db)].count(party)


def test_it_asks_as_soon_as_a_peer_tells_of_a_member(
    network: DemoNetwork, folder: Path, agent: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows, node = _node(network), opened(network, folder)
    answer = map_handler(knows.map)

    async def request(peer: Party, _kind: int, body: bytes, _seconds: float) -> bytes:
        return await answer(peer, body)

    monkeypatch.setattr(node.transport, "request", request)
    assert asked(node, agent) == 0
    for _ in range(2):
        asyncio.run(node._refresh_from(Party(network.member("riverside").party)))
        assert asked(node, agent) == 1
    for each in (node, knows):
        each.db.close()


def test_it_asks_whom_it_heard_of_before_it_stopped(
    network: DemoNetwork, folder: Path, agent: Party
) -> None:
    """The map is on its disk, and its process ended before the question was."""
    name = f"{member_file(agent)}.signed"
    kept = usual_folders(network.member("mercy").folder).map / name
    shutil.copy(kept, usual_folders(folder).map / name)
    node = opened(network, folder)
    assert asked(node, agent) == 0
    for _ in range(2):
        asyncio.run(node._report_heads())
        assert asked(node, agent) == 1
    node.db.close()
