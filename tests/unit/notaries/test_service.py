"""The desk under load: order, fairness, back-pressure; liveness and entries."""

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.bench.workshop import SEEN_BY_NOTARY, START, Held, Made
from notaries.memory import MemoryProvider
from notaries.queue import FairQueue, QueueLimits, Waiting
from notaries.request import KeyCheck, Reason
from notaries.signatures import InlineChecker, ProcessChecker
from states.crypto.ed25519 import Ed25519Signer
from states.encoding import encode
from states.identity import Party
from states.liveness import Liveness, open_liveness
from states.lock import nullifier
from states.notarisation import (
    ANSWER,
    Answer,
    Busy,
    Committed,
    Conflict,
    ConsumedState,
    EntryRequest,
    LivenessAnswer,
    LivenessQuestion,
    LivenessRequest,
    NotAllowed,
    spender_hash,
)
from states.receipt import read_receipt
from tests.attack.bad_input import said
from tests.unit.notaries.desk import (
    NETWORK,
    NOTARY,
    OTHER_NOTARY,
    SEAL_KEY,
    Desk,
    signer_of,
    sqlite_in,
)

ONE, TWO = Party("did:key:z6MkOneOneOne"), Party("did:key:z6MkTwoTwoTwo")
WAIT_S = 60
REFUSED = NotAllowed("not-allowed")


class Answers:
    """Collects what a running service answers, in order of arrival."""

    def __init__(self, expected: int) -> None:
        self.by_number: dict[int, Answer] = {}
        self._expected, self._lock, self._all = expected, threading.Lock(), threading.Event()

    def take(self, number: int, data: bytes) -> None:
        with self._lock:
            assert number not in self.by_number, "answered twice"
            self.by_number[number] = ANSWER.decode(data)
            if len(self.by_number) == self._expected:
                self._all.set()

    def wait(self) -> dict[int, Answer]:
        assert self._all.wait(WAIT_S), f"{len(self.by_number)} of {self._expected} answers"
        return self.by_number


def submit_from_threads(desk: Desk, made: list[Made], threads: int) -> dict[int, Answer]:
    """Each thread submits every `threads`-th request, all at once."""
    answers = Answers(len(made))
    barrier = threading.Barrier(threads)
    asked = [each.asked() for each in made]

    def run(first: int) -> None:
        barrier.wait()
        for number in range(first, len(made), threads):
            requester = (ONE, TWO)[first % 2]
            desk.service.submit(
                requester,
                asked[number],
                lambda data, n=number: answers.take(n, data),  # type: ignore[misc]
            )

    running = [threading.Thread(target=run, args=(first,)) for first in range(threads)]
    for each in running:
        each.start()
    desk.service.start()
    for each in running:
        each.join()
    told = answers.wait()
    desk.service.stop()
    return told


# -- concurrency -------------------------------------------------------------------------------------


def test_commit_order_is_log_order_under_concurrency(desk: Desk) -> None:
    """Whatever the threads do, receipts, served log and spends tell one and the same order."""
    states = [desk.issue()[0] for _ in range(20)]
    made = [
        desk.workshop.make([state] if turn else [], [] if turn else [state])
        for state in states
        for turn in (0, 0, 1, 0)
    ]
    before = desk.size
    told = submit_from_threads(desk, made, 6)
    placed = {}
    for number, answer in told.items():
        if isinstance(answer, Committed):
            placed[desk.proven(made[number], answer).index] = number
    assert sorted(placed) == list(range(before, desk.size))
    logged = desk.provider.entries(before, desk.size)
    assert [made[placed[before + at]].built.id for at in range(len(logged))] == [
        entry.transaction for entry in logged
    ]
    spent_at = {held.ref: index for index, number in placed.items() for held in made[number].inputs}
    assert len(spent_at) == 20, "every consumer wins, for nobody else consumes its state"
    for number, answer in told.items():
        for held in made[number].references:
            if isinstance(answer, Committed):
                assert read_receipt(answer.receipt).index < spent_at[held.ref]
            else:
                by = made[placed[spent_at[held.ref]]].built.id
                assert answer == Conflict((ConsumedState(held.ref, spender_hash(by)),))


def test_of_a_thousand_who_race_for_one_state_one_wins_and_all_learn_who(desk: Desk) -> None:
    (state,) = desk.issue()
    made = [desk.workshop.make([state]) for _ in range(1_000)]
    told = submit_from_threads(desk, made, 8)
    winners = [number for number, answer in told.items() if isinstance(answer, Committed)]
    assert len(winners) == 1
    lost = Conflict((ConsumedState(state.ref, spender_hash(made[winners[0]].built.id)),))
    assert Counter(map(type, told.values())) == {Committed: 1, Conflict: 999}
    assert all(told[number] == lost for number in told if number != winners[0])
    assert desk.size == 2


