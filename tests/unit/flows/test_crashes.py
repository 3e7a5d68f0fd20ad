"""A node is killed at each point of a conversation (flows/README.md §4), and it ends as if nothing had been."""

from collections.abc import Callable
from random import Random

import pytest

from flows.envelope import Envelope
from flows.store import Status
from states.encoding import encode
from states.identity import Party
from states.notarisation import Committed
from tests.unit.flows.conversations import Chat, Notarise, SendLetter, Word, Words
from tests.unit.flows.nodes import Node, Wires, counted, pair

TIMES = 3
HEARD = encode(Words(tuple(f"word {number}!" for number in range(TIMES))))
Kill = Callable[[Node, Wires], None]


class Killed(Exception):
    """The process is gone."""


def before_the_commit(node: Node, wires: Wires) -> None:
    """Do the turn up to its commit, which never comes."""

    def killed() -> None:
        raise Killed

    node.engine._queue.append(killed)
    try:
        wires.step(node)
    except Killed:
        return
    raise AssertionError("the turn did not reach its end")


def after_the_commit(node: Node, wires: Wires) -> None:
    """Commit, and send nothing."""
    del wires
    node.turn()


def after_sending(node: Node, wires: Wires) -> None:
    """Send, and lose the acknowledgements that were about to leave."""
    result = node.turn()
    for peer, envelopes in result.envelopes.items():
        wires.held.extend((node.party, peer, envelope) for envelope in envelopes)


KILLS = (before_the_commit, after_the_commit, after_sending)


def reconnect(wires: Wires) -> None:
    wires.held.clear()
    wires.connect()


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("who", [0, 1], ids=["initiator", "responder"])
def test_a_killed_node_goes_on_where_it_was(kill: Kill, at: int, who: int) -> None:
    mercy, riverside, wires = pair()
    victim = (mercy, riverside)[who]
    flow = mercy.engine.start(Chat(riverside.party, TIMES))
    for _ in range(at):
        for node in (mercy, riverside):
            wires.step(node)
        wires.carry()
    kill(victim, wires)
    victim.crash()
    reconnect(wires)
    wires.run()
    assert mercy.status(flow) is Status.DONE
    row = mercy.engine.flow(flow)
    assert row is not None
    assert row.result == HEARD
    assert counted(mercy, "chat") == counted(riverside, "echo") == TIMES
    assert counted(riverside, "echo-sessions") == 1


@pytest.mark.parametrize("seed", range(15))
def test_nodes_that_are_killed_all_the_time_still_agree(seed: int) -> None:
    mercy, riverside, wires = pair()
    random = Random(seed)
    wires.fate = lambda _a, _b, _e: random.choices((0, 1, 2), (20, 65, 15))[0]
    flows = [mercy.engine.start(Chat(riverside.party, TIMES)) for _ in range(4)]
    mercy.engine.start(SendLetter(riverside.party, "postbox/1", "x", 100))
    for _ in range(120):
        node = random.choice((mercy, riverside))
        if random.random() < 0.15:
            random.choice(KILLS)(node, wires)
            node.crash()
            reconnect(wires)
        wires.step(node)
        wires.carry()
        mercy.clock.now += random.randrange(500)
    wires.fate = lambda _a, _b, _e: 1
    wires.wait(900_000)
    rows = [mercy.engine.flow(flow) for flow in flows]
    assert [row and row.result for row in rows] == [HEARD] * 4
    assert counted(mercy, "chat") == counted(riverside, "echo") == 4 * TIMES
    assert counted(riverside, "echo-sessions") == 4
    assert counted(riverside, "letter x") == 1
    for table in ("journal", "session", "inbox", "outbox", "part"):
        assert mercy.count("flow_" + table) == riverside.count("flow_" + table) == 0


def test_a_flow_that_waited_for_the_notary_asks_again() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise(""))
    wires.run()
    before = mercy.questions
    mercy.crash()
    wires.run()
    assert mercy.questions == before != []
    mercy.engine.notary_answered(mercy.questions[0], Committed("receipt"))
    wires.run()
    assert mercy.finished[flow].result == encode(Word("Committed"))


def test_what_was_on_the_way_when_a_connection_broke_is_not_taken_from_the_old_one() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, TIMES))
    wires.step(mercy)
    wires.step(mercy)
    old: list[tuple[Party, Party, Envelope]] = list(wires.held)
    wires.held.clear()
    riverside.engine.connected(mercy.party)
    riverside.engine.deliver(mercy.party, [envelope for _, _, envelope in old])
    riverside.turn()
    assert riverside.engine.flows() == []
    wires.connect()
    wires.run()
    assert mercy.finished[flow].result == HEARD
