"""A notary's memory in dictionaries: the reference engine, for simulations; gone with its process."""

import threading
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

from notaries.log import Head, LogSigner, ServedLog, empty_head, grown
from notaries.settlement import Settlement, settle
from notaries.uniqueness import Claim, CommitRequest, LivenessFound, Outcome
from states.notarisation import Committed, Never, Unknown
from states.receipt import LogEntry
from states.state import TransactionId


class MemoryProvider:
    """Keeps the promises of UniquenessProvider for as long as it lives."""

    def __init__(self, signer: LogSigner, now: int) -> None:
        self._signer = signer
        self._lock = threading.Lock()
        self._head = empty_head(signer, now)
        self._clock = now
        self._entries: list[LogEntry] = []
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._index: dict[tuple[int, bytes], int] = {}
        self._consumed: dict[int, int] = {}
        self._served = ServedLog(self)

    # -- the port ----------------------------------------------------------------------------------

    def commit(self, requests: Sequence[CommitRequest], now: int) -> list[Outcome]:
        with self._lock:
            now = max(now, self._clock)
            settled = settle(requests, now, self._head.size, self)
            new = self._place(settled, now) if settled.placed else ()
            if settled.placed or settled.promised > self._clock:
                self._clock = now
            return [
                Committed(self._receipt(answer, settled.first, new))
                if isinstance(answer, int)
                else answer
                for answer in settled.answers
            ]

    def _place(self, settled: Settlement, now: int) -> tuple[str, ...]:
        growth = grown(self._head, settled.entries(now), self._signer, now)
        for index, request in enumerate(settled.placed, settled.first):
            self._index[request.closes, request.transaction] = index
            self._consumed.update((claim.place, index) for claim in request.inputs)
        self._entries.extend(growth.entries)
        self._tiles.update(((tile.level, tile.number), tile.hashes) for tile in growth.tiles)
        self._head = growth.head
        return growth.receipts

    def _receipt(self, index: int, first: int, new: tuple[str, ...]) -> str:
        return new[index - first] if index >= first else self._served.receipt(index, self._head)

    def status(self, tx: TransactionId, until: int, now: int) -> Committed | Never | Unknown:
        with self._lock:
            now = max(now, self._clock)
            index = self._index.get((until, tx))
            if index is not None:
                return Committed(self._served.receipt(index, self._head))
            if now < until:
                return Unknown(now)
            self._clock = now
            return Never()

    def are_consumed(self, claims: Sequence[Claim]) -> LivenessFound:
        with self._lock:
            strange = self.strangers(claims)
            return LivenessFound(
                self._head,
                tuple(
                    None if at in strange else claim.place in self._consumed
                    for at, claim in enumerate(claims)
                ),
            )

    def close(self) -> None:
        """Hold nothing that could be let go of."""

    # -- the log -----------------------------------------------------------------------------------

    def head(self) -> Head:
        return self._head

    def full_tile(self, level: int, number: int) -> bytes | None:
        return self._tiles.get((level, number))

    def entries(self, low: int, high: int) -> list[LogEntry]:
        return self._entries[low:high]

    # -- Facts -------------------------------------------------------------------------------------

    def committed(self, requests: Sequence[CommitRequest]) -> Mapping[bytes, int]:
        keys = ((request.closes, request.transaction) for request in requests)
        return {key[1]: self._index[key] for key in keys if key in self._index}

    def strangers(self, claims: Sequence[Claim]) -> AbstractSet[int]:
        known = self._entries
        return {
            at
            for at, claim in enumerate(claims)
            if claim.at >= len(known) or known[claim.at].transaction != claim.tx
        }

    def spenders(self, places: Collection[int]) -> Mapping[int, int]:
        return {place: self._consumed[place] for place in places if place in self._consumed}

    def ids(self, indexes: Collection[int]) -> Mapping[int, bytes]:
        return {index: self._entries[index].transaction for index in indexes}
