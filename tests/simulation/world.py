"""The whole network in one process: virtual time, one seed, nodes that die, and an oracle that sees everything."""

import heapq
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar, TypeVar

from app.operations.restore import begin_anew
from flows.envelope import Kind
from flows.flow import Flow
from flows.recovery import Recover
from flows.store import Status
from flows.turn import Question, TurnResult
from states.errors import LedgerError
from states.notarisation import ANSWER
from tests.simulation.coverage import often
from tests.simulation.disk import DiskFull, Killed
from tests.simulation.faults import Fault, Met, Swarm
from tests.simulation.node import Input, Setting, SimNode
from tests.simulation.notary import SimulatedNotary, Waiting
from tests.simulation.observer import Post, Violation, present
from tests.simulation.oracle import Oracle
from tests.simulation.village import START, Founding
from tests.simulation.wire import CUT_MS, Wire

R = TypeVar("R")

TURN_MS = (0, 8)
RESTART_MS = (50, 3_000)
QUESTION_MS = (1, 30)
ANSWER_LATE_MS = (1_000, 40_000)
RESTORES_MAX = 4
AWAY_MS = (4_000, 30_000, 700_000)
EVENTS_MAX = 120_000
REST_MS = 6 * 3_600_000  # after which a healed network that still works is one that never rests
STRANGER = "Mallory"

_RECOVER = str(Recover.__struct_config__.tag)

Line = tuple[int, tuple[object, ...]]


