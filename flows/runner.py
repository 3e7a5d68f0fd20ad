"""Flows in memory: their steps, what they wait for, how they are woken, and how they end (flows/README.md §1, §6)."""

from collections.abc import Callable
from typing import Generic, TypeVar

from flows.changes import Changes
from flows.envelope import Fault, Kind
from flows.execution import Ended, Execution
from flows.flow import AskNotary, AwaitEvent, FlowRefused, Receive, Received, Request, Sleep
from flows.hospital import Verb, Verdict, back_off, judge
from flows.journal import TIMED_OUT, Answered, JournalMismatch, Trouble, name_of
from flows.post_office import PostOffice
from flows.session import Post
from flows.step import Attempt, StepContext
from flows.store import (
    AdmissionRow,
    FlowRow,
    ProgressRow,
    SessionRow,
    Status,
    WaitRow,
)
from flows.surroundings import Surroundings
from flows.terminal import trouble_of
from flows.turn import Finished
from flows.waiting import Waiting
from states.encoding import Codec, encode
from states.identity import Party

U = TypeVar("U")

DETAIL_CHARACTERS_MAX = 500
NOTARISE = "notarise"  # the kind of question after which a transaction may be notarised

_ids: Codec[tuple[bytes, ...]] = Codec(tuple[bytes, ...], "ids of parts")


