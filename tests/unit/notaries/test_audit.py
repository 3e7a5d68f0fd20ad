"""Who changed what: every edit of the database is named, and a member convicts a lying notary."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.bench.workshop import START
from notaries.audit import DoubleSpend, LoggedTwice, NotAsSigned, TimeFell, audit_log
from notaries.database_audit import Change, audit_database
from notaries.log import CHECKPOINT_PATH
from notaries.sqlite_log import RowSeals
from states.errors import InvalidSignature, MalformedBytes
from states.tiles import encode_bundle
from tests.unit.notaries.desk import NOTARY, OTHER_NOTARY, SEAL_KEY, Desk, sqlite_in
from tests.unit.notaries.lying_log import LyingStore, entry

KEYS = NOTARY.info.log_keys
SIZE = 300
SPENDS = {260: 3, 270: 7, 290: 280}
"""Log index of a spender → of what it consumed."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a full tile, a tail, spends and an index; closed, so that all is in two files."""
    place = tmp_path_factory.mktemp("audit") / "notary"
    desk = Desk(sqlite_in(place))
    held = [each.outputs[0].placed(at) for at, each in enumerate(desk.fill(260))]
    while desk.size < SIZE:
        creator = SPENDS.get(desk.size)
        if creator is None:
            at = desk.size
            (made,) = desk.fill(1)
            held.append(made.outputs[0].placed(at))
        else:
            made = desk.workshop.make([held[creator]])
            held.append(made.outputs[0].placed(desk.commit(made).index))
    desk.provider.close()
    assert not (place / "log.db-wal").exists()
    return place


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "notary"))


def audit(place: Path) -> list[Change]:
    return audit_database(place / "log.db", place / "index.db", KEYS, SEAL_KEY)


def edit(place: Path, statement: str, database: str = "log.db") -> None:
    with closing(sqlite3.connect(place / database)) as db, db:
        assert db.execute(statement).rowcount > 0


def named(place: Path) -> set[tuple[str, str]]:
    return {(change.table, change.row) for change in audit(place)}


def test_an_honest_database_has_no_findings(place: Path) -> None:
    assert audit(place) == []
    for end in ("", "-wal", "-shm"):
        (place / f"index.db{end}").unlink(missing_ok=True)
    assert audit(place) == [], "an index is derived: it may be missing"


def test_a_running_notary_can_be_audited(place: Path) -> None:
    desk = Desk(sqlite_in(place), seed=4)
    desk.fill(30)
    assert audit(place) == []
    desk.provider.close()


LOG_EDITS = [
    ("UPDATE log SET id = zeroblob(32) WHERE n = 7", {("log", "7"), ("index.tx", "7")}),
    ("UPDATE log SET at = at + 1 WHERE n = 8", {("log", "8")}),
    ("UPDATE log SET until = until - 1 WHERE n = 9", {("log", "9"), ("index.tx", "9")}),
    ("UPDATE log SET seal = zeroblob(16) WHERE n = 10", {("log", "10")}),
    ("UPDATE log SET spends = 1 WHERE n = 11", {("log", "11")}),
    ("UPDATE log SET id = CAST(id AS TEXT) WHERE n = 12", {("log", "12")}),
    ("UPDATE log SET at = at + 1 WHERE n = 299", {("log", "299")}),
    ("UPDATE spend SET nullifier = zeroblob(32) WHERE at >> 16 = 270", {("spend", "270:0")}),
    (
        "UPDATE spend SET k = 4 << 16 WHERE at >> 16 = 270",
        {("spend", "270:0"), ("index.consumed",)},
    ),
    ("DELETE FROM spend WHERE at >> 16 = 260", {("spend", "260:0")}),
    ("INSERT INTO spend VALUES(5 << 16, 1 << 16, zeroblob(32), zeroblob(16))", {("spend", "5:0")}),
    ("INSERT INTO spend VALUES(999 << 16, 1 << 16, zeroblob(32), x'')", {("spend", "999:0")}),
    ("DELETE FROM tile WHERE level = 0", {("tile", "0/0")}),
    ("UPDATE tile SET hashes = zeroblob(8192)", {("tile", "0/0")}),
    ("UPDATE tile SET hashes = zeroblob(7)", {("tile", "0/0")}),
    ("INSERT INTO tile VALUES(3, 0, zeroblob(8192))", {("tile", "3/0")}),
    ("UPDATE head SET clock = 0", {("head", "1")}),
    ("UPDATE head SET note = replace(note, 'A', 'B')", {("head", "note"), ("head", "1")}),
    ("DELETE FROM head", {("head", "1")}),
    ("DELETE FROM log WHERE n = 100", {("log", "100"), ("index.tx",)}),
]


