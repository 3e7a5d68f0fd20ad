"""What is written in one turn of the loop leaves together; nothing is held back longer, and nothing is lost."""

import asyncio
from collections.abc import Callable
from typing import cast

from app.web.gathered import GATHERED_BYTES_MAX, GatheredWrites


class Wire:
    """A transport that keeps what was done to it."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        del protocol
        self.done.append("protocol")

    @staticmethod
    def is_closing() -> bool:
        return True


def after(act: Callable[[GatheredWrites], None]) -> tuple[list[bytes | str], list[bytes | str]]:
    """Return what reached the wire in this turn of the loop, and what by the next."""

    async def run() -> tuple[list[bytes | str], list[bytes | str]]:
        wire = Wire()
        gathered = GatheredWrites(cast("asyncio.Transport", wire), asyncio.get_running_loop())
        act(gathered)
        now = list(wire.done)
        await asyncio.sleep(0)
        return now, wire.done

    return asyncio.run(run())


def test_head_and_body_leave_by_one_write() -> None:
    def act(gathered: GatheredWrites) -> None:
        gathered.write(b"head ")
        gathered.write(b"body")

    assert after(act) == ([], [b"head body"])


def test_what_is_much_leaves_at_once() -> None:
    chunk = bytes(GATHERED_BYTES_MAX)

    def act(gathered: GatheredWrites) -> None:
        gathered.write(chunk)
        gathered.write(b"more")
        gathered.write(b"rest")

    assert after(act) == ([chunk + b"more"], [chunk + b"more", b"rest"])


def test_a_close_and_a_change_of_protocol_come_after_what_was_written() -> None:
    def close(gathered: GatheredWrites) -> None:
        gathered.write(b"last")
        gathered.close()

    def upgrade(gathered: GatheredWrites) -> None:
        gathered.write(b"101")
        gathered.set_protocol(asyncio.Protocol())

    assert after(close) == ([b"last", "close"], [b"last", "close"])
    assert after(upgrade) == ([b"101", "protocol"], [b"101", "protocol"])


def test_an_abort_drops_what_was_held() -> None:
    def act(gathered: GatheredWrites) -> None:
        gathered.write(b"lost")
        gathered.abort()

    assert after(act) == (["abort"], ["abort"])


def test_all_else_is_the_transports_own() -> None:
    told = list[bool]()

    def act(gathered: GatheredWrites) -> None:
        told.append(cast("asyncio.Transport", gathered).is_closing())

    assert after(act) == ([], [])
    assert told == [True]
