"""The scanner sees a text however it was written down, and does not see one that is not there."""

import base64
import gzip
import hashlib
import io
import sqlite3
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from app.demo.scan import Canary, Scanner

TEXT = b"Ada Quillfeather keeps it in a tin shaped like a heron."
CANARY = Canary("the heron", TEXT)
NOISE = Random(5).randbytes(70_001)


def zipped(text: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chart.txt", text)
    return held.getvalue()


WRITTEN = {
    "plain": TEXT,
    "lower case": TEXT.lower(),
    "UTF-16 little endian": TEXT.decode().encode("utf-16-le"),
    "UTF-16 big endian": TEXT.decode().encode("utf-16-be"),
    "hex": TEXT.hex().encode(),
    "HEX": TEXT.hex().upper().encode(),
    "base64 at 0": base64.b64encode(b"abc" + TEXT + b"z"),
    "base64 at 1": base64.b64encode(b"abcd" + TEXT + b"z"),
    "base64 at 2": base64.b64encode(b"abcde" + TEXT + b"z"),
    "base64url": base64.urlsafe_b64encode(TEXT),
    "zlib": zlib.compress(b"before " + TEXT),
    "zlib, cut off": zlib.compress(TEXT + NOISE)[:-9_000],
    "gzip": gzip.compress(TEXT),
    "gzip in gzip": gzip.compress(gzip.compress(TEXT)),
    "zip": zipped(TEXT),
    "base64 in zlib": zlib.compress(base64.b64encode(TEXT)),
    "sha256": hashlib.sha256(TEXT).digest(),
    "sha256 in hex": hashlib.sha256(TEXT).hexdigest().encode(),
    "md5 of lower case": hashlib.md5(TEXT.lower()).digest(),
    "sha512 in base64": base64.b64encode(hashlib.sha512(TEXT).digest()),
    "blake2b of UTF-16": hashlib.blake2b(TEXT.decode().encode("utf-16-le")).digest(),
    "first half, then something else": TEXT[: len(TEXT) // 2] + b"\0" * 9,
}


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("how", WRITTEN)
def test_it_is_seen_wherever_it_lies(tmp_path: Path, how: str, shift: int) -> None:
    (tmp_path / "file").write_bytes(NOISE[: 33_000 + shift] + WRITTEN[how] + NOISE[:999])
    assert [each.canary for each in Scanner([CANARY]).scan(tmp_path)]


def test_noise_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(NOISE + zlib.compress(NOISE))
    assert Scanner([CANARY, Canary("short", b"4548-4")]).scan(tmp_path) == []


def test_a_short_text_is_seen(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(NOISE + b"4548-4" + NOISE)
    assert [each.offset for each in Scanner([Canary("code", b"4548-4")]).scan(tmp_path)] == [
        len(NOISE)
    ]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "node.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("CREATE TABLE note(id INTEGER PRIMARY KEY, said TEXT)")
    return path


def test_a_deleted_row_is_seen_in_a_free_page(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("INSERT INTO note VALUES (1, ?)", (TEXT.decode(),))
        db.execute("DELETE FROM note")
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert db.execute("SELECT count(*) FROM note").fetchone() == (0,)
    assert {each.file.name for each in Scanner([CANARY]).scan(database.parent)} == {"node.db"}


def test_a_row_is_seen_in_the_write_ahead_log(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute("INSERT INTO note VALUES (1, ?)", (TEXT.decode(),))
        db.commit()
        found = {each.file.name for each in Scanner([CANARY]).scan(database.parent)}
    assert "node.db-wal" in found


def test_a_value_that_a_page_boundary_cuts_is_seen_as_a_value(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        for at in range(4_000, 4_200, 5):
            db.execute("INSERT INTO note(said) VALUES (?)", ("x" * at + TEXT.decode(),))
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    forms = {each.form for each in Scanner([CANARY]).scan(database.parent)}
    assert "plain, a value of a table" in forms


def test_of_a_whole_document_its_bytes_and_hashes_are_sought(tmp_path: Path) -> None:
    whole = Scanner([Canary("document", TEXT, whole=True)])
    (tmp_path / "hash").write_bytes(hashlib.sha256(TEXT).hexdigest().encode())
    (tmp_path / "half").write_bytes(TEXT[:25])
    assert {each.file.name for each in whole.scan(tmp_path)} == {"hash"}
