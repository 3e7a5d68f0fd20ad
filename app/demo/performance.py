"""One performance of the demonstration: the network made and started, bundles loaded, the story told and judged."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

from app import samples
from app.demo.killing import Plan, kill_through
from app.demo.leaks import PROOFS, documents_of, leaks, placed_canaries
from app.demo.linking import linking
from app.demo.loading import (
    Chart,
    LeftOut,
    Told,
    charts_in,
    copy_for,
    enrol,
    publish,
    sample_charts,
    too_large,
)
from app.demo.network import DEMO_PASSPHRASE, FOUNDER, NOTARY, DemoNetwork, make_network
from app.demo.people import Person, Registry
from app.demo.processes import Processes, free_ports
from app.demo.proofs import Proofs, offline
from app.demo.story import STEPS, UNPLAYABLE, Finding, Tale, play, same
from app.demo.telling import Teller
from app.demo.town import Town, open_town, settle_patients
from app.node_folder import clock

ADA = "ada"
LEFT_OUT_SHOWN = 10
DOCUMENTS_SOUGHT = 300
READY_SECONDS = 60
PROCESSES = (NOTARY, "mercy", "riverside", "northside", "agent")


class FolderRefused(Exception):
    """The folder has something else in it than an earlier demonstration."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the demonstration is asked for.

    `cases` are the steps at which to kill, and the process; `seed` chooses the moments.
    """

    folder: Path
    bundles: Path | None = None
    check: bool = False
    cases: tuple[tuple[str, str], ...] = ()
    keep: bool = False
    as_json: bool = False
    seed: int = 1

    @property
    def is_judged(self) -> bool:
        return self.check or bool(self.cases)


@dataclass(slots=True)
class Performance:
    """What one performance works with."""

    options: Options
    teller: Teller
    network: DemoNetwork
    processes: Processes
    guests: dict[str, list[Chart]]
    left: list[LeftOut]
    patients: list[Person] = field(default_factory=list)

    @property
    def charts(self) -> list[Chart]:
        return [chart for charts in self.guests.values() for chart in charts]


async def perform(options: Options, teller: Teller) -> None:
    """Give the whole performance; returns when it is over, or is cancelled by Ctrl-C. No process is left behind."""
    began = monotonic()
    with_copies = len(PROCESSES) if options.cases else 0
    guests, left = _guests(options.bundles)
    network = make_network(_fresh(options, teller), free_ports(os.urandom), clock())
    given = [(user, charts[0].given) for user, charts in guests.items()]
    copies = [(f"{ADA}-{number}", samples.ADA.given) for number in range(1, with_copies + 1)]
    people = settle_patients(network, Registry(os.urandom), [*given, *copies])
    teller.say(
        "Starting a notary and four nodes: two hospitals, a laboratory, the patients' agent …",
        "bold",
    )
    async with _running(network, teller) as processes:
        _judge_start(teller, monotonic() - began)
        town = await open_town(network, processes, people, os.urandom)
        show = Performance(options, teller, network, processes, guests, left, people)
        await _play_all(show, town)
        if options.is_judged:
            _judge(
                show,
                "leaks",
                "While the nodes run, no folder holds what it should not.",
                began=monotonic(),
            )
        else:
            await _stay(show, town)
    if options.is_judged:
        _judge(
            show,
            "traces",
            "When they have stopped, neither; and the notary's disk links nothing.",
            began=monotonic(),
        )
        teller.measure("the whole demonstration", monotonic() - began)


def _judge_start(teller: Teller, seconds: float) -> None:
    teller.measure("from the start until all five are ready", seconds)
    found = Finding(
        f"within {READY_SECONDS} s of the start",
        f"{READY_SECONDS} s",
        f"{seconds:.1f} s",
        seconds <= READY_SECONDS,
    )
    words = "A notary and four nodes are ready, each with its own folder, keys and vault."
    teller.step("start", words, [found], seconds, [])


@asynccontextmanager
async def _running(network: DemoNetwork, teller: Teller) -> AsyncIterator[Processes]:
    processes = Processes(network)
    try:
        await processes.start_all()
        yield processes
    finally:
        # Whatever ends us, and whoever presses Ctrl-C again meanwhile: the nodes end first.
        codes = await asyncio.shield(asyncio.ensure_future(processes.stop_all()))
        ended = all(code == 0 for code in codes.values())
        teller.say(f"All nodes have stopped{'' if ended else f': {codes}'}.", "dim")


async def _play_all(show: Performance, town: Town) -> None:
    teller, proofs = (
        show.teller,
        await offline(show.network.trust),
    )
    await _load(show, town)
    if not teller.passed:
        return
    teller.say(f"\nThe story. Proofs are verified in {proofs.how}.", "bold")
    chart = show.guests[ADA][0]
    with teller.bars({f"{chart.given} at Mercy": len(chart.documents)}) as bars:
        (told,) = bars.values()
        tale = _tale(show, town, proofs, ADA, chart)
        tale.told = told
        took = await _tell(tale, teller)
    if show.options.cases and teller.passed:
        await _kill_all(show, town, proofs, took)


async def _tell(tale: Tale, teller: Teller) -> dict[str, float]:
    """Tell the story once, undisturbed; return how long its steps took (s)."""
    took: dict[str, float] = {}
    for step in STEPS:
        tale.lines.clear()
        began = monotonic()
        findings = await play(step, tale)
        took[step.name] = monotonic() - began
        teller.step(step.name, step.words, findings, took[step.name], tale.lines)
        tale.town.processes.check()
        if not all(each.holds for each in findings):
            break  # what follows rests on it
    return took


async def _kill_all(show: Performance, town: Town, proofs: Proofs, took: dict[str, float]) -> None:
    teller, options = show.teller, show.options
    plan = Plan(took, Random(options.seed))  # noqa: S311 - to be repeated
    teller.say("\nThe story again, and again; a process is killed at a step.", "bold")
    teller.say(f"  Moments are drawn from seed {options.seed}.", "dim")
    began = monotonic()
    for number, key in enumerate(PROCESSES, 1):
        steps = frozenset(step for step, process in options.cases if process == key)
        if not steps:
            continue
        chart = copy_for(show.guests[ADA][0], number)
        tale = _tale(show, town, proofs, f"{ADA}-{number}", chart)
        tale.timed = False
        await kill_through(tale, key, steps, plan, teller.kill)
    teller.kill_table()
    teller.measure(f"{len(teller.kills)} kills", monotonic() - began)


def _tale(show: Performance, town: Town, proofs: Proofs, user: str, chart: Chart) -> Tale:
    elsewhere = Chart("riverside", f"RV-{chart.local_name.removeprefix('MH-')}", chart.given, ())
    place = show.network.root / PROOFS
    place.mkdir(mode=0o700, exist_ok=True)
    return Tale(town, f"tale-{user}", user, chart, elsewhere, place, proofs, lambda _: None)


def _guests(bundles: Path | None) -> tuple[dict[str, list[Chart]], list[LeftOut]]:
    """Return the patients by their user ids at the agent, each with her charts; Ada is the first."""
    guests = {each.given.lower(): sample_charts(each) for each in samples.SAMPLE_PATIENTS}
    if bundles is None:
        return guests, []
    charts, left = charts_in(bundles)
    return guests | {f"guest-{number}": [chart] for number, chart in enumerate(charts, 1)}, left


async def _load(show: Performance, town: Town) -> None:
    """Enrol the patients and publish their records; Ada's hospital waits for the story."""
    by_keeper: dict[str, list[tuple[str, Chart]]] = {}
    for user, charts in show.guests.items():
        for chart in charts:
            if (user, chart.custodian) != (ADA, "mercy"):
                by_keeper.setdefault(chart.custodian, []).append((user, chart))
    show.teller.say("Loading bundles of FHIR R4 …", "bold")
    wholes = {
        show.network.member(keeper).title: sum(len(c.documents) - too_large(c) for _, c in charts)
        for keeper, charts in by_keeper.items()
    }
    began = monotonic()
    with show.teller.bars(wholes) as bars:
        titles = [show.network.member(keeper).title for keeper in by_keeper]
        found = await asyncio.gather(
            *(
                _load_at(town, title, theirs, bars[title])
                for title, theirs in zip(titles, by_keeper.values(), strict=True)
            )
        )
    seconds = monotonic() - began
    words = f"{sum(wholes.values())} records of {len(show.guests)} patients are loaded."
    show.teller.step("load", words, found, seconds, [])
    show.teller.measure("loading", seconds)
    large = sum(too_large(chart) for chart in show.charts)
    if large:
        show.teller.say(f"  {large} records are larger than a request and were left out.", "yellow")
    for each in show.left[:LEFT_OUT_SHOWN]:
        show.teller.say(f"  left out of {each.file}: {each.reason}", "yellow")
    if len(show.left) > LEFT_OUT_SHOWN:
        show.teller.say(f"  and {len(show.left) - LEFT_OUT_SHOWN} more", "yellow")


