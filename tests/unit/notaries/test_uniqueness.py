"""The conformance suite of the port: Corda's UniquenessProviderTests in meaning, and what ours promise beyond."""

import itertools
from collections.abc import Callable

import pytest

from app.bench.workshop import START, Held, Made
from notaries.uniqueness import UNKNOWN_STATE, Claim, CommitRequest
from states.lock import nullifier
from states.notarisation import (
    Answer,
    Committed,
    Conflict,
    ConsumedState,
    Never,
    NotAllowed,
    StatusRequest,
    Unknown,
    WindowClosed,
    WindowNotOpen,
    spender_hash,
)
from states.state import StateRef, TransactionId
from tests.attack.bad_input import said
from tests.unit.notaries.desk import Desk, shuffled

MINUTE = 60_000
Arrange = Callable[[Desk], Made]


def conflict(*hits: tuple[StateRef, TransactionId]) -> Conflict:
    return Conflict(tuple(ConsumedState(ref, spender_hash(tx)) for ref, tx in hits))


# -- accepted, and accepted again --------------------------------------------------------------------


def _make(desk: Desk, *, inputs: int, references: int, length: int) -> Made:
    spent = [held for _ in range(inputs) for held in desk.issue()]
    referred = [held for _ in range(references) for held in desk.issue()]
    return desk.workshop.make(spent, referred, length=length)


COMBINATIONS = [
    pytest.param(inputs, references, id=f"{inputs} inputs, {references} references")
    for inputs, references in itertools.product((0, 1, 2), repeat=2)
]


@pytest.mark.parametrize(("inputs", "references"), COMBINATIONS)
def test_every_combination_is_committed(desk: Desk, inputs: int, references: int) -> None:
    made = _make(desk, inputs=inputs, references=references, length=MINUTE)
    proven = desk.commit(made)
    assert proven.index == desk.size - 1
    assert proven.entry.at == desk.now
    assert proven.entry.nullifiers == tuple(nullifier(h.salt, h.ref) for h in made.inputs)


@pytest.mark.parametrize(("inputs", "references"), COMBINATIONS)
def test_asking_again_gives_the_same_entry_and_no_new_one(
    desk: Desk, inputs: int, references: int
) -> None:
    made = _make(desk, inputs=inputs, references=references, length=MINUTE)
    first = desk.commit(made)
    size = desk.size
    assert desk.commit(made) == first
    desk.fill(3)
    again = desk.commit(made)
    assert (again.index, again.entry) == (first.index, first.entry)
    assert again.checkpoint.checkpoint.size == size + 3, (
        "the receipt is rebuilt for the current head"
    )


@pytest.mark.parametrize(("inputs", "references"), COMBINATIONS)
def test_asking_again_after_the_window_closed_gives_the_receipt(
    desk: Desk, inputs: int, references: int
) -> None:
    made = _make(desk, inputs=inputs, references=references, length=MINUTE)
    first = desk.commit(made)
    desk.now = made.window.until_time + 7
    assert desk.commit(made).entry == first.entry


@pytest.mark.parametrize("inputs", [0, 1])
def test_asking_again_after_a_reference_was_consumed_gives_the_receipt(
    desk: Desk, inputs: int
) -> None:
    referred = desk.issue()
    made = desk.workshop.make([held for _ in range(inputs) for held in desk.issue()], referred)
    first = desk.commit(made)
    desk.commit(desk.workshop.make(referred))
    assert desk.commit(made).entry == first.entry


def test_twice_in_one_batch_is_once_in_the_log(desk: Desk) -> None:
    made = desk.workshop.make(desk.issue())
    answers = desk.ask_all([made, made])
    assert answers[0] == answers[1]
    assert desk.proven(made, answers[0]).index == desk.size - 1


# -- the window --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (-1, WindowNotOpen(START + 999)),
        (0, Committed),
        (MINUTE - 1, Committed),
        (MINUTE, WindowClosed(START + 1_000 + MINUTE)),
    ],
)
def test_the_window_is_half_open(
    desk: Desk, offset: int, expected: Answer | type[Committed]
) -> None:
    made = desk.workshop.make(desk.issue(), opens=START + 1_000, length=MINUTE)
    desk.now = START + 1_000 + offset
    answer = desk.ask(made)
    assert isinstance(answer, Committed) if expected is Committed else answer == expected
    if isinstance(answer, WindowNotOpen):
        said("early window", answer)


def test_a_refused_window_consumes_nothing(desk: Desk) -> None:
    spent = desk.issue()
    desk.now = START + 2 * MINUTE
    late = desk.workshop.make(spent, opens=START, length=MINUTE)
    answer = desk.ask(late)
    assert answer == WindowClosed(desk.now)
    said("closed window", answer)
    desk.commit(desk.workshop.make(spent))


