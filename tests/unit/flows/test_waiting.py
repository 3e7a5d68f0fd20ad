"""Sleep, deadlines, events and the notary: each comes once, and none is lost when the flow is not in memory."""

import gc
import tracemalloc

import pytest

from flows.engine import EVENTS_MAX
from flows.envelope import EARLY_MAX
from flows.store import Status
from states.encoding import encode
from states.errors import OverLimit
from states.notarisation import Busy, Committed, Conflict, WindowClosed, WindowNotOpen
from tests.unit.flows.conversations import Approve, Ask, Nap, Notarise, Number, Word, Words
from tests.unit.flows.nodes import NOON, Node, Wires, pair


@pytest.fixture(params=["live", "parked", "killed"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def disturb(node: Node, wires: Wires, how: str) -> None:
    """Let the node lose what it need not have in memory, or all of it."""
    wires.run()
    if how == "parked":
        node.engine.park(0)
        assert node.engine.live() == 0
    if how == "killed":
        node.crash()
        wires.connect()


def test_a_sleeper_wakes_at_its_time_and_not_before(how: str) -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Nap(NOON + 5_000))
    disturb(mercy, wires, how)
    wires.wait(4_999)
    assert mercy.status(flow) is Status.RUNNING
    wires.wait(1)
    disturb(mercy, wires, how)
    assert mercy.engine.next_due() == NOON + 6_000
    wires.wait(1_000)
    assert mercy.finished[flow].result == encode(Number(2))


def test_a_receive_ends_at_its_deadline(how: str) -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Ask(riverside.party, "silent/1", "x", NOON + 9_000))
    disturb(mercy, wires, how)
    wires.wait(8_999)
    assert mercy.status(flow) is Status.RUNNING
    wires.wait(1)
    assert mercy.finished[flow].result == encode(Word("timed out"))


def test_an_event_is_kept_until_it_is_awaited_and_counts_once(how: str) -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Approve(NOON + 9_000))
    disturb(mercy, wires, how)
    assert mercy.engine.raise_event(flow, "approved", "Ada", b"yes")
    assert mercy.engine.raise_event(flow, "approved", "Ada", b"yes")
    disturb(mercy, wires, how)
    assert mercy.engine.raise_event(flow, "approved", "Ada", b"again")
    wires.run()
    assert mercy.status(flow) is Status.RUNNING
    assert mercy.engine.raise_event(flow, "approved", "Reed", b"also")
    wires.run()
    assert mercy.finished[flow].result == encode(Words(("yes", "also")))
    assert not mercy.engine.raise_event(flow, "approved", "late", b"")


def test_an_event_that_was_committed_survives_a_crash_before_its_turn() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Approve(NOON + 9_000))
    wires.run()
    mercy.engine.raise_event(flow, "approved", "Ada", b"yes")
    mercy.engine.raise_event(flow, "approved", "Reed", b"also")
    mercy.crash()
    wires.connect()
    wires.run()
    assert mercy.finished[flow].result == encode(Words(("yes", "also")))


def test_an_event_can_be_too_late() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Approve(NOON + 9_000))
    mercy.engine.raise_event(flow, "approved", "Ada", b"yes")
    wires.wait(9_000)
    assert mercy.finished[flow].result == encode(Words(("yes", "too late")))


def test_events_have_limits() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Approve(0))
    wires.run()
    with pytest.raises(OverLimit):
        mercy.engine.raise_event(flow, "other", "x", bytes(65_537))
    for number in range(EVENTS_MAX):
        mercy.engine.raise_event(flow, "other", str(number))
    with pytest.raises(OverLimit):
        mercy.engine.raise_event(flow, "other", "one more")
    assert EVENTS_MAX <= EARLY_MAX


def test_a_busy_notary_is_asked_again_when_it_said(how: str) -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise(""))
    disturb(mercy, wires, how)
    wires.run()
    question = mercy.questions[-1]
    mercy.engine.notary_answered(question, Busy(1_500))
    wires.run()
    asked = len(mercy.questions)
    wires.wait(1_499)
    assert len(mercy.questions) == asked
    wires.wait(600)
    assert len(mercy.questions) == asked + 1
    mercy.engine.notary_answered(mercy.questions[-1], WindowNotOpen(NOON))
    wires.wait(1_000)
    assert len(mercy.questions) == asked + 2
    mercy.engine.notary_answered(mercy.questions[-1], Committed("receipt"))
    wires.run()
    assert mercy.finished[flow].result == encode(Word("Committed"))


def test_a_silent_notary_is_asked_again_ever_more_rarely() -> None:
    mercy, _, wires = pair()
    mercy.engine.start(Notarise(""))
    wires.wait(600_000)
    assert 9 <= len(mercy.questions) <= 30
    assert len(set(mercy.questions)) == 1


def test_an_answer_counts_once_and_only_for_its_question() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise(""))
    wires.run()
    question = mercy.questions[0]
    mercy.engine.notary_answered(question._replace(kind="status"), Conflict(()))
    mercy.engine.notary_answered(question, Committed("receipt"))
    mercy.engine.notary_answered(question, WindowClosed(NOON))
    wires.run()
    assert mercy.finished[flow].result == encode(Word("Committed"))


def test_an_answered_question_is_not_asked_again() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise("wait"))
    wires.run()
    mercy.engine.notary_answered(mercy.questions[0], Committed("receipt"))
    wires.wait(600_000)
    assert len(mercy.questions) == 1
    mercy.crash()
    wires.wait(600_000)
    assert mercy.questions == []
    mercy.engine.raise_event(flow, "go", "on")
    wires.run()
    assert mercy.finished[flow].result == encode(Word("Committed"))


def test_a_parked_flow_costs_less_than_a_kilobyte() -> None:
    mercy, riverside, wires = pair(double_run=False)
    for _ in range(64):  # so that what is made once is there
        mercy.engine.submit(Ask(riverside.party, "silent/1", "x", NOON + 1))
    wires.run()
    riverside.engine.park(0)
    for _ in range(500):
        mercy.engine.submit(Nap(NOON + 9_000))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    while mercy.engine.has_work():
        mercy.turn()
    mercy.progress.clear()
    mercy.engine.park(0)
    gc.collect()
    cost = (tracemalloc.get_traced_memory()[0] - before) / 500
    tracemalloc.stop()
    assert mercy.engine.live() == 0
    assert cost < 1_000
