"""The benchmarks' networks of real processes work, however little they are asked to do. No time is judged."""

from pathlib import Path

import pytest

from app.bench.finality import measure_finality
from app.bench.primitives import Yardstick
from app.bench.publication import measure_publication

pytestmark = pytest.mark.e2e


def test_two_members_make_pacts_that_both_record(tmp_path: Path) -> None:
    found = list(measure_finality(Yardstick(tmp_path, 0.001), rounds=1, count=10, alone=3))
    assert [each.unit for each in found] == [
        "tx/s",
        "ms",
        "ms a tx",
        "tx/s",
        "ms",
        "ms a tx",
        "ms",
        "ms",
    ]
    assert all(each.value > 0 for each in found)


def test_what_is_published_reaches_the_agent_and_can_be_read(tmp_path: Path) -> None:
    found = list(measure_publication(Yardstick(tmp_path, 0.001), rounds=1, count=5, reads=5))
    assert [each.unit for each in found] == ["records/s", "ms a record", "records/s"]
