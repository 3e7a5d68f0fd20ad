"""Two-party finality: three processes on this machine, real engine, vault, links and notary, every commit durable."""

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from functools import partial
from statistics import median
from time import perf_counter, process_time

import msgspec

from app.assembly import Surroundings
from app.bench.pact import OUTPUTS, MakePact, PactAssembly, allowed_pacts
from app.bench.primitives import Yardstick
from app.bench.result import Result, Target, percentile
from app.bench.town import Notary, Place, Town, town
from app.blobs.memory import MemoryBlobStore
from app.node import DATABASE, OpenFolder, clock
from app.pump import Pump
from app.storage.database import open_database
from app.transport.transport import Transport
from flows.services import Recorded
from flows.store import Status
from flows.turn import TurnResult
from states.state import StateRef

ONE, OTHER = "mercy", "riverside"
DAY_MS = 86_400_000
_read_recorded = msgspec.msgpack.Decoder(Recorded).decode


class Drive(msgspec.Struct, frozen=True, array_like=True, tag="drive"):
    """Make so many pacts, so many of them at a time."""

    count: int
    in_flight: int


class Driven(msgspec.Struct, frozen=True, array_like=True, tag="driven"):
    """How long it took in all, of which on a core, and when each began and was recorded; all in seconds."""

    seconds: float
    busy: float
    each: dict[bytes, tuple[float, float]]


class Ends(msgspec.Struct, frozen=True, array_like=True, tag="ends"):
    """When did this node record what it recorded since it was last asked?"""


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """The moments, by transaction."""

    at: dict[bytes, float]


_read_command = msgspec.msgpack.Decoder(Drive | Ends).decode
_read_driven = msgspec.msgpack.Decoder(Driven).decode
_read_ended = msgspec.msgpack.Decoder(Ended).decode
_encode = msgspec.msgpack.encode


class PactHouse:
    """A member's node that makes pacts with one other; each pact renews an earlier one."""

    def __init__(self, other: str, place: Place) -> None:
        opened = OpenFolder(place.opening)
        self._other = place.parties[other]
        self._notary = opened.map.notaries()[0].party
        self._db = open_database(opened.folders.data / DATABASE)
        given = Surroundings(
            me=opened.me,
            db=self._db,
            keys=opened.keys,
            blobs=MemoryBlobStore(),
            parameters=opened.map.history,
            directory=opened.map,
            party_of=opened.map.party_of_key,
            notary=self._notary,
            clock=clock,
            entropy=os.urandom,
        )
        self._assembly = PactAssembly(given)
        self._pump = Pump(self._assembly, (self._watch,))
        settings = place.opening.transport
        self._transport = Transport(
            opened.credentials, opened.map, settings, self._pump, {}, os.urandom
        )
        self._live: deque[bytes] = deque()  # transactions whose pacts nobody renewed yet
        self._ended: dict[bytes, float] = {}
        self._begun: dict[bytes, float] = {}
        self._each: dict[bytes, tuple[float, float]] = {}
        self._left = 0
        self._done: asyncio.Future[None] | None = None

    async def start(self) -> None:
        await self._transport.start()
        self._pump.start(self._transport)
        for party in (self._notary, self._other):
            self._transport.want(party)

    async def stop(self) -> None:
        self._pump.stop()
        await self._transport.stop()
        self._db.close()

    @property
    def is_ready(self) -> bool:
        return self._transport.is_up(self._notary) and self._transport.is_up(self._other)

    async def answer(self, command: bytes) -> bytes:
        asked = _read_command(command)
        if isinstance(asked, Drive):
            return _encode(await self._drive(asked))
        ended, self._ended = self._ended, {}
        return _encode(Ended(ended))

    async def _drive(self, asked: Drive) -> Driven:
        self._left, self._each = asked.count, {}
        self._done = asyncio.get_running_loop().create_future()
        begun, busy = perf_counter(), process_time()
        for _ in range(min(asked.in_flight, asked.count)):
            self._begin()
        self._pump.wake()
        await self._done
        return Driven(perf_counter() - begun, process_time() - busy, self._each)

    def _begin(self) -> None:
        self._left -= 1
        renewed = self._live.popleft() if self._live else None
        inputs = () if renewed is None else tuple(_output(renewed, at) for at in range(OUTPUTS))
        flow = self._assembly.engine.submit(MakePact(self._other, inputs))
        self._begun[flow] = perf_counter()

    def _watch(self, result: TurnResult) -> None:
        now = perf_counter()
        for flow, status, encoded in result.finished:
            assert status == Status.DONE, self._assembly.engine.flow(flow)
            tx = _read_recorded(encoded).tx
            begun = self._begun.pop(flow, None)
            if begun is None:  # the other one's
                self._ended[tx] = now
                continue
            self._each[tx] = (begun, now)
            self._live.append(tx)
            if self._left:
                self._begin()
            elif not self._begun and self._done is not None:
                self._done.set_result(None)


def _output(tx: bytes, at: int) -> StateRef:
    return StateRef(tx, at)  # type: ignore[arg-type]  # the id of a recorded transaction


# -- what is measured ------------------------------------------------------------------------------

LOADS = ((64, 0.06), (128, 0.08))


def measure_finality(
    yardstick: Yardstick, rounds: int = 5, count: int = 1_000, alone: int = 200
) -> Iterator[Result]:
    """Yield transactions a second under load, and how long one alone takes until both have recorded it."""
    with town(allowed_pacts(clock() - DAY_MS)) as here:
        here.move_in(
            {"notary": Notary, ONE: partial(PactHouse, OTHER), OTHER: partial(PactHouse, ONE)}
        )
        _drive(here, 2 * LOADS[-1][0], LOADS[-1][0])  # enough pacts to renew
        for in_flight, bound in LOADS:
            latencies, busy = list[float](), list[float]()

            def segment(
                in_flight: int = in_flight,
                latencies: list[float] = latencies,
                busy: list[float] = busy,
            ) -> float:
                driven = _drive(here, count, in_flight)
                busy.append(driven.busy / count)
                latencies += [ended - begun for begun, ended in driven.each.values()]
                return count / driven.seconds

            found = yardstick.beside(rounds, segment)
            name = f"two-party finality, {in_flight} in flight"
            yield found.judge(name, "tx/s", Target("≥", bound, "V"))
            yield Result(f"{name}, p50", median(latencies) * 1e3, "ms")
            yield Result(f"{name}, the initiator's core", median(busy) * 1e3, "ms a tx")
        yield from _alone(here, alone)


def _alone(here: Town, count: int) -> Iterator[Result]:
    _ended(here)
    driven = _drive(here, count, 1)
    ends = _ended(here)
    seconds = [max(end, ends[tx]) - begun for tx, (begun, end) in driven.each.items()]
    name = "two-party finality, alone, until both have recorded"
    yield Target("≤", 10).judge(f"{name}, p50", percentile(seconds, 0.5) * 1e3, "ms")
    yield Target("≤", 50).judge(f"{name}, p99", percentile(seconds, 0.99) * 1e3, "ms")


def _drive(here: Town, count: int, in_flight: int) -> Driven:
    return _read_driven(here.ask(ONE, _encode(Drive(count, in_flight))))


def _ended(here: Town) -> dict[bytes, float]:
    return _read_ended(here.ask(OTHER, _encode(Ends()))).at
