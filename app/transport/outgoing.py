"""What waits to be written on one link, and what is written next: as many envelopes as fit one box."""

from collections import deque
from collections.abc import Sequence

from app.transport.frames import Batch, Message, payload_size
from app.transport.limits import ENVELOPES_MAX, PLAIN_BYTES_MAX
from flows.envelope import ENVELOPE_OVERHEAD_BYTES, PARTS_MAX, Envelope

_PART_OVERHEAD = 5  # a length of up to four bytes, and the marker
_OVERHEAD = ENVELOPE_OVERHEAD_BYTES + PARTS_MAX * _PART_OVERHEAD
_BATCH_BYTES = PLAIN_BYTES_MAX - 64  # the batch's own head


class Outgoing:
    """The queues of one link; it holds at most `bytes_max` of envelopes, but always takes a first one."""

    __slots__ = ("_acked", "_bytes", "_bytes_max", "_envelopes", "_messages", "_to_ack", "_turn")

    def __init__(self, bytes_max: int) -> None:
        self._envelopes: deque[tuple[Envelope, int]] = deque()
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._bytes_max = bytes_max
        self._acked = 0
        self._to_ack = 0
        self._turn = False

    @property
    def has_room(self) -> bool:
        """Whether at least half of what is allowed is free."""
        return self._bytes * 2 <= self._bytes_max

    @property
    def messages(self) -> int:
        return len(self._messages)

    def post(self, envelopes: Sequence[Envelope]) -> int:
        """Queue envelopes in order; return how many were taken before the limit was met."""
        for taken, envelope in enumerate(envelopes):
            size = payload_size(envelope) + _OVERHEAD
            if self._bytes and self._bytes + size > self._bytes_max:
                return taken
            self._envelopes.append((envelope, size))
            self._bytes += size
        return len(envelopes)

    def say(self, message: Message) -> None:
        """Queue a message that is no batch."""
        self._messages.append(message)

    def ack(self, upto: int) -> None:
        self._to_ack = max(self._to_ack, upto)

    def next(self) -> Message | None:
        """Return what is written next: messages and batches take turns. None where nothing waits."""
        self._turn = not self._turn
        batched = self._envelopes or self._to_ack > self._acked
        if self._messages and (self._turn or not batched):
            return self._messages.popleft()
        return self._batch() if batched else None

    def _batch(self) -> Batch:
        batch, room = list[Envelope](), _BATCH_BYTES
        waiting = self._envelopes
        while waiting and len(batch) < ENVELOPES_MAX:
            envelope, size = waiting[0]
            if batch and size > room:
                break
            waiting.popleft()
            batch.append(envelope)
            room -= size
            self._bytes -= size
        self._acked = self._to_ack
        return Batch(self._acked, tuple(batch))
