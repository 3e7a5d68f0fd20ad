"""Drives flows: takes what happened, lets flows run to their next suspension, and commits once (flows/README.md)."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Generic

from flows.arrivals import Arrivals
from flows.envelope import ENVELOPE_BYTES_MAX, UNACKNOWLEDGED_MAX, Envelope, Hello
from flows.execution import Execution, flow_id, id_floor
from flows.flow import AskNotary, Flow
from flows.hospital import back_off
from flows.journal import Answered
from flows.operator import Operator, Order
from flows.post_office import PostOffice
from flows.registry import Registry
from flows.runner import Runner, U
from flows.step import PART_PREFIX, Handlers, StepContext
from flows.store import AdmissionRow, FlowRow, FlowStore, PartRow, ProgressRow, Status
from flows.surroundings import Surroundings
from flows.turn import Question, TurnResult
from states.encoding import encode
from states.errors import LedgerError, OverLimit
from states.identity import Party
from states.notarisation import (
    Answer,
    Busy,
    Conflict,
    Never,
    NotAllowed,
    WindowClosed,
    WindowNotOpen,
)

INPUTS_MAX = 32  # that one turn takes, so that many flows do not move in lockstep between nodes
NOT_OPEN_MS = 1_000  # before a notary whose window has not begun is asked again
EVENT_BYTES_MAX = 65_536
EVENTS_MAX = 256  # of one flow
CLIENT_KEY_CHARACTERS_MAX = 128
PAGE_MAX = 1_000
PROGRESS_KEPT = 100_000  # rows; a client that was away for longer asks for the flows anew
PROGRESS_PRUNED = 1_024  # rows at a time
ENDED_KEPT_MS = (
    90 * 86_400_000
)  # a flow that has ended and that no client key names is forgotten after that
ENDED_PRUNED = 1_024  # flows that are looked at whenever progress is pruned: more than can have begun meanwhile
ENDED_FROM = Status.DONE


class ClientKeyReused(LedgerError):
    """A client key that started a flow was given again with another flow or other arguments."""


class Engine(Generic[U]):
    """The flows of one node. Everything here belongs to one thread.

    Inputs only queue, except `start` and `raise_event`, which are durable when they return (or with the
    transaction they were called in). `turn` does the work; its caller sends what it returns, and calls it again
    while `has_work()`, and when `next_due()` has come. An exception from `turn` means that nothing of the turn
    happened: every connection must be greeted anew. `unit` of the store goes to handlers; `parts` reads rows that
    are not the engine's own, by the first byte of their ids; `transient` is what the node's database raises when
    trying again may help.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each
        self,
        *,
        store: FlowStore[U],
        registry: Registry,
        handlers: Handlers[U],
        me: Party,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        parts: Mapping[bytes, Callable[[bytes], bytes | None]] | None = None,
        transient: tuple[type[Exception], ...] = (),
        double_run: bool = False,
    ) -> None:
        self.store = store
        self.entropy = entropy
        self._parts = dict(parts or {})
        self._clock = clock
        self._around = Surroundings(
            store, registry, handlers, me, entropy, self.read_part, transient, double_run
        )
        if not store.incarnation():
            store.new_incarnation(entropy(16))
        self.restore()

    def restore(self) -> None:
        """Begin from what the database holds, as after a start of the process."""
        store, around = self.store, self._around
        self._queue: deque[Callable[[], None]] = deque()
        self._delivered: dict[Party, int] = {}
        self._office = PostOffice(store, self.read_part, self.entropy, store.incarnation())
        self._runner = Runner(around, self._office, self._step_context)
        self._arrivals = Arrivals(store, around.registry, self._runner, self._office, self.entropy)
        self._operator = Operator(store, self._runner, self.entropy)
        self._started: list[bytes] = []
        self._pruned = 0
        self._forgotten = b""
        self._runner.now = self._clock()
        for flow in store.torn() + store.with_events():
            self._queue.append(partial(self._poke, flow))
        for flow in self._runner.waiting.asking():
            self._queue.append(partial(self._on_time, flow))

    # -- inputs ----------------------------------------------------------------------------------------

    def start(self, flow: Flow, client_key: str | None = None) -> bytes:
        """Start a flow, durably, and return its id; the same key and flow give the same id again.

        Raises UnknownFlow for one that is not registered, ClientKeyReused, OverLimit.
        """
        tag, arguments = self._around.registry.arguments(flow)
        with self.store.transaction():
            if client_key is not None:
                _check("characters of a client key", len(client_key), CLIENT_KEY_CHARACTERS_MAX)
                row = self.store.flow_by_client_key(client_key)
                if row is not None:
                    if (row.tag, row.args) != (tag, arguments):
                        raise ClientKeyReused(f"{client_key} started another flow")
                    return row.id
            row = self._new_row(tag, arguments, client_key)
            self.store.add_flow(row)
        self._queue.append(partial(self._poke, row.id))
        return row.id

    def submit(self, flow: Flow) -> bytes:
        """Queue a flow, and return its id; it is durable when a turn names it in `started`, with that turn's commit."""
        tag, arguments = self._around.registry.arguments(flow)
        row = self._new_row(tag, arguments, None)
        self._queue.append(partial(self._launch, row))
        return row.id

    def raise_event(self, flow_id: bytes, name: str, key: str, body: bytes = b"") -> bool:
        """Tell a flow, durably, that something happened; False if there is none that could still take it.

        The same name and key count once. Raises OverLimit.
        """
        _check("bytes of an event", len(body), EVENT_BYTES_MAX)
        with self.store.transaction():
            if not self._runner.changes.is_started(flow_id):
                row = self.store.flow(flow_id)
                if row is None or row.status >= ENDED_FROM:
                    return False
            _check("events of a flow", self.store.event_count(flow_id) + 1, EVENTS_MAX)
            self.store.put_event(flow_id, name, key, body)
        self._queue.append(partial(self._poke, flow_id))
        return True

    def connected(self, peer: Party) -> Hello:
        """Return what must be sent first on a new connection to `peer`; never called inside a turn."""
        return self._office.greet(peer)

    def hello(self, peer: Party, hello: Hello) -> None:
        """Take the first thing that came on a connection; until then nothing leaves on it and nothing is taken."""
        greeting = self._office.of(peer).hello
        self._queue.append(partial(self._arrivals.welcome, peer, greeting, hello))

    def disconnected(self, peer: Party) -> None:
        self._office.part(peer)

    def deliver(self, peer: Party, envelopes: Sequence[Envelope]) -> None:
        """Queue what came on the connection; what is more than may be in flight is dropped, and comes again."""
        room = UNACKNOWLEDGED_MAX - self._delivered.get(peer, 0)
        for envelope in envelopes[: max(room, 0)]:
            self._queue.append(partial(self._take, peer, envelope))
        self._delivered[peer] = UNACKNOWLEDGED_MAX - room + min(len(envelopes), max(room, 0))

    def acked(self, peer: Party, upto: int) -> None:
        """The peer holds all envelopes up to this number."""
        self._office.acked(peer, upto, self._clock())

    def notary_answered(self, question: Question, answer: Answer) -> None:
        self._queue.append(partial(self._on_answer, question, answer))

    # -- what an operator may do -----------------------------------------------------------------------

    def pause(self, flow_id: bytes) -> None:
        """Let a flow take no step until `resume`; messages are kept for it. Raises UnknownFlow, NotPossible."""
        self._order(Order.PAUSE, flow_id)

    def resume(self, flow_id: bytes) -> None:
        self._order(Order.RESUME, flow_id)

    def retry(self, flow_id: bytes) -> None:
        """Let a flow that the hospital holds try again from its last answer."""
        self._order(Order.RETRY, flow_id)

    def kill(self, flow_id: bytes) -> None:
        """End a flow, in doubt or not; its sessions get ERROR."""
        self._order(Order.KILL, flow_id)

    # -- questions -------------------------------------------------------------------------------------

    def flow(self, flow_id: bytes) -> FlowRow | None:
        return self.store.flow(flow_id)

    def flows(
        self,
        statuses: Sequence[Status] = tuple(Status),
        before: tuple[int, bytes] | None = None,
        limit: int = 100,
    ) -> list[FlowRow]:
        """Return a page of flows, the youngest first; the next begins `before` the last one's (created, id)."""
        return self.store.flows(statuses, before, min(limit, PAGE_MAX))

    def progress(
        self, after: int = 0, flow_id: bytes | None = None, limit: int = 100
    ) -> list[ProgressRow]:
        """Return what was told after a number; then follow `TurnResult.progress`, which goes on from the last."""
        return self.store.progress(after, flow_id, min(limit, PAGE_MAX))

    def admissions(self, flow_id: bytes) -> list[AdmissionRow]:
        return self.store.admissions(flow_id)

    def has_work(self) -> bool:
        """Whether `turn` has something to do now, timers apart."""
        return bool(self._queue) or self._office.has_work()

    def next_due(self) -> int | None:
        """Return the time, in ms since 1970, at which `turn` has something to do though nothing comes."""
        times = [
            due
            for due in (self._runner.waiting.next_due(), self._office.next_due())
            if due is not None
        ]
        return min(times, default=None)

    def live(self) -> int:
        """Return how many flows have a coroutine in memory."""
        return len(self._runner.live)

    def park(self, idle_ms: int) -> int:
        """Drop the coroutines of flows that were idle for so long; they are woken from their journals."""
        return self._runner.park(self._clock() - idle_ms)

    def read_part(self, part: bytes) -> bytes | None:
        """Return the bytes of a row that a message may name; None if it is gone."""
        if part[:1] == PART_PREFIX:
            return self.store.part(part)
        reader = self._parts.get(part[:1])
        return None if reader is None else reader(part)

    def keep_part(self, flow_id: bytes, body: bytes) -> bytes:
        """Keep bytes for a step of a flow (`StepContext.put_part`)."""
        _check("bytes of a part", len(body), ENVELOPE_BYTES_MAX)
        part = PART_PREFIX + self.entropy(16)
        self.store.put_part(PartRow(part, flow_id, body))
        return part

    def drop_part(self, flow_id: bytes, part: bytes) -> None:
        """Forget bytes that a flow does not need any more (`StepContext.drop_part`)."""
        self.store.drop_part(flow_id, part)

    def drop_parts(self, flow_id: bytes) -> None:
        """Forget all bytes that a flow keeps (`StepContext.drop_parts`)."""
        self.store.drop_parts(flow_id)

    # -- the turn --------------------------------------------------------------------------------------

    def turn(self) -> TurnResult:
        """Take up to INPUTS_MAX inputs, commit what follows from them, and return what may leave.

        Killed before the commit, nothing happened: peers send again, for nothing was acknowledged. Killed after it,
        the outbox has what should have left, and `restore` asks the notary again.
        """
        now = self._runner.now = self._clock()
        self._office.resend(now)
        for flow in self._runner.waiting.due(now):
            self._queue.append(partial(self._on_time, flow))
        if self._queue or self._office.acks_due(now):
            self.store.begin()
            try:
                for _ in range(min(len(self._queue), INPUTS_MAX)):
                    self._queue.popleft()()
                self._prune()
                self._office.write(self._runner.changes.batch)
                self._runner.changes.flush()
                self.store.commit()
            except BaseException:
                self.store.rollback()
                self.restore()
                raise
        return self._result(now)

    def _result(self, now: int) -> TurnResult:
        runner = self._runner
        result = TurnResult(
            self._office.leaving(now),
            self._office.acknowledgements(),
            runner.waiting.questions,
            self._started,
            runner.finished,
            runner.progress,
        )
        runner.waiting.questions, runner.finished, runner.progress = [], [], []
        self._started = []
        return result

    def _prune(self) -> None:
        progress = self._runner.progress
        if progress and progress[-1].number >= self._pruned + PROGRESS_PRUNED:
            self._pruned = progress[-1].number
            self.store.prune_progress(self._pruned - PROGRESS_KEPT)
            before = id_floor(self._runner.now - ENDED_KEPT_MS)
            self._forgotten = self.store.prune_ended(self._forgotten, before, ENDED_PRUNED)

    # -- what inputs do, inside the turn ---------------------------------------------------------------

    def _take(self, peer: Party, envelope: Envelope) -> None:
        self._delivered[peer] -= 1
        self._arrivals.take(peer, envelope)

    def _launch(self, row: FlowRow) -> None:
        self._started.append(row.id)
        self._runner.begin(row)

    def _poke(self, flow: bytes) -> None:
        """Wake a flow that was started, or for which there may be an event."""
        run = self._runner.wake(flow)
        if run is not None:
            self._runner.settle(run)

    def _on_time(self, flow: bytes) -> None:
        wait = self._runner.waiting.of(flow)
        if wait is None or wait.due > self._runner.now:
            return
        if wait.kind:
            self._runner.waiting.ask(flow, self._runner.now)
            return
        row = self.store.flow(flow) if flow not in self._runner.live else None
        if row is not None and row.status == Status.RETRYING:
            self._runner.go_on(row)
            return
        run = self._runner.wake(flow)
        if run is not None:
            self._runner.settle(run)

    def _on_answer(self, question: Question, answer: Answer) -> None:
        flow = question.flow
        wait = self._runner.waiting.of(flow)
        if wait is None or (wait.seq, wait.kind, wait.row) != question[1:]:
            return  # to a question that was answered before
        if isinstance(answer, Busy):
            pause = answer.after_ms + back_off(0, self.entropy(1)[0])
            self._runner.waiting.ask_at(flow, self._runner.now + pause)
        elif isinstance(answer, WindowNotOpen):
            self._runner.waiting.ask_at(flow, self._runner.now + NOT_OPEN_MS)
        else:
            run = self._runner.wake(flow)
            if run is not None and type(run.operation) is AskNotary:
                self._answer(run, answer)

    def _answer(self, run: Execution, answer: Answer) -> None:
        if run.in_doubt and isinstance(answer, (Conflict, WindowClosed, NotAllowed, Never)):
            run.in_doubt = False
            self._runner.changes.changed(run.row())
        self._runner.resume(run, Answered.NOTARY, encode(answer), answer)

    def _order(self, order: Order, flow_id: bytes) -> None:
        self._operator.check(order, flow_id)
        self._queue.append(partial(self._operator.obey, order, flow_id))

    def _step_context(self, run: Execution) -> StepContext[U]:
        return StepContext(self, run.id, self._runner.now, self.store.unit, doubt=run.in_doubt)

    def _new_row(self, tag: str, arguments: bytes, client_key: str | None) -> FlowRow:
        now = self._clock()
        flow = flow_id(now, self.entropy)
        return FlowRow(
            flow, tag, arguments, Status.RUNNING, 1, 0, 0, now, client_key, "", b"", b"", ""
        )


def _check(what: str, found: int, allowed: int) -> None:
    if found > allowed:
        raise OverLimit(what, found, allowed)
