"""Steps a second of DBOS Transact on SQLite, printed: what `carecord bench --dbos PYTHON` runs beside our own engine.

A script of its own, for that PYTHON has DBOS and need not have Carecord: `pip install dbos` anywhere. 64 workflows of
20 trivial steps each at a time, every step durable, as in `flow_steps`.
"""

import asyncio
import sys
import tempfile
from time import perf_counter

IN_FLIGHT, STEPS, SECONDS = 64, 20, 8.0


async def measure(folder: str) -> float:
    """Return steps a second."""
    from dbos import DBOS  # type: ignore[import-not-found]  # noqa: PLC0415 - no dependency of ours

    url = f"sqlite:///{folder}/dbos.sqlite"
    config = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    DBOS(config={**config, "run_admin_server": False})

    @DBOS.step()  # type: ignore[untyped-decorator]  # unknown to us
    async def step(number: int) -> int:
        return number

    @DBOS.workflow()  # type: ignore[untyped-decorator]  # unknown to us
    async def work(steps: int) -> int:
        for number in range(steps):
            await step(number)
        return steps

    DBOS.launch()
    try:
        await work(2)
        done, begun = 0, perf_counter()
        while perf_counter() - begun < SECONDS:
            done += sum(await asyncio.gather(*(work(STEPS) for _ in range(IN_FLIGHT))))
        return done / (perf_counter() - begun)
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="carecord-dbos-") as made:
        sys.stdout.write(f"{asyncio.run(measure(made)):.1f}\n")
