"""A record is in the category in which its patient would look for it."""

import pytest

from app.fhir.categories import category_of
from app.fhir.json_document import JsonObject
from app.fhir.kinds import KINDS
from states.subjects.codes import CATEGORIES


def concept(code: str, system: str = "http://loinc.org") -> JsonObject:
    return {"coding": [{"system": system, "code": code}]}


def observation(category: str | None, code: str = "x", **more: JsonObject) -> JsonObject:
    stated: JsonObject = {"category": [concept(category, "")]} if category else {}
    return {"code": concept(code)} | stated | more


@pytest.mark.parametrize(
    ("kind", "document", "category"),
    [
        ("Observation", observation("laboratory", "4548-4"), "laboratory"),
        ("Observation", observation("vital-sign"), "vital-signs"),
        ("Observation", observation("survey", "29463-7"), "vital-signs"),
        ("Observation", observation("survey"), "social-history"),
        ("Observation", observation("laboratory", "51969-4"), "genetics"),
        ("Observation", observation(None, "85354-9"), "vital-signs"),
        ("Observation", observation(None, specimen={"reference": "Specimen/1"}), "laboratory"),
        ("Observation", observation(None), "document"),
        ("DiagnosticReport", {"category": [concept("RAD", "")]}, "imaging"),
        ("DiagnosticReport", {"category": [concept("LAB", "")]}, "laboratory"),
        ("DiagnosticReport", {"category": [concept("GE", "")]}, "genetics"),
        ("DiagnosticReport", {"code": concept("34117-2")}, "note"),
        ("DiagnosticReport", {}, "document"),
        ("DocumentReference", {"type": concept("11506-3")}, "note"),
        ("DocumentReference", {"type": concept("18748-4")}, "imaging"),
        ("DocumentReference", {"type": concept("11506-3", "https://other.example")}, "document"),
        ("DocumentReference", {"category": [concept("clinical-note", "")]}, "note"),
        ("MedicationRequest", {}, "medication"),
        ("Immunization", {}, "immunization"),
        ("AllergyIntolerance", {}, "allergy"),
        ("Condition", {}, "condition"),
        ("Procedure", {}, "procedure"),
    ],
)
def test_a_record_has_its_category(kind: str, document: JsonObject, category: str) -> None:
    assert category_of(kind, document) == category


def test_every_kind_has_a_category_of_the_ledgers_and_every_category_a_use() -> None:
    assert {kind.category for kind in KINDS.values()} <= set(CATEGORIES)
    of_kind = {category_of(kind, {}) for kind in KINDS}
    assert set(CATEGORIES) - of_kind == {"social-history", "vital-signs"}  # Observations alone
