"""A notary that spends a state twice inside one consistent log: its member reads that over the wire, and says so."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from app.bench.workshop import START
from app.cli.application import main
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, make_network
from app.node import MemberNode
from app.node_folder import clock
from app.notary_node import NotaryNode
from app.operations.restore import restore
from notaries.log import ServedLog
from notaries.memory import MemoryProvider
from tests.e2e.in_process import living, opening, until
from tests.ports import free_port
from tests.unit.app.operations.test_backup import _back_up, _node
from tests.unit.notaries.lying_log import LyingStore, entry

Then = Callable[[NotaryNode, MemberNode, LyingStore], Awaitable[None]]


async def nothing(notary: NotaryNode, mercy: MemberNode, store: LyingStore) -> None:
    """What happens to a log of which all is said."""


async def read_the_log(
    network: DemoNetwork, spends: list[int], then: Then = nothing, folder: Path | None = None
) -> MemberNode:
    """Let a member follow a log in which each of these is the nullifier of one more transaction; then go on."""
    notary = NotaryNode(opening(network, network.notary))
    own = opening(network, network.member("mercy"))
    mercy = MemberNode(own if folder is None else replace(own, folder=folder))
    signer = notary.provider._signer
    store = LyingStore([entry(n, START, spent) for n, spent in enumerate(spends)], signer)
    notary._log = ServedLog(store.provider)
    notary.provider.head = store.provider.head  # type: ignore[method-assign]
    async with living(notary, mercy):
        await until(lambda: mercy.transport.is_up(notary.me), "a link to the notary")
        await mercy._watch_logs()
        await mercy._audit_logs()
        await mercy._audit_logs()
        await then(notary, mercy, store)
    return mercy


def audited(network: DemoNetwork, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[object]]:
    monkeypatch.setenv("CARECORD_PASSPHRASE", DEMO_PASSPHRASE)
    out = io.StringIO()
    with redirect_stdout(out):
        code = main(["audit-log", str(network.member("mercy").folder), "--json"])
    return code, json.loads(out.getvalue())


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("spends", "code", "found"),
    [([7, 8, 9], 0, []), ([7, 8, 7], 1, [("spent-twice", "entry 2")])],
)
def test_a_member_reads_the_log_and_its_operator_can_check_the_copy(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spends: list[int],
    code: int,
    found: list[tuple[str, str]],
) -> None:
    network = make_network(tmp_path / "network", free_port, clock())
    mercy = asyncio.run(read_the_log(network, spends))
    assert mercy.checks()["notary-log"] is not bool(found)
    ended, (report,) = audited(network, monkeypatch)
    assert ended == code
    assert isinstance(report, dict)
    assert (report["copied"], report["signed"]) == (3, 3)
    assert [(each["what"], each["where"]) for each in report["findings"]] == found


@pytest.mark.e2e
def test_a_member_restored_to_before_it_was_found_out_reads_it_again(tmp_path: Path) -> None:
    """Whom it distrusts is not in its backup, and neither is its copy of the log: it is read from the start."""
    network = make_network(tmp_path / "network", free_port, clock())
    _node(network).db.close()
    _back_up(network, tmp_path / "backup", clock())
    mercy = asyncio.run(read_the_log(network, [7, 8, 7]))
    assert not mercy.checks()["notary-log"]
    restore(tmp_path / "backup", tmp_path / "again", DEMO_PASSPHRASE)
    again = asyncio.run(read_the_log(network, [7, 8], folder=tmp_path / "again"))
    assert again.checks()["notary-log"], "it knows nothing of it"
    again = asyncio.run(read_the_log(network, [7, 8, 7], folder=tmp_path / "again"))
    assert not again.checks()["notary-log"]


def why(mercy: MemberNode) -> list[str]:
    found = (each.distrust for each in mercy.assembly.witnesses.all())
    return [each.why for each in found if each is not None]


async def delete(notary: NotaryNode, mercy: MemberNode, _store: LyingStore) -> None:
    provider = MemoryProvider(notary.provider._signer, START + 60_000)
    notary._log = ServedLog(provider)
    notary.provider.head = provider.head  # type: ignore[method-assign]
    await mercy._watch_logs()


async def lose_tiles_for_a_while(notary: NotaryNode, mercy: MemberNode, store: LyingStore) -> None:
    store.add([entry(3, START, 10)])
    kept = notary._log
    notary._log = ServedLog(MemoryProvider(notary.provider._signer, START))
    await mercy._watch_logs()
    assert why(mercy) == ["unproven"]
    assert not mercy.checks()["notary-log"]
    notary._log = kept
    await mercy._watch_logs()
    assert why(mercy) == []


@pytest.mark.e2e
def test_a_log_that_was_deleted_makes_its_members_not_ready_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(tmp_path / "network", free_port, clock())
    mercy = asyncio.run(read_the_log(network, [7, 8, 9], delete))
    assert not mercy.checks()["notary-log"]
    ended, (report,) = audited(network, monkeypatch)
    assert ended == 1
    assert isinstance(report, dict)
    assert [each["what"] for each in report["findings"]] == ["rolled-back"]


@pytest.mark.e2e
def test_a_log_whose_tiles_are_gone_is_not_believed_until_they_are_back(tmp_path: Path) -> None:
    network = make_network(tmp_path / "network", free_port, clock())
    mercy = asyncio.run(read_the_log(network, [7, 8, 9], lose_tiles_for_a_while))
    assert mercy.checks()["notary-log"]
