"""What a member can find out about a notary from its served log alone (clause N9.2)."""

from collections.abc import Callable
from dataclasses import dataclass

from notaries.log import CHECKPOINT_PATH
from states.checkpoint import Checkpoint, LogKeys
from states.errors import LedgerError, MalformedBytes
from states.receipt import LogEntry, parse_entry
from states.tiles import TiledTree, TileName, bundles_of, decode_bundle, verify_bundle, verify_tiles

Serve = Callable[[str], bytes | None]
"""A path below the log's prefix → what is served there, or None."""


@dataclass(frozen=True, slots=True)
class DoubleSpend:
    """One state was consumed by two transactions: the notary broke its one promise, under its own signature."""

    nullifier: bytes
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class LoggedTwice:
    """One transaction has two entries."""

    transaction: bytes
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class TimeFell:
    """An entry is older than the one before it (times in ms since 1970 UTC)."""

    index: int
    before: int
    at: int


@dataclass(frozen=True, slots=True)
class NotAsSigned:
    """What is served at `path` is missing, malformed or not what the checkpoint's root says."""

    path: str
    why: str


Finding = DoubleSpend | LoggedTwice | TimeFell | NotAsSigned


@dataclass(frozen=True, slots=True)
class LogAudit:
    """The checkpoint that was audited, and all that is wrong below it."""

    checkpoint: Checkpoint
    findings: tuple[Finding, ...]


class EntryReading:
    """Follows entries in order. Holds some 150 bytes for each transaction and nullifier."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._transactions: dict[bytes, int] = {}
        self._nullifiers: dict[bytes, int] = {}
        self._at = 0

    def read(self, index: int, entry: LogEntry) -> None:
        first = self._transactions.setdefault(entry.transaction, index)
        if first != index:
            self.findings.append(LoggedTwice(entry.transaction, first, index))
        for nullifier in entry.nullifiers:
            spent = self._nullifiers.setdefault(nullifier, index)
            if spent != index:
                self.findings.append(DoubleSpend(nullifier, spent, index))
        if entry.at < self._at:
            self.findings.append(TimeFell(index, self._at, entry.at))
        self._at = max(self._at, entry.at)


def audit_log(serve: Serve, keys: LogKeys) -> LogAudit:
    """Read the whole log as a member may, believe nothing but the signed checkpoint, and say what is wrong.

    Raises a LedgerError if there is no checkpoint that `keys` signed.
    """
    note = serve(CHECKPOINT_PATH)
    if note is None:
        raise MalformedBytes("checkpoint", "none is served")
    try:
        text = note.decode()
    except UnicodeDecodeError as refused:
        raise MalformedBytes("checkpoint", "not UTF-8") from refused
    checkpoint = keys.open(text).checkpoint
    reading = EntryReading()

    def read(name: TileName) -> bytes:
        return serve(name.path) or b""

    try:
        verify_tiles(checkpoint.size, checkpoint.root, read)
    except LedgerError as refused:
        reading.findings.append(NotAsSigned("tile", str(refused)))
    tree = TiledTree(checkpoint.size, read)
    for name in bundles_of(checkpoint.size):
        try:
            entries = decode_bundle(read(name), name.width)
            verify_bundle(entries, b"".join(tree.tile(0, name.number)))
            for at, entry in enumerate(entries, name.number << 8):
                reading.read(at, parse_entry(entry))
        except LedgerError as refused:
            reading.findings.append(NotAsSigned(name.path, str(refused)))
    return LogAudit(checkpoint, tuple(reading.findings))
