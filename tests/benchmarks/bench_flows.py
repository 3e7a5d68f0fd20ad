"""Steps a second of the flow engine, and per V, the Ed25519 verifications a second of one core.

`python -m tests.benchmarks.bench_flows [--profile]`

64 flows talk to an echo at the other end of an in-memory wire; the database is on disk (WAL, synchronous=FULL). A
step is one message that a flow took, with its journal row and its answer. Then: what a replayed entry costs.
"""

import cProfile
import os
import pstats
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec
from nacl import bindings

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

PEER = Party("did:key:zRiverside")
IN_FLIGHT = 64
STEPS = 20
SECONDS = 1.0
SEGMENTS = 5
REPLAYS = 500


class Word(msgspec.Struct, frozen=True, array_like=True, tag="word"):
    """What is said back and forth: 200 bytes."""

    number: int
    body: bytes


class Talk(msgspec.Struct, frozen=True, array_like=True, tag="talk/1"):
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
                answers.append(
                    Envelope(
                        self.number,
                        Kind.DATA,
                        envelope.session,
                        envelope.seq - 1,
                        envelope.body,
                        (),
                    )
                )
        return answers


def verifications(seconds: float) -> float:
    """Return Ed25519 verifications a second of 200 bytes."""
    public, secret = bindings.crypto_sign_keypair()
    signed = bindings.crypto_sign(bytes(200), secret)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(100):
            bindings.crypto_sign_open(signed, public)
        done += 100
    return done / (time.perf_counter() - start)


class Load:
    """A node on disk with flows that always have something to say."""

    def __init__(self, path: Path) -> None:
        self.registry = Registry((Talk,))
        handlers: Handlers[sqlite3.Connection] = Handlers()
        self.engine = Engine(
            store=SqliteFlowStore(open_database(path)),
            registry=self.registry,
            handlers=handlers,
            me=Party("did:key:zMercy"),
            clock=lambda: time.time_ns() // 1_000_000,
            entropy=os.urandom,
        )
        self._echo = Echo()
        self.engine.connected(PEER)
        self.engine.hello(PEER, Hello(bytes(16), b"", 0, ()))
        for _ in range(IN_FLIGHT):
            self.engine.submit(Talk(STEPS))

    def run(self, seconds: float) -> float:
        """Return steps a second."""
        steps, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            result = self.engine.turn()
            sent = result.envelopes.get(PEER, [])
            if sent:
                answers = self._echo.answer(sent)
                steps += len(answers)
                self.engine.acked(PEER, sent[-1].number)
                self.engine.deliver(PEER, answers)
            for _ in result.finished:
                self.engine.submit(Talk(STEPS))
        return steps / (time.perf_counter() - begun)

    def replay_cost(self) -> float:
        """Return microseconds an entry, of the flow that has the longest journal."""
        flows = self.engine.flows((Status.RUNNING,), limit=IN_FLIGHT)
        journals = [(self.engine.store.journal(row.id), row) for row in flows]
        rows, row = max(journals, key=lambda found: len(found[0]))
        begun = time.perf_counter()
        for _ in range(REPLAYS):
            run = Execution(row, self.registry, Party("did:key:zMercy"))
            run.resume(run.replay(rows))
            run.close()
        return (time.perf_counter() - begun) / REPLAYS / len(rows) * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        load = Load(Path(folder) / "node.db")
        if "--profile" in sys.argv:
            with cProfile.Profile() as profile:
                load.run(SECONDS * SEGMENTS)
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
            return
        ratios = []
        for _ in range(SEGMENTS):
            verified, steps = verifications(SECONDS / 4), load.run(SECONDS)
            ratios.append(steps / verified)
            print(f"{steps:8,.0f} steps/s   V {verified:8,.0f}/s   {ratios[-1]:.2f} V")  # noqa: T201
        print(f"median {median(ratios):.2f} V; replay {load.replay_cost():.1f} us an entry")  # noqa: T201


if __name__ == "__main__":
    main()
