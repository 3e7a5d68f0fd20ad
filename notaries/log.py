"""The notary's log: its signed head, how it grows, and how members read it (clauses N6 and N7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from states.checkpoint import Checkpoint, LogKeys
from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import (
    TILE_WIDTH,
    FullTile,
    GrowingTree,
    leaf_hash,
)
from states.crypto.signatures import Signer
from states.errors import MalformedBytes
from states.note import COSIGNATURE, ED25519, Cosigner, NoteKey, NoteSigner, sign_note
from states.receipt import LogEntry, entry_bytes, write_receipt
from states.tiles import TiledTree, TileName, encode_bundle, parse_path

CHECKPOINT_PATH = "checkpoint"
_MS = 1_000


@dataclass(frozen=True, slots=True)
class LogSigner:
    """Signs a notary's checkpoints with its log key (0x01) and its cosigner key, which says when (0x04)."""

    origin: str
    log_key: Signer
    cosigner_key: Signer

    @property
    def keys(self) -> LogKeys:
        log = NoteKey(self.origin, ED25519, self.log_key.key.raw)
        return LogKeys(
            self.origin, log, NoteKey(self.origin, COSIGNATURE, self.cosigner_key.key.raw)
        )

    def sign(self, size: int, root: bytes, now: int) -> str:
        """Return the signed note of a checkpoint; `now` is in ms since 1970 UTC."""
        text = Checkpoint(self.origin, size, root).text
        log = NoteSigner(self.origin, self.log_key)
        return sign_note(text, (log, Cosigner(self.origin, self.cosigner_key, now // _MS))).render()


@dataclass(frozen=True, slots=True)
class Head:
    """The log at one size. `tree` is never appended to once it is here: a batch grows a copy."""

    size: int
    root: bytes
    note: str
    tree: GrowingTree


class LogStore(Protocol):
    """What a store shows of its log. Safe from any thread; what is below a head's size never changes."""

    def head(self) -> Head: ...

    def full_tile(self, level: int, number: int) -> bytes | None:
        """Return the 8,192 bytes of a tile that is full, or None."""

    def entries(self, low: int, high: int) -> list[LogEntry]:
        """Return the entries [low, high), as far as there are any."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A batch that the log may take: what it writes, and the head and receipts that hold once it is durable."""

    head: Head
    entries: tuple[LogEntry, ...]
    receipts: tuple[str, ...]
    tiles: tuple[FullTile, ...]


def empty_head(signer: LogSigner, now: int) -> Head:
    tree = GrowingTree()
    return Head(0, tree.root(), signer.sign(0, tree.root(), now), tree)


def grown(head: Head, entries: Sequence[LogEntry], signer: LogSigner, now: int) -> Growth:
    """Append `entries` to a copy of the head's tree and sign the result."""
    tree = head.tree.copy()
    appended = tree.append([leaf_hash(entry_bytes(entry)) for entry in entries])
    note = signer.sign(tree.size, appended.root, now)
    receipts = tuple(
        write_receipt(entry, head.size + at, path, note)
        for at, (entry, path) in enumerate(zip(entries, appended.path_texts, strict=True))
    )
    after = Head(tree.size, appended.root, note, tree)
    return Growth(after, tuple(entries), receipts, tuple(appended.tiles))


class ServedLog:
    """Reads a log as C2SP tlog-tiles serve it. Pure reading: nothing here can change what is read."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def serve(self, path: str) -> bytes | None:
        """Return the resource at `path` below the log's prefix, or None where there is none.

        checkpoint · tile/<L>/<N>[.p/<W>] · tile/entries/<N>[.p/<W>]
        """
        if path == CHECKPOINT_PATH:
            return self._store.head().note.encode()
        try:
            name = parse_path(path)
        except MalformedBytes:
            return None
        return self.read(name, self._store.head())

    def read(self, name: TileName, head: Head) -> bytes | None:
        """Return a tile or bundle of the log at `head`; a narrow one is the beginning of the wider."""
        if name.level is None:
            return self._bundle(name, head)
        available = (head.size >> 8 * name.level) - name.number * TILE_WIDTH
        if available < name.width:
            return None
        if available >= TILE_WIDTH:
            full = self._store.full_tile(name.level, name.number)
            return None if full is None else full[: name.width * HASH_SIZE]
        for level, number, hashes in head.tree.partial_tiles():
            if (level, number) == (name.level, name.number):
                return hashes[: name.width * HASH_SIZE]
        return None

    def _bundle(self, name: TileName, head: Head) -> bytes | None:
        low = name.number * TILE_WIDTH
        if low + name.width > head.size:
            return None
        entries = self._store.entries(low, low + name.width)
        return encode_bundle([entry_bytes(entry) for entry in entries])

    def tree(self, head: Head) -> TiledTree:
        def read(name: TileName) -> bytes:
            return self.read(name, head) or b""  # TiledTree refuses a tile of another length

        return TiledTree(head.size, read)

    def consistency_path(self, old: int, head: Head) -> list[bytes]:
        """Return the path from the first `old` entries to `head`; raises InvalidProof."""
        return self.tree(head).consistency_path(old)

    def receipt(self, index: int, head: Head) -> str:
        """Return the receipt of the entry at `index`, as of `head`."""
        (entry,) = self._store.entries(index, index + 1)
        return write_receipt(entry, index, self.tree(head).inclusion_path(index), head.note)