def test_a_clock_that_falls_does_not_open_a_closed_window_again(desk: Desk) -> None:
    made = desk.workshop.make(opens=START, length=MINUTE)
    desk.now = START + MINUTE
    assert desk.provider.status(made.built.id, made.window.until_time, desk.now) == Never()
    desk.now = START + 5
    assert desk.provider.commit([_commit(made)], desk.now) == [WindowClosed(START + MINUTE)]


def test_who_was_told_that_the_window_is_closed_is_not_told_otherwise(desk: Desk) -> None:
    made = desk.workshop.make(opens=START, length=MINUTE)
    assert desk.provider.commit([_commit(made)], START + MINUTE) == [WindowClosed(START + MINUTE)]
    assert desk.provider.commit([_commit(made)], START + 5) == [WindowClosed(START + MINUTE)]


def test_time_in_the_log_never_falls(desk: Desk) -> None:
    desk.now = START + 50
    desk.fill(1)
    made = desk.workshop.make()
    (answer,) = desk.provider.commit([_commit(made)], START + 20)
    assert desk.proven(made, answer).entry.at == START + 50


def _commit(made: Made) -> CommitRequest:
    window = made.window
    return CommitRequest(made.built.id, window.from_time, window.until_time)


# -- conflicts ---------------------------------------------------------------------------------------


def _spender(desk: Desk, state: Held) -> TransactionId:
    made = desk.workshop.make([state])
    desk.commit(made)
    return made.built.id


def test_a_consumed_input_is_refused_and_its_spender_named_by_hash(desk: Desk) -> None:
    (state,) = desk.issue()
    by = _spender(desk, state)
    size = desk.size
    answer = desk.ask(desk.workshop.make([state]))
    assert answer == conflict((state.ref, by))
    said("spent", answer)
    assert desk.size == size


def test_a_consumed_reference_is_refused(desk: Desk) -> None:
    (state,) = desk.issue()
    by = _spender(desk, state)
    assert desk.ask(desk.workshop.make([], [state])) == conflict((state.ref, by))
    assert desk.ask(desk.workshop.make(desk.issue(), [state])) == conflict((state.ref, by))


def test_all_contested_states_are_named(desk: Desk) -> None:
    states = [desk.issue()[0] for _ in range(4)]
    first, second = _spender(desk, states[0]), _spender(desk, states[2])
    made = desk.workshop.make(states[:2], states[2:])
    assert desk.ask(made) == conflict((states[0].ref, first), (states[2].ref, second))


def test_one_consumed_input_leaves_the_others_unconsumed(desk: Desk) -> None:
    taken, free = desk.issue(2)
    _spender(desk, taken)
    assert isinstance(desk.ask(desk.workshop.make([taken, free])), Conflict)
    desk.commit(desk.workshop.make([free]))


def test_a_state_is_referred_to_as_often_as_one_likes(desk: Desk) -> None:
    state = desk.issue()
    for _ in range(3):
        desk.commit(desk.workshop.make([], state))
    desk.commit(desk.workshop.make(state))


def test_in_one_batch_who_comes_first_consumes(desk: Desk) -> None:
    (state,) = desk.issue()
    first, second = desk.workshop.make([state]), desk.workshop.make([state])
    answers = desk.ask_all([first, second])
    desk.proven(first, answers[0])
    assert answers[1] == conflict((state.ref, first.built.id))


def test_in_one_batch_a_reference_before_the_consumer_holds(desk: Desk) -> None:
    (state,) = desk.issue()
    refers, spends = desk.workshop.make([], [state]), desk.workshop.make([state])
    answers = desk.ask_all([refers, spends])
    assert desk.proven(refers, answers[0]).index < desk.proven(spends, answers[1]).index


def test_in_one_batch_a_reference_after_the_consumer_fails(desk: Desk) -> None:
    (state,) = desk.issue()
    refers, spends = desk.workshop.make([], [state]), desk.workshop.make([state])
    answers = desk.ask_all([spends, refers])
    desk.proven(spends, answers[0])
    assert answers[1] == conflict((state.ref, spends.built.id))


def test_in_one_batch_who_is_refused_takes_nothing(desk: Desk) -> None:
    spent, free = desk.issue(2)
    by = _spender(desk, spent)
    loser, winner = desk.workshop.make([spent, free]), desk.workshop.make([free])
    answers = desk.ask_all([loser, winner])
    assert answers[0] == conflict((spent.ref, by))
    desk.proven(winner, answers[1])


