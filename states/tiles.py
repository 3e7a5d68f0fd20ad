"""How a log lies in files (C2SP tlog-tiles v1): tile paths, entry bundles, and reading a tree by tiles.

Everything here is arithmetic over names and bytes; whoever serves or fetches them gives a reader. What a
reader returns is believed by nothing but a root from a verified checkpoint.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import (
    EMPTY_ROOT,
    TILE_HEIGHT,
    TILE_WIDTH,
    consistency_spans,
    leaf_hash,
    node_hash,
    prefix_spans,
    root_of,
    split_hashes,
)
from states.crypto.proof_program import SIZE_MAX
from states.errors import InvalidProof, MalformedBytes, OverLimit

ENTRY_BYTES_MAX = 65_535
PATH_LENGTH_MAX = 64
LEVEL_MAX = 7  # the specification allows 63, but a log of less than 2^63 entries has no more

TILES_REMEMBERED = 32  # a proof needs at most two a level

_LENGTH_SIZE = 2
_GROUP = 1_000
_PATH = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


class TileName(NamedTuple):
    """The `number`-th tile of `width` hashes at `level`, or of entries where the level is None."""

    level: int | None
    number: int
    width: int

    @property
    def path(self) -> str:
        """Where it is served, below the log's prefix."""
        rest, last = divmod(self.number, _GROUP)
        groups = [f"{last:03}"]
        while rest:
            rest, group = divmod(rest, _GROUP)
            groups.insert(0, f"x{group:03}")
        kind = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{kind}/{'/'.join(groups)}{partial}"


Reader = Callable[[TileName], bytes]
"""A tile's name → its bytes, as they were served."""


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    return TileName(level, number, width).path


def entries_path(number: int, width: int = TILE_WIDTH) -> str:
    return TileName(None, number, width).path


def parse_path(path: str) -> TileName:
    """Read a path; raises MalformedBytes for every form but the one that `TileName.path` gives."""
    matched = _PATH.fullmatch(path) if len(path) <= PATH_LENGTH_MAX else None
    if matched is None:
        raise MalformedBytes("tile path", "not of the form tile/<L>/<N>[.p/<W>]")
    kind, number, width = matched.groups()
    name = TileName(
        None if kind == "entries" else int(kind),
        int(number.replace("/x", "").replace("/", "").removeprefix("x")),
        int(width) if width else TILE_WIDTH,
    )
    outside = (name.level or 0) > LEVEL_MAX or name.number >= SIZE_MAX or name.width > TILE_WIDTH
    if outside or name.path != path:
        raise MalformedBytes("tile path", "beyond any log, or not in its canonical form")
    return name


def _names(level: int | None, count: int, start: int = 0) -> Iterator[TileName]:
    full, rest = divmod(count, TILE_WIDTH)
    for number in range(start >> TILE_HEIGHT, full):
        yield TileName(level, number, TILE_WIDTH)
    if rest and count > start:
        yield TileName(level, full, rest)


def tiles_of(size: int, since: int = 0) -> Iterator[TileName]:
    """Name the tiles of hashes of a tree of `size` leaves, or those not yet in one of `since`."""
    level = 0
    while size >> TILE_HEIGHT * level:
        shift = TILE_HEIGHT * level
        yield from _names(level, size >> shift, since >> shift)
        level += 1


def bundles_of(size: int, since: int = 0) -> Iterator[TileName]:
    """Name the bundles of a log of `size` entries, or those that hold any after the first `since`."""
    yield from _names(None, size, since)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Pack entries for a bundle; raises OverLimit for one above ENTRY_BYTES_MAX."""
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise OverLimit("log entry in bytes", len(entry), ENTRY_BYTES_MAX)
    return b"".join(len(entry).to_bytes(_LENGTH_SIZE) + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Unpack a bundle of exactly `width` entries; raises MalformedBytes."""
    entries, at = list[bytes](), 0
    while at < len(data) and len(entries) < width:
        start = at + _LENGTH_SIZE
        at = start + int.from_bytes(data[at:start])
        entries.append(data[start:at])
    if at != len(data) or len(entries) != width:
        raise MalformedBytes("entry bundle", f"not of {width} entries")
    return entries


