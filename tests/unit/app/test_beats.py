"""A beat goes on whatever it meets, begins when it is told to, and follows what its time is now."""

import asyncio
from itertools import count

import pytest

from app.beats import Beat, every


def beats(beat: Beat, seconds: float) -> None:
    async def run() -> None:
        task = asyncio.create_task(beat.go_on())
        await asyncio.sleep(seconds)
        task.cancel()

    asyncio.run(run())


class Act:
    def __init__(self, *, fails: bool = False) -> None:
        self.count = 0
        self._fails = fails

    async def __call__(self) -> None:
        self.count += 1
        if self._fails:
            raise OSError("a patient's name")


def test_it_waits_first_unless_it_is_to_begin_at_once() -> None:
    later, now = Act(), Act()
    beats(every(60.0, later), 0.05)
    beats(Beat(now, lambda: 60.0, at_once=True), 0.05)
    assert (later.count, now.count) == (0, 1)


def test_a_failure_ends_no_beat_and_its_words_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    act = Act(fails=True)
    beats(Beat(act, lambda: 0.01, at_once=True), 0.2)
    assert act.count > 2
    assert "a beat failed" in caplog.text
    assert all("name" not in record.getMessage() for record in caplog.records)


def test_its_time_is_asked_for_before_each_wait() -> None:
    times, asked, act = iter([0.01, 0.01, 60.0]), count(), Act()

    def seconds() -> float:
        next(asked)
        return next(times)

    beats(Beat(act, seconds), 0.2)
    assert (act.count, next(asked)) == (2, 3)
