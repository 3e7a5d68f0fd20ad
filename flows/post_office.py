"""Post between this node and its peers: numbers, what is in flight, what is acknowledged (flows/README.md §3.2)."""

from collections.abc import Callable

from flows.correspondent import Correspondent
from flows.envelope import (
    MARKS_MAX,
    UNACKNOWLEDGED_MAX,
    Envelope,
    Hello,
    SessionMark,
    check_size,
    is_lost,
)
from flows.hospital import back_off
from flows.session import Post
from flows.step import PART_PREFIX
from flows.store import Batch, FlowStore, HeldPartRow, OutboxRow, PeerRow, U_co
from states.encoding import Codec, encode
from states.identity import Party

PUMPED_MAX = 64  # envelopes that one turn hands to one connection
PUMPED_BYTES_MAX = 4 << 20  # after which a turn hands out no more
RESEND_MS_MIN = 2_000
RESEND_MS_MAX = 300_000
ACK_MS_MAX = 200  # an acknowledgement alone does not start a transaction before this

_part_ids: Codec[tuple[bytes, ...]] = Codec(tuple[bytes, ...], "ids of parts")
NO_PARTS = encode(())


class PostOffice:
    """Knows each peer's numbers. Its methods that take a batch are called inside a turn's transaction."""

    def __init__(
        self,
        store: FlowStore[U_co],
        read_part: Callable[[bytes], bytes | None],
        entropy: Callable[[int], bytes],
        incarnation: bytes,
    ) -> None:
        self._store = store
        self._read_part = read_part
        self._entropy = entropy
        self._incarnation = incarnation
        self._fresh: dict[Party, list[Envelope]] = {}  # of this turn; they need not be read again
        self._fresh_bytes = 0
        self._stale: set[Party] = set()  # whose later posts of this turn are read again
        self._changed: set[Party] = set()
        self._acks: dict[Party, int] = {}
        self._acks_since = 0
        self._to_acknowledge: set[Party] = set()
        self._peers = {
            Party(row.peer): Correspondent(row, store.outbox_first(row.peer))
            for row in store.peers()
        }
        for peer, opened, count in store.responders():
            self.of(Party(peer)).count(count, letter=not opened)

    def of(self, peer: Party) -> Correspondent:
        found = self._peers.get(peer)
        if found is None:
            found = self._peers[peer] = Correspondent(PeerRow(peer, b"", 1, 1), None)
        return found

    # -- what leaves -----------------------------------------------------------------------------------

    def bring(self, posts: list[Post]) -> None:
        """Check that each message fits an envelope, and keep what was read for that, up to a limit."""
        kept = 0
        for at, post in enumerate(posts):
            brought = tuple([self._read_part(part) or b"" for part in post.parts])
            sizes = list(map(len, brought))
            check_size(len(post.body), sizes)
            kept += len(post.body) + sum(sizes)
            if kept <= PUMPED_BYTES_MAX:
                posts[at] = post._replace(brought=brought)

    def post(self, batch: Batch, post: Post) -> None:
        """Give a message its number, for the outbox."""
        number = self.of(post.peer).number()
        self._changed.add(post.peer)
        ids = encode(post.parts) if post.parts else NO_PARTS
        row = OutboxRow(post.peer, number, int(post.kind), post.session, post.seq, post.body, ids)
        batch.outbox.append(row)
        batch.held += [
            HeldPartRow(post.peer, number, part)
            for part in post.parts
            if part.startswith(PART_PREFIX)
        ]
        self._keep(post, number)

    def _keep(self, post: Post, number: int) -> None:
        """Keep what leaves at the end of the turn, as long as it is little and nothing before it is missing."""
        brought = post.brought if post.parts else ()
        if brought is None or post.peer in self._stale or self._fresh_bytes > PUMPED_BYTES_MAX:
            self._stale.add(post.peer)
            return
        self._fresh_bytes += len(post.body) + sum(map(len, brought))
        kind, session, seq, body = int(post.kind), post.session, post.seq, post.body
        envelope = Envelope(number, kind, session, seq, body, brought)
        self._fresh.setdefault(post.peer, []).append(envelope)

    def leaving(self, now: int) -> dict[Party, list[Envelope]]:
        """Return what may leave now that the turn is committed."""
        leaving: dict[Party, list[Envelope]] = {}
        for peer, correspondent in self._peers.items():
            room = correspondent.room(PUMPED_MAX, UNACKNOWLEDGED_MAX)
            if room > 0:
                leaving[peer] = self._next(peer, correspondent.cursor + 1, room)
                correspondent.sent(leaving[peer][-1].number, now + self._patience(correspondent))
        self._fresh, self._fresh_bytes, self._stale = {}, 0, set()
        return leaving

    def acknowledgements(self) -> dict[Party, int]:
        """Return up to which number each peer that sent something may forget it."""
        due, self._to_acknowledge = self._to_acknowledge, set()
        return {peer: self._peers[peer].received for peer in sorted(due) if self._peers[peer].ready}

    def resend(self, now: int) -> None:
        """Begin again with what was sent and never acknowledged."""
        for correspondent in self._peers.values():
            correspondent.resend(now)

    def has_work(self) -> bool:
        return bool(self._to_acknowledge) or any(
            correspondent.room(1, UNACKNOWLEDGED_MAX) > 0 for correspondent in self._peers.values()
        )

    def next_due(self) -> int | None:
        times = [c.resend_at for c in self._peers.values() if c.resend_at]
        if self._acks:
            times.append(self._acks_since + ACK_MS_MAX)
        return min(times, default=None)

    # -- what comes ------------------------------------------------------------------------------------

    def takes(self, peer: Party, number: int) -> bool:
        """Whether this is the peer's next envelope; others are acknowledged with what there is."""
        correspondent = self.of(peer)
        if not correspondent.ready:
            return False
        self._to_acknowledge.add(peer)
        return number == correspondent.received + 1

    def took(self, peer: Party) -> None:
        self.of(peer).take()
        self._changed.add(peer)

    def acked(self, peer: Party, upto: int, now: int) -> None:
        correspondent = self.of(peer)
        if correspondent.ready and correspondent.acknowledge(upto, now + RESEND_MS_MIN):
            self._acks_since = self._acks_since if self._acks else now
            self._acks[peer] = upto

    def acks_due(self, now: int) -> bool:
        return bool(self._acks) and now >= self._acks_since + ACK_MS_MAX

    def write(self, batch: Batch) -> None:
        """Put into the batch what changed since the last call, and drop what was acknowledged."""
        batch.peers += [self._peers[peer].row() for peer in sorted(self._changed)]
        self._changed = set()
        for peer, upto in self._acks.items():
            self._store.acknowledge(peer, upto)
        self._acks = {}

    # -- connections -----------------------------------------------------------------------------------

    def greet(self, peer: Party) -> Hello:
        """Return the hello of a new connection; nothing leaves on it before the peer's own came."""
        correspondent = self.of(peer)
        if peer in self._acks:  # so that the marks say what is really kept
            with self._store.transaction():
                self._store.acknowledge(peer, self._acks.pop(peer))
        hello = Hello(
            self._incarnation,
            correspondent.incarnation,
            correspondent.received,
            tuple(self._store.marks(peer, MARKS_MAX)),
        )
        correspondent.greet(hello)
        return hello

    def part(self, peer: Party) -> None:
        """The connection is gone."""
        self.of(peer).part()

    def welcome(
        self, peer: Party, mine: Hello, theirs: Hello, now: int
    ) -> list[SessionMark] | None:
        """Take the peer's answer to our hello; return the sessions of ours that cannot go on (§3.5).

        None where the numbers go on: then all of them do.
        """
        correspondent = self.of(peer)
        if theirs.incarnation == mine.known and theirs.known == mine.incarnation:
            correspondent.open()
            self.acked(peer, theirs.received, now)
            return None
        self._store.renumber(peer, correspondent.acked)
        self._fresh.pop(peer, None)
        correspondent.renew(theirs.incarnation)
        self._changed.add(peer)
        said = {mark.session: mark for mark in theirs.sessions}
        lost = [mark for mark in mine.sessions if is_lost(mark, said.get(mark.session))]
        if (
            len(mine.sessions) == MARKS_MAX
        ):  # the peer was not told of those beyond, and counts them as lost
            last = mine.sessions[-1].session
            lost += [
                mark
                for mark in self._store.marks(peer, -1)
                if mark.session > last and (mark.session in said or is_lost(mark, None))
            ]
        return [mark for mark in lost if not mark.closed]

    # -- below -----------------------------------------------------------------------------------------

    def _next(self, peer: Party, first: int, limit: int) -> list[Envelope]:
        fresh = self._fresh.get(peer)
        if fresh and fresh[0].number == first:
            return fresh[:limit]
        return self._load(self._store.outbox(peer, first, limit))

    def _load(self, rows: list[OutboxRow]) -> list[Envelope]:
        loaded, size = [], 0
        for row in rows:
            parts: tuple[bytes, ...] = ()
            if row.parts != NO_PARTS:
                ids = _part_ids.decode(row.parts)
                parts = tuple(self._read_part(part) or b"" for part in ids)
            loaded.append(Envelope(row.number, row.kind, row.session, row.seq, row.body, parts))
            size += len(row.body) + sum(map(len, parts))
            if size > PUMPED_BYTES_MAX:
                break
        return loaded

    def _patience(self, correspondent: Correspondent) -> int:
        jitter = self._entropy(1)[0]
        return back_off(correspondent.resends, jitter, RESEND_MS_MIN * 2, RESEND_MS_MAX)
