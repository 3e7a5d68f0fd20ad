"""A network of real processes for a benchmark: each resident has a folder, a process and a pipe to who measures."""

import asyncio
import multiprocessing
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import uvloop

from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, make_network
from app.node import Opening, clock
from app.notary_node import NotaryNode
from app.operations.process import settle_memory
from app.transport.transport import TransportSettings
from states.identity import Party
from states.parameters import AllowedContract

READY_S = 60
ANSWER_S = 600
STOP_S = 15
POLL_S = 0.005
READY = b"ready"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resident lives: its folder, its network, its port; and who else is there."""

    folder: Path
    network: bytes
    port: int
    parties: Mapping[str, Party]

    @property
    def opening(self) -> Opening:
        settings = TransportSettings(port=self.port)
        return Opening(self.folder, self.network, DEMO_PASSPHRASE, settings)


class Resident(Protocol):
    """What a process of the town runs."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def is_ready(self) -> bool: ...

    async def answer(self, command: bytes) -> bytes:
        """Do what who measures asks for, and tell him what it took."""


Make = Callable[[Place], Resident]
"""A class or function of a module, for it is named to the process that calls it."""


class Notary:
    """The notary as every network runs it; it is asked by links only."""

    def __init__(self, place: Place) -> None:
        self._node = NotaryNode(place.opening)
        self.start, self.stop = self._node.start, self._node.stop

    @property
    def is_ready(self) -> bool:
        return self._node.is_ready

    async def answer(self, command: bytes) -> bytes:
        raise ValueError(f"a notary answers no command of {len(command)} bytes")


class Town:
    """The residents that were moved in. Use `town`."""

    def __init__(self, made: DemoNetwork) -> None:
        self.made = made
        self.parties = {node.key: node.party for node in made.nodes}
        self._pipes: dict[str, Connection[bytes, bytes]] = {}
        self._processes: list[multiprocessing.context.SpawnProcess] = []

    def move_in(self, residents: Mapping[str, Make]) -> None:
        """Start a process for each, and wait until all are ready, that is, reach whom they must."""
        context = multiprocessing.get_context("spawn")
        for key, make in residents.items():
            node = next(node for node in self.made.nodes if node.key == key)
            place = Place(node.folder, self.made.network, node.link_port, self.parties)
            mine, theirs = context.Pipe()
            process = context.Process(target=_live, args=(theirs, make, place), daemon=True)
            process.start()
            theirs.close()
            self._pipes[key] = mine
            self._processes.append(process)
        for key in residents:
            assert self._received(key, READY_S) == READY

    def ask(self, key: str, command: bytes) -> bytes:
        self._pipes[key].send_bytes(command)
        return self._received(key, ANSWER_S)

    def pid(self, at: int = 0) -> int:
        """Return the process id of the resident that moved in as number `at`."""
        pid = self._processes[at].pid
        assert pid is not None, "it was started"
        return pid

    def _received(self, key: str, seconds: float) -> bytes:
        pipe = self._pipes[key]
        if not pipe.poll(seconds):
            raise TimeoutError(f"{key} does not answer")
        return pipe.recv_bytes()

    def leave(self) -> None:
        """Stop every process; one that does not end is killed."""
        for pipe in self._pipes.values():
            with suppress(OSError):
                pipe.send_bytes(b"")
        for process in self._processes:
            process.join(STOP_S)
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in self._pipes.values():
            pipe.close()


@contextmanager
def town(*contracts: AllowedContract) -> Iterator[Town]:
    """Make a network in a new folder; its processes end with the block."""
    with tempfile.TemporaryDirectory(prefix="carecord-bench-") as folder:
        made = make_network(Path(folder) / "town", free_port, clock(), contracts)
        here = Town(made)
        try:
            yield here
        finally:
            here.leave()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free just now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


# -- in the process --------------------------------------------------------------------------------


def _live(pipe: "Connection[bytes, bytes]", make: Make, place: Place) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, make, place))


async def _serve(pipe: "Connection[bytes, bytes]", make: Make, place: Place) -> None:
    loop = asyncio.get_running_loop()
    resident = make(place)
    await resident.start()
    settle_memory()  # as every process does
    try:
        while not resident.is_ready:  # noqa: ASYNC110 - once, at the start
            await asyncio.sleep(POLL_S)
        pipe.send_bytes(READY)
        with suppress(EOFError):  # who measures is gone
            while command := await loop.run_in_executor(None, partial(pipe.recv_bytes)):
                pipe.send_bytes(await resident.answer(command))
    finally:
        await resident.stop()