def test_signatures_verified_in_a_helper_process_are_the_same_verdicts() -> None:
    key = Ed25519Signer(b"\5" * 32)
    checks = [KeyCheck(key.key, key.sign(bytes([n]) * 32), bytes([n]) * 32) for n in range(40)]
    checks[3], checks[17] = (
        KeyCheck(key.key, checks[4].raw, checks[3].digest),
        KeyCheck(key.key, bytes(64), checks[17].digest),
    )
    helper = ProcessChecker()
    begun = [helper.begin(checks[:2]), helper.begin(checks), helper.begin(checks[::-1])]
    expected = InlineChecker().begin(checks).result()
    assert [n for n, good in enumerate(expected) if not good] == [3, 17]
    found = [list(each.result()) for each in begun]
    assert found == [expected[:2], expected, expected[::-1]]
    helper._process.kill()
    helper._process.join()
    assert list(helper.begin(checks).result()) == expected, "its death costs speed only"
    helper.close()


def test_a_service_with_a_helper_process_answers_the_same(tmp_path: Path) -> None:
    desk = Desk(sqlite_in(tmp_path / "notary"), signatures=ProcessChecker())
    made = [desk.workshop.make(desk.issue()) for _ in range(90)]
    (first,) = made[7].request().signatures
    forged = replace(made[7].request(), signatures=(replace(first, raw=bytes(64)),))
    answers = desk.ask_all([*made[:7], forged, *made[8:]])
    assert answers[7] == NotAllowed(Reason.SIGNATURES)
    del answers[7]
    for each, answer in zip([*made[:7], *made[8:]], answers, strict=True):
        desk.proven(each, answer)
    told = submit_from_threads(desk, made, 4)
    assert all(isinstance(answer, Committed) for answer in told.values())
    desk.provider.close()


class Beside:
    """Verifies as soon as its verdicts are asked for, and writes down what was asked of it when."""

    batch: int | None = 3

    def __init__(self) -> None:
        self.seen: list[str] = []

    def begin(self, checks: Sequence[KeyCheck]) -> "UnderWay":
        self.seen.append(f"begin {len(checks)}")
        return UnderWay(self, checks)

    def close(self) -> None:
        self.seen.append("close")


class UnderWay:
    def __init__(self, beside: Beside, checks: Sequence[KeyCheck]) -> None:
        self._beside, self._checks = beside, checks

    def result(self) -> Sequence[bool]:
        self._beside.seen.append(f"result {len(self._checks)}")
        return InlineChecker().begin(self._checks).result()


def test_one_batch_is_verified_beside_while_the_next_is_read() -> None:
    beside = Beside()
    desk = Desk(MemoryProvider(signer_of(NOTARY), START), signatures=beside)
    made = [desk.workshop.make(desk.issue()) for _ in range(7)]
    beside.seen.clear()
    answers = Answers(7)
    for number, each in enumerate(made):
        desk.service.submit(ONE, each.asked(), lambda data, n=number: answers.take(n, data))  # type: ignore[misc]
    desk.service.start()
    told = answers.wait()
    desk.service.stop()
    assert all(isinstance(answer, Committed) for answer in told.values())
    assert beside.seen == [
        "begin 3",
        "begin 3",
        "result 3",
        "begin 1",
        "result 3",
        "result 1",
        "close",
    ]


# -- back-pressure -----------------------------------------------------------------------------------


def test_a_full_queue_says_busy_and_keeps_nothing() -> None:
    limits = QueueLimits(waiting=8, waiting_of_one=5)
    desk = Desk(MemoryProvider(signer_of(NOTARY), START), limits=limits)
    made = [desk.workshop.make() for _ in range(14)]
    answers = Answers(14)
    for number, each in enumerate(made):  # nobody works yet: seven of each
        desk.service.submit(
            (ONE, TWO)[number % 2],
            each.asked(),
            lambda data, n=number: answers.take(n, data),  # type: ignore[misc]
        )
    busy = [number for number, answer in answers.by_number.items() if isinstance(answer, Busy)]
    assert busy == [8, 9, 10, 11, 12, 13]
    assert all(
        answer.after_ms > 0 for answer in answers.by_number.values() if isinstance(answer, Busy)
    )
    desk.service.start()
    told = answers.wait()
    desk.service.stop()
    assert [n for n, answer in told.items() if isinstance(answer, Committed)] == list(range(8))
    assert desk.size == 8


