"""What only the SQLite engine promises: the log alone is the truth, the index may be anything."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.bench.workshop import START, Made
from notaries.sqlite import Indexing, SqliteProvider
from notaries.sqlite_log import Point
from notaries.uniqueness import StoreFailed
from states.notarisation import Answer, Busy, Committed, Conflict, Never, StatusRequest, Unknown
from tests.unit.notaries.desk import FEW, NOTARY, SEAL_KEY, Desk, signer_of, sqlite_in

FILES = ("", "-wal", "-shm")


class Story:
    """A history with every kind of question, and what was answered."""

    def __init__(self, desk: Desk) -> None:
        made = desk.fill(60)
        held = [each.outputs[0].placed(at) for at, each in enumerate(made)]
        self.spends = [desk.workshop.make([held[at]], [held[at + 1]]) for at in range(0, 50, 5)]
        self.rivals = [desk.workshop.make([held[at]]) for at in range(0, 50, 5)]
        self.free = held[58]
        for each in self.spends:
            desk.commit(each)
        self.questions: list[Made | StatusRequest] = [
            *made[::7],
            *self.spends,
            *self.rivals,
            *(StatusRequest(m.built.id, m.window.until_time) for m in [*made[::9], *self.rivals]),
        ]
        self.told = self.ask(desk)
        kinds = {type(answer) for answer in self.told}
        assert kinds == {Committed, Conflict, Unknown}

    def ask(self, desk: Desk) -> list[Answer]:
        return desk.ask_all(self.questions)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "notary"


@pytest.fixture
def story(place: Path) -> Iterator[Story]:
    desk = Desk(sqlite_in(place))
    story = Story(desk)
    desk.provider.close()
    yield story
    again = Desk(sqlite_in(place))
    try:
        assert story.ask(again) == story.told
        again.workshop = desk.workshop
        again.commit(desk.workshop.make([story.free]))
    finally:
        again.provider.close()


def remove_index(place: Path) -> None:
    for end in FILES:
        (place / f"index.db{end}").unlink(missing_ok=True)


@pytest.mark.usefixtures("story")
def test_a_restart_changes_no_answer() -> None:
    """The fixture asks everything again after a restart, and once more here."""


@pytest.mark.usefixtures("story")
def test_a_lost_index_changes_no_answer(place: Path) -> None:
    remove_index(place)


@pytest.mark.usefixtures("story")
def test_an_index_of_garbage_changes_no_answer(place: Path) -> None:
    remove_index(place)
    (place / "index.db").write_bytes(b"no database at all" * 500)


@pytest.mark.usefixtures("story")
def test_an_index_of_another_log_changes_no_answer(place: Path, tmp_path: Path) -> None:
    other = Desk(sqlite_in(tmp_path / "other"), seed=99)
    other.fill(65)
    other.provider.close()
    remove_index(place)
    shutil.copy(tmp_path / "other" / "index.db", place / "index.db")


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize("mark", [20, 40])
def test_an_index_that_is_behind_changes_no_answer(place: Path, mark: int) -> None:
    with closing(sqlite3.connect(place / "index.db")) as db, db:
        with closing(sqlite3.connect(place / "log.db")) as log:
            (last,) = log.execute("SELECT id FROM log WHERE n = ?", (mark - 1,)).fetchone()
        assert db.execute("SELECT n FROM mark").fetchone()[0] > mark
        db.execute("DELETE FROM tx WHERE n >= ?", (mark,))
        db.execute("DELETE FROM consumed WHERE by >= ? AND by % 2", (mark,))  # a slice was done
        db.execute("UPDATE mark SET n = ?, id = ?", (mark, last))


def test_an_index_ahead_of_its_log_is_thrown_away(place: Path, tmp_path: Path) -> None:
    """log.db came from a backup, index.db did not: what it says of the future is no truth here."""
    desk = Desk(sqlite_in(place))
    made = desk.fill(25)
    held = [each.outputs[0].placed(at) for at, each in enumerate(made)]
    desk.provider.close()
    shutil.copytree(place, tmp_path / "backup")
    desk = Desk(sqlite_in(place), seed=1)
    desk.commit(desk.workshop.make([held[0]]))
    desk.fill(30)
    desk.provider.close()
    shutil.copy(tmp_path / "backup" / "log.db", place / "log.db")
    again = Desk(sqlite_in(place), seed=2)
    assert again.size == 25
    again.commit(again.workshop.make([held[0]]))
    again.provider.close()


def test_two_processes_on_one_disk_keep_one_log(place: Path) -> None:
    one, two = Desk(sqlite_in(place)), Desk(sqlite_in(place), seed=5)
    (state,) = one.issue()
    rival = two.workshop.make([state])
    winner = one.workshop.make([state])
    one.commit(winner)
    assert isinstance(two.ask(rival), Conflict)
    for at in range(12):
        desk = (one, two)[at % 2]
        desk.commit(desk.workshop.make(desk.issue()))
    assert one.commit(winner).index == two.commit(winner).index == 1
    assert two.size == one.size == 26
    entries = one.provider.entries(0, 26)
    assert len({entry.transaction for entry in entries}) == 26
    for desk in (one, two):
        desk.provider.close()
    again = Desk(sqlite_in(place))
    assert again.provider.entries(0, 26) == entries
    again.provider.close()


# -- faults ------------------------------------------------------------------------------------------


class Fault:
    """Fails the disk at one point, once."""

    def __init__(self) -> None:
        self.at: Point | None = None
        self.met = 0

    def reached(self, point: Point) -> None:
        if point == self.at:
            self.at = None
            self.met += 1
            raise OSError("no space left on device")


IN_COMMIT = (
    Point.HEAD_LOCKED,
    Point.LOG_WRITTEN,
    Point.SPENDS_WRITTEN,
    Point.TILES_WRITTEN,
    Point.HEAD_WRITTEN,
    Point.COMMITTED,
    Point.ADVANCED,
)


@pytest.mark.parametrize("point", IN_COMMIT)
def test_a_fault_at_any_write_leaves_all_or_nothing(place: Path, point: Point) -> None:
    fault = Fault()
    place.mkdir()
    provider = SqliteProvider(
        place, signer_of(NOTARY), SEAL_KEY, START, indexing=FEW, reached=fault.reached
    )
    desk = Desk(provider)
    (state,) = desk.issue()
    made, rival = desk.workshop.make([state]), desk.workshop.make([state])
    fault.at = point
    assert isinstance(desk.ask(made), Busy)
    assert fault.met == 1
    happened = point in (Point.COMMITTED, Point.ADVANCED)
    told = desk.ask(rival)
    assert isinstance(told, Conflict) is happened
    assert isinstance(desk.ask(made), Committed) is happened
    assert desk.size == 2
    desk.fill(30)
    provider.close()


def test_a_fault_before_the_clock_is_durable_promises_nothing(place: Path) -> None:
    fault = Fault()
    place.mkdir()
    provider = SqliteProvider(
        place, signer_of(NOTARY), SEAL_KEY, START, indexing=FEW, reached=fault.reached
    )
    desk = Desk(provider)
    made = desk.workshop.make(opens=START, length=1_000)
    fault.at = Point.CLOCK_WRITTEN
    with pytest.raises(StoreFailed):
        provider.status(made.built.id, made.window.until_time, START + 1_000)
    assert provider.status(made.built.id, made.window.until_time, START) == Unknown(START)
    told = provider.status(made.built.id, made.window.until_time, START + 1_000)
    assert told == Never()
    provider.close()
    again = Desk(sqlite_in(place))
    assert again.provider.status(made.built.id, made.window.until_time, START) == Never()
    again.provider.close()


@pytest.mark.parametrize(
    "point", [Point.SLICE_INDEXED, Point.TRANSACTIONS_INDEXED, Point.MARK_COMMITTED]
)
def test_a_fault_while_indexing_loses_nothing(place: Path, point: Point) -> None:
    fault = Fault()
    place.mkdir()
    provider = SqliteProvider(
        place, signer_of(NOTARY), SEAL_KEY, START, indexing=FEW, reached=fault.reached
    )
    desk = Desk(provider)
    held = [desk.issue()[0] for _ in range(9)]
    made = [desk.workshop.make([each]) for each in held]
    for each in made:
        desk.commit(each)
    fault.at = point
    desk.ask_all([desk.workshop.make() for _ in range(5)])
    assert fault.met == 1
    for each in made:
        desk.commit(each)
    assert all(isinstance(desk.ask(desk.workshop.make([each])), Conflict) for each in held)
    provider.close()


def test_a_background_thread_gives_the_same_answers(place: Path) -> None:
    desk = Desk(sqlite_in(place, Indexing(every=20, slice_rows=7, background=True)))
    story = Story(desk)
    for _ in range(3):
        desk.fill(30)
        told = story.ask(desk)
        assert [type(each) for each in told] == [type(each) for each in story.told]
    story.told = story.ask(desk)
    desk.provider.close()
    again = Desk(sqlite_in(place))
    assert story.ask(again) == story.told
    again.provider.close()
    with closing(sqlite3.connect(place / "index.db")) as db:
        assert db.execute("SELECT n FROM mark").fetchone()[0] >= 60


def test_while_a_stretch_is_being_indexed_it_is_known(place: Path) -> None:
    """The index thread stands still in the middle of a stretch: what it has not moved yet still counts."""
    held_up, go_on = threading.Event(), threading.Event()

    def reached(point: Point) -> None:
        if point == Point.SLICE_INDEXED and not go_on.is_set():
            held_up.set()
            assert go_on.wait(30)

    place.mkdir()
    indexing = Indexing(every=20, slice_rows=2, background=True)
    provider = SqliteProvider(
        place, signer_of(NOTARY), SEAL_KEY, START, indexing=indexing, reached=reached
    )
    desk = Desk(provider)
    made = [desk.workshop.make([desk.issue()[0]]) for _ in range(10)]
    for each in made:
        desk.commit(each)
    assert held_up.wait(30)
    for _ in range(2):
        for each in made:
            desk.commit(each)
            assert isinstance(desk.ask(desk.workshop.make([each.inputs[0]])), Conflict)
        desk.fill(3)
    go_on.set()
    provider.close()


# -- what a start refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log SET id = zeroblob(32) WHERE n = 40",
        "UPDATE log SET at = at + 1 WHERE n = 49",
        "DELETE FROM log WHERE n = 49",
        "DELETE FROM log WHERE n = 45",
        "UPDATE spend SET nullifier = zeroblob(32) WHERE at >> 16 = 49",
        "UPDATE head SET note = replace(note, '50', '51')",
        "UPDATE head SET size = 49",
        "INSERT INTO log SELECT 50, randomblob(32), at, until, 0, seal FROM log WHERE n = 49",
    ],
)
def test_a_start_refuses_a_log_that_is_not_its_checkpoints(place: Path, change: str) -> None:
    """To go on from there would fork the log under the notary's own signature."""
    desk = Desk(sqlite_in(place))
    (state,) = desk.issue()
    desk.fill(48)
    desk.commit(desk.workshop.make([state]))
    desk.provider.close()
    with closing(sqlite3.connect(place / "log.db")) as db, db:
        assert db.execute(change).rowcount == 1
    with pytest.raises(StoreFailed):
        sqlite_in(place)


@pytest.mark.parametrize("size", [255, 256, 257, 512, 600])
def test_a_restart_at_any_width_of_the_tree_goes_on(place: Path, size: int) -> None:
    desk = Desk(sqlite_in(place))
    desk.fill(size)
    head = desk.provider.head()
    desk.provider.close()
    again = Desk(sqlite_in(place))
    assert (again.provider.head().root, again.provider.head().note) == (head.root, head.note)
    again.workshop = desk.workshop
    again.commit(desk.workshop.make())
    path = again.log.consistency_path(size, again.provider.head())
    assert path
    again.provider.close()


def schema(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {t: [row[1] for row in db.execute(f"PRAGMA table_info({t})")] for t in tables}


def test_what_is_stored_is_what_the_readme_says(place: Path) -> None:
    sqlite_in(place).close()
    assert schema(place / "log.db") == {
        "log": ["n", "id", "at", "until", "spends", "seal"],
        "spend": ["at", "k", "nullifier", "seal"],
        "tile": ["level", "number", "hashes"],
        "head": ["one", "size", "clock", "note", "seal"],
    }
    assert schema(place / "index.db") == {
        "consumed": ["k", "by"],
        "tx": ["until", "id", "n"],
        "mark": ["one", "n", "id"],
    }
