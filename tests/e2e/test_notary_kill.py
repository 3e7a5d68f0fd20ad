"""A notary is killed at every write, by SIGKILL: what was promised stands, nothing is half done."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from app.bench.workshop import START, Held, Made, Workshop
from notaries.audit import audit_log
from notaries.database_audit import audit_database
from notaries.log import LogSigner, ServedLog
from notaries.sqlite import Indexing, SqliteProvider
from notaries.sqlite_log import Point
from states.checkpoint import VerifiedCheckpoint, advance
from states.encoding import encode
from states.notarisation import (
    ANSWER,
    Answer,
    Committed,
    Conflict,
    ConsumedState,
    Never,
    StatusRequest,
    WindowClosed,
    spender_hash,
)
from states.receipt import ReceiptVerifier, VerifiedReceipt
from tests.e2e.notary_child import LENGTH_SIZE, NETWORK, NOTARY, SEAL_KEY

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
KEYS = NOTARY.info.log_keys
BATCH = 6
decode_told = msgspec.msgpack.Decoder(list[bytes]).decode


class Killed(Exception):
    """The child is gone; what it was asked last was not answered."""


class Child:
    """A running notary."""

    def __init__(
        self, place: Path, point: str = "", passing: int = 1, index: str = "inline"
    ) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.e2e.notary_child",
            str(place),
            point,
            str(passing),
            index,
        ]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout

    def ask(self, asked: list[bytes], now: int = START) -> list[Answer]:
        data = msgspec.msgpack.encode((now, asked))
        try:
            self._in.write(len(data).to_bytes(LENGTH_SIZE) + data)
            self._in.flush()
        except BrokenPipeError:
            raise Killed from None
        length = self._out.read(LENGTH_SIZE)
        if len(length) < LENGTH_SIZE:
            raise Killed
        return [ANSWER.decode(each) for each in decode_told(self._out.read(int.from_bytes(length)))]

    def end(self) -> int:
        with suppress(BrokenPipeError):  # it died with our last words in the pipe
            self._in.close()
        code = self.process.wait(30)
        self._out.close()
        return code


@contextmanager
def running(
    place: Path, point: str = "", passing: int = 1, index: str = "inline"
) -> Iterator[Child]:
    child = Child(place, point, passing, index)
    try:
        yield child
    except BaseException:
        child.process.kill()
        raise
    finally:
        child.end()


class Witness:
    """Remembers everything that the notary ever promised, and holds it to that."""

    def __init__(self, seed: int) -> None:
        self.workshop = Workshop(NETWORK, NOTARY.party, seed)
        self.random = random.Random(seed)
        self.promised: dict[bytes, tuple[Made, VerifiedReceipt]] = {}
        self.checkpoint: VerifiedCheckpoint | None = None
        self.free: list[Held] = []
        self.receipts = ReceiptVerifier(KEYS)
        self.closed: list[Made] = []
        self.in_flight: list[Made] = []

    def batch(self) -> list[Made]:
        """Some without inputs, some that consume, one that refers."""
        made = [self.workshop.make(outputs=2) for _ in range(BATCH)]
        for at in range(0, min(BATCH - 1, len(self.free)), 2):
            state = self.free.pop(self.random.randrange(len(self.free)))
            reference = [self.random.choice(self.free)] if self.free else []
            made[at] = self.workshop.make([state], reference, outputs=2)
        return made

    def take(self, made: Made, answer: Answer) -> VerifiedReceipt:
        assert isinstance(answer, Committed), answer
        proven = self.receipts.verify(made.built.id, answer.receipt)
        known = self.promised.get(made.built.id)
        if known is None:
            self.free += [held.placed(proven.index) for held in made.outputs]
        else:
            assert (proven.index, proven.entry) == (known[1].index, known[1].entry)
        self.promised[made.built.id] = made, proven
        if (
            self.checkpoint is None
            or proven.checkpoint.checkpoint.size > self.checkpoint.checkpoint.size
        ):
            self.checkpoint = proven.checkpoint
        return proven

    def run(self, child: Child, batches: int) -> None:
        """Ask batch after batch; raises Killed with the unanswered one in `in_flight`."""
        for _ in range(batches):
            self.in_flight = self.batch()
            answers = child.ask([each.asked() for each in self.in_flight])
            for made, answer in zip(self.in_flight, answers, strict=True):
                self.take(made, answer)
            self.in_flight = []

    def settle(self, child: Child) -> int:
        """After a restart all that was promised stands; the batch in flight is there whole, or not at all.

        Returns how much of it was there.
        """
        for made, _ in list(self.promised.values()):
            self.take(made, child.ask([made.asked()])[0])
        there = 0
        if self.in_flight:
            asked = [encode(StatusRequest(m.built.id, m.window.until_time)) for m in self.in_flight]
            answers = child.ask(asked)
            there = sum(isinstance(each, Committed) for each in answers)
            assert there in (0, len(self.in_flight)), "half a batch is in the log"
            for made, answer in zip(
                self.in_flight, child.ask([m.asked() for m in self.in_flight]), strict=True
            ):
                self.take(made, answer)
            self.in_flight = []
        for made in self.closed:
            assert isinstance(child.ask([made.asked()], START)[0], WindowClosed)
        self.probe(child)
        return there

    def probe(self, child: Child) -> None:
        """Everything consumed is consumed, by whom the receipts say; the rest is free."""
        for made, _ in list(self.promised.values()):
            for held in made.inputs:
                rival = self.workshop.make([held])
                told = child.ask([rival.asked()])[0]
                assert told == Conflict((ConsumedState(held.ref, spender_hash(made.built.id)),))

    def inspect(self, place: Path) -> None:
        """Audit what lies on the disk, and demand that the log goes on from what was seen."""
        assert audit_database(place / "log.db", place / "index.db", KEYS, SEAL_KEY) == []
        signer = LogSigner(NOTARY.origin, NOTARY.log_key, NOTARY.cosigner_key)
        provider = SqliteProvider(
            place, signer, SEAL_KEY, START, indexing=Indexing(background=False)
        )
        log, head = ServedLog(provider), provider.head()
        assert audit_log(log.serve, KEYS).findings == ()
        assert head.size == len(self.promised), "nothing is in the log that nobody asked for"
        known = self.checkpoint
        assert known is not None
        path = log.consistency_path(known.checkpoint.size, head)
        assert advance(known, KEYS.open(head.note), path).checkpoint.size == head.size
        provider.close()


BEFORE_COMMIT = (
    Point.HEAD_LOCKED,
    Point.LOG_WRITTEN,
    Point.SPENDS_WRITTEN,
    Point.TILES_WRITTEN,
    Point.HEAD_WRITTEN,
)
AFTER_COMMIT = (
    Point.COMMITTED,
    Point.ADVANCED,
    Point.SLICE_INDEXED,
    Point.TRANSACTIONS_INDEXED,
    Point.MARK_COMMITTED,
    Point.WAL_MOVED,
)


@pytest.mark.parametrize("point", [*BEFORE_COMMIT, *AFTER_COMMIT])
def test_killed_at_any_write_the_notary_keeps_its_word(tmp_path: Path, point: Point) -> None:
    witness = Witness(len(point))
    with running(tmp_path) as child:
        witness.run(child, 3)
    for passing in (1, 2):
        with running(tmp_path, point, passing) as child:
            with pytest.raises(Killed):
                witness.run(child, 30)
            assert child.process.wait(30) == -signal.SIGKILL
        with running(tmp_path) as child:
            there = witness.settle(child)
            assert there == (0 if point in BEFORE_COMMIT else BATCH)
        witness.inspect(tmp_path)


def test_every_point_is_killed_at() -> None:
    assert {*BEFORE_COMMIT, *AFTER_COMMIT, Point.CLOCK_WRITTEN} == set(Point)


def test_killed_before_it_could_promise_that_a_window_is_closed(tmp_path: Path) -> None:
    witness = Witness(1)
    late = witness.workshop.make(opens=START, length=1_000)
    status = encode(StatusRequest(late.built.id, late.window.until_time))
    with running(tmp_path, Point.CLOCK_WRITTEN) as child:
        witness.run(child, 1)
        with pytest.raises(Killed):
            child.ask([status], START + 1_000)
    with running(tmp_path) as child:
        witness.take(late, child.ask([late.asked()], START)[0])  # nobody was told otherwise
        other = witness.workshop.make(opens=START, length=2_000)
        assert child.ask([encode(StatusRequest(other.built.id, START + 2_000))], START + 2_000) == [
            Never()
        ]
        child.process.kill()
    with running(tmp_path) as child:
        assert isinstance(child.ask([other.asked()], START)[0], WindowClosed)
        witness.closed.append(other)
        witness.settle(child)
    witness.inspect(tmp_path)


def test_killed_at_any_moment_again_and_again(tmp_path: Path) -> None:
    """No named point: a timer in this process kills, also while the index thread is at work."""
    witness = Witness(2)
    survived = 0
    for turn in range(8):
        with running(tmp_path, index="thread") as child:
            witness.settle(child)
            before = len(witness.promised)
            timer = threading.Timer(0.002 + witness.random.random() * 0.15, child.process.kill)
            timer.start()
            with pytest.raises(Killed):
                witness.run(child, 400)
            timer.join()
            survived += len(witness.promised) - before
        assert turn == 0 or survived
    with running(tmp_path) as child:
        witness.settle(child)
    witness.inspect(tmp_path)