async def _load_at(
    town: Town, title: str, charts: Sequence[tuple[str, Chart]], told: Told
) -> Finding:
    whole = sum(len(chart.documents) - too_large(chart) for _, chart in charts)
    published = 0

    def count(more: int) -> None:
        nonlocal published
        published += more
        told(more)

    try:
        for number, (user, chart) in enumerate(charts):
            key = f"load-{chart.custodian}-{number}"
            await enrol(town, chart, user, key)
            await publish(town, chart, f"{key}-publish", count)
    except UNPLAYABLE as failed:
        return Finding(f"{title} publishes all", str(whole), f"{published}; {failed}", holds=False)
    return same(f"{title} publishes all", whole, published)


def _judge(show: Performance, name: str, words: str, began: float) -> None:
    """Scan all folders; when the nodes have stopped, see what the notary's disk links."""
    placed = placed_canaries(
        show.charts, [each for each in show.patients if each.node.key == "agent" and each.person]
    )
    placed += documents_of(show.charts, DOCUMENTS_SOUGHT)
    findings: list[Finding] = leaks(show.network, placed)
    if name == "traces":
        findings += linking(show.network)
    lines = [f"{len(placed)} texts are looked for, plain, encoded, compressed and hashed."]
    show.teller.step(name, words, findings, monotonic() - began, lines)


async def _stay(show: Performance, town: Town) -> None:
    teller = show.teller
    teller.say("\nAll of it is still here to look at. Everybody in it is invented.\n", "bold")
    teller.accounts(list(town.accounts.values()))
    teller.say(
        f"For commands on a node's folder, such as carecord users: CARECORD_PASSPHRASE='{DEMO_PASSPHRASE}'"
    )
    teller.say(f"Everything lies in {show.network.root}; Ctrl-C ends it.", "bold")
    while True:
        show.processes.check()
        await asyncio.sleep(0.5)


def _fresh(options: Options, teller: Teller) -> Path:
    """Return the folder in which the network shall be made; an earlier demonstration is deleted, or kept aside."""
    folder = options.folder
    if folder.exists():
        if any(folder.iterdir()) and not (folder / FOUNDER).is_dir():
            raise FolderRefused(f"{folder} is no earlier demonstration; nothing there is touched")
        if options.keep:
            aside = folder.with_name(f"{folder.name}-{clock()}")
            folder.rename(aside)
            teller.say(f"The last demonstration is kept in {aside}.", "dim")
        else:
            shutil.rmtree(folder)
            teller.say(
                f"The last demonstration, in {folder}, is deleted: each start is a new network.",
                "dim",
            )
    return folder
