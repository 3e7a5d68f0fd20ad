"""How many transactions a second a notary commits, by the length of its history.

Two inputs of two creators under one lock key (or two) and one reference, uniform over the whole history, which is the
worst case for a store; SQLite with synchronous=FULL, every check, log and receipts, 200 questions in flight.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from app.bench.primitives import Beside, Yardstick
from app.bench.result import Result, Target, percentile
from app.bench.workshop import START, Held, Network, NotaryKeys, Past, Workshop, history
from app.operations.process import settle_memory
from notaries.log import LogSigner
from notaries.request import RequestChecker
from notaries.service import NotaryService
from notaries.signatures import InlineChecker, ProcessChecker, SignatureChecker
from notaries.sqlite import SqliteProvider
from notaries.uniqueness import Claim, CommitRequest
from states.crypto.ed25519 import Ed25519Signer
from states.notarisation import ANSWER, Committed
from states.receipt import read_receipt
from states.state import TransactionId

IN_FLIGHT = 200
HISTORY_STEP = 10_000  # transactions that are made up, and committed, at a time
COMMIT_AT_ONCE = 5_000
SHOWN = 200  # states that requests refer to
OWNERS = 16
ANSWER_S = 120
ALONE = 200


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked in one measurement: `rounds` segments of `requests`."""

    rounds: int = 5
    requests: int = 1_000

    @property
    def total(self) -> int:
        return self.rounds * self.requests


