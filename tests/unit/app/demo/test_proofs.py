"""A process that shall have no network has none, whichever way this machine allows."""

import asyncio
from pathlib import Path

from app.demo.proofs import Proofs, offline

TRUST = Path("network.pub")


def test_the_way_of_this_machine_keeps_a_process_from_the_network() -> None:
    async def cut_off() -> bool:
        return await (await offline(TRUST)).has_no_network()

    assert asyncio.run(cut_off())


def test_where_there_are_no_namespaces_a_hook_does() -> None:
    proofs = Proofs(TRUST, ())
    assert "audit hook" in proofs.how
    assert asyncio.run(proofs.has_no_network())


def test_a_process_that_reaches_others_is_not_taken_for_one_without_network() -> None:
    assert not asyncio.run(Proofs(TRUST, ("env",)).has_no_network())
