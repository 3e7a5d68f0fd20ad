"""A notary that signs whatever it is told to log."""

from app.bench.workshop import START
from notaries.log import LogSigner, ServedLog, grown
from notaries.memory import MemoryProvider
from states.receipt import LogEntry
from tests.unit.notaries.desk import NOTARY, signer_of


class LyingStore:
    """A log of any entries, in order; `note` is its signed checkpoint."""

    def __init__(self, entries: list[LogEntry], signer: LogSigner | None = None) -> None:
        self._signer = signer or signer_of(NOTARY)
        self.provider = MemoryProvider(self._signer, START)
        self._all = list[LogEntry]()
        self.add(entries)
        self.serve = ServedLog(self.provider).serve

    def add(self, entries: list[LogEntry]) -> None:
        growth = grown(self.provider.head(), entries, self._signer, START)
        self._all += entries
        self.provider._head = growth.head
        self.provider._entries = self._all
        self.provider._tiles |= {(tile.level, tile.number): tile.hashes for tile in growth.tiles}

    @property
    def note(self) -> str:
        return self.provider.head().note


def entry(number: int, at: int = START, *nullifiers: int) -> LogEntry:
    return LogEntry(
        number.to_bytes(32, "big"), at, tuple(each.to_bytes(32, "big") for each in nullifiers)
    )
