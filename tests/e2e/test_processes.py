"""Real processes on this machine: they start, work, are killed, restored and stopped, and nothing is lost."""

import json
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.samples import ADA, CANARIES, CLARA, EMIL
from tests.e2e.houses import (
    Processes,
    await_true,
    count_records,
    enrol,
    resident_bytes,
)

pytestmark = pytest.mark.e2e

NODES = ("notary", "mercy", "riverside", "northside", "agent")
CPU_SECONDS_MAX = 6.0  # 4 s on a machine that is not busy; other work makes the same cycles longer
RESIDENT_MAX = 160 << 20
PATIENTS = (("ada", ADA, "MH-204417"), ("clara", CLARA, "MH-311902"), ("emil", EMIL, "MH-402155"))
STAFF = "dr-reed"


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Five nodes with users, staff, and three patients who are enrolled at Mercy."""
    houses = Processes(tmp_path_factory.mktemp("network") / "demo")
    try:
        _people(houses)
        for key in NODES:
            houses.start(key)
        for key in NODES:
            houses.await_ready(key)
        for name, _, local in PATIENTS:
            enrol(houses, "mercy", STAFF, name, local)
        yield houses
    finally:
        houses.end()


def _people(houses: Processes) -> None:
    mercy, agent = str(houses.node("mercy").folder), str(houses.node("agent").folder)
    reed = houses.command("practitioners", "add", mercy, "--name", "Dr A. Reed", "--json")
    person = ("--person", str(reed["person"]))
    houses.command("users", "add", mercy, STAFF, "--role", "clinician", *person)
    for name, _, _ in PATIENTS:
        handle = str(houses.command("patients", "add", agent, "--json")["handle"])
        houses.command("users", "add", agent, name, "--role", "patient", "--person", handle)


def _bundle(houses: Processes, patient: int) -> tuple[Path, Path]:
    """Write a patient's bundle of Mercy, and the map from its Patient to her number there."""
    name, sample, local = PATIENTS[patient]
    path = houses.network.root / f"{name}.json"
    path.write_bytes(next(each for each in sample.bundles if "mercy" in each.file).read())
    entries = json.loads(path.read_bytes())["entry"]
    ids = [e["resource"]["id"] for e in entries if e["resource"]["resourceType"] == "Patient"]
    known = houses.network.root / "patients.json"
    known.write_text(json.dumps({f"Patient/{ids[0]}": local}))
    return path, known


def _ingest(
    houses: Processes, patient: int, *options: str, bundles: Path | None = None, code: int = 0
) -> dict[str, object]:
    path, known = _bundle(houses, patient)
    path = bundles or path
    place = str(houses.node("mercy").folder)
    return houses.command(
        "ingest", place, str(path), "--patient-map", str(known), "--user", STAFF, "--json",
        *options, code=code,
    )  # fmt: skip


def _sent(report: dict[str, object]) -> int:
    published = report["published"]
    assert isinstance(published, list)
    return sum(each["records"] for each in published)


def _await_records(houses: Processes, key: str, user: str, count: int) -> None:
    with houses.signed_in(key, user) as api:
        await_true(f"{count} records at {key}", lambda: count_records(api) == count)


def test_a_node_at_rest_is_small_and_its_start_is_short(houses: Processes) -> None:
    for key in NODES:
        assert resident_bytes(houses.pid(key)) < RESIDENT_MAX, key
        assert houses.cpu_at_ready[key] < CPU_SECONDS_MAX, key


def test_a_folder_without_bundles_is_told(houses: Processes, tmp_path: Path) -> None:
    left_out = _ingest(houses, 0, bundles=tmp_path, code=1)["left_out"]
    assert isinstance(left_out, list)
    assert [each["file"] for each in left_out] == [tmp_path.name]


def test_records_that_are_ingested_reach_the_patients_agent(houses: Processes) -> None:
    report = _ingest(houses, 0)
    assert report["left_out"] == []
    assert _sent(report) > 20
    _await_records(houses, "agent", "ada", _sent(report))
    again = _ingest(houses, 0)
    assert _sent(again) == _sent(report)
    _await_records(
        houses, "agent", "ada", _sent(report)
    )  # the same command publishes nothing twice


