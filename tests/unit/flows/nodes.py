"""Nodes in one process whose wires the test holds: real engines on SQLite, messages as bytes, time by hand."""

import sqlite3
from collections import deque
from collections.abc import Callable
from random import Random

from app.storage.database import open_database
from app.storage.flow_store import SqliteFlowStore
from flows.engine import Engine
from flows.envelope import ENVELOPE, HELLO, Envelope
from flows.registry import Registry
from flows.step import Handlers
from flows.store import ProgressRow, Status
from flows.turn import Finished, Question, TurnResult
from states.encoding import encode
from states.identity import Party
from states.notarisation import Answer
from tests.unit.flows.conversations import REGISTRY, handlers

NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z
TURNS_MAX = 5_000


class Clock:
    """Milliseconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


class Node:
    """An engine that can be killed: what survives is its database connection."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        handlers: Handlers[sqlite3.Connection],
        clock: Clock,
        *,
        double_run: bool = True,
        connection: sqlite3.Connection | None = None,
    ) -> None:
        self.party = Party(f"did:key:z{name}")
        self.registry = registry
        self.handlers = handlers
        self.clock = clock
        self.double_run = double_run
        self.connection = connection or open_database(":memory:", cache_kib=1_024)
        self.random = Random(name)
        self.finished: dict[bytes, Finished] = {}
        self.progress: list[ProgressRow] = []
        self.questions: list[Question] = []
        self.rows: dict[bytes, bytes] = {}
        self.engine = self.make()

    def make(self) -> Engine[sqlite3.Connection]:
        return Engine(
            store=SqliteFlowStore(self.connection),
            registry=self.registry,
            handlers=self.handlers,
            me=self.party,
            clock=self.clock,
            entropy=self.random.randbytes,
            parts={b"k": self.rows.get},
            transient=(sqlite3.OperationalError,),
            double_run=self.double_run,
        )

    def crash(self) -> None:
        """Lose the process: the open transaction and every object but the connection."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.questions = []
        self.engine = self.make()

    def turn(self) -> TurnResult:
        result = self.engine.turn()
        self.finished |= {finished.flow: finished for finished in result.finished}
        self.progress += result.progress
        self.questions += result.questions
        return result

    def status(self, flow: bytes) -> Status:
        row = self.engine.flow(flow)
        assert row is not None
        return Status(row.status)

    def count(self, table: str) -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert isinstance(row[0], int)
        return row[0]


class Wires:
    """Connections between all nodes. `fate` decides what becomes of each envelope: how many copies arrive."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = {node.party: node for node in nodes}
        self.fate: Callable[[Party, Party, Envelope], int] = lambda _from, _to, _envelope: 1
        self.sent: list[tuple[Party, Party, Envelope]] = []
        self.held: deque[tuple[Party, Party, Envelope]] = deque()
        self.shuffle: Random | None = None
        self.notary: Callable[[Question], Answer | None] = lambda _question: None
        self.connect()

    def connect(self, *pair: Party) -> None:
        """Open a connection between each two (of `pair`), and bring both hellos."""
        names = pair or tuple(self.nodes)
        hellos = [
            (sender, receiver, encode(self.nodes[sender].engine.connected(receiver)))
            for sender in names
            for receiver in names
            if sender != receiver
        ]
        for sender, receiver, hello in hellos:
            self.nodes[receiver].engine.hello(sender, HELLO.decode(hello))

    def step(self, node: Node) -> None:
        """One turn of one node; what leaves is on its way, and arrives with the next step of its receiver."""
        result = node.turn()
        for peer, envelopes in result.envelopes.items():
            for envelope in envelopes:
                self.sent.append((node.party, peer, envelope))
                for _ in range(self.fate(node.party, peer, envelope)):
                    self.held.append((node.party, peer, envelope))
        for peer, upto in result.acknowledgements.items():
            self.nodes[peer].engine.acked(node.party, upto)
        for question in result.questions:
            answer = self.notary(question)
            if answer is not None:
                node.engine.notary_answered(question, answer)

    def carry(self) -> None:
        """Bring what is on its way, as bytes, each envelope in a delivery of its own."""
        held = list(self.held)
        self.held.clear()
        if self.shuffle is not None:
            self.shuffle.shuffle(held)
        for sender, receiver, envelope in held:
            arrived = ENVELOPE.decode(encode(envelope))
            self.nodes[receiver].engine.deliver(sender, [arrived])

    def run(self) -> None:
        """Go on until nobody has work, without letting time pass."""
        for _ in range(TURNS_MAX):
            if not self.held and not any(n.engine.has_work() for n in self.nodes.values()):
                return
            for node in self.nodes.values():
                self.step(node)
            self.carry()
        raise AssertionError("the nodes never came to rest")

    def wait(self, milliseconds: int) -> None:
        """Let time pass, stopping wherever a node has something to do."""
        clock = next(iter(self.nodes.values())).clock
        end = clock.now + milliseconds
        self.run()
        while True:
            times = [n.engine.next_due() for n in self.nodes.values()]
            due = min((time for time in times if time is not None), default=end)
            if due >= end:
                break
            clock.now = max(clock.now, due)
            for node in self.nodes.values():
                self.step(node)
            self.run()
        clock.now = end
        for node in self.nodes.values():
            self.step(node)
        self.run()


def counted(node: Node, name: str) -> int:
    """Return how often the handlers of a node counted something in its database."""
    row = node.connection.execute("SELECT times FROM counted WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def pair(*, double_run: bool = True) -> tuple[Node, Node, Wires]:
    """Return two nodes with the flows of `conversations`, connected."""
    clock = Clock()
    mercy, riverside = (
        Node(name, REGISTRY, handlers(), clock, double_run=double_run)
        for name in ("Mercy", "Riverside")
    )
    for node in (mercy, riverside):
        node.connection.execute("CREATE TABLE counted (name TEXT PRIMARY KEY, times INTEGER)")
    return mercy, riverside, Wires(mercy, riverside)
