"""What becomes of a flow that raised, and what an operator can do (flows/README.md §6)."""

import pytest

from flows.hospital import RETRY_MS_MAX, RETRY_MS_MIN, back_off
from flows.operator import NotPossible
from flows.registry import UnknownFlow
from flows.store import Status
from states.encoding import encode
from states.notarisation import Committed, Conflict
from tests.unit.flows.conversations import (
    Approve,
    Ask,
    Chat,
    Notarise,
    Number,
    Stumble,
    Wander,
    Word,
    Words,
)
from tests.unit.flows.nodes import counted, pair

HOUR = 3_600_000


def test_an_unknown_failure_is_tried_again_and_its_step_leaves_nothing() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Stumble("twice"))
    wires.run()
    assert mercy.status(flow) is Status.RETRYING
    assert counted(mercy, "stumble") == counted(mercy, "written by twice") == 0
    wires.wait(60_000)
    assert mercy.finished[flow].result == encode(Number(1))
    assert counted(mercy, "stumble") == counted(mercy, "written by twice") == 1
    assert [row.verb for row in mercy.engine.admissions(flow)] == ["retry", "retry"]


def test_a_retry_survives_a_crash() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Stumble("twice"))
    wires.run()
    mercy.crash()
    wires.wait(60_000)
    assert mercy.finished[flow].result == encode(Number(1))


def test_after_three_retries_an_operator_must_look() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Stumble("unknown"))
    wires.wait(HOUR)
    assert mercy.status(flow) is Status.OBSERVED
    verbs = [row.verb for row in mercy.engine.admissions(flow)]
    assert verbs == ["retry", "retry", "retry", "observe"]
    mercy.engine.retry(flow)
    wires.wait(HOUR)
    assert len(mercy.engine.admissions(flow)) == 8


def test_what_may_pass_is_tried_without_limit() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Stumble("forever"))
    wires.wait(HOUR)
    assert mercy.status(flow) is Status.RETRYING
    assert len(mercy.engine.admissions(flow)) > 10


def test_a_handler_that_refuses_ends_the_flow_and_leaves_nothing() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Stumble("refused"))
    wires.run()
    assert mercy.finished[flow].status is Status.FAILED
    assert counted(mercy, "stumble") == 0


def test_once_a_transaction_may_be_notarised_a_flow_is_not_failed() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise("break"))
    wires.run()
    mercy.engine.notary_answered(mercy.questions[0], Committed("receipt"))
    wires.run()
    assert mercy.status(flow) is Status.OBSERVED
    mercy.crash()
    mercy.engine.retry(flow)
    wires.run()
    assert mercy.status(flow) is Status.OBSERVED
    assert len(mercy.engine.admissions(flow)) == 2


def test_a_final_answer_of_the_notary_lets_the_flow_fail() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise("refuse"))
    wires.run()
    mercy.engine.notary_answered(mercy.questions[0], Conflict(()))
    wires.run()
    assert mercy.finished[flow].status is Status.FAILED
    assert counted(mercy, "dropped") == 1


def test_a_refusal_in_doubt_is_kept_and_undone() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise("refuse"))
    wires.run()
    mercy.engine.notary_answered(mercy.questions[0], Committed("receipt"))
    wires.run()
    assert mercy.status(flow) is Status.OBSERVED
    assert counted(mercy, "dropped") == 0


def test_what_is_settled_is_not_in_doubt() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise("settle"))
    wires.run()
    mercy.engine.notary_answered(mercy.questions[0], Committed("receipt"))
    wires.run()
    # The step in which it was settled failed, and with it the settling.
    assert mercy.status(flow) is Status.OBSERVED


def test_a_flow_may_park_itself() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Wander("park"))
    wires.run()
    row = mercy.engine.flow(flow)
    assert row is not None
    assert row.status == Status.OBSERVED
    assert "refused what was checked" in row.why


def test_a_killed_flow_tells_the_other_side() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    (silent,) = riverside.engine.flows((Status.RUNNING,))
    riverside.engine.kill(silent.id)
    wires.run()
    assert riverside.finished[silent.id].status is Status.KILLED
    assert mercy.finished[flow].result == encode(Word("failed killed: "))


def test_a_paused_flow_takes_no_step_and_loses_nothing() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 3))
    wires.step(mercy)
    wires.step(mercy)
    mercy.engine.pause(flow)
    wires.run()
    assert mercy.status(flow) is Status.PAUSED
    assert counted(mercy, "chat") == 0
    assert mercy.count("flow_inbox") == 1
    mercy.crash()
    wires.connect()
    mercy.engine.resume(flow)
    wires.run()
    assert mercy.finished[flow].result == encode(Words(("word 0!", "word 1!", "word 2!")))


def test_a_paused_flow_asks_the_notary_again_when_it_goes_on() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Notarise(""))
    wires.run()
    mercy.engine.pause(flow)
    wires.wait(HOUR)
    assert len(mercy.questions) == 1
    mercy.engine.resume(flow)
    wires.run()
    assert len(mercy.questions) == 2


def test_an_operator_can_do_only_what_the_status_allows() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Approve(0))
    wires.run()
    with pytest.raises(NotPossible):
        mercy.engine.resume(flow)
    with pytest.raises(NotPossible):
        mercy.engine.retry(flow)
    with pytest.raises(UnknownFlow):
        mercy.engine.kill(bytes(16))
    mercy.engine.kill(flow)
    wires.run()
    with pytest.raises(NotPossible):
        mercy.engine.pause(flow)


def test_back_off_doubles_up_to_its_limit() -> None:
    waits = [back_off(attempt, 255) for attempt in range(12)]
    assert waits[0] == RETRY_MS_MIN
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_MS_MAX
    assert back_off(3, 0) * 2 == back_off(3, 255)