class Desk:
    """A notary on disk, and those who ask it."""

    def __init__(self, folder: Path) -> None:
        self.keys = NotaryKeys(1, "notary.bench.example")
        self._network = Network((self.keys,))
        self._signer = LogSigner(self.keys.origin, self.keys.log_key, self.keys.cosigner_key)
        self.provider = SqliteProvider(folder, self._signer, bytes(32), START)
        self._workshop = Workshop(self._network, self.keys.party)

    def service(self, signatures: SignatureChecker | None = None) -> NotaryService:
        network = self._network
        checker = RequestChecker(
            self.keys.party, network.parameters.network, lambda: network.history
        )
        return NotaryService(
            checker,
            self.provider,
            self._signer,
            lambda: START,
            signatures=signatures or InlineChecker(),
        )

    # -- a past --------------------------------------------------------------------------------------

    def requests(self, past: int, counts: Sequence[tuple[int, int]]) -> list[list[bytes]]:
        """Let `past` transactions go by, with creators scattered among them, and ask to consume what those created.

        `counts` has, for each load, how many requests it is and under how many lock keys their two inputs are (1, 2).
        """
        draw = self._workshop.random
        keys = [Ed25519Signer(draw.randbytes(32)) for _ in range(OWNERS)]
        owners = [at % OWNERS for at in range(sum(count for count, _ in counts) + SHOWN)]
        draw.shuffle(owners)
        held = list(self._scattered(past, keys, owners))
        draw.shuffle(held)
        shown, rest = held[:SHOWN], held[SHOWN:]
        loads = []
        for count, lock_keys in counts:
            part, rest = rest[:count], rest[count:]
            loads.append(self._asked(part, shown, keys, lock_keys))
        return loads

    def _scattered(
        self, past: int, keys: Sequence[Ed25519Signer], owners: Sequence[int]
    ) -> Iterator[tuple[int, tuple[Held, ...]]]:
        service, steps = self.service(), -(-past // HISTORY_STEP)
        for step in range(steps):
            self._prefill(min(HISTORY_STEP, past - step * HISTORY_STEP))
            mine = owners[len(owners) * step // steps : len(owners) * (step + 1) // steps]
            for low in range(0, len(mine), COMMIT_AT_ONCE // 10):
                part = mine[low : low + COMMIT_AT_ONCE // 10]
                made = [self._workshop.make(outputs=2, lock_key=keys[owner]) for owner in part]
                answers = service.answer_all([each.asked() for each in made])
                for owner, each, answer in zip(part, made, answers, strict=True):
                    told = ANSWER.decode(answer)
                    assert isinstance(told, Committed), told
                    at = read_receipt(told.receipt).index
                    yield owner, tuple(output.placed(at) for output in each.outputs)

    def _prefill(self, count: int) -> None:
        first = self.provider.head().size
        part = [_as_commit(each, first) for each in history(count, first)]
        for at in range(0, count, COMMIT_AT_ONCE):
            self.provider.commit(part[at : at + COMMIT_AT_ONCE], START)

    def _asked(
        self,
        held: Sequence[tuple[int, tuple[Held, ...]]],
        shown: Sequence[tuple[int, tuple[Held, ...]]],
        keys: Sequence[Ed25519Signer],
        lock_keys: int,
    ) -> list[bytes]:
        """Ask for each creator's first output together with the second of a neighbour, of the same owner or not."""
        ordered = sorted(held, key=lambda each: each[0])
        if lock_keys > 1:  # neighbours have the same owner; those half a circle away have not
            half = len(ordered) // 2
            others = ordered[half:] + ordered[:half]
        else:
            others = _next_of_owner(ordered)
        draw, asked = self._workshop.random, list[bytes]()
        for (owner, one), (other_owner, other) in zip(ordered, others, strict=True):
            assert (owner != other_owner) == (lock_keys > 1)
            seen = draw.choice(shown)[1]
            inputs = (one[0], other[1])
            made = self._workshop.make(inputs, seen[:1], outputs=2, lock_key=keys[owner])
            asked.append(made.asked())
        draw.shuffle(asked)
        return asked

    # -- a load --------------------------------------------------------------------------------------

    def segment(self, service: NotaryService, asked: list[bytes]) -> tuple[float, list[float]]:
        """Keep IN_FLIGHT questions waiting until all are answered. Returns seconds, and each one's."""
        done = threading.Event()
        left, latencies, lock = iter(asked), list[float](), threading.Lock()

        def ask() -> None:
            with lock:
                data = next(left, None)
            if data is None:
                return
            begun = perf_counter()

            def answered(answer: bytes) -> None:
                latencies.append(perf_counter() - begun)
                assert b"committed/1" in answer[:20], answer
                ask()
                if len(latencies) == len(asked):
                    done.set()

            service.submit(self.keys.party, data, answered)

        begun = perf_counter()
        for _ in range(min(IN_FLIGHT, len(asked))):
            ask()
        assert done.wait(ANSWER_S), f"{len(latencies)} of {len(asked)} answers"
        return perf_counter() - begun, latencies


def _next_of_owner(
    ordered: Sequence[tuple[int, tuple[Held, ...]]],
) -> list[tuple[int, tuple[Held, ...]]]:
    """Each one's successor of the same owner, in a circle."""
    groups: dict[int, list[tuple[int, tuple[Held, ...]]]] = {}
    for each in ordered:
        groups.setdefault(each[0], []).append(each)
    return [each for group in groups.values() for each in (*group[1:], group[0])]


def _as_commit(past: Past, first: int) -> CommitRequest:
    return CommitRequest(
        TransactionId(past.tx),
        START,
        past.until,
        tuple(Claim(tx, first + at << 16 | output) for tx, output, at in past.consumed),
        past.nullifiers,
    )


# -- what is measured ------------------------------------------------------------------------------


class NotaryBench:
    """One store whose history grows; each length is measured when it is reached."""

    def __init__(self, yardstick: Yardstick, load: Load | None = None) -> None:
        self._yardstick = yardstick
        self._load = load or Load()
        self._ratios: dict[int, float] = {}

    def run(self, consumed: Sequence[int]) -> Iterator[Result]:
        """Measure with so many states consumed (each consumes two: half as many transactions)."""
        with tempfile.TemporaryDirectory(prefix="carecord-bench-") as folder:
            desk = Desk(Path(folder))
            try:
                for length in consumed:
                    yield from self._at(desk, length)
            finally:
                desk.provider.close()
        if len(self._ratios) > 1:
            yield from self._slower_by()

    def _at(self, desk: Desk, length: int) -> Iterator[Result]:
        total, first = self._load.total, not self._ratios
        counts = [(total, 1), *([(total // 2, 2), (total, 1), (ALONE, 1)] if first else [])]
        loads = desk.requests(max(length // 2 - desk.provider.head().size, 1), counts)
        settle_memory()  # as every process does
        one, latencies = self._measure(desk, loads[0])
        self._ratios[length] = one.ratio
        bound = 0.35 if length >= 10_000_000 else 0.4  # noqa: PLR2004
        name = f"notary, one lock key, {length:,} consumed"
        yield one.judge(name, "tx/s", Target("≥", bound, "V"))
        yield Result(f"{name}, p50", percentile(latencies, 0.5) * 1e3, "ms")
        if first:
            two, _ = self._measure(desk, loads[1])
            yield two.judge("notary, two lock keys", "tx/s", Target("≥", 0.28, "V"))
            beside, _ = self._measure(desk, loads[2], ProcessChecker())
            name = "notary, verifying in a second process"
            yield beside.judge(name, "tx/s", Target("≥", 0.5, "V"))
            yield self._alone(desk, loads[3])

    def _measure(
        self, desk: Desk, asked: list[bytes], signatures: SignatureChecker | None = None
    ) -> tuple[Beside, list[float]]:
        service, latencies = desk.service(signatures), list[float]()
        step = len(asked) // self._load.rounds
        parts = iter([asked[low : low + step] for low in range(0, step * self._load.rounds, step)])
        service.start()

        def segment() -> float:
            seconds, each = desk.segment(service, next(parts))
            latencies.extend(each)
            return step / seconds

        found = self._yardstick.beside(self._load.rounds, segment)
        service.stop()
        return found, latencies

    @staticmethod
    def _alone(desk: Desk, asked: list[bytes]) -> Result:
        service = desk.service()
        service.start()
        seconds = [desk.segment(service, [each])[0] for each in asked]
        service.stop()
        return Result("notary, one question alone, p50", percentile(seconds, 0.5) * 1e3, "ms")

    def _slower_by(self) -> Iterator[Result]:
        shortest, *_, longest = sorted(self._ratios)
        value = self._ratios[longest] / self._ratios[shortest]
        name = f"notary, {longest:,} ÷ {shortest:,} consumed"
        yield Target("≥", 0.67).judge(name, value, "of the speed")
