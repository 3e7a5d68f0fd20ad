"""Faults planted in the running code, each of which the simulation must notice (`--mutants` makes the table)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

import app.vault.aside
import notaries.memory
import notaries.request
import notaries.sqlite
from app.storage.flow_store import SqliteFlowStore
from app.subjects.enrolment_recall import EnrolmentRecall
from app.subjects.handover import Handover
from app.subjects.transfer import Transfers
from app.subjects.transfer_permit import PERMIT_MS_MAX, TransferPermits
from app.vault.subject import Step
from flows.arrivals import Arrivals
from flows.engine import Engine
from flows.enrolment_recall import FindEnrolments, FoundEnrolments
from flows.envelope import Envelope
from flows.finality import AllSigned, Proposal, about
from flows.flow import AskNotary, FlowContext, FlowSession
from flows.post_office import PostOffice
from flows.services import AddSignatures, Held, OwnSignatures, Signatures, transaction_part
from flows.store import JournalRow
from flows.subjects import disclosure, record
from flows.subjects.blob import Release, ReleaseKeys
from flows.subjects.record import Introduction, MakeIntroduction
from flows.turn import TurnResult
from notaries.memory import MemoryProvider
from notaries.settlement import Facts, Settlement, settle
from notaries.sqlite import SqliteProvider
from notaries.uniqueness import CommitRequest, Outcome
from states.identity import Party
from states.notarisation import Committed, WindowClosed
from tests.simulation.gate_mutants import (
    no_chain_number,
    numbers_reused,
    opens_before_it_logs,
    revocation_ignored,
    withdrawal_ignored,
)
from tests.simulation.world import World

Plant = Callable[[Callable[[object, str, object], None]], None]
"""Told how to replace an attribute; it is put back afterwards."""


class Mutant(NamedTuple):
    """A fault, what it does, and the seed that found it when it was planted last."""

    name: str
    what: str
    plant: Plant
    seed: int


def _world_of(engine: Engine[object]) -> World:
    world = World.present
    assert world is not None, "a mutant lives in a simulation"
    del engine
    return world


# -- the engine ----------------------------------------------------------------------------------------


def _ack_before_durable(replace: Callable[[object, str, object], None]) -> None:
    original = Engine.deliver

    def deliver(self: Engine[object], peer: Party, envelopes: Sequence[Envelope]) -> None:
        original(self, peer, envelopes)
        world = _world_of(self)
        node = world.node_of(self._around.me)
        office = self._office.of(peer)
        if node is not None and office.ready:
            for each in envelopes:
                if each.number == office.received + 1:
                    world.wire.acknowledge(node, peer, each.number)

    replace(Engine, "deliver", deliver)


def _deduplication_broken(replace: Callable[[object, str, object], None]) -> None:
    original = PostOffice.takes

    def takes(self: PostOffice, peer: Party, number: int) -> bool:
        return original(self, peer, number) or (self.of(peer).ready and number > 0)

    def never_seen(self: SqliteFlowStore, peer: str, session: bytes) -> bool:
        del self, peer, session
        return True

    replace(PostOffice, "takes", takes)
    replace(SqliteFlowStore, "bury", never_seen)
    replace(Arrivals, "_is_open", lambda _self, _peer, _key: False)


def _journal_off_by_one(replace: Callable[[object, str, object], None]) -> None:
    original = SqliteFlowStore.journal

    def journal(self: SqliteFlowStore, flow: bytes) -> list[JournalRow]:
        return original(self, flow)[:-1]

    replace(SqliteFlowStore, "journal", journal)


def _send_before_commit(replace: Callable[[object, str, object], None]) -> None:
    def turn(self: Engine[object]) -> TurnResult:
        now = self._runner.now = self._clock()
        self._office.resend(now)
        for flow in self._runner.waiting.due(now):
            self._queue.append(lambda flow=flow: self._on_time(flow))  # type: ignore[misc]  # bound now
        self.store.begin()
        try:
            for _ in range(min(len(self._queue), 32)):
                self._queue.popleft()()
            self._office.write(self._runner.changes.batch)
            self._runner.changes.flush()
            result = self._result(now)
            world = _world_of(self)
            node = world.node_of(self._around.me)
            assert node is not None
            world.wire.send(node, result)
            self.store.commit()
        except BaseException:
            self.store.rollback()
            self.restore()
            raise
        return TurnResult(
            {}, {}, result.questions, result.started, result.finished, result.progress
        )

    replace(Engine, "turn", turn)


# -- finality and release --------------------------------------------------------------------------------


async def _asks_early(_flow: FlowContext, held: Held, sessions: tuple[FlowSession, ...]) -> None:
    for session in sessions:
        session.send(Proposal(held.tx), (transaction_part(held.tx, session.counterparty),))
    await AskNotary("notarise", held.tx)
    for session in sessions:
        brought = await session.receive(Signatures, held.until)
        await AddSignatures(session.counterparty, brought.check(about(held.tx)))
    if len(sessions) > 1:
        every = await OwnSignatures(held.tx)
        for session in sessions:
            session.send(every)
        for session in sessions:
            (await session.receive(AllSigned, held.until)).check(about(held.tx))


def _finality_early(replace: Callable[[object, str, object], None]) -> None:
    for module in (disclosure, record):
        replace(module, "collect_signatures", _asks_early)


def _release_blind(replace: Callable[[object, str, object], None]) -> None:
    original = Handover.release

    def release(self: Handover, step: Step, request: ReleaseKeys) -> Release:
        return original(self, step, ReleaseKeys(request.peer, request.tx, asked=step.now))

    replace(Handover, "release", release)


# -- the notary ------------------------------------------------------------------------------------------


def _id_not_first(replace: Callable[[object, str, object], None]) -> None:
    def committed(_self: Facts, _requests: Sequence[CommitRequest]) -> Mapping[bytes, int]:
        return {}

    replace(MemoryProvider, "committed", committed)
    replace(SqliteProvider, "committed", committed)


def _window_first(replace: Callable[[object, str, object], None]) -> None:
    def late(requests: Sequence[CommitRequest], now: int, first: int, facts: Facts) -> Settlement:
        settled = settle(requests, now, first, facts)
        for at, request in enumerate(requests):
            if now >= request.closes:
                settled.answers[at] = WindowClosed(now)
        return settled

    replace(notaries.memory, "settle", late)
    replace(notaries.sqlite, "settle", late)


def _no_lock_check(replace: Callable[[object, str, object], None]) -> None:
    replace(notaries.request, "open_lock", lambda _opening, _ref: None)


def _no_head_lock(replace: Callable[[object, str, object], None]) -> None:
    """Two sequencers read the same head, and both write: each request sees the facts of before the batch."""

    def commit(self: MemoryProvider, requests: Sequence[CommitRequest], now: int) -> list[Outcome]:
        now = max(now, self._clock)
        read = [settle([each], now, self._head.size, self) for each in requests]
        outcomes: list[Outcome] = []
        for settled in read:
            settled.first = self._head.size
            new = self._place(settled, now) if settled.placed else ()
            outcomes += [
                answer
                if not isinstance(answer, int)
                else Committed(new[0] if new else self._served.receipt(answer, self._head))
                for answer in settled.answers
            ]
        self._clock = now
        return outcomes

    replace(MemoryProvider, "commit", commit)


def _no_head_lock_on_disk(replace: Callable[[object, str, object], None]) -> None:
    """The same where the log is in files: it is written anew for each request, whose facts are those of before."""

    def commit(self: SqliteProvider, requests: Sequence[CommitRequest], now: int) -> list[Outcome]:
        with self._locked():
            now = max(now, self._clock)
            outcomes: list[Outcome] = []
            for settled in [settle([each], now, self._head.size, self) for each in requests]:
                settled.first = self._head.size
                new: tuple[str, ...] = ()
                if settled.placed:
                    new = self._write(settled, now).receipts
                    self._log.db.execute("BEGIN IMMEDIATE")
                outcomes += [
                    answer
                    if not isinstance(answer, int)
                    else Committed(new[0] if new else self._served.receipt(answer, self._head))
                    for answer in settled.answers
                ]
            return outcomes

    replace(SqliteProvider, "commit", commit)


# -- what a restored node has back -------------------------------------------------------------------------


def _nothing_aside(replace: Callable[[object, str, object], None]) -> None:
    replace(app.vault.aside, "awaited", lambda _refused: None)


def _no_enrolments_back(replace: Callable[[object, str, object], None]) -> None:
    def find(_self: EnrolmentRecall, _step: Step, _request: FindEnrolments) -> FoundEnrolments:
        return FoundEnrolments()

    replace(EnrolmentRecall, "find", find)


# -- custody -----------------------------------------------------------------------------------------------


def _no_permit_asked_for(replace: Callable[[object, str, object], None]) -> None:
    def permitted_until(_db: object, now: int, *_who: object) -> int:
        return now + PERMIT_MS_MAX

    replace(TransferPermits, "permitted_until", staticmethod(permitted_until))


def _introduced_for_good(replace: Callable[[object, str, object], None]) -> None:
    original = Transfers.introduce

    def introduce(self: Transfers, step: Step, request: MakeIntroduction) -> Introduction:
        made = original(self, step, request)
        return msgspec.structs.replace(made, until=made.until + PERMIT_MS_MAX)

    replace(Transfers, "introduce", introduce)


MUTANTS = (
    Mutant("ack before durable", "a message is acknowledged when it comes", _ack_before_durable, 1),
    Mutant("deduplication broken", "what came before is taken again", _deduplication_broken, 1),
    Mutant("id not looked up first", "a repeated request is a new one", _id_not_first, 1),
    Mutant("window before id", "a late repetition finds its window closed", _window_first, 15),
    Mutant("lock check missing", "the notary opens no lock", _no_lock_check, 1),
    Mutant("journal off by one", "a replay leaves out the last answer", _journal_off_by_one, 1),
    Mutant("send before commit", "messages leave before they are durable", _send_before_commit, 1),
    Mutant("release without liveness", "keys without the notary's word", _release_blind, 35),
    Mutant("finality asked early", "the notary is asked before signers hold", _finality_early, 2),
    Mutant("head lock removed", "two sequencers write after one head", _no_head_lock, 1),
    Mutant(
        "head lock removed on disk",
        "the same, of the log in files (one seed in 25)",
        _no_head_lock_on_disk,
        75,
    ),
    Mutant("nothing put aside", "what a peer brings too early is left out", _nothing_aside, 162),
    Mutant("enrolments stay lost", "neither side brings one back", _no_enrolments_back, 11),
    Mutant("no permit asked for", "her agent introduces whom it likes", _no_permit_asked_for, 5),
    Mutant("introduced for good", "what was announced passes later", _introduced_for_good, 46),
    Mutant("withdrawal ignored", "the gate opens what was withdrawn", withdrawal_ignored, 2),
    Mutant("revocation ignored", "the gate opens on an ended consent", revocation_ignored, 37),
    Mutant("opened before logged", "the entry follows the bytes", opens_before_it_logs, 2),
    Mutant("no chain number", "readings are told as the first ones", no_chain_number, 2),
    Mutant("numbers reused", "a restored log tells of no restore", numbers_reused, 260),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Let the mutant live for a while."""
    before: list[tuple[object, str, object]] = []

    def replace(owner: object, name: str, new: object) -> None:
        before.append((owner, name, vars(owner)[name]))  # a static method as such
        setattr(owner, name, new)

    mutant.plant(replace)
    try:
        yield
    finally:
        for owner, name, old in reversed(before):
            setattr(owner, name, old)
