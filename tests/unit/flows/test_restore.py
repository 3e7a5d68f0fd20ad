"""A node is restored from an older image of its database (flows/README.md §3.5): what differs is lost on both sides."""

import sqlite3

import pytest

from app.storage.database import open_database
from app.storage.flow_store import SqliteFlowStore
from flows.envelope import MARKS_MAX, Hello, SessionMark, is_lost
from flows.store import Status
from states.encoding import encode
from tests.unit.flows.conversations import Ask, Chat, Number, PassOn, SendLetter, Word, Words
from tests.unit.flows.nodes import Node, Wires, counted, pair

HEARD = encode(Words(("word 0!", "word 1!", "word 2!")))


def image_of(node: Node) -> sqlite3.Connection:
    image = open_database(":memory:", cache_kib=1_024)
    node.connection.backup(image)
    return image


def restored(node: Node, wires: Wires, image: sqlite3.Connection) -> None:
    """Bring the node back from its image, as `carecord restore` does."""
    node.connection = image
    SqliteFlowStore(image).new_incarnation(node.random.randbytes(16))
    node.crash()
    wires.held.clear()
    wires.connect()


def talk(wires: Wires, rounds: int) -> None:
    for _ in range(rounds):
        for node in wires.nodes.values():
            wires.step(node)
        wires.carry()


def silent_pair() -> tuple[Node, Node, Wires, bytes, bytes]:
    """A flow at Mercy that waits for one at Riverside, which waits for an event."""
    mercy, riverside, wires = pair()
    asking = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    wires.wait(1_000)
    (silent,) = riverside.engine.flows((Status.RUNNING,))
    return mercy, riverside, wires, asking, silent.id


def test_a_session_that_is_the_same_on_both_sides_goes_on() -> None:
    mercy, riverside, wires, asking, silent = silent_pair()
    restored(riverside, wires, image_of(riverside))
    wires.run()
    riverside.engine.raise_event(silent, "speak", "once", b"hello")
    wires.run()
    assert mercy.finished[asking].result == encode(Word("hello"))


def test_a_session_that_the_restored_side_does_not_know_is_lost() -> None:
    mercy, riverside, wires = pair()
    before = image_of(riverside)
    asking = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    wires.wait(1_000)
    restored(riverside, wires, before)
    wires.run()
    assert mercy.finished[asking].result == encode(Word("lost"))


def test_a_session_whose_messages_the_restored_side_forgot_is_lost_on_both() -> None:
    mercy, riverside, wires, asking, silent = silent_pair()
    before = image_of(mercy)
    riverside.engine.raise_event(silent, "speak", "once", b"hello")
    wires.run()
    wires.wait(1_000)
    assert mercy.finished[asking].result == encode(Word("hello"))
    mercy.finished.clear()
    restored(mercy, wires, before)
    wires.run()
    assert mercy.finished[asking].result == encode(Word("lost"))
    assert riverside.finished[silent].result == encode(Number(0))


def test_what_was_not_acknowledged_is_sent_again_under_new_numbers() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.start(Chat(riverside.party, 2))
    wires.run()
    mercy.engine.disconnected(riverside.party)
    for word in ("a", "b"):
        mercy.engine.start(SendLetter(riverside.party, "postbox/1", word, 100))
    mercy.turn()
    mercy.turn()
    restored(mercy, wires, image_of(mercy))
    wires.run()
    wires.wait(1_000)
    assert counted(riverside, "letter a") == counted(riverside, "letter b") == 1
    assert mercy.count("flow_outbox") == mercy.count("flow_part") == 0
    again = mercy.engine.start(Chat(riverside.party, 3))
    wires.run()
    assert mercy.finished[again].result == HEARD


def test_a_letter_that_arrived_before_the_image_was_put_back_is_not_taken_twice() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.disconnected(riverside.party)
    mercy.engine.start(SendLetter(riverside.party, "postbox/1", "once"))
    mercy.turn()
    before = image_of(mercy)
    wires.connect()
    wires.run()
    assert counted(riverside, "letter once") == 1
    restored(mercy, wires, before)
    wires.run()
    wires.wait(1_000)
    assert counted(riverside, "letter once") == 1
    assert mercy.count("flow_outbox") == 0


def test_a_flow_that_opens_a_session_for_the_second_time_learns_that_it_is_lost() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.disconnected(riverside.party)
    asking = mercy.engine.start(Ask(riverside.party, "refuse/1", "nothing"))
    before = image_of(mercy)
    wires.connect()
    wires.run()
    assert mercy.finished[asking].result == encode(Word("ended"))
    wires.wait(1_000)
    restored(mercy, wires, before)
    wires.run()
    assert mercy.finished[asking].result == encode(Word("lost"))
    assert len(riverside.engine.flows()) == 1


