"""Runs `carecord verify` in a process that has no network, and makes sure that it has none.

Where the system lets it, the process is in a network namespace of its own, with nothing in it (`unshare --net`); else
an audit hook of Python ends it at the first socket.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.demo.client import HOST

UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
_HOOK = """
import os, sys
def hook(event, _):
    if event.startswith("socket."):
        os._exit(97)
sys.addaudithook(hook)
"""
_GUARD = f"""{_HOOK}
import runpy
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_REACH = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)"
SECONDS = 60.0


class Report(msgspec.Struct, frozen=True):
    """What `carecord verify --json` says."""

    verified: bool
    who: str = ""
    when: str = ""
    what: str = ""
    why: str = ""
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Proofs:
    """`trust` is the network's trust file; `prefix` begins a command without network."""

    trust: Path
    prefix: tuple[str, ...]

    @property
    def how(self) -> str:
        """Say what keeps the process from the network."""
        if self.prefix:
            return "a network namespace of its own (unshare --net)"
        return "an audit hook that ends the process at its first socket"

    async def verify(self, bundle: Path) -> Report:
        """Return what the command says of a bundle; its exit code says the same, else AssertionError."""
        arguments = ["app", "verify", str(bundle), "--trust", str(self.trust), "--json"]
        start = [sys.executable, "-m"] if self.prefix else [sys.executable, "-c", _GUARD]
        code, out = await _run([*self.prefix, *start, *arguments])
        report = msgspec.json.decode(out, type=Report)
        assert (code == 0) is report.verified, "the exit code says what the report says"
        return report

    async def has_no_network(self) -> bool:
        """Whether a process started in the same way fails to reach a port of this machine that others reach."""
        async with await asyncio.start_server(_hang_up, HOST, 0) as server:
            port = str(server.sockets[0].getsockname()[1])
            here, _ = await _run([sys.executable, "-c", _REACH, port])
            hook = "" if self.prefix else _HOOK
            alone, _ = await _run([*self.prefix, sys.executable, "-c", hook + _REACH, port])
        return here == 0 and alone != 0


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def offline(trust: Path) -> Proofs:
    """Find out how a process can be kept from the network here."""
    try:
        code, _ = await _run([*UNSHARE, "true"])
    except FileNotFoundError:
        code = 1
    return Proofs(trust, UNSHARE if code == 0 else ())


async def _run(command: list[str]) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None, "it has ended"
    return process.returncode, out
