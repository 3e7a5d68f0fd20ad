"""The story again, while nodes are killed: at each step each process once, at a moment that a seed chooses."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from time import monotonic

from app.demo.processes import NodeFailed
from app.demo.story import STEPS, Finding, Step, Tale, play

BRIEF_SECONDS = 0.05
FOUND_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Kill:
    """A process killed at a step. `moment`: during the step, or just after it had ended."""

    step: str
    process: str
    moment: str
    after_ms: float
    seconds: float
    holds: bool
    found: str


async def kill_through(
    tale: Tale,
    process: str,
    took: Mapping[str, float],
    random: Random,
    told: Callable[[Kill], None],
) -> None:
    """Play the whole story, and kill `process` once at each step. `took`: how long steps last undisturbed (s)."""
    for step in STEPS:
        kill = await _at_step(step, tale, process, took.get(step.name, 0.0), random)
        told(kill)
        if not kill.holds:
            return  # what follows rests on it


async def _at_step(step: Step, tale: Tale, process: str, usual: float, random: Random) -> Kill:
    nodes = tale.town.processes
    after = random.uniform(0, max(usual, BRIEF_SECONDS))
    began = monotonic()
    playing = asyncio.create_task(play(step, tale))
    await asyncio.wait({playing}, timeout=after)
    moment = "after " if playing.done() else "during"
    killed = monotonic()
    await nodes.kill(process)
    await nodes.start(process)
    try:
        findings = await playing
        await nodes.ready(process)
    except NodeFailed as failed:
        playing.cancel()
        findings = [Finding("the node starts again", "ready", str(failed), holds=False)]
    wrong = [f"{each.claim}: {each.found}" for each in findings if not each.holds]
    return Kill(
        step=step.name,
        process=process,
        moment=moment,
        after_ms=(killed - began) * 1_000,
        seconds=monotonic() - began,
        holds=not wrong,
        found="; ".join(wrong)[:FOUND_CHARS_MAX],
    )