def test_a_session_that_its_opener_ended_without_a_word_is_ended_where_it_opens_anew() -> None:
    """Its opener was told that it is lost, and had nothing to say to that; what it had said is sent again."""
    mercy, riverside, wires = pair()
    mercy.engine.disconnected(riverside.party)
    asking = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    before, forgetful = image_of(mercy), image_of(riverside)
    wires.connect()
    wires.run()
    wires.wait(1_000)
    restored(mercy, wires, before)
    while asking not in mercy.finished:
        talk(wires, 1)
    assert mercy.finished[asking].result == encode(Word("lost"))
    image = image_of(mercy)
    restored(riverside, wires, forgetful)
    restored(mercy, wires, image)
    wires.run()
    wires.wait(1_000)
    (silent,) = riverside.engine.flows()
    riverside.engine.raise_event(silent.id, "speak", "once", b"hello")
    wires.run()
    assert riverside.count("flow_session") == mercy.count("flow_outbox") == 0


@pytest.mark.parametrize("rounds", range(1, 14))
@pytest.mark.parametrize("who", [0, 1], ids=["initiator", "responder"])
@pytest.mark.parametrize("age", [0, 1, 3])
def test_whenever_a_node_is_restored_both_sides_come_to_an_end(
    rounds: int, who: int, age: int
) -> None:
    mercy, riverside, wires = pair()
    victim = (mercy, riverside)[who]
    flow = mercy.engine.start(Chat(riverside.party, 3))
    talk(wires, max(0, rounds - age))
    image = image_of(victim)
    talk(wires, min(rounds, age))
    restored(victim, wires, image)
    wires.wait(600_000)
    row = mercy.engine.flow(flow)
    assert row is not None
    assert row.status in (Status.DONE, Status.FAILED)
    assert row.status is not Status.DONE or row.result == HEARD
    assert riverside.engine.flows((Status.RUNNING, Status.RETRYING, Status.OBSERVED)) == []
    afterwards = mercy.engine.start(Chat(riverside.party, 3))
    wires.wait(1_000)
    assert mercy.finished[afterwards].result == HEARD
    for node in (mercy, riverside):
        assert node.count("flow_outbox") == node.count("flow_session") == 0


@pytest.mark.parametrize(("again", "letters"), [("two", 2), ("one", 1)])
def test_a_flow_that_goes_another_way_after_a_restore_is_heard(again: str, letters: int) -> None:
    """What its lost course had sent under the same number is another letter, unless it says the same."""
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(PassOn(riverside.party))
    wires.run()
    image = image_of(mercy)
    mercy.engine.raise_event(flow, "speak", "once", b"one")
    wires.run()
    wires.wait(1_000)
    restored(mercy, wires, image)
    mercy.engine.raise_event(flow, "speak", "once", again.encode())
    wires.run()
    wires.wait(1_000)
    assert counted(riverside, "letter one") == 1
    assert counted(riverside, "letter two") == letters - 1


def mark(sent: int, kept: int, received: int, *, closed: bool = False) -> SessionMark:
    return SessionMark(bytes(16), sent, kept, received, closed)


@pytest.mark.parametrize(
    ("mine", "theirs", "lost"),
    [
        (mark(3, 3, 2), mark(2, 2, 3), False),
        (mark(3, 1, 2), mark(2, 2, 1), False),  # two of mine are on their way
        (mark(3, 2, 2), mark(2, 2, 1), True),  # the second is gone from here and never was there
        (mark(3, 3, 2), mark(2, 2, 4), True),  # they have more than I know to have sent
        (mark(3, 3, 2), mark(1, 1, 3), True),  # I have more than they know to have sent
        (mark(3, 3, 2), mark(4, 2, 0, closed=True), False),  # they ended it; the end is on its way
        (mark(3, 3, 1), mark(4, 2, 0, closed=True), True),
        (mark(1, 0, 0), None, False),  # the INIT is on its way
        (mark(1, 1, 0), None, True),
        (mark(1, 0, 1), None, True),
    ],
)
def test_a_session_is_lost_where_something_can_never_arrive(
    mine: SessionMark,
    theirs: SessionMark | None,
    lost: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_lost(mine, theirs) is lost
    if theirs is not None and not theirs.closed:
        assert is_lost(theirs, mine) is lost


def test_sessions_beyond_what_a_hello_holds_are_lost_not_confused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.post_office.MARKS_MAX", 2)
    mercy, riverside, wires = pair()
    asking = [mercy.engine.start(Ask(riverside.party, "silent/1", "x")) for _ in range(4)]
    wires.run()
    wires.wait(1_000)
    restored(riverside, wires, image_of(riverside))
    wires.run()
    lost = [mercy.finished[flow].result for flow in asking if flow in mercy.finished]
    assert lost == [encode(Word("lost"))] * 2
    silent = riverside.engine.flows((Status.RUNNING,))
    for flow in silent:
        riverside.engine.raise_event(flow.id, "speak", "once", b"hello")
    wires.run()
    results = sorted(mercy.finished[flow].result for flow in asking)
    assert results == sorted([encode(Word("lost"))] * 2 + [encode(Word("hello"))] * 2)


def test_a_hello_of_a_replaced_connection_counts_for_nothing() -> None:
    mercy, riverside, _ = pair()
    stale = Hello(bytes(16), b"", 5, ())
    mercy.engine.connected(riverside.party)
    mercy.engine.hello(riverside.party, stale)
    mercy.engine.connected(riverside.party)
    mercy.engine.start(Chat(riverside.party, 1))
    assert mercy.turn().envelopes == {}
    assert MARKS_MAX >= 4_096
