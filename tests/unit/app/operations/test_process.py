"""Claims about a node's process: how it ends when told to, when it cannot start, and when it does not end."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from app.operations import process
from app.operations.ownership import FolderOwned, owner_of, owning
from app.operations.process import STOPPED, STUCK, run_service


class Told:
    """A service that sends its own process a signal, as a supervisor would."""

    def __init__(self, number: int = signal.SIGTERM, stop_seconds: float = 0.0) -> None:
        self.number, self.stop_seconds = number, stop_seconds
        self.seen: list[str] = []

    async def start(self) -> None:
        self.seen.append("start")
        os.kill(os.getpid(), self.number)

    async def stop(self) -> None:
        await asyncio.sleep(self.stop_seconds)
        self.seen.append("stop")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service_and_the_process_ends_with_0(number: int) -> None:
    service = Told(number)
    assert run_service(lambda: service) == STOPPED
    assert service.seen == ["start", "stop"]


def test_a_service_that_does_not_end_is_left_and_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.05)
    service = Told(stop_seconds=30.0)
    assert run_service(lambda: service) == STUCK
    assert service.seen == ["start"]


def test_what_began_is_stopped_where_the_rest_cannot_start() -> None:
    class Taken(Told):
        async def start(self) -> None:
            self.seen.append("half")
            raise OSError("the port is taken")

    service = Taken()
    with pytest.raises(OSError, match="taken"):
        run_service(lambda: service)
    assert service.seen == ["half", "stop"]


def test_a_folder_is_owned_by_one_and_given_back(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None
    with owning(tmp_path):
        assert owner_of(tmp_path) == os.getpid()
        with (
            pytest.raises(FolderOwned, match=f"process, {os.getpid()}, works in") as refused,
            owning(tmp_path),
        ):
            raise AssertionError("two own it")
        assert refused.value.owner == os.getpid()
    assert owner_of(tmp_path) is None
    with owning(tmp_path):
        assert (tmp_path / "owner.lock").stat().st_mode & 0o077 == 0