@pytest.mark.parametrize(("statement", "expected"), LOG_EDITS, ids=[each for each, _ in LOG_EDITS])
def test_an_edit_of_the_log_is_named_by_table_and_row(
    place: Path, statement: str, expected: set[tuple[str, ...]]
) -> None:
    edit(place, statement)
    found = named(place)
    rows = {each for each in expected if len(each) == 2}
    tables = {each[0] for each in expected if len(each) == 1}
    assert rows <= found
    also = {("head", "note"), ("spend", "k"), ("spend", "nullifier")}  # what follows from it
    assert {
        each
        for each in found - rows - also
        if each[0] not in tables | {"index.tx", "index.consumed"}
    } == set()


def test_a_removed_tail_is_named_by_the_checkpoint(place: Path) -> None:
    edit(place, "DELETE FROM log WHERE n = 299")
    (change,) = [each for each in audit(place) if each.table == "log"]
    assert (change.row, change.expected) == ("299…", "300 rows")


def test_what_a_changed_row_was_is_told_by_the_tile(place: Path) -> None:
    with closing(sqlite3.connect(place / "log.db")) as db:
        (tile,) = db.execute("SELECT hashes FROM tile").fetchone()
    edit(place, "UPDATE log SET id = zeroblob(32) WHERE n = 7")
    (change,) = [each for each in audit(place) if each.table == "log"]
    assert tile[7 * 32 : 8 * 32].hex() in change.expected


def test_one_changed_hash_of_a_tile_is_named_with_what_it_was(place: Path) -> None:
    with closing(sqlite3.connect(place / "log.db")) as db, db:
        (tile,) = db.execute("SELECT hashes FROM tile").fetchone()
        spoilt = bytearray(tile)
        spoilt[5 * 32] ^= 1
        db.execute("UPDATE tile SET hashes = ?", (bytes(spoilt),))
    assert audit(place) == [
        Change("tile", "0/0", f"hash 5 is {spoilt[160:192].hex()}", tile[160:192].hex())
    ]


def test_rows_rewritten_with_fitting_tiles_still_break_their_seals(place: Path) -> None:
    """A superuser who rebuilds everything but has not the key of the seals."""
    edit(place, "UPDATE log SET id = randomblob(32), seal = randomblob(16) WHERE n = 298")
    assert ("log", "298") in named(place)


def test_who_has_even_the_key_of_the_seals_cannot_change_what_was_signed(place: Path) -> None:
    """Row, seal and index rewritten to fit: what is left is the notary's own signature."""
    seals = RowSeals(SEAL_KEY)
    with closing(sqlite3.connect(place / "log.db")) as db, db:
        tx, at, until = db.execute("SELECT id, at, until FROM log WHERE n = 298").fetchone()
        db.execute(
            "UPDATE log SET at = ?, seal = ? WHERE n = 298",
            (at + 1, seals.log(298, tx, at + 1, until, 0)),
        )
        db.execute("UPDATE log SET at = at + 1, seal = x'' WHERE n = 299")
        tx, at = db.execute("SELECT id, at FROM log WHERE n = 299").fetchone()
        db.execute("UPDATE log SET seal = ? WHERE n = 299", (seals.log(299, tx, at, until, 0),))
        size, note = db.execute("SELECT size, note FROM head").fetchone()
        db.execute("UPDATE head SET clock = ?, seal = ?", (at, seals.head(size, at, note)))
    assert named(place) == {("head", "note")}


def test_rows_that_no_notary_writes_are_named_however_they_are_sealed(place: Path) -> None:
    seals = RowSeals(SEAL_KEY)
    with closing(sqlite3.connect(place / "log.db")) as db, db:
        tx, at, until = db.execute("SELECT id, at, until FROM log WHERE n = 20").fetchone()
        seal = seals.log(20, tx, at - 1, until, 0)
        db.execute("UPDATE log SET at = ?, seal = ? WHERE n = 20", (at - 1, seal))
        (key, nullifier) = db.execute("SELECT at, nullifier FROM spend LIMIT 1").fetchone()
        place_ahead = 299 << 16
        seal = seals.spend(key, place_ahead, nullifier)
        db.execute("UPDATE spend SET k = ?, seal = ? WHERE at = ?", (place_ahead, seal, key))
    whys = {(each.table, each.row): each.why for each in audit(place)}
    assert whys["log", "20"] == "older than the row before"
    assert whys["spend", "260:0"] == "consumes what was created later"


INDEX_EDITS = [
    ("DELETE FROM tx WHERE n = 5", ("index.tx", "5")),
    ("UPDATE tx SET n = 6 WHERE n = 5", ("index.tx", "5")),
    ("DELETE FROM consumed WHERE by = 260", ("index.consumed", str(3 << 16))),
    ("UPDATE consumed SET by = 1 WHERE by = 260", ("index.consumed", str(3 << 16))),
    ("INSERT INTO consumed VALUES(77, 1)", ("index.consumed", "77")),
    ("UPDATE mark SET id = zeroblob(32)", ("index.mark", "300")),
]