class Runner(Generic[U]):
    """Runs steps inside the turn's open transaction. What is in `live` is RUNNING and waits at an operation."""

    def __init__(
        self,
        around: Surroundings[U],
        office: PostOffice,
        step_context: Callable[[Execution], StepContext[U]],
    ) -> None:
        self._around = around
        self._store = around.store
        self._office = office
        self._step_context = step_context
        self.now = 0
        self.changes = Changes(around.store)
        self.live: dict[bytes, Execution] = {}
        self.routes: dict[tuple[str, bytes], Execution] = {}
        self.waiting = Waiting(self.changes, around.entropy, around.store.waits())
        self._number = around.store.last_progress()
        self.finished: list[Finished] = []
        self.progress: list[ProgressRow] = []

    # -- beginning and waking --------------------------------------------------------------------------

    def begin(self, row: FlowRow) -> None:
        """Run a flow that is not in the database yet."""
        run = Execution(row, self._around.registry, self._around.me)
        self.changes.started(row)
        self._enter(run)
        for session in (
            run.context.sessions.values()
        ):  # of a responder: there before its first step, which may fail
            self.changes.touched(run, session)
        self.tell(run.id, Status.RUNNING, "started")
        self.drive(run, None)

    def wake(self, flow: bytes) -> Execution | None:
        """Return a running flow, from its journal if it is not in memory; None if it does not run."""
        run = self.live.get(flow)
        if run is not None:
            return run
        self.changes.flush()
        row = self._store.flow(flow)
        if row is None or row.status != Status.RUNNING:
            return None
        try:
            run = Execution(row, self._around.registry, self._around.me)
            answer = run.replay(self._store.journal(flow))
            if not row.torn:
                run.resume(answer)
            self._meet_sessions(run)
        except Exception as error:  # noqa: BLE001 - whatever a flow's code raises here, an operator must see it
            if run is not None:
                run.close()
            self.admit(row, error, Verdict(Verb.OBSERVE, "cannot be replayed"))
            return None
        run.context.muted = False
        self._enter(run)
        if row.torn and not run.seq and not row.attempts:
            self.tell(flow, Status.RUNNING, "started")
        if row.torn:
            self.drive(run, answer)
        return self.live.get(flow)

    def settle(self, run: Execution) -> None:
        """Let a flow go on if what it waits for is there."""
        found = self._available(run)
        if found is not None:
            self.resume(run, *found)
        elif run.id not in self.waiting:
            self._wait(run)

    def resume(self, run: Execution, kind: int, value: bytes, answer: object) -> None:
        """Journal the answer to a flow's operation, and let it run."""
        # Outside the step: what came is kept even if the step fails, for it may have been acknowledged.
        self.changes.batch.journal.append(run.write(kind, value))
        self.drive(run, answer)

    def drive(self, run: Execution, answer: object) -> None:
        """Run steps for as long as their answers are there."""
        self.waiting.drop(run.id)
        while self._step(run, answer):
            found = self._available(run)
            if found is None:
                self._wait(run)
                return
            kind, value, answer = found
            self.changes.batch.journal.append(run.write(kind, value))

    def park(self, idle_since: int) -> int:
        """Drop the coroutines of flows that did nothing since; return how many."""
        idle = [run for run in self.live.values() if run.touched <= idle_since]
        for run in idle:
            self._leave(run)
        return len(idle)

    # -- one step --------------------------------------------------------------------------------------

    def _step(self, run: Execution, answer: object) -> bool:
        """Run to the next suspension; False if the flow is not live afterwards."""
        step: Attempt[U] = Attempt(run.in_doubt)
        outcome: Ended | FlowRefused | None
        try:
            outcome = self._run(run, answer, step)
        except FlowRefused as refusal:
            if step.answering or step.in_doubt:
                self._undo(run, step, refusal)
                return False
            outcome = refusal  # the flow's own last word: what it had done before, a draft dropped, stays done
        except Exception as error:  # noqa: BLE001 - the one place where the failures of flows are judged
            self._undo(run, step, error)
            return False
        if step.context is not None:
            self._store.release()
        self.changes.batch.journal += step.rows
        self._keep(run, step)
        if outcome is None or isinstance(outcome, Ended):
            if self._around.double_run:
                self._run_again(run, outcome)
            if outcome is not None:
                self._finish(run, outcome)
        else:
            self._leave(run)
            self.changes.flush()
            self.admit(run.row(), outcome, Verdict(Verb.FAIL, "refused"))
        return outcome is None

    def _run(self, run: Execution, answer: object, step: "Attempt[U]") -> Ended | None:
        ended = run.step(answer)
        while ended is None and isinstance(run.operation, Request):
            if step.context is None:
                self._store.savepoint()
                step.context = self._step_context(run)
            step.answering = True
            result = self._around.handlers.answer(step.context, run.operation)
            step.answering = False
            step.rows.append(run.write(Answered.RESULT, encode(result)))
            ended = run.step(result)
        self._office.bring(run.context.posts)
        return ended

    def _undo(self, run: Execution, step: "Attempt[U]", error: Exception) -> None:
        if step.context is not None:
            self._store.rollback_to()
        self._fall(run, error)

    def _keep(self, run: Execution, step: "Attempt[U]") -> None:
        """Take over what a step that went well has said."""
        operation = run.operation
        asks = type(operation) is AskNotary and operation.kind == NOTARISE
        in_doubt = asks or step.in_doubt
        if run.torn or run.attempts or in_doubt != run.in_doubt:
            run.torn, run.attempts, run.in_doubt = False, 0, in_doubt
            self.changes.changed(run.row())
        run.touched = self.now
        for text in run.context.steps:
            self.tell(run.id, run.status, text)
        run.context.steps = []
        if run.context.posts:
            self._post(run)

    def _post(self, run: Execution) -> None:
        context = run.context
        for post in context.posts:
            self._office.post(self.changes.batch, post)
            session = context.sessions.get(post.session)
            if session is not None:
                if session.committed < 0:
                    self.routes[session.counterparty, session.id] = run
                session.committed = session.sent
                self.changes.touched(run, session)
        context.posts = []

    def _available(self, run: Execution) -> tuple[int, bytes, object] | None:
        """Return the answer to a flow's operation if it is there already."""
        operation = run.operation
        match operation:
            case Receive(session=session):
                found = self._early(run, session)
                if found is not None:
                    return found
            case AwaitEvent(name=name):
                body = self._store.take_event(run.id, name)
                if body is not None:
                    return Answered.EVENT, body, body
            case Sleep(until=until):
                return (Answered.SLEPT, b"", None) if until <= self.now else None
            case _:
                return None
        if operation.until and operation.until <= self.now:
            return Answered.RAISED, encode(TIMED_OUT), TIMED_OUT.error()
        return None

    def _early(self, run: Execution, key: bytes) -> tuple[int, bytes, object] | None:
        session = run.context.sessions.get(key)
        if session is None:
            trouble = Trouble("lost", "", "", "")
            return Answered.RAISED, encode(trouble), trouble.error()
        if not session.early:
            return None
        row = self._store.early(session.counterparty, key)
        assert row is not None, "an early message is counted and not there"
        if row.kind != Kind.DATA:  # stays, for a flow that asks again
            trouble = trouble_of(row)
            return Answered.RAISED, encode(trouble), trouble.error()
        self._store.drop_early(row)
        session.early -= 1
        received = Received(row.body, _ids.decode(row.parts))
        return Answered.RECEIVED, encode(received), received

    def _run_again(self, run: Execution, ended: Ended | None) -> None:
        """Test mode: replay the flow in a fresh coroutine, which must come to the same place."""
        self.changes.flush()
        again = Execution(run.row(), self._around.registry, self._around.me)
        answer = again.replay(self._store.journal(run.id))
        run.compare(again, ended, again.step(answer))
        again.close()

    def _wait(self, run: Execution) -> None:
        match run.operation:
            case AskNotary(kind=kind, row=row):
                self.waiting.put(WaitRow(run.id, self.now, run.seq, kind, row))
                self.waiting.ask(run.id, self.now)
            case Receive(until=until) | AwaitEvent(until=until) | Sleep(until=until) if until:
                self.waiting.put(WaitRow(run.id, until, run.seq, "", b""))

    # -- leaving ---------------------------------------------------------------------------------------

    def set_aside(self, flow: bytes) -> FlowRow:
        """Take a flow that has not ended out of memory; it waits for nothing any more. Return its row."""
        run = self.live.get(flow)
        if run is not None:
            self._leave(run)
        self.waiting.drop(flow)
        self.changes.flush()
        row = self._store.flow(flow)
        assert row is not None, "a flow that is set aside is in the database"
        return row

    def stop(self, flow: bytes, status: Status, why: str) -> None:
        """Put a flow that has not ended where only an operator or a timer gets it out."""
        self.changes.changed(self.set_aside(flow)._replace(status=status, why=why))
        self.tell(flow, status, why)

    def go_on(self, row: FlowRow) -> None:
        """Let a flow that was stopped run from its last answer."""
        self.waiting.drop(row.id)
        self.changes.changed(row._replace(status=Status.RUNNING, why=""))
        self.tell(row.id, Status.RUNNING, "goes on")
        run = self.wake(row.id)
        if run is not None:
            self.settle(run)

    def admit(self, row: FlowRow, error: Exception, verdict: Verdict) -> None:
        """Write down why a flow failed, and do what the hospital ordered."""
        flow, seq = row.id, len(self._store.journal(row.id))
        due = 0
        if verdict.verb is Verb.RETRY:
            due = self.now + back_off(row.attempts, self._around.entropy(1)[0])
        detail = f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS_MAX]
        admission = AdmissionRow(flow, self.now, seq, verdict.rule, detail, verdict.verb, due)
        self.changes.batch.admissions.append(admission)
        match verdict.verb:
            case Verb.RETRY:
                self.stop(flow, Status.RETRYING, detail)
                self.waiting.put(WaitRow(flow, due, seq, "", b""))
            case Verb.OBSERVE:
                self.stop(flow, Status.OBSERVED, detail)
            case Verb.FAIL:
                self.fail(row, Status.FAILED, self._fault(error), detail)

    def fail(self, row: FlowRow, status: Status, fault: Fault, why: str) -> None:
        """End a flow that is not live; its sessions get ERROR."""
        sessions = self._store.sessions(row.id)
        self._end(row._replace(status=status, why=why), sessions, Kind.ERROR, encode(fault))

    def _fall(self, run: Execution, error: Exception) -> None:
        self._leave(run)
        self.changes.flush()
        run.torn = True
        row = run.row()._replace(attempts=run.attempts)
        verdict = judge(
            error, run.attempts, in_doubt=run.in_doubt, transient=self._around.transient
        )
        if verdict.verb is Verb.RETRY:
            row = row._replace(attempts=row.attempts + 1)
        self.changes.changed(row)
        self.changes.flush()
        self.admit(row, error, verdict)

    def _fault(self, error: Exception) -> Fault:
        # Only a refusal's words cross organisations; of anything else the peer learns that it happened.
        number = self._around.entropy(8).hex()
        if isinstance(error, FlowRefused):
            return Fault(error.code, error.public, number)
        return Fault("failed", "", number)

    def _finish(self, run: Execution, ended: Ended) -> None:
        self._leave(run)
        run.status, run.result = Status.DONE, encode(ended.result)
        sessions = [
            SessionRow(s.counterparty, s.id, run.id, s.committed, s.received, int(s.open))
            for s in run.context.sessions.values()
        ]
        self._end(run.row(), sessions, Kind.END, b"")

    def _end(self, row: FlowRow, sessions: list[SessionRow], kind: Kind, body: bytes) -> None:
        for session in sessions:
            if session.open:
                post = Post(Party(session.peer), kind, session.session, session.sent, body, ())
                self._office.post(self.changes.batch, post)
        if row.peer:
            self._office.of(Party(row.peer)).count(-1, letter=not row.session)
        self.waiting.drop(row.id)
        self.changes.changed(row)
        self.changes.ended(row.id)
        self.tell(row.id, Status(row.status), row.why or "ended")
        self.finished.append(Finished(row.id, Status(row.status), row.result))

    def tell(self, flow: bytes, status: Status, step: str) -> None:
        self._number += 1
        row = ProgressRow(self._number, flow, self.now, int(status), step)
        self.changes.batch.progress.append(row)
        self.progress.append(row)

    # -- memory ----------------------------------------------------------------------------------------

    def _enter(self, run: Execution) -> None:
        run.touched = self.now
        self.live[run.id] = run
        for session in run.context.sessions.values():
            if session.committed >= 0:
                self.routes[session.counterparty, session.id] = run

    def _leave(self, run: Execution) -> None:
        self.live.pop(run.id, None)
        for session in run.context.sessions.values():
            self.routes.pop((session.counterparty, session.id), None)
        run.close()

    def _meet_sessions(self, run: Execution) -> None:
        """Give a replayed flow's sessions what only the database knows: what has come."""
        for row in self._store.sessions(run.id):
            session = run.context.sessions.get(row.session)
            if session is None or session.sent != row.sent:
                raise JournalMismatch(
                    run.seq, f"the code opens other sessions before {name_of(run.operation)}"
                )
            session.committed, session.received, session.open = (
                row.sent,
                row.received,
                bool(row.open),
            )
            session.early = self._store.early_count(row.peer, row.session)
