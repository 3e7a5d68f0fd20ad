"""Codes of the ledger as GraphQL has them: categories as an enum, the long lists of HL7 as checked text."""

from collections.abc import Sequence
from enum import StrEnum

from app.graphql.enums import documented
from app.graphql.errors import ApiError, ErrorCode
from flows.subjects.patient_access import WITHHELD_REASONS
from states.subjects.codes import CATEGORIES, LABELS, PURPOSES, ROLES, Label, Purpose
from states.subjects.codes import Category as CategoryCode


@documented(
    "What kind of record it is, as a patient recognises it.",
    {
        "ADMINISTRATIVE": "Appointments, insurance and the like.",
        "ALLERGY": "Allergies and intolerances.",
        "CONDITION": "Diagnoses and problems.",
        "DOCUMENT": "Letters and other documents.",
        "ENCOUNTER": "Visits and stays.",
        "GENETICS": "What is known of the genes.",
        "IMAGING": "Images and their reports.",
        "IMMUNIZATION": "Vaccinations.",
        "LABORATORY": "Results of a laboratory.",
        "MEDICATION": "What was prescribed, given or taken.",
        "NOTE": "Notes of those who treat.",
        "PLAN": "What is planned.",
        "PROCEDURE": "Operations and other procedures.",
        "SOCIAL_HISTORY": "Living conditions and habits.",
        "VITAL_SIGNS": "Blood pressure, weight and the like.",
    },
)
class Category(StrEnum):
    """Carecord's own categories."""

    ADMINISTRATIVE = "administrative"
    ALLERGY = "allergy"
    CONDITION = "condition"
    DOCUMENT = "document"
    ENCOUNTER = "encounter"
    GENETICS = "genetics"
    IMAGING = "imaging"
    IMMUNIZATION = "immunization"
    LABORATORY = "laboratory"
    MEDICATION = "medication"
    NOTE = "note"
    PLAN = "plan"
    PROCEDURE = "procedure"
    SOCIAL_HISTORY = "social-history"
    VITAL_SIGNS = "vital-signs"


assert tuple(Category) == CATEGORIES, "the API names every category of the ledger, and no other"


@documented(
    "Why a custodian withholds a record's content from its patient.",
    {
        "HARM": "It would endanger her or somebody else.",
        "LAW": "A law forbids to show it.",
        "OTHER_PERSON": "It is about another person, too.",
        "TO_BE_DISCUSSED": "It shall first be discussed with her.",
    },
)
class WithheldReason(StrEnum):
    """As the custodian says it to the patient's agent."""

    HARM = "harm"
    LAW = "law"
    OTHER_PERSON = "other-person"
    TO_BE_DISCUSSED = "to-be-discussed"


assert tuple(WithheldReason) == WITHHELD_REASONS, "the API names every reason, and no other"


CODE_CHARS_SHOWN = 32  # of a code that is on no list
ROLES_DESCRIPTION = ", ".join(ROLES)


class UnknownCode(ValueError):
    """A code is not on its list; `field` is the input field that has it, a path with dots."""

    def __init__(self, field: str, code: str, known: str) -> None:
        super().__init__(f"{code[:CODE_CHARS_SHOWN]!a} is not a code of {known}")
        self.field = field
        self.code = code


def purposes_of(field: str, codes: list[str]) -> tuple[Purpose, ...]:
    """Return purposes of use, sorted, each once. Raises UnknownCode."""
    _require(field, codes, PURPOSES, "HL7 v3 PurposeOfUse")
    return tuple(sorted(each for each in PURPOSES if each in codes))


def labels_of(field: str, codes: list[str]) -> tuple[Label, ...]:
    """Return confidentiality and sensitivity labels, sorted, each once. Raises UnknownCode."""
    known = "HL7 v3 Confidentiality or InformationSensitivityPolicy"
    _require(field, codes, LABELS, known)
    return tuple(sorted(each for each in LABELS if each in codes))


def role_of(field: str, code: str) -> str:
    """Return a role. Raises UnknownCode."""
    _require(field, [code], ROLES, f"the roles: {ROLES_DESCRIPTION}")
    return code


def _require(field: str, codes: list[str], known: Sequence[str], name: str) -> None:
    unknown = next((each for each in codes if each not in known), None)
    if unknown is not None:
        raise UnknownCode(field, unknown, name)


def categories_of(found: list[Category]) -> tuple[CategoryCode, ...]:
    """Return categories, sorted, each once."""
    return tuple(sorted(each for each in CATEGORIES if Category(each) in found))


def purpose_of(code: str) -> Purpose:
    """Return a purpose of use; raises BAD_USER_INPUT."""
    found = next((each for each in PURPOSES if each == code), None)
    if found is None:
        raise ApiError(ErrorCode.BAD_USER_INPUT, "the purpose is no code of HL7 v3 PurposeOfUse")
    return found
