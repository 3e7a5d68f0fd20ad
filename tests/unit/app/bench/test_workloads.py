"""Every workload runs, however small, and its lines have the shape that readers rely on. No time is judged."""

import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from app.bench import NAMES
from app.bench.document import stream
from app.bench.flow_steps import measure_flow_steps
from app.bench.notary import Load, NotaryBench
from app.bench.observations import observations
from app.bench.primitives import Yardstick
from app.bench.result import Report, Result
from app.bench.run import BENCHES, measure, table
from app.cli.application import main
from app.fhir.resource import read_resource

TINY = 0.001


@pytest.fixture
def yardstick(tmp_path: Path) -> Yardstick:
    return Yardstick(tmp_path, TINY)


def test_primitives_are_kept_from_every_burst(yardstick: Yardstick) -> None:
    yardstick.all()
    assert set(yardstick.medians()) == {"V", "sha256/s", "fdatasync/s"}
    assert all(rate > 0 for rate in yardstick.medians().values())


def test_a_segment_is_compared_with_the_bursts_around_it(
    yardstick: Yardstick, monkeypatch: pytest.MonkeyPatch
) -> None:
    bursts = iter([100.0, 300.0, 100.0, 100.0])
    monkeypatch.setattr(yardstick, "verifications", lambda: next(bursts))
    rates = iter([100.0, 300.0, 50.0])
    found = yardstick.beside(3, lambda: next(rates))
    assert found.rate == 100.0
    assert found.ratio == 0.5, "the median of 100/200, 300/200 and 50/100"


def test_the_notary_is_measured_at_each_length_of_its_history(yardstick: Yardstick) -> None:
    found = list(NotaryBench(yardstick, Load(rounds=2, requests=30)).run((100, 400)))
    judged = [each.name for each in found if each.met is not None]
    assert judged == [
        "notary, one lock key, 100 consumed",
        "notary, two lock keys",
        "notary, verifying in a second process",
        "notary, one lock key, 400 consumed",
        "notary, 400 ÷ 100 consumed",
    ]
    assert all(each.value > 0 for each in found)


def test_the_flow_engine_is_measured(yardstick: Yardstick) -> None:
    steps, replay, parked = measure_flow_steps(yardstick, rounds=1, seconds=0.05, parked=50)
    assert (steps.unit, replay.unit, parked.unit) == ("steps/s", "µs", "bytes")
    assert steps.ratio is not None


def test_a_document_comes_back_whole_from_ciphertext(tmp_path: Path) -> None:
    assert stream(tmp_path, 300_000).grown >= 0


def test_observations_are_valid_and_differ() -> None:
    documents = observations(3, os.urandom)
    assert {read_resource(each).content.kind for each in documents} == {"Observation"}
    assert len({read_resource(each).id for each in documents}) == 3
    assert all(900 < len(each) < 1_300 for each in documents)


def test_a_report_has_every_line_in_json_and_in_its_table(tmp_path: Path) -> None:
    line = Result("a line", 1.5, "ms", None, "≤ 2 ms", met=True)
    report = Report({"V": 15_000.0}, (line,))
    assert msgspec.json.decode(msgspec.json.encode(report)) == {
        "primitives": {"V": 15_000.0},
        "results": [
            {
                "name": "a line",
                "value": 1.5,
                "unit": "ms",
                "ratio": None,
                "target": "≤ 2 ms",
                "met": True,
            }
        ],
    }
    console = Console(width=120, record=True, file=(tmp_path / "out").open("w"))
    console.print(table(report))
    assert "a line" in console.export_text()
    console.file.close()


def test_only_what_was_named_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = list[str]()
    monkeypatch.setitem(
        BENCHES, "document", lambda _, full: iter([Result("full", float(full), "")])
    )
    report = measure(["document"], said.append, full=True, folder=tmp_path)
    assert said == ["document"]
    assert [each.value for each in report.results] == [1.0]
    assert main(["bench", "--json", "--only", "document"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Report).results[0].value == 0.0


def test_an_unknown_name_is_a_mistake_of_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "nothing"]) == 2
    assert "nothing is none of notary, flows" in " ".join(capsys.readouterr().err.split())


def test_every_benchmark_can_be_named() -> None:
    assert tuple(BENCHES) == NAMES
