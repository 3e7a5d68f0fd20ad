"""Carries what the engine commits to links and notaries, and what comes back to the engine: one event loop."""

import asyncio
import logging
from asyncio import AbstractEventLoop, Task, TimerHandle
from collections import deque
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from time import perf_counter
from typing import Protocol

from app.assembly import Surroundings
from app.transport.errors import RequestRefused, RequestTimedOut, Unreachable
from app.transport.kinds import NOTARY
from app.transport.transport import Transport
from flows.engine import Engine
from flows.envelope import Envelope, Hello
from flows.turn import Question, TurnResult
from states.errors import LedgerError
from states.identity import Party
from states.notarisation import ANSWER

_log = logging.getLogger("carecord.pump")

NOTARY_SECONDS = 20.0  # after which the flow's own back-off asks again
AFRESH_SECONDS = 1.0  # after a failed turn, before the next
PARK_SECONDS = 30.0  # how often idle flows are dropped from memory
PARK_IDLE_MS = 60_000
NOTARY_KIND = "notary"  # of a member that answers questions, and has no flows to converse with

Watcher = Callable[[TurnResult], None]
"""Told what a committed turn did: screens that follow progress, gates that must close."""

Meter = Callable[[float], None]
"""Told how many seconds a turn took."""


def unmetered(_seconds: float) -> None:
    """Nobody measures."""


class Assembled(Protocol):
    """What is pumped: an engine, and who knows what its flows ask a notary."""

    @property
    def given(self) -> Surroundings: ...

    @property
    def engine(self) -> Engine[Connection]: ...

    def question(self, kind: str, row: bytes) -> tuple[Party, bytes]:
        """Return the notary to ask and the encoded question; raises NotHeld."""


class Pump:
    """The engine's turns, on the event loop's thread; a `LinkListener` of the transport."""

    def __init__(
        self, assembly: Assembled, watchers: Sequence[Watcher] = (), meter: Meter = unmetered
    ) -> None:
        self._assembly = assembly
        self._meter = meter
        self._engine = assembly.engine
        self._watchers = tuple(watchers)
        self._transport: Transport | None = None
        self._left: dict[Party, deque[Envelope]] = {}  # what a link had no room for
        self._asking: dict[Question, Task[None]] = {}
        self._soon = False
        self._timer: TimerHandle | None = None
        self._parking: TimerHandle | None = None
        self._stopped = False
        self.failure: BaseException | None = None
        """What ended the pump, if a fault of ours did: the node is not ready any more."""

    def start(self, transport: Transport) -> None:
        """Begin to turn; `transport` is started already."""
        self._transport = transport
        self._park()
        self.wake()

    def stop(self) -> None:
        """Turn no more. What is committed stays; what is not was never promised."""
        self._stopped = True
        for timer in (self._timer, self._parking):
            if timer is not None:
                timer.cancel()
        for task in self._asking.values():
            task.cancel()

    def wake(self) -> None:
        """Let the engine take a turn soon: somebody started a flow, or raised an event."""
        if not self._soon and not self._stopped:
            self._soon = True
            self._loop.call_soon(self._turn)

    # -- LinkListener ----------------------------------------------------------------------------------

    def hello_for(self, peer: Party) -> Hello:
        return self._engine.connected(peer)

    def on_up(self, peer: Party, hello: Hello) -> None:
        self._left.pop(peer, None)
        member = self._assembly.given.directory.latest(peer)
        if member is not None and member.kind == NOTARY_KIND:
            return  # not greeted, so nothing leaves to it: it closes a link on which an envelope comes
        self._engine.hello(peer, hello)
        self.wake()

    def on_down(self, peer: Party) -> None:
        self._left.pop(peer, None)
        self._engine.disconnected(peer)

    def on_envelopes(self, peer: Party, envelopes: Sequence[Envelope]) -> None:
        self._engine.deliver(peer, envelopes)
        self.wake()

    def on_acked(self, peer: Party, upto: int) -> None:
        self._engine.acked(peer, upto)
        self.wake()

    def on_room(self, peer: Party) -> None:
        left = self._left.pop(peer, None)
        if left:
            self._send(peer, list(left))

    # -- turns -----------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._soon = False
        if self._stopped:
            return
        began = perf_counter()
        try:
            result = self._engine.turn()
        except Exception as failure:  # noqa: BLE001 - rolled back; whatever is wrong, the process stays to be asked
            _log.exception("a turn failed")
            self._begin_afresh(failure)
            return
        self.failure = None
        self._meter(perf_counter() - began)
        self._hand_out(result)
        if self._engine.has_work():
            self.wake()
        self._set_timer()

    def _begin_afresh(self, failure: BaseException) -> None:
        """Nothing of the turn happened, and the engine began from its database: every peer is greeted anew.

        What was left over for a link is in the outbox, and what a peer had sent was not acknowledged.
        """
        assert self._transport is not None, "start() comes first"
        self.failure = failure
        self._left.clear()
        self._transport.reconnect_all()
        self._loop.call_later(AFRESH_SECONDS, self.wake)

    def _hand_out(self, result: TurnResult) -> None:
        assert self._transport is not None, "start() comes first"
        for peer, upto in result.acknowledgements.items():
            self._transport.ack(peer, upto)
        for peer, envelopes in result.envelopes.items():
            self._send(peer, envelopes)
        for question in result.questions:
            self._ask(question)
        for watcher in self._watchers:
            watcher(result)

    def _send(self, peer: Party, envelopes: list[Envelope]) -> None:
        assert self._transport is not None, "start() comes first"
        waiting = self._left.get(peer)
        if waiting:
            waiting.extend(envelopes)
            return
        taken = self._transport.send(peer, envelopes)
        if taken < len(envelopes) and self._transport.is_up(peer):
            self._left[peer] = deque(envelopes[taken:])

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._engine.next_due()
        if due is not None:
            seconds = max(due - self._assembly.given.clock(), 1) / 1_000
            self._timer = self._loop.call_later(seconds, self.wake)

    def _park(self) -> None:
        self._engine.park(PARK_IDLE_MS)
        self._parking = self._loop.call_later(PARK_SECONDS, self._park)

    # -- the notary ------------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        if question not in self._asking:
            task = self._loop.create_task(self._asked(question))
            self._asking[question] = task
            task.add_done_callback(lambda _: self._asking.pop(question, None))

    async def _asked(self, question: Question) -> None:
        assert self._transport is not None, "start() comes first"
        try:
            notary, data = self._assembly.question(question.kind, question.row)
            answer = await self._transport.request(notary, NOTARY, data, NOTARY_SECONDS)
            self._engine.notary_answered(question, ANSWER.decode(answer))
        except (Unreachable, RequestTimedOut, RequestRefused) as unanswered:
            _log.info("the notary did not answer: %s", type(unanswered).__name__)
        except LedgerError as refused:
            _log.warning("a question to the notary: %s", type(refused).__name__)
        else:
            self.wake()

    @property
    def _loop(self) -> AbstractEventLoop:
        return asyncio.get_running_loop()
