"""What the demonstration says: to a person in plain words with Rich, to a program as one JSON document at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from app.demo.client import HOST
from app.demo.killing import Kill
from app.demo.loading import Told
from app.demo.network import DemoNode
from app.demo.story import Finding
from app.demo.town import Account

WIDTH = 110
ACCOUNTS_SHOWN = 8


class ToldStep(msgspec.Struct, frozen=True):
    """A step in the report."""

    name: str
    words: str
    seconds: float
    findings: tuple[Finding, ...]


class ToldRun(msgspec.Struct, frozen=True, rename="camel"):
    """The report for programs."""

    passed: bool
    steps: tuple[ToldStep, ...]
    kills: tuple[Kill, ...]
    measures: dict[str, float]


@dataclass(slots=True)
class Teller:
    """Tells as it happens, and remembers for the end. `quiet`: nothing but the JSON document."""

    quiet: bool
    console: Console = field(default_factory=Console)
    steps: list[ToldStep] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.console = Console(quiet=self.quiet, width=None if self.console.is_terminal else WIDTH)

    @property
    def passed(self) -> bool:
        found = [each.holds for step in self.steps for each in step.findings]
        return all(found) and all(kill.holds for kill in self.kills)

    def say(self, words: str, style: str = "") -> None:
        self.console.print(Text(words, style=style))

    def measure(self, name: str, seconds: float) -> None:
        """Note how long something took, and say so."""
        self.measures[name] = round(seconds, 3)
        self.say(f"  {name}: {seconds:.1f} s", "dim")

    def step(
        self,
        name: str,
        words: str,
        findings: Sequence[Finding],
        seconds: float,
        lines: Sequence[str],
    ) -> None:
        """Tell of a step that was played: what happened, and what of it is not as expected."""
        self.steps.append(ToldStep(name, words, round(seconds, 3), tuple(findings)))
        self.say(f"\n{len(self.steps):2}. {words}", "bold")
        for line in lines:
            self.say(f"    {line}", "cyan")
        for each in findings:
            if each.holds:
                self.say(f"    \N{CHECK MARK} {each.claim}", "green")
            else:
                self.say(f"    \N{BALLOT X} {each.claim}", "bold red")
                self.say(f"      expected: {each.expected}\n      found:    {each.found}", "red")

    def kill(self, kill: Kill) -> None:
        """Tell of a process that was killed while a step was played."""
        self.kills.append(kill)
        verdict = "the step was completed" if kill.holds else f"FAILED: {kill.found}"
        words = f"  {kill.step:9} {kill.process:10} killed {kill.moment} at {kill.after_ms:6.0f} ms"
        self.say(
            f"{words}; {kill.seconds:5.1f} s; {verdict}", "green" if kill.holds else "bold red"
        )

    @contextmanager
    def bars(self, wholes: dict[str, int]) -> Iterator[dict[str, Told]]:
        """Show a progress bar for each name; yields what moves them."""
        columns = (TextColumn("  {task.description:22}"), BarColumn(40), MofNCompleteColumn())
        with Progress(*columns, TextColumn("records"), console=self.console) as progress:
            tasks = {name: progress.add_task(name, total=whole) for name, whole in wholes.items()}
            yield {name: partial(progress.advance, task) for name, task in tasks.items()}

    def accounts(self, accounts: Sequence[Account]) -> None:
        """Print where everybody signs in, with password and token, on lines that can be copied."""
        by_node: dict[DemoNode, list[Account]] = {}
        for each in accounts:
            by_node.setdefault(each.person.node, []).append(each)
        for node, here in by_node.items():
            url = f"http://{HOST}:{node.http_port}"
            self.say(f"{node.title}   GraphiQL {url}/graphiql   API {url}/graphql", "bold")
            for each in here[:ACCOUNTS_SHOWN]:
                person = each.person
                who = f"  {person.shown_as}, {person.role.value}: user {person.user}"
                self.say(f"{who}, password {person.password}")
                self.say(f"    Authorization: Bearer {each.client.token}", "dim")
            if len(here) > ACCOUNTS_SHOWN:
                self.say(f"  and {len(here) - ACCOUNTS_SHOWN} more")

    def kill_table(self) -> None:
        """Print what was killed when."""
        processes = sorted({kill.process for kill in self.kills})
        steps = list(dict.fromkeys(kill.step for kill in self.kills))
        table = Table(title="Killed (SIGKILL) at each step, each process", title_justify="left")
        for heading in ("step", *processes):
            table.add_column(heading)
        for step in steps:
            row = [step]
            for process in processes:
                there = [k for k in self.kills if (k.step, k.process) == (step, process)]
                row.append(" ".join("completed" if kill.holds else "FAILED" for kill in there))
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table)

    def verdict(self) -> None:
        """Print the last line; for programs, the document."""
        if self.quiet:
            run = ToldRun(self.passed, tuple(self.steps), tuple(self.kills), self.measures)
            print(msgspec.json.format(msgspec.json.encode(run)).decode())  # noqa: T201 - the answer
            return
        found = [each for step in self.steps for each in step.findings]
        held = sum(each.holds for each in found)
        words = f"\n{held} of {len(found)} expectations hold"
        if self.kills:
            words += f"; {sum(k.holds for k in self.kills)} of {len(self.kills)} killed steps were completed"
        self.say(words + ".", "bold green" if self.passed else "bold red")