def verify_bundle(entries: Sequence[bytes], tile: bytes) -> None:
    """Raise InvalidProof unless the entries are those behind a level-0 tile."""
    if b"".join(map(leaf_hash, entries)) != tile:
        raise InvalidProof("entry bundle", "other entries than the tile's")


class TiledTree:
    """A tree of `size` leaves, read by tiles: its root and its proofs.

    Reads the few tiles that a call needs, as wide as they are in a tree of this size, and remembers
    TILES_REMEMBERED of them. Raises MalformedBytes for one of another length than its name says.
    """

    __slots__ = ("_kept", "_read", "size")

    def __init__(self, size: int, read: Reader) -> None:
        if not 0 <= size < SIZE_MAX:
            raise ValueError("a tree has less than 2^63 leaves")
        self.size = size
        self._read = read
        self._kept: dict[tuple[int, int], list[bytes]] = {}

    def tile(self, level: int, number: int) -> list[bytes]:
        """Return the hashes of a tile, as many as there are in a tree of this size."""
        width = min(TILE_WIDTH, (self.size >> TILE_HEIGHT * level) - number * TILE_WIDTH)
        assert width > 0, "no such tile in a tree of this size"
        data = self._read(TileName(level, number, width))
        if len(data) != width * HASH_SIZE:
            raise MalformedBytes("tile", f"{len(data)} bytes where {width} hashes belong")
        return split_hashes(data)

    def _node(self, level: int, index: int) -> bytes:
        """Return the root of the complete subtree of 2^level leaves with this index."""
        tile_level, up = divmod(level, TILE_HEIGHT)
        number, first = divmod(index << up, TILE_WIDTH)
        tile = self._kept.get((tile_level, number))
        if tile is None:
            tile = self.tile(tile_level, number)
            if len(self._kept) >= TILES_REMEMBERED:
                del self._kept[next(iter(self._kept))]
            self._kept[tile_level, number] = tile
        return root_of(tile[first : first + (1 << up)])

    def _span(self, low: int, high: int) -> bytes:
        """Return MTH(D[low:high]) of RFC 9162, for spans that occur in a tree of this size."""
        root = b""
        while low < high:  # from the ragged right end, the smallest complete subtree first
            level = (high & -high).bit_length() - 1
            level = min(level, (high - low).bit_length() - 1)
            node = self._node(level, (high >> level) - 1)
            root = node_hash(node, root) if root else node
            high -= 1 << level
        return root or EMPTY_ROOT

    def root(self) -> bytes:
        return self._span(0, self.size)

    def inclusion_path(self, index: int) -> list[bytes]:
        """Return the path of the leaf at `index`; raises InvalidProof if there is none."""
        if not 0 <= index < self.size:
            raise InvalidProof("inclusion path", f"no leaf {index} among {self.size}")
        path, level, last = list[bytes](), 0, self.size - 1
        while last >> level:
            sibling = index >> level ^ 1
            low, high = sibling << level, min(sibling + 1 << level, self.size)
            if low < high:
                path.append(self._span(low, high))
            level += 1
        return path

    def consistency_path(self, old: int) -> list[bytes]:
        """Return the path from the tree of the first `old` leaves; InvalidProof if it is larger."""
        return [self._span(low, high) for low, high in consistency_spans(old, self.size)]

    def prefix_hashes(self, old: int) -> list[bytes]:
        """Return the hashes from which `prefix_root` follows; InvalidProof for more leaves than there are."""
        return [self._span(low, high) for low, high in prefix_spans(old, self.size)]


def verify_tiles(size: int, root: bytes, read: Reader) -> None:
    """Check that all tiles of a tree of `size` leaves fit together and lead to `root`.

    Holds one tile a level. Raises InvalidProof where they do not, MalformedBytes for one of another
    length than its name says.
    """
    tree = TiledTree(size, read)
    if tree.root() != root:
        raise InvalidProof("tiles", "lead to another root")
    level = 0
    while full := size >> TILE_HEIGHT * (level + 1):
        above = list[bytes]()
        for number in range(full):
            place = number % TILE_WIDTH
            if place == 0:
                above = tree.tile(level + 1, number // TILE_WIDTH)
            if root_of(tree.tile(level, number)) != above[place]:
                raise InvalidProof("tiles", f"{tile_path(level, number)} is not what is above it")
        level += 1
