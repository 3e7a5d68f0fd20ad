"""Journals: a flow comes back to the same place, and one that no longer fits its code is parked with the difference."""

import json
from pathlib import Path
from typing import TypedDict

import msgspec
import pytest

from flows.execution import Execution
from flows.flow import FlowContext, Sleep
from flows.journal import JournalMismatch, name_of
from flows.registry import Registry
from flows.store import FlowRow, JournalRow, Status
from states.encoding import encode
from states.identity import Party
from tests.unit.flows.conversations import (
    REGISTRY,
    Chat,
    Count,
    Nap,
    Number,
    handlers,
)
from tests.unit.flows.nodes import NOON, Clock, Node, pair

JOURNALS = Path(__file__).parents[2] / "vectors" / "journals"


class Entry(TypedDict):
    """An answer in a journal, in hexadecimal."""

    kind: int
    hash: str
    value: str


class GoldenJournal(TypedDict):
    """A flow's arguments and answers as an earlier release wrote them, and where they lead."""

    name: str
    flow: str
    tag: str
    arguments: str
    peer: str
    session: str
    entries: list[Entry]
    waits_at: str


def golden() -> list[GoldenJournal]:
    return [
        journal
        for path in sorted(JOURNALS.glob("*.json"))
        for journal in json.loads(path.read_text("utf-8"))
    ]


def execution(journal: GoldenJournal) -> tuple[Execution, list[JournalRow]]:
    flow = bytes.fromhex(journal["flow"])
    arguments, session = bytes.fromhex(journal["arguments"]), bytes.fromhex(journal["session"])
    row = FlowRow(
        flow, journal["tag"], arguments, 0, 0, 0, 0, NOON, None, journal["peer"], session, b"", ""
    )
    rows = [
        JournalRow(flow, seq, e["kind"], bytes.fromhex(e["hash"]), bytes.fromhex(e["value"]))
        for seq, e in enumerate(journal["entries"])
    ]
    return Execution(row, REGISTRY, Party("did:key:zMercy")), rows


@pytest.mark.parametrize("journal", golden(), ids=lambda journal: journal["name"])
def test_journals_of_earlier_releases_still_fit(journal: GoldenJournal) -> None:
    run, rows = execution(journal)
    run.resume(run.replay(rows))
    assert name_of(run.operation) == journal["waits_at"]
    assert run.context.posts == []
    assert run.context.steps == []
    run.close()


def test_there_are_golden_journals() -> None:
    kinds = {entry["kind"] for journal in golden() for entry in journal["entries"]}
    assert kinds == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("journal", golden(), ids=lambda journal: journal["name"])
def test_a_journal_whose_last_hash_differs_does_not_fit(journal: GoldenJournal) -> None:
    run, rows = execution(journal)
    rows[-1] = rows[-1]._replace(hash=bytes(8))
    with pytest.raises(JournalMismatch) as mismatch:
        run.replay(rows)
    assert mismatch.value.seq == rows[-1].seq
    run.close()


class LaterNap(msgspec.Struct, frozen=True, array_like=True, tag="nap/1"):
    """The nap, changed by somebody who did not give it a new name."""

    until: int

    async def call(self, flow: FlowContext) -> Number:
        del flow
        await Sleep(self.until)
        await Count("naps")
        await Sleep(self.until + 1_000)
        return Number(2)


class EagerNap(msgspec.Struct, frozen=True, array_like=True, tag="nap/1"):
    """The nap without its second half."""

    until: int

    async def call(self, flow: FlowContext) -> Number:
        del flow
        await Sleep(self.until + 1)
        return Number(1)


class NoNap(msgspec.Struct, frozen=True, array_like=True, tag="nap/1"):
    """The nap of somebody who cannot sleep."""

    until: int

    async def call(self, flow: FlowContext) -> Number:
        del flow
        return Number(0)


@pytest.mark.parametrize(
    ("changed", "why"),
    [(LaterNap, "now asks for count"), (EagerNap, "another sleep"), (NoNap, "now ends here")],
)
def test_a_flow_whose_code_changed_under_it_is_parked_with_the_difference(
    changed: type[msgspec.Struct], why: str
) -> None:
    node = Node("Mercy", Registry((Nap,)), handlers(), Clock())
    node.connection.execute("CREATE TABLE counted (name TEXT PRIMARY KEY, times INTEGER)")
    flow = node.engine.start(Nap(NOON + 500))
    node.turn()
    node.clock.now += 500
    node.turn()
    node.registry = Registry((changed,))
    node.crash()
    node.clock.now += 1_000
    node.turn()
    row = node.engine.flow(flow)
    assert row is not None
    assert row.status == Status.OBSERVED
    assert why in row.why
    node.registry = Registry((Nap,))
    node.crash()
    node.engine.retry(flow)
    node.turn()
    assert node.finished[flow].result == encode(Number(2))


def test_a_flow_whose_version_is_gone_is_parked() -> None:
    node = Node("Mercy", Registry((Nap,)), handlers(), Clock())
    flow = node.engine.start(Nap(NOON + 500))
    node.turn()
    node.registry = Registry()
    node.crash()
    node.clock.now += 1_000
    node.turn()
    assert node.status(flow) is Status.OBSERVED


def test_replay_sends_nothing_and_comes_to_the_same_place() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 4))
    for _ in range(6):
        wires.step(mercy)
        wires.step(riverside)
        wires.carry()
    row, journal = mercy.engine.flow(flow), mercy.engine.store.journal(flow)
    assert row is not None
    assert len(journal) > 2
    run = Execution(row, REGISTRY, mercy.party)
    run.resume(run.replay(journal))
    (session,) = run.context.sessions.values()
    (stored,) = mercy.engine.store.sessions(flow)
    assert (session.id, session.sent) == (stored.session, stored.sent)
    assert run.context.posts == []
    run.close()
