"""Whatever happens to two nodes, in any order that hypothesis finds, their conversations end as if it had not."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flows.operator import NotPossible
from flows.store import Status
from states.encoding import encode
from tests.unit.flows.conversations import Ask, Chat, SendLetter, Word, Words
from tests.unit.flows.nodes import Node, Wires, counted, pair
from tests.unit.flows.test_crashes import KILLS, Kill, reconnect

FLOWS_MAX = 8
sides = st.integers(0, 1)


class Disorder(RuleBasedStateMachine):
    """Two nodes, and everything that may go wrong short of losing a disk."""

    mercy: Node
    riverside: Node
    wires: Wires

    @initialize()
    def begin(self) -> None:
        self.mercy, self.riverside, self.wires = pair()
        self.nodes = (self.mercy, self.riverside)
        self.chats: list[tuple[int, bytes, int]] = []
        self.letters: list[str] = []
        self.asked: list[bytes] = []

    @rule(side=sides, times=st.integers(0, 4))
    def chat(self, side: int, times: int) -> None:
        if len(self.chats) < FLOWS_MAX:
            flow = self.nodes[side].engine.start(Chat(self.nodes[1 - side].party, times))
            self.chats.append((side, flow, times))

    @rule(size=st.sampled_from([0, 1, 5_000]))
    def letter(self, size: int) -> None:
        if len(self.letters) < FLOWS_MAX:
            self.letters.append(f"number {len(self.letters)}")
            sent = SendLetter(self.riverside.party, "postbox/1", self.letters[-1], size)
            self.mercy.engine.start(sent)

    @rule(how=st.sampled_from(["politely", "secretly", "nothing"]))
    def ask(self, how: str) -> None:
        if len(self.asked) < FLOWS_MAX:
            asked = Ask(self.riverside.party, "refuse/1", how)
            self.asked.append(self.mercy.engine.start(asked))

    @rule(side=sides)
    def step(self, side: int) -> None:
        self.wires.step(self.nodes[side])

    @rule(copies=st.lists(st.integers(0, 2), max_size=8))
    def carry(self, copies: list[int]) -> None:
        """Bring what is on its way, some of it never, some of it twice, the last first."""
        held = list(self.wires.held)
        self.wires.held.clear()
        for index, letter in enumerate(reversed(held)):
            times = copies[index] if index < len(copies) else 1
            self.wires.held.extend([letter] * times)
        self.wires.carry()

    @rule(side=sides, kill=st.sampled_from(KILLS))
    def kill(self, side: int, kill: Kill) -> None:
        kill(self.nodes[side], self.wires)
        self.nodes[side].crash()
        reconnect(self.wires)

    @rule(side=sides)
    def lose_connection(self, side: int) -> None:
        self.nodes[side].engine.disconnected(self.nodes[1 - side].party)

    @rule()
    def find_each_other(self) -> None:
        self.wires.connect()

    @rule(side=sides)
    def park(self, side: int) -> None:
        self.nodes[side].engine.park(0)

    @rule(side=sides, resume=st.booleans())
    def pause(self, side: int, resume: bool) -> None:  # noqa: FBT001 - drawn
        engine = self.nodes[side].engine
        for row in engine.flows((Status.PAUSED if resume else Status.RUNNING,)):
            try:
                (engine.resume if resume else engine.pause)(row.id)
            except NotPossible:
                continue

    @rule(milliseconds=st.integers(0, 10_000))
    def pass_time(self, milliseconds: int) -> None:
        self.mercy.clock.now += milliseconds

    @invariant()
    def nothing_is_done_twice(self) -> None:
        if hasattr(self, "letters"):
            for word in self.letters:
                assert counted(self.riverside, f"letter {word}") <= 1

    def teardown(self) -> None:
        """When all is well again, everything comes to its end, and nothing is left."""
        if not hasattr(self, "chats"):
            return
        self.wires.connect()
        self.wires.wait(1_000)
        for node in self.nodes:
            for row in node.engine.flows((Status.PAUSED,)):
                node.engine.resume(row.id)
        self.wires.wait(900_000)
        for side, flow, times in self.chats:
            heard = Words(tuple(f"word {number}!" for number in range(times)))
            assert self.result(side, flow) == encode(heard)
        assert encode(Word("lost")) not in [self.result(0, flow) for flow in self.asked]
        assert all(counted(self.riverside, f"letter {word}") == 1 for word in self.letters)
        times = sum(times for side, _, times in self.chats if side == 0)
        assert counted(self.mercy, "chat") == counted(self.riverside, "echo") == times
        for table in ("journal", "session", "inbox", "outbox", "part", "wait", "event"):
            assert [node.count("flow_" + table) for node in self.nodes] == [0, 0]
        for node in self.nodes:
            node.connection.close()

    def result(self, side: int, flow: bytes) -> bytes:
        """Return what a flow ended with; it must have."""
        row = self.nodes[side].engine.flow(flow)
        assert row is not None
        assert row.status == Status.DONE
        return row.result


TestDisorder = Disorder.TestCase
TestDisorder.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
