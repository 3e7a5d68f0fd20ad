"""The demonstration as processes: every step as expected, also where a node is killed; nobody is left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from app.demo.story import STEPS
from app.demo.telling import ToldRun

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DEMO_SECONDS = 400.0  # on a machine that does other things; alone it takes half a minute
STOP_SECONDS = 90  # a stop waits for five processes, on cores that others use too
KILLS = ("request:mercy", "revoke:riverside")


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the demonstration; whatever a test does, it and its nodes are gone afterwards."""
    command = [sys.executable, "-m", "app", "demo", "--folder", str(folder), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def nodes_in(folder: Path) -> list[int]:
    """Return the processes of this machine that work in a folder."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                command = (place / "cmdline").read_bytes()
            except OSError:  # it ended meanwhile
                continue
            if os.fsencode(folder) in command and b"--folder" not in command:
                found.append(int(place.name))
    return found


def test_every_step_is_as_expected_also_when_nodes_are_killed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    kills = [part for each in KILLS for part in ("--kill-at", each)]
    with demo(folder, "--check", "--json", *kills) as process:
        out, err = process.communicate(timeout=DEMO_SECONDS)
    assert out, err.decode()
    run = msgspec.json.decode(out, type=ToldRun)
    wrong = [each for step in run.steps for each in step.findings if not each.holds]
    assert not wrong
    assert [(kill.step, kill.process, kill.found) for kill in run.kills] == [
        (*each.split(":"), "") for each in KILLS
    ]
    names = [step.name for step in run.steps]
    assert names == ["start", "load", *(step.name for step in STEPS), "leaks", "traces"]
    assert (process.returncode, run.passed) == (0, True)
    assert nodes_in(folder) == []


VARIES = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d+(?= ms)|[\d,]+(?= bytes)"
    r"|(?<=for treatment ).*|(?<=what: ).*|(?<=\), in ).*|(?<=no network).*"
)
"""Moments, sizes of proofs, which reading is first, and how this machine keeps a process from the network."""


def stable(text: str) -> list[str]:
    """Return the lines that are the same in every run."""
    lines = (VARIES.sub("~", line.strip()) for line in text.splitlines())
    return [line for line in lines if line not in ("", "\N{HORIZONTAL ELLIPSIS}")]


def test_the_readme_shows_what_it_prints(tmp_path: Path) -> None:
    told = (ROOT / "README.md").read_text("utf-8").split("```")
    shown = stable(next(each for each in told if "Starting a notary" in each))
    with demo(tmp_path / "demo", "--check") as process:
        out, err = process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 0, err.decode()
    printed = iter(stable(out.decode()))
    missing = [line for line in shown if line not in printed]  # each after the one before
    assert missing == []
    assert len(shown) > 50


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with demo(tmp_path, "--check") as process:
        _, err = process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 2
    assert "nothing there is touched" in err.decode()
    assert (tmp_path / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_leaves_no_node_behind_however_it_ends(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "demo"
    with demo(folder) as process:
        await_nodes(folder, 5)
        process.send_signal(number)
        process.communicate(timeout=STOP_SECONDS)
        await_nodes(folder, 0)


def await_nodes(folder: Path, count: int) -> None:
    until = time.monotonic() + STOP_SECONDS
    while len(nodes_in(folder)) != count:
        assert time.monotonic() < until, nodes_in(folder)
        time.sleep(0.1)
