"""A notary that spends a state twice inside one consistent log: its member reads that over the wire, and says so."""

import asyncio
import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from app.bench.workshop import START
from app.cli.application import main
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, make_network
from app.node import MemberNode
from app.node_folder import clock
from app.notary_node import NotaryNode
from notaries.log import ServedLog
from tests.e2e.in_process import living, opening, until
from tests.ports import free_port
from tests.unit.notaries.lying_log import LyingStore, entry


async def read_the_log(network: DemoNetwork, spends: list[int]) -> MemberNode:
    """Let a member follow a log in which each of these is the nullifier of one more transaction."""
    notary = NotaryNode(opening(network, network.notary))
    mercy = MemberNode(opening(network, network.member("mercy")))
    signer = notary.provider._signer
    store = LyingStore([entry(n, START, spent) for n, spent in enumerate(spends)], signer)
    notary._log = ServedLog(store.provider)
    notary.provider.head = store.provider.head  # type: ignore[method-assign]
    async with living(notary, mercy):
        await until(lambda: mercy.transport.is_up(notary.me), "a link to the notary")
        await mercy._watch_logs()
        await mercy._audit_logs()
        await mercy._audit_logs()
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
