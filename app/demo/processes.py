"""Starts, kills, restarts and stops the nodes of the demonstration: one process each, never one left behind."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

from app.config import PASSPHRASE
from app.demo.client import HOST, request
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, DemoNode

READY_SECONDS = 150.0  # on a busy machine; the demonstration says how long it took
STOP_SECONDS = 12.0
LOG_LINES_SHOWN = 20
HTTP_OK = 200
_PORTS = range(
    20_000, 32_000
)  # below what the system gives to outgoing connections, which could take it meanwhile
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class NodeFailed(Exception):
    """A node ended by itself or did not become ready; the message ends with its last log lines."""


def free_ports(entropy: Callable[[int], bytes]) -> Callable[[], int]:
    """Return what finds ports of this machine on which nobody listens, each once."""

    def find() -> Iterator[int]:
        seen = set[int]()
        while True:
            port = _PORTS[int.from_bytes(entropy(4), "big") % len(_PORTS)]
            if port not in seen and _is_free(port):
                seen.add(port)
                yield port

    found = find()
    return lambda: next(found)


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    return True


class Processes:
    """The processes of one network. Everything here belongs to one event loop."""

    def __init__(self, network: DemoNetwork) -> None:
        self._network = network
        self._running: dict[str, Process] = {}
        self._expected = set[str]()
        self._logs = network.root / "logs"
        self._logs.mkdir(mode=0o700, exist_ok=True)

    async def start_all(self) -> None:
        """Start every node and wait until each can work. Raises NodeFailed."""
        for node in self._network.nodes:
            await self.start(node.key)
        await asyncio.gather(*(self.ready(node.key) for node in self._network.nodes))

    async def start(self, key: str) -> None:
        """Start a node's process; it is not ready yet."""
        node = self._node(key)
        command = "notary" if node.kind == "notary" else "node"
        environment = {**os.environ, PASSPHRASE: DEMO_PASSPHRASE}
        with self._log(key).open("ab") as log:
            self._running[key] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "app", command, str(node.folder)),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                process_group=0,  # Ctrl-C is for us, who stop them in order
                preexec_fn=_die_with_parent,
            )
        self._expected.add(key)

    async def ready(self, key: str) -> None:
        """Wait until the node says that it can work; start it once more where it ended at once. Raises NodeFailed."""
        port, until, again = self._node(key).http_port, monotonic() + READY_SECONDS, True
        while monotonic() < until:
            with suppress(OSError, EOFError, TimeoutError):
                if (await request(port, "GET", "/ready")).status == HTTP_OK:
                    return
            if self._running[key].returncode is not None:
                if not again:
                    raise NodeFailed(self._last_words(key, "ended by itself"))
                again = False  # a port that was taken for a moment
                await self.start(key)
            await asyncio.sleep(0.05)
        raise NodeFailed(self._last_words(key, f"was not ready in {READY_SECONDS:.0f} s"))

    async def kill(self, key: str) -> None:
        """Kill a node without warning (SIGKILL); returns when the system has taken it away."""
        self._expected.discard(key)
        process = self._running[key]
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def pid(self, key: str) -> int:
        return self._running[key].pid

    def check(self) -> None:
        """Raise NodeFailed if a node ended that nobody killed."""
        for key in self._expected:
            if self._running[key].returncode is not None:
                raise NodeFailed(self._last_words(key, "ended by itself"))

    async def stop_all(self) -> dict[str, int]:
        """Stop members, then the notary, each with SIGTERM; SIGKILL for who does not obey. Returns exit codes."""
        codes = dict[str, int]()
        self._expected.clear()
        *members, notary = reversed(self._network.nodes)
        for group in (members, [notary]):
            stopped = await asyncio.gather(*(self._stop(node.key) for node in group))
            codes |= {node.key: code for node, code in zip(group, stopped, strict=True)}
        return codes

    async def _stop(self, key: str) -> int:
        process = self._running.get(key)
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            return await process.wait()

    def _node(self, key: str) -> DemoNode:
        return next(node for node in self._network.nodes if node.key == key)

    def _log(self, key: str) -> Path:
        return self._logs / f"{key}.log"

    def _last_words(self, key: str, what: str) -> str:
        lines = self._log(key).read_text("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n  ".join([f"{self._node(key).title} {what}; its log ends:", *lines])


def _die_with_parent() -> None:
    """In the child, before it becomes a node: where the system can, die when the demonstration is killed itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGTERM)
