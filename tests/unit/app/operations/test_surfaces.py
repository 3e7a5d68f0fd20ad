"""Claims about /health, /ready and /metrics of a node and of a notary: what they say, and what they never say."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest
from starlette.types import ASGIApp, Message

from app.config import load_config
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, make_network
from app.node_file import NODE_FILE
from app.node_folder import Opening, clock
from app.web.node_app import MemberProcess
from app.web.notary_app import NotaryProcess
from app.witness import FORKED, Distrust
from tests.ports import free_port


@pytest.fixture
def network(tmp_path: Path) -> DemoNetwork:
    return make_network(tmp_path / "network", free_port, clock())


async def _get(app: ASGIApp, path: str) -> tuple[int, bytes]:
    """Ask an application as a server would."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    body = b"".join(m.get("body", b"") for m in said if m["type"] == "http.response.body")
    return int(said[0]["status"]), body


async def _until_ready(app: ASGIApp, *, ready: bool) -> None:
    async with asyncio.timeout(20):
        while ((await _get(app, "/ready"))[0] == 200) is not ready:  # noqa: ASYNC110 - as a supervisor asks
            await asyncio.sleep(0.02)


def _member(network: DemoNetwork) -> MemberProcess:
    folder = network.member("mercy").folder
    config = load_config(folder / NODE_FILE, {"CARECORD_PASSPHRASE": DEMO_PASSPHRASE})
    opening = Opening(folder, network.network, DEMO_PASSPHRASE, config.transport, config.folders)
    return MemberProcess(opening, config)


def _notary(network: DemoNetwork) -> NotaryProcess:
    folder = network.notary.folder
    config = load_config(folder / NODE_FILE, {"CARECORD_PASSPHRASE": DEMO_PASSPHRASE})
    assert config.notary is not None
    opening = Opening(folder, network.network, DEMO_PASSPHRASE, config.transport, config.folders)
    return NotaryProcess(opening, config.notary, config.web)


def test_a_member_is_ready_only_while_its_notary_is_reached(network: DemoNetwork) -> None:
    async def walk() -> list[int]:
        member, notary = _member(network), _notary(network)
        await member.start()
        found = [(await _get(member.app, "/ready"))[0]]
        await notary.start()
        await _until_ready(member.app, ready=True)
        found += [200, (await _get(notary.app, "/ready"))[0]]
        await notary.stop()
        await _until_ready(member.app, ready=False)
        found += [(await _get(member.app, "/ready"))[0], (await _get(notary.app, "/ready"))[0]]
        assert (await _get(member.app, "/health"))[0] == 200
        await member.stop()
        return found

    assert asyncio.run(walk()) == [503, 200, 200, 503, 503]


def test_readiness_says_which_condition_fails(network: DemoNetwork) -> None:
    async def ask() -> bytes:
        member = _member(network)
        try:
            return (await _get(member.app, "/ready"))[1]
        finally:
            await member.stop()

    said = msgspec.json.decode(asyncio.run(ask()))
    assert said == {
        "ready": False,
        "checks": {"turns": True, "notary": False, "notary-log": True, "notary-audit": True},
    }


def test_a_member_whose_notary_contradicted_itself_is_not_ready_and_says_so(
    network: DemoNetwork,
) -> None:
    """Also after a restart, and to whoever watches numbers."""

    async def ask() -> tuple[bytes, bytes]:
        member = _member(network)
        try:
            (witness,) = member.node.assembly.witnesses.all()
            witness.convict(Distrust(FORKED, "a note", "another"))
        finally:
            await member.stop()
        member = _member(network)
        try:
            return (await _get(member.app, "/ready"))[1], (await _get(member.app, "/metrics"))[1]
        finally:
            await member.stop()

    ready, numbers = asyncio.run(ask())
    assert msgspec.json.decode(ready)["checks"]["notary-log"] is False
    assert b"\ncarecord_notaries_distrusted 1.0" in numbers


def test_consents_are_confirmed_at_the_start_and_twice_within_the_lease(
    network: DemoNetwork,
) -> None:
    """After an outage that outlasted the lease nothing would open until the next beat."""

    async def ask() -> tuple[list[str], float, int]:
        member, notary = _member(network), _notary(network)
        await notary.start()
        await member.start()
        await _until_ready(member.app, ready=True)
        flows = member.node.assembly.engine.flows()
        lease_ms = member.node.map.parameters().limits.lease_ms
        seconds = member.node.confirm_seconds()
        await member.stop()
        await notary.stop()
        return [each.tag for each in flows], seconds, lease_ms

    tags, seconds, lease_ms = asyncio.run(ask())
    assert tags.count("confirm-consents/1") == 1
    assert seconds * 2_000 == lease_ms == 3_600_000


MEMBER_NUMBERS = (
    "carecord_notaries_distrusted",
    'carecord_flows{status="running"}',
    'carecord_flows_ended_total{status="done"}',
    "carecord_turn_seconds_count",
    "carecord_outbox_messages",
    "carecord_readings_total",
    "carecord_database_bytes",
    "carecord_links_up",
)
NOTARY_NUMBERS = (
    "carecord_notary_queue_questions",
    "carecord_notary_log_entries_total",
    "carecord_notary_log_bytes",
    "carecord_links_up",
)


def test_numbers_are_told_and_name_no_member(network: DemoNetwork) -> None:
    async def ask() -> tuple[str, str]:
        member, notary = _member(network), _notary(network)
        await notary.start()
        await member.start()
        await _until_ready(member.app, ready=True)
        texts = [(await _get(app, "/metrics"))[1].decode() for app in (member.app, notary.app)]
        await member.stop()
        await notary.stop()
        return texts[0], texts[1]

    of_member, of_notary = asyncio.run(ask())
    for name in MEMBER_NUMBERS:
        assert f"\n{name} " in of_member
    for name in NOTARY_NUMBERS:
        assert f"\n{name} " in of_notary
    assert "\ncarecord_links_up 1.0" in of_member
    for text in (of_member, of_notary):
        assert "did:key:" not in text


def test_without_a_token_graphql_answers_nobody(network: DemoNetwork) -> None:
    async def ask() -> int:
        member = _member(network)
        try:
            return (await _get(member.app, "/graphql"))[0]
        finally:
            await member.stop()

    assert asyncio.run(ask()) == 401


def test_a_port_that_is_taken_is_an_error_and_not_a_silent_node(network: DemoNetwork) -> None:
    async def start() -> None:
        member = _member(network)
        port = network.member("mercy").http_port
        with socket.create_server(("127.0.0.1", port)):
            try:
                await member.start()
            finally:
                await member.stop()

    with pytest.raises(OSError, match="ddress already in use"):
        asyncio.run(start())
