"""Which of Carecord's categories a resource is in: what a patient recognises, not what a system stores.

Observations and reports go by their category, documents by their type, all else by its resource type (`KINDS`).
Sources: HL7 observation-category, v2-0074 diagnostic service sections, US Core clinical notes, LOINC names. What no
rule places is a document, the category of whatever has no closer one.
"""

from app.fhir.elements import Coding, codings
from app.fhir.json_document import JsonObject
from app.fhir.kinds import KINDS
from states.subjects.codes import Category

LOINC_SYSTEM = "http://loinc.org"


def _table(rows: dict[Category, str]) -> dict[str, Category]:
    return {code: category for category, codes in rows.items() for code in codes.split()}


_OBSERVATION_CATEGORIES = _table({
    "laboratory": "laboratory",
    "vital-signs": "vital-signs vital-sign",  # the singular: Synthea of 2019
    "imaging": "imaging",
    "social-history": "social-history sdoh survey activity",
    "procedure": "procedure exam therapy",
})  # fmt: skip

_SECTIONS = _table({  # HL7 v2 table 0074, and LOINC's parts for the same
    "laboratory": "LAB BG BLB CH CP HM ICU IMM MB MCB MYC SP SR TX URN VR LP29683-3 LP7839-6",
    "imaging": "RAD CT CTH CUS EC EN IMG NMR NMS OUS RUS RX VUS XRC LP29684-5 LP29708-2",
    "genetics": "GE",
    "procedure": "RT PHY PT OT",
})  # fmt: skip

_LOINC = _table({
    "vital-signs": (
        "85353-1 9279-1 8867-4 2708-6 59408-5 8310-5 8302-2 9843-4 29463-7 39156-5 85354-9 8480-6 8462-4"
        " 8478-0 8306-3 8287-5 59576-9 77606-2"
    ),
    "genetics": "48018-6 51969-4 81252-9 69548-6",
    "social-history": "72166-2 11331-6 74013-4 76690-7 76691-5 11367-0",
    "note": (
        "11488-4 11506-3 18842-5 28570-0 34117-2 34133-9 34109-9 34111-5 34788-0 51847-2 57133-1 75443-2"
        " 84215-3 11504-8 34746-8"
    ),
    "imaging": "18748-4 18782-3 11524-6 11525-3 18752-6 18753-4",
    "laboratory": "11502-2 26436-6 11526-1",
    "plan": "18776-5 52521-2",
    "administrative": "59284-0 57016-8 64290-0 64298-3",
    "immunization": "11369-6",
    "medication": "10160-0 57828-6",
})  # fmt: skip

_NOTE_CATEGORIES = ("clinical-note",)


def category_of(kind: str, document: JsonObject) -> Category:
    """Return the category of a resource whose type is in `KINDS`."""
    match kind:
        case "Observation":
            return _observation(document)
        case "DiagnosticReport":
            placed = _first(_SECTIONS, codings(document.get("category")))
            return placed or _by_loinc(document, "category", "code") or KINDS[kind].category
        case "DocumentReference" | "Composition":
            return _document(document) or KINDS[kind].category
        case _:
            return KINDS[kind].category


def _observation(document: JsonObject) -> Category:
    if (
        _by_loinc(document, "code") == "genetics"
    ):  # its category is laboratory, too, and genetics says more
        return "genetics"
    stated = [coding.code for coding in codings(document.get("category"))]
    by_code = _by_loinc(document, "code")
    if by_code == "vital-signs" and set(stated) <= {"survey", "exam"}:
        return by_code
    for code in stated:
        if placed := _OBSERVATION_CATEGORIES.get(code):
            return placed
    if "specimen" in document:
        return "laboratory"
    return by_code or KINDS["Observation"].category


def _document(document: JsonObject) -> Category | None:
    if placed := _by_loinc(document, "type", "category"):
        return placed
    stated = {coding.code for coding in codings(document.get("category"))}
    return "note" if stated & set(_NOTE_CATEGORIES) else None


def _by_loinc(document: JsonObject, *elements: str) -> Category | None:
    found = [coding for element in elements for coding in codings(document.get(element))]
    return _first(_LOINC, [coding for coding in found if coding.system == LOINC_SYSTEM])


def _first(table: dict[str, Category], found: list[Coding]) -> Category | None:
    return next((table[coding.code] for coding in found if coding.code in table), None)
