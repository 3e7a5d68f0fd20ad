"""Bundles on their way into the network: a patient is enrolled at a custodian's desk, her records are published."""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from app import samples
from app.demo.client import Client, Variables
from app.demo.operations import Flow, begin, done, ended, enrolment_code, patient
from app.demo.town import Town
from app.fhir.bundle import BadFile, BadRecord, PatientRecords, read_bundles
from app.fhir.resource import FhirResource

BATCH_RECORDS = 50
BATCH_BYTES = 180_000  # raw: a third more as base64, in a request of at most 262,144 bytes
KEEPERS = ("mercy", "riverside")

Told = Callable[[int], None]
"""Told how many records more are published."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What one custodian has of one patient; `local_name` is its own number of her, `given` what she is called."""

    custodian: str
    local_name: str
    given: str
    documents: tuple[FhirResource, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What of a bundle was not taken, and why; nothing of its content."""

    file: str
    reason: str


class _Identifier(msgspec.Struct, frozen=True):
    value: str = ""


class _Name(msgspec.Struct, frozen=True):
    given: tuple[str, ...] = ()
    family: str = ""


class _Patient(msgspec.Struct, frozen=True):
    identifier: tuple[_Identifier, ...] = ()
    name: tuple[_Name, ...] = ()


def sample_charts(patient: samples.SamplePatient) -> list[Chart]:
    """Return the charts of an invented patient."""
    keepers = {
        samples.MERCY_HOSPITAL: "mercy",
        samples.RIVERSIDE_HOSPITAL: "riverside",
        samples.NORTHSIDE_LABORATORY: "northside",
    }
    found = []
    with ExitStack() as opened:
        for bundle in patient.bundles:
            path = opened.enter_context(as_file(files(samples).joinpath(bundle.file)))
            charts, _ = read_charts([path], lambda _: keepers[bundle.organisation])  # noqa: B023 - called at once
            found += charts
    return found


def charts_in(folder: Path) -> tuple[list[Chart], list[LeftOut]]:
    """Return the charts of a folder's bundles, which the two hospitals share out, and what was not taken."""
    return read_charts([folder], lambda number: KEEPERS[number % len(KEEPERS)])


def read_charts(
    places: Sequence[Path], keeper: Callable[[int], str]
) -> tuple[list[Chart], list[LeftOut]]:
    """Read bundles; `keeper` says which custodian has the n-th patient."""
    charts: list[Chart] = []
    left: list[LeftOut] = []
    for outcome in read_bundles(places, "shape"):
        match outcome:
            case PatientRecords():
                charts.append(_chart(outcome, keeper(len(charts))))
            case BadRecord(file, entry, kind, reason):
                left.append(LeftOut(file, f"entry {entry}, {kind}: {reason}"))
            case BadFile(file, reason):
                left.append(LeftOut(file, reason))
            case _:
                continue
    return charts, left


def _chart(records: PatientRecords, custodian: str) -> Chart:
    said = msgspec.json.decode(records.patient.data, type=_Patient)
    numbers = [each.value for each in said.identifier if each.value]
    given = next((name.given[0] for name in said.name if name.given), "Somebody")
    documents = (records.patient, *(each.resource for each in records.records))
    return Chart(custodian, (numbers or [records.patient.id])[0], given, documents)


def copy_for(chart: Chart, number: int) -> Chart:
    """Return the same chart as another patient's: the story is told to several."""
    return replace(chart, local_name=f"{chart.local_name}-{number}")


async def enrol(town: Town, chart: Chart, user: str, key: str) -> None:
    """Enrol a patient of the agent at a custodian: a code at its desk, entered at her agent. Safe to repeat."""
    desk, agent = town.desk(chart.custodian), town.agent(user)
    custodian = await town.party(agent, town.network.member(chart.custodian))
    attempt = 0
    while await patient(desk, chart.local_name) is None:
        # A code that was shown, but of whose use no answer came, may be spent: then she is enrolled, or needs another.
        tried = f"{key}-{attempt}"
        code = await enrolment_code(desk, f"{tried}-offer", chart.local_name)
        sent: Variables = {"idempotencyKey": f"{tried}-enrol", "custodian": custodian, "code": code}
        flow: Flow = await ended(agent, await begin(agent, "enrolPatient", sent))
        attempt += 1
        if flow.status == "DONE":
            break


async def publish(town: Town, chart: Chart, key: str, told: Told) -> None:
    """Publish a chart's records in batches. Safe to repeat."""
    desk = town.desk(chart.custodian)
    whose = await _enrolled(desk, chart.local_name)
    for number, batch in enumerate(batches(chart.documents)):
        sent: Variables = {
            "idempotencyKey": f"{key}-{number}",
            "patient": whose,
            "documents": [base64.b64encode(each.data).decode() for each in batch],
        }
        await done(desk, "publishRecords", sent)
        told(len(batch))


async def _enrolled(desk: Client, local_name: str) -> str:
    found = await patient(desk, local_name)
    assert found is not None, "enrolled before"
    return found


def batches(documents: Sequence[FhirResource]) -> Iterator[list[FhirResource]]:
    """Cut documents into batches that fit a request; one that fits in none is left out (`too_large`)."""
    batch: list[FhirResource] = []
    size = 0
    for document in documents:
        length = len(document.data)
        if length > BATCH_BYTES:
            continue
        if batch and (len(batch) == BATCH_RECORDS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += length
    if batch:
        yield batch


def too_large(chart: Chart) -> int:
    """Return how many documents no request has room for."""
    return sum(len(each.data) > BATCH_BYTES for each in chart.documents)
