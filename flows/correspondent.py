"""One peer as the post office sees it: its numbers in both directions, and the connection if there is one."""

from collections.abc import Callable

from flows.envelope import KEPT_BYTES_MAX, Hello
from flows.store import PeerRow
from states.identity import Party

COUNT_MS = 1_000


class Correspondent:
    """Counts. Numbers begin at 1 for each pair of incarnations (flows/README.md §3.2)."""

    __slots__ = (
        "_counted_at", "_kept", "_next_out", "_peer", "acked", "cursor", "hello", "incarnation", "letters", "ready",
        "received", "resend_at", "resends", "sessions",
    )  # fmt: skip

    def __init__(self, row: PeerRow, first_kept: int | None) -> None:
        self._peer = Party(row.peer)
        self.incarnation = row.incarnation
        self._next_out = row.next_out
        self.received = row.next_in - 1
        self.acked = (first_kept or row.next_out) - 1  # of ours, by the peer
        self.cursor = self.acked  # of ours, handed to this connection
        self.ready = False
        self.hello: Hello | None = None
        self.resend_at = 0
        self.resends = 0
        self.sessions = 0  # that the peer opened and that have not ended
        self.letters = 0
        self._kept = (
            KEPT_BYTES_MAX  # bytes of its messages here, at the most: counted when that is too many
        )
        self._counted_at = 0

    def keeps(self, size: int, now: int, count: Callable[[], int]) -> bool:
        """Whether so many bytes more of its messages may be kept here; `count` returns how many there are.

        What has ended is noticed when the sum is over the limit: then they are counted, once a second at the most.
        """
        if self._kept + size > KEPT_BYTES_MAX and now >= self._counted_at + COUNT_MS:
            self._kept, self._counted_at = count(), now
        if self._kept + size > KEPT_BYTES_MAX:
            return False
        self._kept += size
        return True

    def row(self) -> PeerRow:
        return PeerRow(self._peer, self.incarnation, self._next_out, self.received + 1)

    def count(self, difference: int, *, letter: bool) -> None:
        if letter:
            self.letters += difference
        else:
            self.sessions += difference

    def number(self) -> int:
        self._next_out += 1
        return self._next_out - 1

    def take(self) -> None:
        self.received += 1

    def room(self, at_most: int, window: int) -> int:
        """Return how many envelopes may leave now."""
        if not self.ready:
            return 0
        return min(at_most, self._next_out - 1 - self.cursor, window - (self.cursor - self.acked))

    def sent(self, upto: int, resend_at: int) -> None:
        self.cursor = upto
        if not self.resend_at:
            self.resend_at = resend_at

    def acknowledge(self, upto: int, resend_at: int) -> bool:
        """Take a cumulative acknowledgement; False where it says nothing new, or more than was sent."""
        if not self.acked < upto < self._next_out:
            return False
        self.acked = upto
        self.cursor = max(self.cursor, upto)
        self.resends = 0
        self.resend_at = resend_at if self.cursor > upto else 0
        return True

    def resend(self, now: int) -> None:
        if self.ready and self.resend_at and now >= self.resend_at:
            self.cursor = self.acked
            self.resends += 1
            self.resend_at = 0

    def greet(self, hello: Hello) -> None:
        self.part()
        self.hello = hello

    def open(self) -> None:
        self.hello = None
        self.cursor = self.acked
        self.resend_at = self.resends = 0
        self.ready = True

    def part(self) -> None:
        self.ready = False
        self.hello = None
        self.resend_at = 0

    def renew(self, incarnation: bytes) -> None:
        """Begin both counts again; the outbox was renumbered to begin at 1."""
        self.incarnation = incarnation
        self._next_out -= self.acked
        self.acked = self.received = 0
        self.open()