def test_one_requester_cannot_take_the_whole_queue_nor_the_next_turn() -> None:
    queue = FairQueue(QueueLimits(waiting=8, waiting_of_one=5, batch=4))
    taken = [queue.put(ONE, Waiting(bytes([n]), print)) for n in range(7)]
    assert taken == [True] * 5 + [False] * 2
    assert queue.put(TWO, Waiting(b"two", print))
    assert [each.data for each in queue.take()] == [b"\0", b"two", b"\1", b"\2"]
    assert queue.put(ONE, Waiting(b"again", print))
    assert [each.data for each in queue.take()] == [b"\3", b"\4", b"again"]
    assert len(queue) == 0
    assert queue.take() == []


def test_a_queue_is_bounded_in_bytes_and_so_is_a_batch() -> None:
    queue = FairQueue(QueueLimits(waiting_bytes=100, batch_bytes=50))
    assert [queue.put(ONE, Waiting(bytes(30), print)) for _ in range(4)] == [True] * 3 + [False]
    assert len(queue.take()) == 2
    assert len(queue.take_all()) == 1


def test_after_stop_everything_is_busy_and_what_was_queued_is_answered() -> None:
    desk = Desk(MemoryProvider(signer_of(NOTARY), START))
    made, late = desk.workshop.make(), desk.workshop.make()
    answers = Answers(2)
    desk.service.submit(ONE, made.asked(), lambda data: answers.take(0, data))
    desk.service.start()
    desk.service.stop()
    desk.service.submit(ONE, late.asked(), lambda data: answers.take(1, data))
    told = answers.wait()
    assert isinstance(told[0], Committed)
    assert isinstance(told[1], Busy)
    assert desk.size == 1


# -- liveness ----------------------------------------------------------------------------------------


def question(held: Held) -> LivenessQuestion:
    return LivenessQuestion(held.ref, held.refer())


def statements(answer: Answer) -> list[Liveness]:
    assert isinstance(answer, LivenessAnswer), answer
    return [open_liveness(each, NETWORK.parameters) for each in answer.statements]


def test_liveness_is_signed_and_all_of_one_request_at_one_size(desk: Desk) -> None:
    spent, free = desk.issue(2)
    desk.commit(desk.workshop.make([spent]))
    told = statements(desk.ask(LivenessRequest((question(spent), question(free)))))
    assert [each.live for each in told] == [False, True]
    head = desk.provider.head()
    assert {(each.size, each.root, each.at) for each in told} == {(head.size, head.root, desk.now)}
    assert [each.nullifier for each in told] == [nullifier(h.salt, h.ref) for h in (spent, free)]
    assert {each.notary for each in told} == {NOTARY.party}


def test_the_time_of_statements_does_not_fall_with_the_clock(desk: Desk) -> None:
    state = desk.issue()[0]
    for now in (START + 70, START + 20):
        desk.now = now
        (told,) = statements(desk.ask(LivenessRequest((question(state),))))
        assert told.at == START + 70


def test_liveness_in_the_batch_of_a_consumer_is_of_after_it(desk: Desk) -> None:
    (state,) = desk.issue()
    answers = desk.ask_all([LivenessRequest((question(state),)), desk.workshop.make([state])])
    (told,) = statements(answers[0])
    assert (told.live, told.size) == (False, desk.size)


def test_a_stranger_learns_nothing_from_liveness(desk: Desk) -> None:
    """Without the opening: the same answer for a live, a consumed and an unheard-of state."""
    spent, free = desk.issue(2)
    desk.commit(desk.workshop.make([spent]))
    unheard = desk.workshop.make().outputs[0].placed(0)
    answers = set()
    for held in (spent, free, unheard):
        guess = replace(held.refer(), salt=bytes(32))
        answers.add(desk.service.answer_all([_asked(held, guess)])[0])
    mine = desk.workshop.make(outputs=2).outputs[1]  # opens, but its creator is not in the log
    for at in (free.at, desk.size, 1 << 46, 1 << 60):
        answers.add(desk.service.answer_all([_asked(mine, mine.placed(at).refer())])[0])
    assert [ANSWER.decode(each) for each in answers] == [REFUSED]


def _asked(held: Held, opening: object) -> bytes:
    return encode(["ask-liveness/1", [[held.ref, opening]]])


