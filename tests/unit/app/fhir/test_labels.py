"""Labels are those that a record brings and those that its codes call for; silence is N only where it was judged."""

import pytest

from app.fhir.elements import Coding
from app.fhir.json_document import JsonObject
from app.fhir.labels import is_judged, labels_of, sensitivities_of
from app.fhir.sensitive_codes import BY_PREFIX, SENSITIVE_CODES, VOCABULARIES
from states.subjects.codes import CONFIDENTIALITIES, SENSITIVITIES

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def condition(system: str, code: str, *security: tuple[str, str]) -> JsonObject:
    return {
        "resourceType": "Condition",
        "meta": {"security": [{"system": system, "code": code} for system, code in security]},
        "code": {"coding": [{"system": system, "code": code}]},
    }


def labels(system: str, code: str, *security: tuple[str, str]) -> tuple[str, ...]:
    judged = is_judged(Coding(system, code))
    return labels_of("Condition", condition(system, code, *security), judged=judged)


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (ICD, "F33.1", ("MH", "PSY", "R")),
        (ICD, "F10.20", ("ETHUD", "R")),
        (ICD, "F17.210", ("N",)),  # tobacco: 42 CFR Part 2 leaves it out
        (ICD, "B20", ("HIV", "R")),
        (ICD, "B19.1", ("N",)),
        (ICD, "Z21", ("HIV", "R")),
        (ICD, "O80", ("R", "SEX")),
        (ICD, "T74.21XA", ("R", "SDV")),
        (ICD, "E11.9", ("N",)),
        (SNOMED, "86406008", ("HIV", "R")),
        (SNOMED, "44054006", ("N",)),
        (SNOMED, "864060081", ("N",)),  # not a prefix: SNOMED's digits have no order
        ("http://www.whocc.no/atc", "N06AB06", ("MH", "PSY", "R")),
        ("http://www.whocc.no/atc", "A10BA02", ("N",)),
        ("http://loinc.org", "44261-6", ("MH", "PSY", "R")),
        ("http://loinc.org", "856AAAAAAA", ()),  # no LOINC code has this form: nobody has judged it
        ("https://mercy.example/codes", "44054006", ()),
    ],
)
def test_a_code_calls_for_labels(system: str, code: str, expected: tuple[str, ...]) -> None:
    assert labels(system, code) == expected


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ([(CONFIDENTIALITY, "V")], ("V",)),
        ([(CONFIDENTIALITY, "L")], ("L",)),
        ([(CONFIDENTIALITY, "N"), (ACT_CODE, "PSY")], ("PSY", "R")),
        ([(CONFIDENTIALITY, "V"), (ACT_CODE, "PSY")], ("PSY", "V")),
        ([("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST")], ("N",)),
        ([("https://mercy.example/labels", "STAFF")], ("STAFF",)),
        ([("https://mercy.example/labels", "U")], ("N",)),  # may not pass for HL7's
        ([(ACT_CODE, "U")], ("N",)),
    ],
)
def test_a_stated_label_stays_and_the_more_restrictive_level_holds(
    security: list[tuple[str, str]], expected: tuple[str, ...]
) -> None:
    assert labels(ICD, "E11.9", *security) == expected


def test_a_sensitive_code_makes_a_record_restricted_whatever_it_states() -> None:
    assert labels(ICD, "F20.0", (CONFIDENTIALITY, "N")) == ("MH", "PSY", "R")


def test_a_reason_deep_inside_reveals_as_much_as_the_code() -> None:
    visit: JsonObject = {
        "type": [{"coding": [{"system": SNOMED, "code": "185349003"}]}],
        "reasonCode": [{"coding": [{"system": ICD, "code": "F32.0"}]}],
    }
    assert labels_of("Encounter", visit, judged=True) == ("MH", "PSY", "R")


def test_every_row_can_be_met_and_gives_its_labels() -> None:
    systems = {vocabulary: system for system, vocabulary in VOCABULARIES.items()}
    for row in SENSITIVE_CODES:
        assert row.source
        assert set(row.labels) <= set(SENSITIVITIES)
        for code in row.codes.split():
            found = sensitivities_of(Coding(systems[row.vocabulary], code))
            assert set(row.labels) <= found, (row.vocabulary, code)
            if row.vocabulary not in BY_PREFIX:
                assert is_judged(Coding(systems[row.vocabulary], code)), code


def loinc_check_digit(number: str) -> int:
    """Mod 10, as LOINC's Users' Guide has it."""
    total = sum(
        sum(divmod(int(digit) * (2 if place % 2 == 0 else 1), 10))
        for place, digit in enumerate(reversed(number))
    )
    return -total % 10


def test_each_loinc_code_of_the_table_has_its_check_digit() -> None:
    codes = [
        code for row in SENSITIVE_CODES if row.vocabulary == "LOINC" for code in row.codes.split()
    ]
    assert len(codes) > 30
    wrong = [code for code in codes if loinc_check_digit(code[:-2]) != int(code[-1])]
    assert wrong == []


VERHOEFF = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
SHUFFLE = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff(number: str) -> int:
    check = 0
    for place, digit in enumerate(reversed(number)):
        moved = int(digit)
        for _ in range(place % 8):
            moved = SHUFFLE[moved]
        check = VERHOEFF[check][moved]
    return check


def test_each_snomed_code_of_the_table_has_its_check_digit() -> None:
    rows = [row for row in SENSITIVE_CODES if row.vocabulary == "SNOMED CT"]
    codes = [code for row in rows for code in row.codes.split()]
    assert len(codes) > 50
    assert [code for code in codes if verhoeff(code) != 0] == []
    assert verhoeff("86406018") != 0


def test_one_confidentiality_at_most() -> None:
    stated = [(CONFIDENTIALITY, level) for level in CONFIDENTIALITIES]
    assert labels(ICD, "E11.9", *stated) == ("V",)
