"""Looks for texts in every byte of folders: plain, encoded, compressed, hashed, in freed pages and write-ahead logs.

Every file is searched whole, as bytes; so pages that a database has freed, its write-ahead log and the slack of blobs
are searched with the rest. What is a value of an SQLite table is searched besides as that value, since a page boundary
may run through it in the file.
"""

import base64
import hashlib
import sqlite3
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

INFLATED_BYTES_MAX = 64 << 20
INFLATE_DEPTH_MAX = 3
STREAM_BYTES_MIN = 16  # what inflates to less is chance
HALF_BYTES_MIN = 12  # a half of a text is searched for, too, where it cannot be chance
BLOCK = 4
SQLITE_MAGIC = b"SQLite format 3\0"
_STREAMS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08", b"PK\x03\x04")
_HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")


@dataclass(frozen=True, slots=True)
class Canary:
    """A text, and how it is called in a report (which must not repeat the text).

    `whole`: a document of which not every spelling is looked for, only the text as it is and its hashes.
    """

    name: str
    text: bytes
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """A canary in a file: in which form, and at which offset of what was searched."""

    canary: str
    form: str
    file: Path
    offset: int


@dataclass(frozen=True, slots=True)
class Needle:
    """One way of writing a canary."""

    canary: str
    form: str
    data: bytes


def needles_of(canary: Canary) -> tuple[Needle, ...]:
    """Return every way of writing a canary that is searched for, each once."""
    found: dict[bytes, str] = {}
    spellings = [("plain", canary.text)] if canary.whole else _spellings(canary.text)
    for name, text in spellings:
        for form, data in _encodings(text):
            found.setdefault(data, f"{name}{form}")
        for kind in _HASHES:
            digest = hashlib.new(kind, text, usedforsecurity=False).digest()
            for form, data in _encodings(digest):
                found.setdefault(data, f"{kind} of it, {name}{form}")
    return tuple(Needle(canary.name, form.strip(), data) for data, form in found.items())


def _spellings(text: bytes) -> Iterator[tuple[str, bytes]]:
    """The text, in the cases and the two-byte encodings in which programs keep it, and its halves."""
    yield "plain", text
    with suppress(UnicodeDecodeError):
        read = text.decode("utf-8")
        for name, spelt in (("lower case", read.lower()), ("upper case", read.upper())):
            yield name, spelt.encode()
        yield "UTF-16LE", read.encode("utf-16-le")
        yield "UTF-16BE", read.encode("utf-16-be")
    half = len(text) // 2
    if half >= HALF_BYTES_MIN:
        yield "first half", text[:half]
        yield "second half", text[half:]


def _encodings(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", data
    yield " in hex", data.hex().encode()
    yield " in HEX", data.hex().upper().encode()
    for offset in range(3):
        # What stands before it shifts the alphabet; the letters at both ends depend on the neighbours.
        padded = base64.b64encode(bytes(offset) + data)
        core = padded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
        yield f" in base64 at {offset}", core
        yield f" in base64url at {offset}", core.translate(bytes.maketrans(b"+/", b"-_"))


class Scanner:
    """Searches folders for canaries."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        needles = [needle for each in canaries for needle in needles_of(each)]
        self._short = tuple(each for each in needles if len(each.data) < BLOCK + BLOCK - 1)
        self._by_block: dict[int, list[Needle]] = {}
        for needle in needles:
            if len(needle.data) >= BLOCK + BLOCK - 1:
                for shift in range(BLOCK):
                    block = int.from_bytes(needle.data[shift : shift + BLOCK], sys.byteorder)
                    self._by_block.setdefault(block, []).append(needle)
        self._blocks = frozenset(self._by_block)

    def scan(self, folder: Path) -> list[Sighting]:
        """Return every sighting below a folder; of a canary in one form, the first in each file."""
        found: list[Sighting] = []
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                found += self.scan_file(path)
        return found

    def scan_file(self, path: Path) -> list[Sighting]:
        """Return the sightings in one file."""
        data = path.read_bytes()
        found = self._find(data, path, "")
        for where, inflated in inflated_streams(data):
            found += self._find(inflated, path, where)
        if data.startswith(SQLITE_MAGIC):
            found += self._find(values_of(path), path, ", a value of a table")
        first = {(each.canary, each.form): each for each in reversed(found)}
        return list(first.values())

    def _find(self, data: bytes, path: Path, where: str) -> list[Sighting]:
        return [
            Sighting(needle.canary, needle.form + where, path, at)
            for needle in (*self._short, *self._candidates(data))
            if (at := data.find(needle.data)) >= 0
        ]

    def _candidates(self, data: bytes) -> list[Needle]:
        """Return the needles of which `data` may hold one.

        Whatever is long enough has one of its first blocks at a multiple of the block's length: so one look at each
        such place is enough for tens of thousands of needles at once.
        """
        view = memoryview(data)[: len(data) // BLOCK * BLOCK].cast("I")
        seen = self._blocks.intersection(view)
        return list({needle: None for block in seen for needle in self._by_block[block]})


def inflated_streams(data: bytes, depth: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield what zlib, gzip and zip streams that begin anywhere in `data` hold, and what is compressed in them."""
    for magic in _STREAMS:
        at = data.find(magic)
        while at >= 0:
            inflated = _inflate(memoryview(data)[at:], magic)
            if len(inflated) >= STREAM_BYTES_MIN:
                yield f", inflated at {at}", inflated
                if depth < INFLATE_DEPTH_MAX:
                    yield from inflated_streams(inflated, depth + 1)
            at = data.find(magic, at + 1)


def _inflate(data: memoryview, magic: bytes) -> bytes:
    """Return as much as can be inflated; a stream that was cut off holds what came before the cut."""
    window, start = zlib.MAX_WBITS, 0
    if magic.startswith(b"\x1f"):
        window = zlib.MAX_WBITS | 16
    elif magic.startswith(b"PK"):
        names = int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
        window, start = -zlib.MAX_WBITS, 30 + names
    inflater, out = zlib.decompressobj(window), bytearray()
    with suppress(zlib.error):
        # In small pieces: what a piece gave is kept though the next one is damaged.
        for at in range(start, len(data), 256):
            out += inflater.decompress(data[at : at + 256], INFLATED_BYTES_MAX - len(out))
            if inflater.eof or len(out) >= INFLATED_BYTES_MAX:
                break
    return bytes(out)


def values_of(path: Path) -> bytes:
    """Return every text and blob of a database's tables, one after the other, with a zero byte between."""
    values: list[bytes] = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.text_factory = bytes
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (name,) in tables:
            with suppress(sqlite3.OperationalError):  # a virtual table of a module that is not here
                quoted = name.decode().replace('"', '""')
                for row in db.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - a name of its own schema
                    values += [each for each in row if isinstance(each, bytes)]
    return b"\0".join(values)
