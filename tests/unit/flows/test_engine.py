"""Two engines back to back: conversations end as they should, whatever is lost, repeated or killed in between."""

from random import Random

import pytest

from flows.store import Status
from states.encoding import encode
from tests.unit.flows.conversations import REGISTRY, Chat, Words, handlers
from tests.unit.flows.nodes import Clock, Node, Wires


def counted(node: Node, name: str) -> int:
    row = node.connection.execute("SELECT times FROM counted WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def pair() -> tuple[Node, Node, Wires]:
    clock = Clock()
    nodes = [Node(name, REGISTRY, handlers(), clock) for name in ("Mercy", "Riverside")]
    for node in nodes:
        node.connection.execute("CREATE TABLE counted (name TEXT PRIMARY KEY, times INTEGER)")
    return nodes[0], nodes[1], Wires(*nodes)


def echoed(times: int) -> bytes:
    return encode(Words(tuple(f"word {number}!" for number in range(times))))


def test_a_conversation_ends_on_both_sides_and_leaves_nothing_behind() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 5))
    wires.run()
    assert mercy.finished[flow].result == echoed(5)
    assert [f.status for f in riverside.finished.values()] == [Status.DONE]
    wires.wait(1_000)
    for table in ("journal", "session", "inbox", "outbox", "wait", "part"):
        assert mercy.count("flow_" + table) == riverside.count("flow_" + table) == 0
