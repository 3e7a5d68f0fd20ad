"""A node at rest: how much memory it holds, and how soon after its start it can work."""

import asyncio
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from app.bench.primitives import Yardstick
from app.bench.result import Result, Target
from app.demo.network import NOTARY, make_network
from app.demo.processes import Processes, free_ports
from app.node import clock

MEMBER = "mercy"


def resident_mb(pid: int) -> float:
    """Return a process's resident memory, in MB; ValueError where the system does not say."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise ValueError("no resident memory is told")
    return int(found[1]) * 1_024 / 1e6


async def _starts(folder: Path, rounds: int) -> tuple[list[float], float]:
    network = make_network(folder, free_ports(os.urandom), clock())
    processes, seconds, resident = Processes(network), list[float](), 0.0
    await processes.start(NOTARY)
    await processes.ready(NOTARY)
    try:
        for _ in range(rounds):
            begun = perf_counter()
            await processes.start(MEMBER)
            await processes.ready(MEMBER)
            seconds.append(perf_counter() - begun)
            resident = max(resident, resident_mb(processes.pid(MEMBER)))
            await processes.kill(MEMBER)
    finally:
        await processes.stop_all()
    return seconds, resident


def measure_resting(_: Yardstick, rounds: int = 3) -> Iterator[Result]:
    """Yield the resident memory of `carecord node` once it is ready, and the seconds until then."""
    with tempfile.TemporaryDirectory(prefix="carecord-bench-") as folder:
        seconds, resident = asyncio.run(_starts(Path(folder) / "town", rounds))
    yield Target("<", 160).judge("a node at rest, resident", resident, "MB")
    yield Target("<", 4).judge("a node, from start to ready", median(seconds), "s")