# -- who lies about the log --------------------------------------------------------------------------


def test_a_state_of_a_transaction_that_is_not_in_the_log_is_unknown(desk: Desk) -> None:
    never = desk.workshop.make()
    for at in (0, desk.size, 1 << 40):
        made = desk.workshop.make([never.outputs[0].placed(at)])
        said("unknown", desk.ask(made))


def test_a_true_state_with_another_log_index_is_unknown(desk: Desk) -> None:
    (state,) = desk.issue()
    desk.fill(2)
    for at in (state.at + 1, state.at + 2, state.at + 3):
        assert desk.ask(desk.workshop.make([state.placed(at)])) == UNKNOWN_STATE
    desk.commit(desk.workshop.make([state]))


def test_a_liar_does_not_spoil_an_honest_neighbour(desk: Desk) -> None:
    (state,), (other,) = desk.issue(), desk.issue()
    liar = desk.workshop.make([other.placed(state.at)])  # claims the place of `state`
    honest = desk.workshop.make([state])
    answers = desk.ask_all([liar, honest, liar])
    assert answers[0] == answers[2] == UNKNOWN_STATE
    desk.proven(honest, answers[1])


def test_a_liar_can_neither_consume_nor_probe_anothers_place(desk: Desk) -> None:
    spent, free = desk.issue(2)
    _spender(desk, spent)
    mine = desk.workshop.make(outputs=2)
    for index, state in enumerate((spent, free)):
        assert desk.ask(desk.workshop.make([mine.outputs[index].placed(state.at)])) == UNKNOWN_STATE
    desk.commit(desk.workshop.make([free]))


# -- questions ---------------------------------------------------------------------------------------


def test_status_is_receipt_unknown_or_never(desk: Desk) -> None:
    made = desk.workshop.make(opens=START, length=MINUTE)
    asked = StatusRequest(made.built.id, made.window.until_time)
    assert desk.ask(asked) == Unknown(desk.now)
    proven = desk.commit(made)
    assert desk.proven(made, desk.ask(asked)).entry == proven.entry
    other = desk.workshop.make(opens=START, length=MINUTE)
    desk.now = START + MINUTE - 1
    assert desk.ask(StatusRequest(other.built.id, START + MINUTE)) == Unknown(desk.now)
    desk.now = START + MINUTE
    assert desk.ask(StatusRequest(other.built.id, START + MINUTE)) == Never()
    assert desk.ask(other) == WindowClosed(desk.now)
    assert desk.proven(made, desk.ask(asked)).entry == proven.entry


def test_consumed_or_not_is_told_at_one_head(desk: Desk) -> None:
    spent, free = desk.issue(2)
    _spender(desk, spent)
    stranger = desk.workshop.make().outputs[0]
    claims = [Claim.of(held.ref, held.at) for held in (spent, free)]
    claims += [Claim.of(stranger.ref, at) for at in (0, desk.size, desk.size + 5)]
    head, consumed = desk.provider.are_consumed(claims)
    assert consumed == (True, False, None, None, None)
    assert head == desk.provider.head()


def test_the_log_is_in_the_order_in_which_a_batch_was_asked(desk: Desk) -> None:
    made = [desk.workshop.make() for _ in range(30)]
    order = [made[at] for at in shuffled(30, 1)]
    indexes = [
        desk.proven(each, answer).index
        for each, answer in zip(order, desk.ask_all(order), strict=True)
    ]
    assert indexes == list(range(30))


def test_a_long_history_answers_as_a_short_one(desk: Desk) -> None:
    """Across tiles and index stretches: consume from all over, then ask for everything again."""
    made = desk.fill(300)
    held = [each.outputs[0].placed(at) for at, each in enumerate(made)]
    spends = [desk.workshop.make([held[at]], [held[at + 1]]) for at in range(0, 300, 30)]
    first = [desk.commit(each) for each in spends]
    assert [desk.commit(each).entry for each in spends] == [each.entry for each in first]
    for at, spend in zip(range(0, 300, 30), spends, strict=True):
        told = desk.ask(desk.workshop.make([held[at]]))
        assert told == conflict((held[at].ref, spend.built.id))
    for at in range(0, 300, 37):
        assert desk.commit(made[at]).index == at


def test_nothing_asked_is_nothing_done(desk: Desk) -> None:
    assert desk.ask_all([]) == []
    assert desk.provider.commit([], START) == []
    assert desk.size == 0
    assert not isinstance(desk.ask(StatusRequest(TransactionId(bytes(32)), START + 1)), NotAllowed)