def test_one_strange_state_refuses_the_whole_question(desk: Desk) -> None:
    (state,) = desk.issue()
    strange = desk.workshop.make().outputs[0].placed(0)
    said("stranger", desk.ask(LivenessRequest((question(state), question(strange)))))


# -- entries of another notary's changes -------------------------------------------------------------


def changed_elsewhere() -> tuple[Desk, Made, str]:
    other = Desk(MemoryProvider(signer_of(OTHER_NOTARY), START), notary=OTHER_NOTARY, seed=9)
    made = other.workshop.make(other.issue())
    answer = other.ask(made)
    assert isinstance(answer, Committed)
    return other, made, answer.receipt


def entry_of(made: Made, receipt: str) -> EntryRequest:
    layout = made.built.layout
    shown = [p for group in SEEN_BY_NOTARY[2:] for p in layout.positions(group)]
    return EntryRequest(made.built.showing(shown), receipt)


def test_a_change_of_notary_is_entered_once_and_its_outputs_are_spent_here(desk: Desk) -> None:
    other, made, receipt = changed_elsewhere()
    desk.now = made.window.until_time + 1_000  # the window was the other notary's
    answer = desk.ask(entry_of(made, receipt))
    assert isinstance(answer, Committed)
    entered = desk.receipts.verify(made.built.id, answer.receipt)
    assert entered.entry.nullifiers == ()
    size = desk.size
    other.fill(2)
    fresh = other.ask(made)
    assert isinstance(fresh, Committed)
    again = desk.ask(entry_of(made, fresh.receipt))
    assert isinstance(again, Committed)
    assert desk.receipts.verify(made.built.id, again.receipt).index == entered.index
    assert desk.size == size
    here = made.outputs[0].placed(entered.index)
    desk.commit(desk.workshop.make([here], opens=desk.now))
    assert isinstance(desk.ask(desk.workshop.make([here], opens=desk.now)), Conflict)


def test_an_entry_needs_the_other_notarys_receipt_and_shows_no_more(desk: Desk) -> None:
    other, made, receipt = changed_elsewhere()
    foreign = other.workshop.make()
    foreign_answer = other.ask(foreign)
    assert isinstance(foreign_answer, Committed)
    own = desk.workshop.make()
    own_receipt = desk.ask(own)
    assert isinstance(own_receipt, Committed)
    table = [
        (entry_of(made, foreign_answer.receipt), Reason.RECEIPT),
        (entry_of(made, receipt.replace("index 1", "index 0")), Reason.RECEIPT),
        (entry_of(made, ""), Reason.RECEIPT),
        (entry_of(made, own_receipt.receipt), Reason.RECEIPT),
        (entry_of(own, own_receipt.receipt), Reason.NOTARY),
        (replace(entry_of(made, receipt), tearoff=made.seen_by_notary), Reason.SHOWN),
        (replace(entry_of(made, receipt), tearoff=made.built.whole()), Reason.SHOWN),
    ]
    size = desk.size
    assert desk.ask_all([asked for asked, _ in table]) == [NotAllowed(why) for _, why in table]
    assert desk.size == size


def test_a_failing_store_says_busy_and_the_next_question_finds_the_truth(tmp_path: Path) -> None:
    provider = sqlite_in(tmp_path / "notary")
    desk = Desk(provider)
    (state,) = desk.issue()
    made = desk.workshop.make([state])
    provider._log.db.execute("PRAGMA query_only=1")
    assert isinstance(desk.ask(made), Busy)
    proven = desk.commit(made)
    assert proven.index == 1
    assert desk.size == 2
    assert SEAL_KEY not in (tmp_path / "notary" / "log.db").read_bytes()
    provider.close()


@pytest.mark.parametrize("engine_first", [True, False])
def test_the_order_of_engines_is_of_no_matter(tmp_path: Path, *, engine_first: bool) -> None:
    """The same questions, in the same batches, get the same bytes from both engines."""
    memory = Desk(MemoryProvider(signer_of(NOTARY), START))
    sqlite = Desk(sqlite_in(tmp_path / "notary"))
    desks = (memory, sqlite) if engine_first else (sqlite, memory)
    for _ in range(4):
        told = []
        for each in desks:
            held = each.issue(3)
            made = [each.workshop.make([held[at]], [held[2]]) for at in (0, 1, 0)]
            questions = [each_made.asked() for each_made in made]
            told.append(each.service.answer_all(questions))
        assert told[0] == told[1]
    sqlite.provider.close()
