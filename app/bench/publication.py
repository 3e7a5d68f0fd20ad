"""Publishing: Observations validated, sealed, stored, notarised and held by custodian and agent; three processes."""

from collections.abc import Iterator
from statistics import median

import msgspec

from app.bench.member import (
    Admit,
    BenchMember,
    Code,
    Offer,
    Opened,
    Publish,
    Read,
    Stamped,
    Stamps,
    Took,
)
from app.bench.primitives import Yardstick
from app.bench.result import Result, Target
from app.bench.town import Notary, Town, town
from states.encoding import encode

CUSTODIAN, AGENT = "mercy", "agent"
LOCAL, PATIENT = "MRN 4711", b"bench-patient-01"
ARRIVAL_POLLS = 20_000
READS = round(500 / 15_000, 4)  # 500 a second where V is 15,000

_read_took = msgspec.msgpack.Decoder(Took).decode
_read_stamped = msgspec.msgpack.Decoder(Stamped).decode
_read_opened = msgspec.msgpack.Decoder(Opened).decode
_read_code = msgspec.msgpack.Decoder(Code).decode


def enrol(here: Town, patient: bytes, custodian: str, local: str) -> None:
    """Let a patient of the agent be one of the custodian's, through both nodes' own flows."""
    code = _read_code(here.ask(custodian, encode(Offer(local)))).code
    here.ask(AGENT, encode(Admit(patient, here.parties[custodian], code)))


def recorded(here: Town, key: str, tx: bytes) -> float:
    """Wait until a resident has recorded a transaction; return when it did."""
    for _ in range(ARRIVAL_POLLS):
        at = _read_stamped(here.ask(key, encode(Stamps()))).at.get(tx)
        if at is not None:
            return at
    raise TimeoutError(f"{key} never recorded the transaction")


def measure_publication(
    yardstick: Yardstick, rounds: int = 4, count: int = 1_000, reads: int = 300
) -> Iterator[Result]:
    """Yield records a second, from the first byte read to the last holder's commit; then records read a second."""
    with town() as here:
        here.move_in({"notary": Notary, CUSTODIAN: BenchMember, AGENT: BenchMember})
        enrol(here, PATIENT, CUSTODIAN, LOCAL)
        sealing, published = list[float](), list[bytes]()

        def segment() -> float:
            took = _read_took(here.ask(CUSTODIAN, encode(Publish(LOCAL, count))))
            published.append(took.tx)
            sealing.append((took.staged - took.begun) / count)
            return count / (recorded(here, AGENT, took.tx) - took.begun)

        def reading() -> float:
            command = Read(published[-1], min(reads, count))
            return command.count / _read_opened(here.ask(CUSTODIAN, encode(command))).seconds

        found = yardstick.beside(rounds, segment)
        opened = yardstick.beside(rounds, reading)
    name = f"Observations published, {count:,} a transaction"
    yield Target("≥", 800).judge(name, found.rate, "records/s", found.ratio)
    name = "of which validating, sealing and storing"
    yield Result(name, median(sealing) * 1e3, "ms a record")
    name = "records read at their custodian, each in the durable log first"
    yield opened.judge(name, "records/s", Target("≥", READS, "V"))
