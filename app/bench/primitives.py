"""What this machine does at this moment: signatures verified, hashes made, syncs done. All else is compared to it."""

import os
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import mean, median
from time import perf_counter

from nacl.bindings import crypto_sign, crypto_sign_keypair, crypto_sign_open

from app.bench.result import Result, Target

MESSAGE = bytes(200)
PAGE = bytes(4_096)
BURST_S = 0.15  # long enough to even out the scheduler, short enough to sit between all segments


def _rate(work: Callable[[], object], at_once: int, seconds: float) -> float:
    done, begun = 0, perf_counter()
    while (gone := perf_counter() - begun) < seconds:
        for _ in range(at_once):
            work()
        done += at_once
    return done / gone


class Yardstick:
    """Times the primitives, in short bursts, and keeps what it found.

    V is Ed25519 verifications a second of 200 bytes on one core (`crypto_sign_open`). The machine's speed swings, so
    a segment is compared with the bursts just before and just after it.
    """

    def __init__(self, folder: Path, burst_s: float = BURST_S) -> None:
        public, secret = crypto_sign_keypair()
        signed = crypto_sign(MESSAGE, secret)
        self._folder, self._burst_s = folder, burst_s
        self._verify = lambda: crypto_sign_open(signed, public)
        self._found: dict[str, list[float]] = {}

    def verifications(self) -> float:
        """Return V, now."""
        return self._keep("V", _rate(self._verify, 50, self._burst_s))

    def all(self) -> None:
        """Time every primitive once."""
        self.verifications()
        self._keep("sha256/s", _rate(lambda: sha256(MESSAGE).digest(), 1_000, self._burst_s))
        with tempfile.TemporaryFile(dir=self._folder) as file:

            def write() -> None:
                os.pwrite(file.fileno(), PAGE, 0)
                os.fdatasync(file.fileno())

            self._keep("fdatasync/s", _rate(write, 1, self._burst_s))

    def medians(self) -> dict[str, float]:
        return {name: round(median(rates), 1) for name, rates in self._found.items()}

    def beside(self, rounds: int, segment: Callable[[], float]) -> "Beside":
        """Run a segment, which returns its rate a second, several times, with V timed around each."""
        rates, ratios, before = list[float](), list[float](), self.verifications()
        for _ in range(rounds):
            rates.append(segment())
            after = self.verifications()
            ratios.append(rates[-1] / mean((before, after)))
            before = after
        return Beside(rates, ratios)

    def _keep(self, name: str, rate: float) -> float:
        self._found.setdefault(name, []).append(rate)
        return rate


class Beside:
    """Rates of several rounds, and the ratio of each to V around it."""

    def __init__(self, rates: list[float], ratios: list[float]) -> None:
        self.rate, self.ratio = median(rates), median(ratios)

    def judge(self, name: str, unit: str, target: Target) -> Result:
        return target.judge(name, self.rate, unit, self.ratio)