def test_one_bad_record_does_not_stop_the_others(houses: Processes) -> None:
    path, _ = _bundle(houses, 0)
    document = json.loads(path.read_bytes())
    people = [e for e in document["entry"] if e["resource"]["resourceType"] == "Patient"]
    others = [e for e in document["entry"] if e["resource"]["resourceType"] == "Observation"][:2]
    bad = {**others[0], "fullUrl": "urn:x:bad", "resource": {"resourceType": "Nonsense"}}
    stranger = json.loads(path.read_text().replace(people[0]["resource"]["id"], "0" * 36))
    mixed = houses.network.root / "mixed"
    mixed.mkdir()
    (mixed / "a.json").write_text(json.dumps({**document, "entry": [*people, bad, *others]}))
    (mixed / "b.json").write_text("{")
    (mixed / "c.json").write_text(json.dumps(stranger))
    report = _ingest(houses, 0, bundles=mixed, code=1)
    assert _sent(report) == 2
    left_out = report["left_out"]
    assert isinstance(left_out, list)
    told = {(each["file"], each["entry"]): each["reason"] for each in left_out}
    assert ("a.json", 1) in told
    assert ("b.json", None) in told
    assert {told[key] for key in told if key[0] == "c.json"} == {
        "the patient map does not name her"
    }


def test_nodes_that_are_killed_at_any_moment_finish_what_they_began(houses: Processes) -> None:
    dice = random.Random(7)
    path, _ = _bundle(houses, 1)
    # One record a bundle: many flows, of which some are under way at each kill.
    document = json.loads(path.read_bytes())
    people = [e for e in document["entry"] if e["resource"]["resourceType"] == "Patient"]
    others = [e for e in document["entry"] if e["resource"]["resourceType"] == "Observation"]
    pieces = houses.network.root / "pieces"
    pieces.mkdir()
    for at, entry in enumerate(others):
        whole = {**document, "entry": [*people, entry]}
        (pieces / f"{at:02}.json").write_text(json.dumps(whole))
    count = _sent(_ingest(houses, 1, "--no-wait", bundles=pieces))
    assert count == len(others) > 5
    for key in ("mercy", "agent", "notary"):
        time.sleep(dice.random() / 10)
        houses.kill(key)
        houses.start(key)
    for key in ("mercy", "agent", "notary"):
        houses.await_ready(key)
    _await_records(houses, "agent", "clara", count)
    with houses.signed_in("mercy", STAFF) as api:
        assert count_records(api) >= count


def test_a_node_restored_from_an_old_backup_gets_back_what_it_had(houses: Processes) -> None:
    folder, backup = houses.node("mercy").folder, houses.network.root / "backup"
    made = houses.command("backup", str(folder), str(backup), "--json")  # while it runs
    assert made["party"] == houses.node("mercy").party
    lost = _sent(_ingest(houses, 2))
    with houses.signed_in("mercy", STAFF) as api:
        before = count_records(api)
    houses.kill("mercy")
    shutil.rmtree(folder)
    restored = houses.command("restore", str(backup), str(folder), "--json")
    asks = restored["asks"]
    assert isinstance(asks, list)
    assert len(asks) == 3
    houses.start("mercy")
    houses.await_ready("mercy")
    assert lost > 0
    _await_records(houses, "mercy", STAFF, before)


@pytest.mark.parametrize(("key", "how"), [("agent", signal.SIGTERM), ("notary", signal.SIGINT)])
def test_told_to_stop_a_node_ends_well_and_starts_again(
    houses: Processes, key: str, how: signal.Signals
) -> None:
    assert houses.stop(key, how) == 0
    data = houses.node(key).folder / "data"
    assert [path for path in data.iterdir() if path.name.endswith("-wal")] == []
    houses.start(key)
    houses.await_ready(key)


def test_a_folder_has_one_owner(houses: Processes) -> None:
    assert houses.run("node", str(houses.node("riverside").folder)) == 2
    assert houses.status("riverside", "/health") == 200


def test_a_running_notary_is_audited_and_nothing_is_found(houses: Processes) -> None:
    report = houses.command("audit", str(houses.node("notary").folder), "--json")
    assert report["findings"] == []
    size = report["size"]
    assert isinstance(size, int)
    assert size > 5


def test_no_log_line_has_a_word_of_a_patients_record(houses: Processes) -> None:
    """Last, after everything above was logged."""
    for key in NODES:
        text = houses.log(key).read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        assert len(lines) > 3
        assert [line for line in lines if line["level"] in {"error", "critical"}] == []
        for canary in (*CANARIES, *(local for _, _, local in PATIENTS)):
            assert canary not in text, f"{key}: {canary}"
