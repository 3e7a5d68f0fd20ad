"""What suspended flows wait for outside themselves: a time to come, or a notary's answer (flows/README.md §2)."""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from flows.changes import Changes
from flows.hospital import back_off
from flows.store import WaitRow
from flows.turn import Question

ASK_MS_MIN = 2_000  # before an unanswered question is asked again
ASK_MS_MAX = 60_000
STALE_MAX = 4_096  # entries of the heap whose flows have gone on; then it is made anew


class Waiting:
    """One row a flow at most; all of it is in memory, also of flows that are parked."""

    def __init__(
        self, changes: Changes, entropy: Callable[[int], bytes], rows: Iterable[WaitRow]
    ) -> None:
        self._changes = changes
        self._entropy = entropy
        self._rows: dict[bytes, WaitRow] = {}
        self._due: list[tuple[int, bytes]] = []  # a heap; rows that changed since are passed over
        self._asked: dict[bytes, int] = {}  # how often
        self.questions: list[Question] = []  # that this turn asks
        for row in rows:
            self._set(row)

    def __contains__(self, flow: bytes) -> bool:
        return flow in self._rows

    def of(self, flow: bytes) -> WaitRow | None:
        return self._rows.get(flow)

    def asking(self) -> list[bytes]:
        return [row.flow for row in self._rows.values() if row.kind]

    def put(self, row: WaitRow) -> None:
        self._set(row)
        self._changes.wait(row.flow, row)

    def drop(self, flow: bytes) -> None:
        if self._rows.pop(flow, None) is not None:
            self._asked.pop(flow, None)
            self._changes.wait(flow, None)

    def due(self, now: int) -> list[bytes]:
        """Return flows whose time may have come: some have gone on since, and wait for a later one."""
        found = []
        while self._due and self._due[0][0] <= now:
            _, flow = heappop(self._due)
            if flow in self._rows:
                found.append(flow)
        return found

    def next_due(self) -> int | None:
        return self._due[0][0] if self._due else None

    def ask(self, flow: bytes, now: int) -> None:
        """Let a flow's question go to the notary, and again after a while if no answer comes."""
        row = self._rows[flow]
        asked = self._asked.get(flow, 0)
        self._asked[flow] = asked + 1
        self.questions.append(Question(flow, row.seq, row.kind, row.row))
        self.ask_at(flow, now + back_off(asked, self._entropy(1)[0], ASK_MS_MIN, ASK_MS_MAX))

    def ask_at(self, flow: bytes, time: int) -> None:
        # Not written: after a restart it is asked at once.
        self._set(self._rows[flow]._replace(due=time))

    def _set(self, row: WaitRow) -> None:
        self._rows[row.flow] = row
        heappush(self._due, (row.due, row.flow))
        if (
            len(self._due) > 2 * len(self._rows) + STALE_MAX
        ):  # answers come long before their deadlines
            self._due = sorted((row.due, row.flow) for row in self._rows.values())
