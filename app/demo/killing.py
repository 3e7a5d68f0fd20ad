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
class Plan:
    """When to kill. `took`: how long the steps last undisturbed (s)."""

    took: Mapping[str, float]
    random: Random


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
    steps: frozenset[str],
    plan: Plan,
    told: Callable[[Kill], None],
) -> None:
    """Play the whole story, and kill `process` once at each of these steps."""
    for step in STEPS:
        kill = await _at_step(step, tale, process if step.name in steps else None, plan)
        if kill.process or not kill.holds:
            told(kill)
        if not kill.holds:
            return  # what follows rests on it


async def _at_step(step: Step, tale: Tale, process: str | None, plan: Plan) -> Kill:
    """Play a step and kill a process, or none, meanwhile."""
    nodes = tale.town.processes
    began = monotonic()
    playing = asyncio.create_task(play(step, tale))
    moment = "not at all"
    after = 0.0
    if process is not None:
        usual = plan.took.get(step.name, 0.0)
        await asyncio.wait({playing}, timeout=plan.random.uniform(0, max(usual, BRIEF_SECONDS)))
        moment = "after " if playing.done() else "during"
        after = monotonic() - began
        await nodes.kill(process)
        await nodes.start(process)
    try:
        findings = await playing
        if process is not None:
            await nodes.ready(process)
    except NodeFailed as failed:
        playing.cancel()
        findings = [Finding("the node starts again", "ready", str(failed), holds=False)]
    wrong = [f"{each.claim}: {each.found}" for each in findings if not each.holds]
    return Kill(
        step=step.name,
        process=process or "",
        moment=moment,
        after_ms=after * 1_000,
        seconds=monotonic() - began,
        holds=not wrong,
        found="; ".join(wrong)[:FOUND_CHARS_MAX],
    )
