"""A resource is read without a byte of it changing, and refused in words that have nothing of it."""

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest

from app.fhir.errors import ElementRefused, FhirRefused, JsonRefused, KindRefused, VersionRefused
from app.fhir.resource import Validation, read_resource
from states.subjects.content import Content

ODD = Path(__file__).parents[5] / "shared" / "data" / "fhir" / "odd"

HBA1C = {
    "resourceType": "Observation",
    "id": "a1c",
    "status": "final",
    "category": [{"coding": [{"code": "laboratory"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
    "subject": {"reference": "Patient/ada"},
    "effectiveDateTime": "2026-09-16T23:30:00+00:00",
}


def observation(**changed: object) -> bytes:
    return orjson.dumps(
        {name: value for name, value in (HBA1C | changed).items() if value is not None}
    )


def test_a_result_says_what_it_is_whose_and_of_which_day() -> None:
    data = b" " + observation().replace(b'"final"', b'"final" ') + b"\n"
    resource = read_resource(data)
    assert resource.data == data
    assert (resource.kind, resource.id, resource.patient) == ("Observation", "a1c", "Patient/ada")
    assert resource.content == Content(
        "Observation", "4548-4", "http://loinc.org", "laboratory", ("N",), "2026-09-16"
    )


def test_an_instant_is_of_the_day_in_the_custodians_zone() -> None:
    assert read_resource(observation(), zone=ZoneInfo("Europe/Tallinn")).content.day == "2026-09-17"
    whole_day = observation(effectiveDateTime="2026-09-16")
    assert read_resource(whole_day, zone=ZoneInfo("Asia/Tokyo")).content.day == "2026-09-16"
    assert read_resource(observation(effectiveDateTime="2026-09")).content.day is None


@pytest.mark.parametrize(
    ("subject", "patient"),
    [
        ({"reference": "urn:uuid:0b9e"}, "urn:uuid:0b9e"),
        ({"reference": "https://a.example/fhir/Patient/7"}, "https://a.example/fhir/Patient/7"),
        ({"reference": "Patient?identifier=x|7"}, "Patient?identifier=x|7"),
        ({"reference": "Device/7"}, None),
        ({"display": "Ada"}, None),
    ],
)
def test_only_a_reference_to_a_patient_names_one(
    subject: dict[str, str], patient: str | None
) -> None:
    assert read_resource(observation(subject=subject)).patient == patient


def test_a_code_for_which_the_ledger_has_no_room_gives_way_to_the_next() -> None:
    long = {"system": "http://snomed.info/sct", "code": "44054006:" + "1" * 64}
    short = {"system": "http://loinc.org", "code": "4548-4"}
    assert read_resource(observation(code={"coding": [long, short]})).content.code == "4548-4"
    assert read_resource(observation(code={"coding": [long]})).content.code == ""


def test_a_medication_that_is_contained_gives_its_code() -> None:
    request = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/ada"},
        "medicationReference": {"reference": "#m"},
        "contained": [
            {
                "resourceType": "Medication",
                "id": "m",
                "code": {
                    "coding": [
                        {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "36437"}
                    ]
                },
            }
        ],
    }
    content = read_resource(orjson.dumps(request)).content
    assert (content.code, content.labels) == ("36437", ("MH", "PSY", "R"))


@pytest.mark.parametrize(
    ("changed", "element", "reason"),
    [
        ({"status": None}, "Observation.status", "is required"),
        ({"value": "Quillfeather"}, "Observation.value", "is no element of FHIR R4"),
        ({"Quill feather": 1}, "Observation.?", "is no element of FHIR R4"),
        ({"fhir_comments": ["x"]}, "Observation.fhir_comments", "is no element of FHIR R4"),
        ({"id": "Quill feather"}, "Observation.id", None),
        ({"effectiveDateTime": "2026-02-30"}, "Observation.effectiveDateTime", None),
        ({"valueInteger": 1, "valueString": "Quillfeather"}, "Observation", None),
        ({"code": {"coding": [{"kode": "Quillfeather"}]}}, "Observation.code.coding[0].kode", None),
    ],
)
def test_a_broken_rule_is_named_with_its_element_and_without_a_value(
    changed: dict[str, object], element: str, reason: str | None
) -> None:
    with pytest.raises(ElementRefused) as refusal:
        read_resource(observation(**changed))
    assert refusal.value.kind == "Observation"
    assert refusal.value.element == element
    assert reason in (None, refusal.value.reason)
    assert "Quill" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changed", "element", "version"),
    [
        ({"triggeredBy": []}, "Observation.triggeredBy", "R5 (5.0)"),
        ({"comment": "Quillfeather"}, "Observation.comment", "STU3 (3.0)"),
        (
            {"meta": {"profile": ["http://hl7.org/fhir/5.0/StructureDefinition/Observation"]}},
            "Observation.meta.profile",
            "5.0",
        ),
    ],
)
@pytest.mark.parametrize("validate", ["full", "shape"])
def test_another_version_of_fhir_is_named_by_the_element_that_shows_it(
    changed: dict[str, object], element: str, version: str, validate: Validation
) -> None:
    with pytest.raises(VersionRefused) as refusal:
        read_resource(observation(**changed), validate)
    assert (refusal.value.element, refusal.value.version) == (element, version)


def test_shape_alone_does_not_look_inside() -> None:
    inside = observation(code={"coding": [{"code": "x", "kode": 1}]})
    assert read_resource(inside, "shape").kind == "Observation"
    with pytest.raises(ElementRefused):
        read_resource(inside, "full")


@pytest.mark.parametrize("kind", ["Group", "SubscriptionTopic", "Ada Quillfeather", 5, None])
def test_what_no_record_is_made_of_is_refused(kind: object) -> None:
    with pytest.raises(KindRefused) as refusal:
        read_resource(orjson.dumps({"resourceType": kind}))
    assert "Quillfeather" not in str(refusal.value)


ODD_REFUSALS: dict[str, tuple[type[FhirRefused], str]] = {
    "attachment-with-invalid-binary.json": (ElementRefused, "Media.content.data"),
    "bug824/bug824-resource.json": (VersionRefused, "Observation.comment"),
    "list-unknown-prop.json": (ElementRefused, "List.other"),
    "med-dispense.json": (JsonRefused, ""),
    "json-comma-bad-2.json": (JsonRefused, ""),
    "json-no-quotes-2.json": (JsonRefused, ""),
    "bad-json-close-2.json": (JsonRefused, ""),
    "qr-required.json": (VersionRefused, "QuestionnaireResponse.questionnaire"),
    "xver-immunization-r5.json": (VersionRefused, "Immunization.administeredProduct"),
    "questionnaire/brianpos/open-choice-invalid-type-qr.json": (
        ElementRefused,
        "QuestionnaireResponse.item[0].answer[0].valueCode",
    ),
}


def odd_files() -> list[str]:
    if not ODD.exists():
        return []
    index = json.loads((ODD / "INDEX.json").read_bytes())
    named = [row["file"] for row in index if row["resourceType"] != "Bundle"]
    return [name for name in named if (ODD / name).exists()]


@pytest.mark.skipif(not ODD.exists(), reason="shared/data/fhir/odd is missing")
def test_odd_resources_are_refused_where_they_are_odd() -> None:
    for name, (error, element) in ODD_REFUSALS.items():
        with pytest.raises(error) as refusal:
            read_resource((ODD / name).read_bytes())
        assert getattr(refusal.value, "element", "") == element, name


@pytest.mark.skipif(not ODD.exists(), reason="shared/data/fhir/odd is missing")
def test_every_odd_resource_is_read_or_refused_and_never_breaks_the_reader() -> None:
    read = 0
    for name in odd_files():
        data = (ODD / name).read_bytes()
        try:
            resource = read_resource(data)
        except FhirRefused:
            continue
        assert resource.data == data
        read += 1
    assert read >= 40
