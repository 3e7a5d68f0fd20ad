"""Looks for planted words in whatever was stored, in every dress that a word usually wears.

`scan(folder, canaries)` reads every file as it lies on the disk, so that free pages, write-ahead logs, temporary files
and logs count; a file that is a SQLite database is also read value by value, for a long value lies on several pages.
It finds a word plain, in another case, in UTF-16, hexadecimal, base64 and base64url at all three offsets, base32,
percent and JSON escapes, backwards, in zlib and gzip streams wherever they begin, and as a hash without a salt.

A word that is short is found everywhere: at least six bytes, and better a word that no other text has.
"""

import base64
import hashlib
import json
import re
import shutil
import sqlite3
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

CANARY_BYTES_MIN = 6
INFLATED_BYTES_MAX = 16 << 20
INFLATED_DEPTH_MAX = 3
NUMBERED_MAX = 999  # findings kept: one is enough to fail, and a page of them to understand

_HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")
_DEFLATED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Finding:
    """A canary that was found: in which file or value, at which byte of it, in which dress."""

    canary: str
    where: str
    offset: int
    dress: str

    def __str__(self) -> str:
        return f"{self.canary!r} in {self.where} at {self.offset}: {self.dress}"


def scan(
    source: Path | bytes, canaries: Iterable[str | bytes], *, hashes: bool = True
) -> list[Finding]:
    """Return where the canaries are in a folder, a file or bytes; without `hashes` no hash of them is looked for.

    Raises ValueError for a canary that is too short, FileNotFoundError where there is nothing to look at.
    """
    needles = _needles(canaries, hashes=hashes)
    found: list[Finding] = []
    for where, data in _pieces(source):
        found += _found_in(where, data, needles, INFLATED_DEPTH_MAX)
        if len(found) > NUMBERED_MAX:
            break
    return found


def dresses(canary: str | bytes, *, hashes: bool = True) -> dict[bytes, str]:
    """Return every form of a canary that is looked for, with its name."""
    plain = canary.encode() if isinstance(canary, str) else canary
    if len(plain) < CANARY_BYTES_MIN:
        raise ValueError(f"a canary has at least {CANARY_BYTES_MIN} bytes: {canary!r}")
    forms: dict[bytes, str] = {}
    for word, called in _spellings(canary, plain):
        for form, dress in _codes(word):
            if len(form) >= CANARY_BYTES_MIN:
                forms.setdefault(form, f"{called}{dress}")
        if hashes:
            for form, dress in _digests(word):
                forms.setdefault(form, f"{dress} of {called}it".replace("plain ", ""))
    return forms


def _spellings(canary: str | bytes, plain: bytes) -> Iterator[tuple[bytes, str]]:
    yield plain, ""
    yield plain[::-1], "backwards, "
    if isinstance(canary, str):
        for text, called in ((canary.lower(), "lower case, "), (canary.upper(), "upper case, ")):
            yield text.encode(), called
        squeezed = "".join(canary.split())
        if squeezed != canary:
            yield squeezed.encode(), "without spaces, "
        for encoding in ("utf-16-le", "utf-16-be"):
            yield canary.encode(encoding), f"{encoding}, "


def _codes(word: bytes) -> Iterator[tuple[bytes, str]]:
    yield word, "plain"
    yield word.hex().encode(), "hexadecimal"
    yield word.hex().upper().encode(), "hexadecimal"
    yield base64.b32encode(word)[: len(word) * 8 // 5], "base32"
    yield base64.b32encode(word)[: len(word) * 8 // 5].lower(), "base32"
    for offset in range(3):
        # Characters at either end also hold bits of the neighbours: they are left out.
        first, last = (0, 2, 3)[offset], (offset + len(word)) * 8 // 6
        for encode, dress in (
            (base64.b64encode, "base64"),
            (base64.urlsafe_b64encode, "base64url"),
        ):
            yield encode(bytes(offset) + word)[first:last], f"{dress} at offset {offset}"
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return
    if not text.isascii() or not text.isalnum():
        yield quote(text, safe="").encode(), "percent escapes"
        yield json.dumps(text)[1:-1].encode(), "JSON escapes"


def _digests(word: bytes) -> Iterator[tuple[bytes, str]]:
    for name in _HASHES:
        digest = hashlib.new(name, word, usedforsecurity=False).digest()
        yield digest, name
        yield digest.hex().encode(), f"{name} in hexadecimal"
        yield base64.b64encode(digest).rstrip(b"=")[:-1], f"{name} in base64"


def _needles(canaries: Iterable[str | bytes], *, hashes: bool) -> Mapping[bytes, tuple[str, str]]:
    return {
        form: (canary if isinstance(canary, str) else canary.hex(), dress)
        for canary in canaries
        for form, dress in dresses(canary, hashes=hashes).items()
    }


def _pieces(source: Path | bytes) -> Iterator[tuple[str, bytes]]:
    if isinstance(source, bytes):
        yield "bytes", source
        if source.startswith(_SQLITE):
            yield from _values("bytes", source, None)
        return
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    if not files:
        raise FileNotFoundError(f"nothing to look at in {source}")
    for file in files:
        data = file.read_bytes()
        yield str(file), data
        yield f"{file} (its name)", str(file.relative_to(source.parent)).encode()
        if data.startswith(_SQLITE):
            yield from _values(str(file), data, file)


def _values(where: str, data: bytes, file: Path | None) -> Iterator[tuple[str, bytes]]:
    """Read a copy of a database row by row, with its write-ahead log; the original is not touched."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        copy.write_bytes(data)
        for suffix in ("-wal", "-shm"):
            beside = None if file is None else file.with_name(file.name + suffix)
            if beside is not None and beside.exists():
                shutil.copyfile(beside, f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as db:
            db.text_factory = bytes
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                name = table.decode()
                for row in db.execute(f'SELECT * FROM "{name}"'):
                    for value in row:
                        if isinstance(value, bytes) and len(value) >= CANARY_BYTES_MIN:
                            yield f"{where}, a row of {name}", value


def _found_in(
    where: str, data: bytes, needles: Mapping[bytes, tuple[str, str]], depth: int
) -> list[Finding]:
    found = [
        Finding(canary, where, at, dress)
        for form, (canary, dress) in needles.items()
        if (at := data.find(form)) >= 0
    ]
    if depth:
        for at, inflated in _inflated(data):
            found += _found_in(f"{where}, deflated at {at}", inflated, needles, depth - 1)
    return found


def _inflated(data: bytes) -> Iterator[tuple[int, bytes]]:
    for match in _DEFLATED.finditer(data):
        stream = zlib.decompressobj(wbits=47)  # zlib or gzip, by its header
        try:
            inflated = stream.decompress(data[match.start() :], INFLATED_BYTES_MAX)
        except zlib.error:
            continue
        if len(inflated) >= CANARY_BYTES_MIN:
            yield match.start(), inflated


if __name__ == "__main__":
    findings = scan(Path(sys.argv[1]), sys.argv[2:])
    sys.stdout.write("\n".join(map(str, findings)) or "nothing found")
    sys.exit(1 if findings else 0)
