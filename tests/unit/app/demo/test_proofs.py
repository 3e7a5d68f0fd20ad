"""A process that shall have no network has none, whichever way this machine allows."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.demo.proofs import Proofs, offline

TRUST = Path("network.pub")


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_the_way_of_this_machine_keeps_a_process_from_the_network(port: int) -> None:
    assert asyncio.run(_cut_off(asyncio.run(offline(TRUST, port))))


def test_where_there_are_no_namespaces_a_hook_does(port: int) -> None:
    proofs = Proofs(TRUST, (), port)
    assert "audit hook" in proofs.how
    assert asyncio.run(_cut_off(proofs))


def test_a_process_that_reaches_the_node_is_not_taken_for_one_without_network(port: int) -> None:
    assert not asyncio.run(_cut_off(Proofs(TRUST, ("env",), port)))


def test_where_nobody_answers_anyway_nothing_is_proven() -> None:
    assert not asyncio.run(_cut_off(Proofs(TRUST, (), port=1)))


async def _cut_off(proofs: Proofs) -> bool:
    return await proofs.has_no_network()