class World:
    """Nodes, wire, notary, time. Everything that happens is an event; the same seed gives the same events."""

    on_start: Callable[[SimNode, bool], None] = staticmethod(lambda _node, _restored: None)
    """Told which node is back, and whether from an older image."""

    present: ClassVar["World | None"] = None
    """The one that runs: what a planted fault breaks out into."""

    def __init__(self, seed: int, directory: Path | None = None) -> None:
        World.present = self
        self.seed = seed
        self.chance = Random(f"{seed}/chance")
        self.now = START
        self.swarm = Swarm(Random(f"{seed}/swarm"))
        self.met = Met()
        self.trace: list[Line] = []
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        entropy = Random(f"{seed}/entropy").randbytes
        self.entropy = entropy
        self.founding = Founding(entropy, (STRANGER,))
        self.stranger = self.founding.strangers[STRANGER]
        strangers = frozenset({str(self.stranger.party)})
        double_run = seed % 10 == 0
        setting = Setting(
            self.founding, lambda: self.now, entropy, Post(), strangers, double_run=double_run
        )
        self.nodes = {
            name: SimNode(resident, setting) for name, resident in self.founding.residents.items()
        }
        self._by_party = {str(node.me): node for node in self.nodes.values()}
        self.notary = SimulatedNotary(self.founding, lambda: self.now, self.chance, directory)
        self._notary_due = False
        self._restores = 0
        self.observed: Counter[tuple[str, str]] = Counter()
        self.oracle = Oracle(self)
        self.wire = Wire(self)
        self.on_result: Callable[[SimNode, TurnResult], None] = lambda _node, _result: None
        for node in self.nodes.values():
            node.observer.judge = partial(self.oracle.judge, node)
            self._set_clock(node)
            node.start()
        self._connect_all()

    def _set_clock(self, node: SimNode) -> None:
        if Fault.SKEW in self.swarm:
            node.skew = self.chance.choice((-240_000, -20_000, -500, 300, 20_000, 240_000))
            self.met[Fault.SKEW, "clock", node.name] += 1

    # -- time ------------------------------------------------------------------------------------------

    def after(self, delay: int, action: Callable[[], object]) -> None:
        self.at(self.now + delay, action)

    def at(self, time: int, action: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._events, (max(time, self.now), self._count, action))

    def run(self, until: int) -> None:
        """Let happen what is due before `until`, at most; returns at once when nothing is left to happen."""
        for _ in range(EVENTS_MAX):
            if not self._events or self._events[0][0] > until:
                return
            self.now, _, action = heapq.heappop(self._events)
            action()
        raise Violation("liveness", f"{EVENTS_MAX} events, and no rest")

    def run_to_rest(self) -> None:
        self.run(self.now + REST_MS)
        if self._events:
            raise Violation("liveness", "the healed network still works after hours")

    def tell(self, *what: object) -> None:
        self.trace.append((self.now, what))

    def meet(self, fault: Fault, kind: str, name: str) -> None:
        self.met[fault, kind, name] += 1
        self.tell("fault", fault, kind, name)

    # -- nodes -----------------------------------------------------------------------------------------

    def node_of(self, party: str) -> SimNode | None:
        return self._by_party.get(party)

    def guard(self, node: SimNode, action: Callable[[], R]) -> R | None:
        """Let a node act outside a turn; None where it died over it or its disk failed."""
        try:
            with present(node.observer):
                return action()
        except Killed:
            self.crash(node)
        except DiskFull:
            node.disk.lose_power()
        return None

    def wake(self, node: SimNode, delay: int | None = None) -> None:
        """Let the node take a turn soon, or at least by then."""
        at = self.now + (self.chance.randint(*TURN_MS) if delay is None else max(delay, 0))
        if node.assembly is None or (node.turn_at is not None and node.turn_at <= at):
            return
        node.turn_at = at
        self.at(at, lambda: self._turn(node, at))

    def _turn(self, node: SimNode, at: int) -> None:
        if node.assembly is None or node.turn_at != at:
            return
        node.turn_at = None
        engine = node.assembly.engine
        inputs, node.inputs = node.inputs, []
        fault = self._choose(node, max((self._often(each) for each in inputs), default=1))
        restores = fault is Fault.RESTORED
        try:
            with present(node.observer):
                result = engine.turn()
        except Killed:
            self._count_inputs(fault, inputs)
            self.crash(node, restores=restores)
            return
        except DiskFull:
            self._count_inputs(fault, inputs)
            self.wire.drop_all(node)
            self.wake(node, 1_000)
            return
        except Violation:
            raise
        except Exception as failure:
            why = f"{type(failure).__name__}: {failure}"
            raise Violation("no turn fails", f"{node.name}: {why}") from failure
        if fault is Fault.DISK_FULL and node.disk.fuse == 0:
            self._count_inputs(fault, inputs)
        node.fate, node.disk.fuse = None, 0
        self.finish(node, result)
        if Fault.PARKED in self.swarm and self.swarm.strikes(Fault.PARKED):
            self.met[Fault.PARKED, "flow", node.name] += engine.park(0)
        self._set_timer(node)

    def finish(self, node: SimNode, result: TurnResult) -> None:
        """Let leave what a turn has committed."""
        for finished in result.finished:
            row = node.assembly.engine.flow(finished.flow) if node.assembly else None
            if row is not None:
                self.tell(node.name, "ended", row.tag, finished.status.name, row.why)
                if row.tag == _RECOVER and finished.status == Status.FAILED:
                    raise Violation("recovery is run once", f"{node.name}: {row.why}")
        self.wire.send(node, result)
        for question in result.questions:
            self.ask(node, question)
        self.oracle.after_turn(node, result)
        self.on_result(node, result)

    def _set_timer(self, node: SimNode) -> None:
        assert node.assembly is not None
        engine = node.assembly.engine
        if engine.has_work():
            self.wake(node)
        due = engine.next_due()
        if due is not None:
            self.wake(node, due - node.clock())

    def _often(self, each: Input) -> int:
        return often(Kind(each.envelope.kind).name, self.wire.name_of(each.envelope))

    def _choose(self, node: SimNode, times: int) -> Fault | None:
        """Draw what befalls the node in this turn. Restores have an end: each is work that calls for the next."""
        for fault, fate in (
            (Fault.KILLED_BEFORE_COMMIT, False),
            (Fault.KILLED_AFTER_COMMIT, True),
            (Fault.RESTORED, self.chance.random() < 0.5),
        ):
            if self.swarm.strikes(fault, times) and (
                fault is not Fault.RESTORED or self._may_restore(node)
            ):
                node.fate = fate
                return fault
        for fault, blows in ((Fault.KILLED_WITHIN, Killed), (Fault.DISK_FULL, DiskFull)):
            if self.swarm.strikes(fault, times):
                node.disk.fuse, node.disk.blows = self.chance.randint(1, 12), blows
                return fault
        return None

    def _may_restore(self, node: SimNode) -> bool:
        return node.image is not None and self._restores < RESTORES_MAX

    def _count_inputs(self, fault: Fault | None, inputs: list[Input]) -> None:
        if fault is None:
            return
        self.tell("fault", fault, "in a turn")
        for each in inputs:
            kind = Kind(each.envelope.kind).name
            self.met[fault, kind, self.wire.name_of(each.envelope)] += 1

    def crash(self, node: SimNode, *, restores: bool = False) -> None:
        """End a node's process; it comes back after a while, from its disk or from an older image of it."""
        self.tell(node.name, "dies", "and is restored" if restores else "")
        node.lose_process()
        self.wire.fade(node)
        self.after(self.chance.randint(*RESTART_MS), lambda: self.start(node, restores=restores))

    def start(self, node: SimNode, *, restores: bool = False) -> None:
        if node.assembly is not None:
            return
        if restores:
            self._restores += 1
            self.met[Fault.RESTORED, "restart", node.name] += 1
            self.oracle.restoring(node)
            node.restore()
            peers = [other.me for other in self.nodes.values() if other is not node]
            node.disk.watcher = None
            begin_anew(node.disk, node.assemble, self.entropy, peers, 0)
        self.tell(node.name, "starts")
        node.start()
        for other in self.nodes.values():
            if other is not node:
                self.wire.connect(node, other)
        self.wake(node)
        self.on_start(node, restores)

    def launch(self, node: SimNode, flow: Flow, key: str) -> None:
        """Start a flow under a key; who died over it is asked again, and must give the same flow."""
        if node.assembly is None:
            self.after(self.chance.randint(*RESTART_MS), lambda: self.launch(node, flow, key))
            return
        assembly = node.assembly
        node.fate = self.fate_of_start()
        started = self.guard(node, lambda: assembly.engine.start(flow, key))
        node.fate = None
        if started is None:
            self.after(self.chance.randint(*RESTART_MS), lambda: self.launch(node, flow, key))
            return
        self.tell(node.name, "begins", flow.__struct_config__.tag)  # type: ignore[attr-defined]  # a struct
        self.wake(node)

    def fate_of_start(self) -> bool | None:
        if self.swarm.strikes(Fault.KILLED_BEFORE_COMMIT):
            return False
        return True if self.swarm.strikes(Fault.KILLED_AFTER_COMMIT) else None

    def _connect_all(self) -> None:
        nodes = list(self.nodes.values())
        for index, a in enumerate(nodes):
            for b in nodes[index + 1 :]:
                self.wire.connect(a, b)

    def heal(self) -> None:
        """End all faults: every node lives, everybody reaches everybody."""
        self.tell("healed")
        self.swarm.over = True
        self.wire.cut.clear()
        self.notary.away_until = 0
        for node in self.nodes.values():
            self.start(node)
            if node.assembly is not None:
                node.assembly.engine.disconnected(self.stranger.party)
            self.wake(node)
        self._connect_all()

    def cut_some(self) -> None:
        """Cut off one direction between two nodes, or both, or a node from everybody, for a while."""
        names = list(self.nodes)
        a, b = self.chance.sample(names, 2)
        until = self.now + self.chance.choice(CUT_MS)
        match self.chance.randrange(3):
            case 0:
                cut = [(a, b)]
            case 1:
                cut = [(a, b), (b, a)]
            case _:
                cut = [pair for c in names if c != a for pair in ((a, c), (c, a))]
        self.tell("cut", cut, "for", until - self.now)
        for pair in cut:
            self.wire.cut[pair] = until

    # -- the notary ------------------------------------------------------------------------------------

    def ask(self, node: SimNode, question: Question) -> None:
        """Bring a flow's question to the notary, unless something comes between."""
        assert node.assembly is not None
        row = node.assembly.engine.flow(question.flow)
        name = "?" if row is None else row.tag
        try:
            _, data = node.assembly.question(question.kind, question.row)
        except LedgerError as refused:
            self.tell(node.name, "cannot ask", question.kind, name, str(refused))
            return
        self.oracle.overhear_question(node, data)
        if question.kind == "notarise":
            self.oracle.before_notary(node, question.row)
        if often(question.kind, name) > 1:
            self._notary_may_leave()  # of its own accord it is seldom away when something scarce is asked
        if self._is_lost(Fault.UNASKED, question.kind, name):
            return
        self.tell(node.name, "asks", question.kind, name)
        assembly = node.assembly

        def reply(answer: bytes) -> None:
            if self._is_lost(Fault.UNTOLD, question.kind, name):
                return
            delay = self.chance.randint(*QUESTION_MS) + self._lateness(question.kind, name)
            self.after(delay, lambda: self._told(node, assembly, question, answer))

        self.bring(data, reply, 1 + self._meets(Fault.ASKED_TWICE, question.kind, name))
        self.notary_dies |= self._meets(Fault.NOTARY_KILLED, question.kind, name)

    notary_dies = False

    def _lateness(self, kind: str, name: str) -> int:
        held_up = self.notary.held_up.get(name, 0) - self.now
        if held_up <= 0 and not self.swarm.strikes(Fault.TOLD_LATE, often(kind, name)):
            return 0
        self.meet(Fault.TOLD_LATE, kind, name)
        return held_up if held_up > 0 else self.chance.randint(*ANSWER_LATE_MS)

    def _is_lost(self, fault: Fault, kind: str, name: str) -> bool:
        if self.now < self.notary.away_until:
            self.meet(Fault.NOTARY_AWAY, kind, name)
            return True
        return self._meets(fault, kind, name)

    def _meets(self, fault: Fault, kind: str, name: str) -> bool:
        """Draw whether a fault befalls a question, and count it."""
        if met := self.swarm.strikes(fault, often(kind, name)):
            self.meet(fault, kind, name)
        return met

    def bring(self, data: bytes, reply: Callable[[bytes], None], times: int = 1) -> None:
        """Let a question arrive at the notary, which answers all that came in a while as one batch."""

        def arrive() -> None:
            self.notary.waiting += [Waiting(data, reply)] * times
            if not self._notary_due:
                self._notary_due = True
                self.after(self.chance.randint(0, 20), self._notary_turn)

        self.after(self.chance.randint(*QUESTION_MS), arrive)

    def _notary_turn(self) -> None:
        self._notary_due = False
        dies, self.notary_dies = self.notary_dies, False
        answered = self.notary.answer(dies=dies)
        self._notary_may_leave()  # before its answers do: what was just committed is not told for a while
        self.oracle.after_notary([answer for _, answer in answered])
        for waiting, answer in answered:
            waiting.reply(answer)

    def _notary_may_leave(self) -> None:
        if self.swarm.strikes(Fault.NOTARY_AWAY):
            self.notary.away_until = self.now + self.chance.choice(AWAY_MS)

    def _told(self, node: SimNode, assembly: object, question: Question, answer: bytes) -> None:
        if node.assembly is not None and node.assembly is assembly:
            said = ANSWER.decode(answer)
            self.tell(node.name, "is told", question.kind, type(said).__name__)
            node.assembly.engine.notary_answered(question, said)
            self.wake(node)
