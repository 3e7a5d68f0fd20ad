"""Codes of the ledger as GraphQL has them: categories as an enum, the long lists of HL7 as checked text."""

from enum import StrEnum

import strawberry

from app.graphql.errors import ApiError, ErrorCode
from flows.subjects.patient_access import WITHHELD_REASONS
from states.subjects.codes import CATEGORIES, LABELS, PURPOSES, Label, Purpose
from states.subjects.codes import Category as CategoryCode


@strawberry.enum(description="What kind of record it is, as a patient recognises it.")
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


@strawberry.enum(description="Why a custodian withholds a record's content from its patient.")
class WithheldReason(StrEnum):
    """As the custodian says it to the patient's agent."""

    HARM = "harm"
    LAW = "law"
    OTHER_PERSON = "other-person"
    TO_BE_DISCUSSED = "to-be-discussed"


assert tuple(WithheldReason) == WITHHELD_REASONS, "the API names every reason, and no other"


class UnknownCode(ValueError):
    """A code is not on its list; `field` is the input field that has it."""

    def __init__(self, field: str, known: str) -> None:
        super().__init__(f"not a code of {known}")
        self.field = field


def purposes_of(field: str, codes: list[str]) -> tuple[Purpose, ...]:
    """Return purposes of use, sorted, each once. Raises UnknownCode."""
    if not set(codes) <= set(PURPOSES):
        raise UnknownCode(field, "HL7 v3 PurposeOfUse")
    return tuple(sorted(each for each in PURPOSES if each in codes))


def labels_of(field: str, codes: list[str]) -> tuple[Label, ...]:
    """Return confidentiality and sensitivity labels, sorted, each once. Raises UnknownCode."""
    if not set(codes) <= set(LABELS):
        raise UnknownCode(field, "HL7 v3 Confidentiality or InformationSensitivityPolicy")
    return tuple(sorted(each for each in LABELS if each in codes))


def categories_of(found: list[Category]) -> tuple[CategoryCode, ...]:
    """Return categories, sorted, each once."""
    return tuple(sorted(each for each in CATEGORIES if Category(each) in found))


def purpose_of(code: str) -> Purpose:
    """Return a purpose of use; raises BAD_USER_INPUT."""
    found = next((each for each in PURPOSES if each == code), None)
    if found is None:
        raise ApiError(ErrorCode.BAD_USER_INPUT, "the purpose is no code of HL7 v3 PurposeOfUse")
    return found
