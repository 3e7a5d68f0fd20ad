"""How many transactions a second a notary commits, and per V, the Ed25519 verifications a second of one core.

`python -m tests.benchmarks.bench_notary [--history N] [--requests N] [--in-flight N] [--process] [--profile]`

Two inputs of two creators under one lock key and one reference, uniform over the whole history; SQLite, FULL.
"""

import argparse
import cProfile
import gc
import pstats
import statistics
import tempfile
import threading
import time
from pathlib import Path

from nacl.bindings import crypto_sign, crypto_sign_keypair, crypto_sign_open

from notaries.log import LogSigner
from notaries.request import RequestChecker
from notaries.service import NotaryService
from notaries.signatures import InlineChecker, ProcessChecker
from notaries.sqlite import SqliteProvider
from notaries.uniqueness import Claim, CommitRequest
from states.crypto.ed25519 import Ed25519Signer
from states.notarisation import ANSWER, Committed
from states.receipt import read_receipt
from states.state import TransactionId
from tests.benchmarks.notary_load import START, Held, Network, NotaryKeys, Past, Workshop, history

RUNS = 4
HISTORY_STEP = 10_000
SHOWN = 200


def verifications_a_second(seconds: float = 0.3) -> float:
    public, secret = crypto_sign_keypair()
    message = crypto_sign(bytes(200), secret)
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for _ in range(100):
            crypto_sign_open(message, public)
        count += 100
    return count / (time.perf_counter() - begun)


def as_commit(past: Past, first: int) -> CommitRequest:
    return CommitRequest(
        TransactionId(past.tx),
        START,
        past.until,
        tuple(Claim(tx, first + at << 16 | output) for tx, output, at in past.consumed),
        past.nullifiers,
    )


def prefill(provider: SqliteProvider, first: int, count: int, batch: int = 5_000) -> None:
    """Commit `count` transactions of a made-up history, from log index `first` on."""
    part = [as_commit(each, first) for each in history(count, first)]
    for at in range(0, count, batch):
        provider.commit(part[at : at + batch], START)


def requests_for(
    service: NotaryService, provider: SqliteProvider, workshop: Workshop, past: int, count: int
) -> list[bytes]:
    """Commit creators scattered over a history of `past`, and make requests of what they created.

    Each request consumes outputs of two creators under one lock key, and refers to one of a third.
    """
    keys = [Ed25519Signer(workshop.random.randbytes(32)) for _ in range(16)]
    creators = [
        (at % len(keys), workshop.make(outputs=2, lock_key=keys[at % len(keys)]))
        for at in range(count + SHOWN)
    ]
    workshop.random.shuffle(creators)
    steps = -(-past // HISTORY_STEP)
    share = -(-len(creators) // steps)
    held: list[tuple[int, tuple[Held, ...]]] = []
    for step in range(steps):
        prefill(provider, provider.head().size, min(HISTORY_STEP, past - step * HISTORY_STEP))
        for low in range(step * share, min((step + 1) * share, len(creators)), 500):
            part = creators[low : min(low + 500, (step + 1) * share)]
            answers = service.answer_all([each.asked() for _, each in part])
            for (owner, each), answer in zip(part, answers, strict=True):
                told = ANSWER.decode(answer)
                assert isinstance(told, Committed), told
                at = read_receipt(told.receipt).index
                held.append((owner, tuple(output.placed(at) for output in each.outputs)))
    workshop.random.shuffle(held)
    shown, rest = held[:SHOWN], held[SHOWN:]
    asked = []
    for number, key in enumerate(keys):
        group = [outputs for mine, outputs in rest if mine == number]
        for one, other in zip(group, [*group[1:], group[0]], strict=True):
            _, seen = workshop.random.choice(shown)
            inputs = (one[0], other[1])
            asked.append(workshop.make(inputs, seen[:1], outputs=2, lock_key=key).asked())
    workshop.random.shuffle(asked)
    return asked


def run(
    service: NotaryService, notary: NotaryKeys, asked: list[bytes], in_flight: int
) -> list[float]:
    """A closed loop: `in_flight` questions are always waiting or being answered. Returns latencies."""
    done = threading.Event()
    left, latencies, lock = iter(asked), list[float](), threading.Lock()

    def ask() -> None:
        with lock:
            data = next(left, None)
        if data is None:
            return
        begun = time.perf_counter()

        def answered(answer: bytes) -> None:
            latencies.append(time.perf_counter() - begun)
            assert b"committed/1" in answer[:20], answer
            if len(latencies) == len(asked):
                done.set()
            ask()

        service.submit(notary.party, data, answered)

    for _ in range(in_flight):
        ask()
    assert done.wait(120), f"{len(latencies)} of {len(asked)} answers"
    return latencies


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--history", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=8_000)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--process", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--low", type=int, default=200)
    options = parser.parse_args()
    notary = NotaryKeys(1, "notary.load.example")
    network = Network((notary,))
    signer = LogSigner("notary.load.example", notary.log_key, notary.cosigner_key)
    checker = RequestChecker(notary.party, network.parameters.network, lambda: network.history)
    with tempfile.TemporaryDirectory() as directory:
        provider = SqliteProvider(Path(directory), signer, bytes(32), START)
        signatures = ProcessChecker() if options.process else InlineChecker()
        service = NotaryService(checker, provider, signer, lambda: START, signatures=signatures)
        workshop = Workshop(network, notary.party)
        count = options.requests + options.low
        asked = requests_for(service, provider, workshop, options.history, count)
        gc.collect()
        gc.freeze()
        if options.profile:
            profiled(service, asked)
        else:
            measured(service, notary, asked, options)
        provider.close()


def profiled(service: NotaryService, asked: list[bytes]) -> None:
    profile = cProfile.Profile()
    profile.enable()
    for low in range(0, 2_000, 200):
        service.answer_all(asked[low : low + 200])
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(35)


def measured(
    service: NotaryService, notary: NotaryKeys, asked: list[bytes], options: argparse.Namespace
) -> None:
    service.start()
    alone = [lat for each in asked[: options.low] for lat in run(service, notary, [each], 1)]
    rates, yards, latencies = [], [verifications_a_second()], []
    step = options.requests // RUNS
    for at in range(options.low, options.low + step * RUNS, step):
        begun = time.perf_counter()
        latencies += run(service, notary, asked[at : at + step], options.in_flight)
        rates.append(step / (time.perf_counter() - begun))
        yards.append(verifications_a_second())
    service.stop()
    rate, yard = statistics.median(rates), statistics.median(yards)
    print(  # noqa: T201
        f"history {options.history} in flight {options.in_flight}: {rate:.0f}/s of V {yard:.0f} = {rate / yard:.2f}"
        f" (runs {min(rates):.0f}-{max(rates):.0f}, V {min(yards):.0f}-{max(yards):.0f});"
        f" p50 {statistics.median(latencies) * 1e3:.1f} ms; alone p50 {statistics.median(alone) * 1e3:.2f} ms"
    )


if __name__ == "__main__":
    main()
