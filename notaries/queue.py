"""Questions that wait for the notary: bounded, and fair between requesters (clause N5)."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from states.identity import Party

Reply = Callable[[bytes], None]


class Waiting(NamedTuple):
    """A question and where its answer goes. Of the requester nothing is kept here."""

    data: bytes
    reply: Reply


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Counts and bytes. A requester has a quarter of the queue, so that three others always find room."""

    waiting: int = 4_096
    waiting_of_one: int = 1_024
    waiting_bytes: int = 64 << 20
    batch: int = 512
    batch_bytes: int = 2 << 20  # a request with all inputs and references is about 110 kB


class FairQueue:
    """One line a requester, served in turn. Not thread-safe: the caller holds a lock."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._lines: OrderedDict[Party, deque[Waiting]] = OrderedDict()
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def put(self, requester: Party, waiting: Waiting) -> bool:
        """Take a question, or return False: then nothing of it was kept."""
        line = self._lines.get(requester)
        limits = self._limits
        if (
            self._count >= limits.waiting
            or self._bytes + len(waiting.data) > limits.waiting_bytes
            or (line is not None and len(line) >= limits.waiting_of_one)
        ):
            return False
        if line is None:
            line = self._lines[requester] = deque()
        line.append(waiting)
        self._count += 1
        self._bytes += len(waiting.data)
        return True

    def take(self) -> list[Waiting]:
        """Take the next batch: one of each requester in turn, all that wait up to the batch's limits."""
        batch = list[Waiting]()
        size = 0
        while self._lines and len(batch) < self._limits.batch and size < self._limits.batch_bytes:
            requester, line = next(iter(self._lines.items()))
            waiting = line.popleft()
            if line:
                self._lines.move_to_end(requester)
            else:
                del self._lines[requester]
            batch.append(waiting)
            size += len(waiting.data)
        self._count -= len(batch)
        self._bytes -= size
        return batch

    def take_all(self) -> list[Waiting]:
        """Take everything, batch by batch."""
        everything = list[Waiting]()
        while batch := self.take():
            everything += batch
        return everything
