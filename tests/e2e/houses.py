"""A network of real processes on this machine: started, asked, stopped and killed by a test."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec
import pytest

from app.cli.api import Api
from app.cli.application import main
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, DemoNode, make_network
from app.node_folder import clock
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0  # wall time, on a machine that may be busy with other tests
STOP_SECONDS = 15.0
PASSWORD = "a password for one test"


class Processes:
    """The nodes of a network, each a process of its own."""

    def __init__(self, root: Path) -> None:
        self.network: DemoNetwork = make_network(root, free_port, clock())
        self.environment = {
            **os.environ,
            "CARECORD_PASSPHRASE": DEMO_PASSPHRASE,
            "CARECORD_PASSWORD": PASSWORD,
        }
        self.cpu_at_ready: dict[str, float] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def node(self, key: str) -> DemoNode:
        return next(node for node in self.network.nodes if node.key == key)

    def log(self, key: str) -> Path:
        return self.network.root / f"{key}.log"

    def start(self, key: str) -> None:
        node = self.node(key)
        command = "notary" if node.kind == "notary" else "node"
        with self.log(key).open("ab") as log:
            self._running[key] = subprocess.Popen(
                [sys.executable, "-m", "app", command, str(node.folder)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def await_ready(self, key: str) -> None:
        until = time.monotonic() + READY_SECONDS
        while self.status(key, "/ready") != 200:
            assert self._running[key].poll() is None, self.log(key).read_text()[-2_000:]
            assert time.monotonic() < until, f"{key} is not ready"
            time.sleep(0.05)
        self.cpu_at_ready[key] = cpu_seconds(self.pid(key))

    def status(self, key: str, path: str) -> int:
        """Return the status of an answer; 0 where there is none."""
        return self.get(key, path)[0]

    def get(self, key: str, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.node(key).http_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def pid(self, key: str) -> int:
        return self._running[key].pid

    def kill(self, key: str) -> None:
        process = self._running.pop(key)
        process.kill()
        process.wait(STOP_SECONDS)

    def stop(self, key: str, how: signal.Signals = signal.SIGTERM) -> int:
        process = self._running.pop(key)
        process.send_signal(how)
        return process.wait(STOP_SECONDS)

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait(STOP_SECONDS)
        self._running.clear()

    def command(self, *arguments: str, code: int = 0) -> dict[str, object]:
        """Run `carecord …` in this process; return what it printed as JSON, or nothing."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in self.environment.items():
                patch.setenv(name, value)
            ended = main(arguments)
        text = out.getvalue()
        assert ended == code, (ended, text, err.getvalue())
        printed: dict[str, object] = json.loads(text) if text[:1] == "{" else {}
        return printed

    def run(self, *arguments: str) -> int:
        """Run `carecord …` as a process of its own; return its exit code."""
        command = [sys.executable, "-m", "app", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, timeout=60, check=False
        ).returncode

    @contextmanager
    def signed_in(self, key: str, user: str) -> Iterator[Api]:
        api = Api(f"http://127.0.0.1:{self.node(key).http_port}")
        api.sign_in(user, PASSWORD)
        try:
            yield api
        finally:
            api.close()


def await_true(what: str, ask: Callable[[], bool], seconds: float = 45.0) -> None:
    until = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# -- what is asked of the API ------------------------------------------------------------------------


class Thing(msgspec.Struct, frozen=True):
    id: str


class Named(msgspec.Struct, frozen=True):
    id: str
    did: str


class Parties(msgspec.Struct, frozen=True):
    class Page(msgspec.Struct, frozen=True):
        nodes: tuple[Named, ...]

    parties: Page


class Payload(msgspec.Struct, frozen=True, rename="camel"):
    flow: Thing | None
    user_errors: tuple[object, ...]


class Started(msgspec.Struct, frozen=True):
    payload: Payload


class Code(msgspec.Struct, frozen=True):
    class Shown(msgspec.Struct, frozen=True):
        code: str | None

    shown: Shown


class Flow(msgspec.Struct, frozen=True):
    class Node(msgspec.Struct, frozen=True):
        status: str

    node: Node


class Input(msgspec.Struct, frozen=True):
    input: dict[str, str]


class Id(msgspec.Struct, frozen=True):
    id: str


def start_flow(api: Api, mutation: str, sent: dict[str, str]) -> str:
    kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
    text = (
        f"mutation Start($input: {kind}) {{ payload: {mutation}(input: $input)"
        " { flow { id } userErrors { message } } }"
    )
    payload = api.ask(Started, text, Input(sent)).payload
    assert payload.flow is not None, payload.user_errors
    return payload.flow.id


def await_done(api: Api, flow: str) -> None:
    text = "query Flow($id: ID!) { node(id: $id) { ... on Flow { status } } }"
    await_true("a flow is done", lambda: api.ask(Flow, text, Id(flow)).node.status == "DONE", 45.0)


def enrol(houses: Processes, custodian: str, staff: str, patient: str, local: str) -> None:
    """Enrol a patient of the agent at a custodian, both by the API: a code at the desk, taken to the agent."""
    with houses.signed_in(custodian, staff) as desk, houses.signed_in("agent", patient) as agent:
        sent = {"idempotencyKey": f"offer-{local}", "localName": local}
        offer = start_flow(desk, "offerEnrolment", sent)
        await_done(desk, offer)
        text = (
            "mutation Show($input: ShowEnrolmentCodeInput!)"
            " { shown: showEnrolmentCode(input: $input) { code } }"
        )
        code = desk.ask(Code, text, Input({"flow": offer})).shown.code
        assert code is not None
        parties = agent.ask(Parties, "{ parties(first: 20) { nodes { id did } } }").parties.nodes
        party = houses.node(custodian).party
        there = next(each.id for each in parties if each.did == party)
        sent = {"idempotencyKey": f"enrol-{local}", "custodian": there, "code": code}
        await_done(agent, start_flow(agent, "enrolPatient", sent))


class Records(msgspec.Struct, frozen=True):
    class Page(msgspec.Struct, frozen=True, rename="camel"):
        class Info(msgspec.Struct, frozen=True, rename="camel"):
            has_next_page: bool
            end_cursor: str | None

        nodes: tuple[Thing, ...]
        page_info: Info

    records: Page


class After(msgspec.Struct, frozen=True):
    after: str | None


def count_records(api: Api) -> int:
    text = """query Records($after: String) { records(first: 100, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor } } }"""
    count, after = 0, None
    while True:
        page = api.ask(Records, text, After(after)).records
        count += len(page.nodes)
        after = page.page_info.end_cursor
        if not page.page_info.has_next_page:
            return count