@pytest.mark.parametrize(("statement", "row"), INDEX_EDITS, ids=[each for each, _ in INDEX_EDITS])
def test_an_edit_of_the_index_is_named(place: Path, statement: str, row: tuple[str, str]) -> None:
    edit(place, statement, "index.db")
    found = named(place)
    assert row in found
    assert {table for table, _ in found} <= {"index.tx", "index.consumed", "index.mark"}


def contents(path: Path) -> list[tuple[object, ...]] | None:
    """All rows with their types, or None if SQLite cannot read them."""
    try:
        with closing(sqlite3.connect(path)) as db:
            db.text_factory = bytes
            if db.execute("PRAGMA integrity_check").fetchone() != (b"ok",):
                return None
            return [
                row
                for table, columns in (
                    ("log", "n, id, at, until, spends, seal"),
                    ("spend", "at, k, nullifier, seal"),
                    ("tile", "level, number, hashes"),
                    ("head", "size, clock, note, seal"),
                )
                for row in db.execute(
                    f"SELECT {columns}, typeof({columns.split(', ')[1]}) FROM {table}"
                )
            ]
    except sqlite3.Error:
        return None


def test_no_flipped_byte_of_the_log_goes_unnoticed(original: Path, tmp_path: Path) -> None:
    """Sampled over the whole file: either the rows read the same, or the audit has a finding."""
    data = (original / "log.db").read_bytes()
    honest = contents(original / "log.db")
    rng = random.Random(7)
    spoilt = 0
    for offset in sorted(rng.sample(range(100, len(data)), 150)):
        path = tmp_path / "log.db"
        changed = bytearray(data)
        changed[offset] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(changed))
        if contents(path) != honest:
            spoilt += 1
            assert audit_database(path, tmp_path / "none", KEYS, SEAL_KEY), offset
    assert spoilt > 50


# -- members -----------------------------------------------------------------------------------------


def test_an_honest_log_has_no_findings(desk: Desk) -> None:
    held = [each.outputs[0].placed(at) for at, each in enumerate(desk.fill(270))]
    desk.commit(desk.workshop.make(held[:5], held[5:7]))
    found = audit_log(desk.log.serve, KEYS)
    assert found.findings == ()
    assert found.checkpoint.size == desk.size == 271


def test_every_nullifier_that_occurs_twice_is_shown() -> None:
    entries = [entry(n, START, 1_000 + n) for n in range(400)]
    entries[300] = entry(300, START, 1_005, 7_777)
    entries[399] = entry(399, START, 7_777)
    assert set(audit_log(LyingStore(entries).serve, KEYS).findings) == {
        DoubleSpend((1_005).to_bytes(32, "big"), 5, 300),
        DoubleSpend((7_777).to_bytes(32, "big"), 300, 399),
    }


def test_time_that_falls_and_a_transaction_logged_twice_are_shown() -> None:
    entries = [entry(1), entry(2, START + 9), entry(3, START + 4), entry(1, START + 9)]
    assert set(audit_log(LyingStore(entries).serve, KEYS).findings) == {
        TimeFell(2, START + 9, START + 4),
        LoggedTwice((1).to_bytes(32, "big"), 0, 3),
    }


def test_entries_or_tiles_that_are_not_what_was_signed_are_named() -> None:
    store = LyingStore([entry(n) for n in range(300)])
    other = encode_bundle([b"\1" + bytes(42)] * 44)

    def altered(path: str, instead: bytes | None) -> set[str]:
        def serve(asked: str) -> bytes | None:
            return instead if asked == path else store.serve(asked)

        findings = audit_log(serve, KEYS).findings
        return {each.path for each in findings if isinstance(each, NotAsSigned)}

    assert altered("tile/entries/001.p/44", other) == {"tile/entries/001.p/44"}
    assert altered("tile/entries/000", None) == {"tile/entries/000"}
    assert altered("tile/entries/000", b"\0") == {"tile/entries/000"}
    assert altered("tile/0/000", bytes(8192)) == {"tile", "tile/entries/000"}
    assert altered("tile/1/000.p/1", bytes(32)) == {"tile"}


def test_a_log_that_the_notary_did_not_sign_is_none() -> None:
    store = LyingStore([entry(1)])
    with pytest.raises(InvalidSignature):
        audit_log(store.serve, OTHER_NOTARY.info.log_keys)
    for nothing in (None, b"\xff"):
        with pytest.raises(MalformedBytes):
            audit_log(lambda path, n=nothing: n if path == CHECKPOINT_PATH else None, KEYS)  # type: ignore[misc]
