"""What the flow engine costs by itself: steps a second, replay, and what a parked flow keeps in memory.

64 flows talk to an echo at the other end of an in-memory wire; the database is on disk (WAL, synchronous=FULL). A
step is one message that a flow took, with its journal row and its answer.
"""

import gc
import os
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from app.bench.primitives import Yardstick
from app.bench.result import Result, Target
from app.node import clock
from app.storage.database import open_database
from app.storage.flow_store import SqliteFlowStore
from flows.engine import Engine
from flows.envelope import Envelope, Hello, Kind
from flows.execution import Execution
from flows.flow import FlowContext
from flows.registry import Registry
from flows.step import Handlers
from flows.store import Status
from states.identity import Party

ME, PEER = Party("did:key:zMercy"), Party("did:key:zRiverside")
IN_FLIGHT = 64
STEPS = 20  # of one flow
REPLAYS = 200
PARKED = 2_000


class Word(msgspec.Struct, frozen=True, array_like=True, tag="word"):
    """What is said back and forth: 200 bytes."""

    number: int
    body: bytes


class Talk(msgspec.Struct, frozen=True, array_like=True, tag="bench-talk/1"):
    """Say a word, wait for it, and again."""

    times: int

    async def call(self, flow: FlowContext) -> Word:
        word = Word(0, bytes(200))
        session = flow.initiate(PEER, "echo/1", word)
        for number in range(self.times):
            session.send(Word(number, bytes(200)))
            word = (await session.receive(Word)).check(lambda said: said)
            assert word.number == number
        return word


class Echo:
    """The peer: sends each message back. Not a node, so that one node is measured."""

    def __init__(self) -> None:
        self.number = 0

    def answer(self, envelopes: list[Envelope]) -> list[Envelope]:
        answers = []
        for envelope in envelopes:
            if envelope.kind == Kind.DATA:
                self.number += 1
                back = (envelope.session, envelope.seq - 1, envelope.body, ())
                answers.append(Envelope(self.number, Kind.DATA, *back))
        return answers


class TalkingNode:
    """A node on disk with flows that always have something to say."""

    def __init__(self, path: Path) -> None:
        self.registry = Registry((Talk,))
        handlers: Handlers[sqlite3.Connection] = Handlers()
        self.engine = Engine(
            store=SqliteFlowStore(open_database(path)),
            registry=self.registry,
            handlers=handlers,
            me=ME,
            clock=clock,
            entropy=os.urandom,
        )
        self._echo = Echo()
        self.engine.connected(PEER)
        self.engine.hello(PEER, Hello(bytes(16), b"", 0, ()))

    def begin(self, flows: int) -> None:
        for _ in range(flows):
            self.engine.submit(Talk(STEPS))

    def run(self, seconds: float) -> float:
        """Return steps a second."""
        steps, begun = 0, perf_counter()
        while (gone := perf_counter() - begun) < seconds:
            result = self.engine.turn()
            sent = result.envelopes.get(PEER, [])
            if sent:
                answers = self._echo.answer(sent)
                steps += len(answers)
                self.engine.acked(PEER, sent[-1].number)
                self.engine.deliver(PEER, answers)
            self.begin(len(result.finished))
        return steps / gone

    def replay_us(self) -> float:
        """Return microseconds an entry, of the flow that has the longest journal."""
        rows = self.engine.flows((Status.RUNNING,), limit=IN_FLIGHT)
        journals = [(self.engine.store.journal(row.id), row) for row in rows]
        entries, row = max(journals, key=lambda found: len(found[0]))
        begun = perf_counter()
        for _ in range(REPLAYS):
            run = Execution(row, self.registry, ME)
            run.resume(run.replay(entries))
            run.close()
        return (perf_counter() - begun) / REPLAYS / len(entries) * 1e6

    def bytes_of_parked(self, flows: int) -> float:
        """Return bytes of Python's memory for each of so many flows that wait for an answer and are parked."""
        gc.collect()
        tracemalloc.start()
        try:
            self.begin(flows)
            while self.engine.has_work():
                for envelopes in self.engine.turn().envelopes.values():
                    self.engine.acked(PEER, envelopes[-1].number)
            assert self.engine.park(-1_000) == flows
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / flows
        finally:
            tracemalloc.stop()


def measure_flow_steps(
    yardstick: Yardstick, rounds: int = 7, seconds: float = 0.7, parked: int = PARKED
) -> Iterator[Result]:
    """Yield steps a second, microseconds of replay, bytes of a parked flow."""
    with tempfile.TemporaryDirectory(prefix="carecord-bench-") as folder:
        node = TalkingNode(Path(folder) / "steps.db")
        node.begin(IN_FLIGHT)
        found = yardstick.beside(rounds, lambda: node.run(seconds))
        name = f"flow steps, {IN_FLIGHT} flows in flight"
        yield found.judge(name, "steps/s", Target("≥", 0.7, "V"))
        replay = median(node.replay_us() for _ in range(rounds))
        yield Target("≤", 10).judge("replay of a journal entry", replay, "µs")
        waiting = TalkingNode(Path(folder) / "parked.db")
        size = waiting.bytes_of_parked(parked)
        yield Target("<", 1_024).judge("a parked flow in memory", size, "bytes")
