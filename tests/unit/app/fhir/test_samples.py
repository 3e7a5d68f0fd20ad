"""The sample patients are good FHIR, varied, and each has text that can be found nowhere else."""

import base64
from pathlib import Path

import msgspec
import orjson
import pytest

import app.samples
from app.fhir.bundle import PatientRecords, Providers, read_bundles
from app.fhir.report import report_of
from app.samples import ADA, BRUNO, CANARIES, CLARA, SAMPLE_PATIENTS, SamplePatient
from states.subjects.codes import CATEGORIES
from states.subjects.content import Content

FOLDER = Path(app.samples.__file__).parent


def paths_of(patient: SamplePatient) -> list[Path]:
    return [FOLDER / bundle.file for bundle in patient.bundles]


def contents_of(patient: SamplePatient) -> list[Content]:
    found = read_bundles(paths_of(patient))
    people = [one for one in found if isinstance(one, PatientRecords)]
    return [record.resource.content for one in people for record in one.records]


def test_every_bundle_in_the_folder_is_somebodys_and_all_are_small() -> None:
    listed = {bundle.file for patient in SAMPLE_PATIENTS for bundle in patient.bundles}
    assert listed == {path.name for path in FOLDER.glob("*.json")}
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 400_000
    assert SAMPLE_PATIENTS[0] is ADA


@pytest.mark.parametrize("patient", SAMPLE_PATIENTS, ids=lambda patient: patient.given)
def test_a_sample_is_valid_and_of_the_organisations_it_is_said_to_be_of(
    patient: SamplePatient,
) -> None:
    found = list(read_bundles(paths_of(patient)))
    assert [type(one) for one in found] == [Providers, PatientRecords] * len(patient.bundles)
    named = [one.organisations[0].name for one in found if isinstance(one, Providers)]
    assert named == [bundle.organisation for bundle in patient.bundles]
    records = sum(file.records for file in report_of(found).files)
    assert 15 <= records <= 50
    assert not report_of(found).bad_records


@pytest.mark.parametrize("patient", SAMPLE_PATIENTS, ids=lambda patient: patient.given)
def test_all_references_of_a_sample_lead_somewhere(patient: SamplePatient) -> None:
    for one in read_bundles(paths_of(patient), "shape"):
        if isinstance(one, PatientRecords):
            targets = {target for record in one.records for target in record.refers_to}
            assert targets
            assert not [target for target in targets if target.startswith("urn:")]


@pytest.mark.parametrize("patient", SAMPLE_PATIENTS, ids=lambda patient: patient.given)
def test_canaries_are_in_their_patients_bundles_and_in_no_other(patient: SamplePatient) -> None:
    own = "".join(path.read_text() for path in paths_of(patient))
    others = "".join(
        path.read_text() for path in FOLDER.glob("*.json") if path not in paths_of(patient)
    )
    for bundle in patient.bundles:
        assert patient.family.encode() in bundle.read()
    assert own.count(patient.remark) == 1
    encoded = base64.b64encode(patient.note.encode()).decode().rstrip("=")[:-1]
    assert own.count(encoded) == 1
    assert [canary for canary in (*patient.canaries, encoded) if canary in others] == []


def test_canaries_are_all_different() -> None:
    assert len(set(CANARIES)) == len(CANARIES) == 15


def test_every_content_fits_the_ledger() -> None:
    for patient in SAMPLE_PATIENTS:
        for content in contents_of(patient):
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(content), type=Content) == content


def test_the_samples_cover_most_categories_and_the_labels_that_matter() -> None:
    report = report_of(read_bundles(FOLDER))
    assert set(CATEGORIES) - set(report.categories) <= {"administrative", "document", "genetics"}
    assert {"N", "R", "V", "PSY", "ETHUD", "HIV", "SEX", "SDV"} <= set(report.labels)
    assert report.unlabelled > 0  # notes in prose


def test_ada_has_results_that_fall_and_a_medicine() -> None:
    contents = contents_of(ADA)
    results = [each for each in contents if each.code == "4548-4" and each.kind == "Observation"]
    assert len(results) == 6  # three at the laboratory, and as the hospital has filed them
    assert "medication" in {content.category for content in contents}
    assert {label for content in contents for label in content.labels} == {"N"}


def test_a_stated_label_of_a_psychiatric_note_is_kept() -> None:
    notes = [content for content in contents_of(BRUNO) if content.category == "note"]
    assert [content.labels for content in notes] == [("MH", "PSY", "R"), ("PSY", "SDV", "V"), ()]


def test_a_pregnancy_shows_in_its_labels() -> None:
    assert any("SEX" in content.labels for content in contents_of(CLARA))


def test_a_sample_is_plain_json() -> None:
    for path in FOLDER.glob("*.json"):
        assert orjson.loads(path.read_bytes())["type"] == "transaction"
