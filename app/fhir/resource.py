"""A FHIR resource as it was received: the untouched bytes, and what the ledger says about them."""

import re
from datetime import tzinfo
from typing import Literal

import msgspec

from app.fhir import shape
from app.fhir.categories import category_of
from app.fhir.elements import Coding, codings, day_of, objects, references, text
from app.fhir.errors import ElementRefused, KindRefused
from app.fhir.json_document import Json, JsonObject, read_json
from app.fhir.kinds import KINDS, Kind
from app.fhir.labels import is_judged, labels_of
from states.subjects.content import Content

Validation = Literal["full", "shape"]
"""`full` runs the models of `fhir.resources` (0.3 ms an Observation); `shape` only looks at top-level names."""

CODE_CHARS_MAX = 64  # as in Content
SYSTEM_CHARS_MAX = 256
REFERENCE_CHARS_MAX = 1024

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
_PATIENT_REFERENCE = re.compile(r"(.*/)?Patient[/?]|urn:(uuid|oid):")
_NO_CODE = Coding("", "")


class FhirResource(msgspec.Struct, frozen=True):
    """A resource of FHIR R4.

    `id` is the sender's logical id (empty: none). `patient` is the reference to the patient as the sender wrote it
    (`Patient/…`, `urn:uuid:…`, an absolute or a conditional URL; a Patient's own is `Patient/<id>`); None where the
    resource names no patient. `data` are the bytes received.
    """

    kind: str
    id: str
    patient: str | None
    content: Content
    data: bytes


def read_resource(
    data: bytes, validate: Validation = "full", *, zone: tzinfo | None = None
) -> FhirResource:
    """Return the resource that `data` is, or raise FhirRefused (app.fhir.errors says which ones).

    `zone` is the custodian's; it turns an instant of care into a day. Without it the day is the one written.
    """
    return resource_of(read_json(data), data, validate, zone)


def resource_of(
    document: JsonObject, data: bytes, validate: Validation, zone: tzinfo | None
) -> FhirResource:
    """Return the resource of a document that `read_json` has read from `data`. FhirRefused."""
    name = text(document.get("resourceType"))
    kind = KINDS.get(name)
    if kind is None:
        raise KindRefused(name)
    shape.require_stated_version(name, document)
    shape.require_known_elements(name, document)
    if validate == "full":
        shape.require_valid(name, document)
    identifier = _id(name, document)
    code = _code(kind, document)
    judged = name == "Patient" or (is_judged(code) and not _is_prose(kind, document))
    content = Content(
        name,
        code.code,
        code.system,
        category_of(name, document),
        labels_of(name, document, judged=judged),
        _day(name, kind, document, zone),
    )
    patient = _patient(name, kind, document, identifier)
    return FhirResource(name, identifier, patient, content, data)


def _id(name: str, document: JsonObject) -> str:
    identifier = document.get("id", "")
    if not isinstance(identifier, str) or (identifier and not _ID.match(identifier)):
        raise ElementRefused(name, f"{name}.id", "is no id of FHIR")
    return identifier


def _patient(name: str, kind: Kind, document: JsonObject, identifier: str) -> str | None:
    if name == "Patient":
        return f"Patient/{identifier}" if identifier else None
    for element in kind.patient:
        for reference in objects(document.get(element)):
            target = text(reference.get("reference"))
            if len(target) > REFERENCE_CHARS_MAX:
                raise ElementRefused(name, f"{name}.{element}.reference", "is too long")
            if _PATIENT_REFERENCE.match(target):
                return target
    return None


def _code(kind: Kind, document: JsonObject) -> Coding:
    """The first coding that the ledger has room for; post-coordinated SNOMED expressions may have none."""
    named = [coding for element in kind.code for coding in codings(document.get(element))]
    return _fitting(named) or _fitting(_contained_medication(document)) or _NO_CODE


def _fitting(found: list[Coding]) -> Coding | None:
    for coding in found:
        if len(coding.code) <= CODE_CHARS_MAX and len(coding.system) <= SYSTEM_CHARS_MAX:
            return coding
    return None


def _contained_medication(document: JsonObject) -> list[Coding]:
    wanted = [text(one.get("reference")) for one in objects(document.get("medicationReference"))]
    for contained in objects(document.get("contained")):
        if f"#{text(contained.get('id'))}" in wanted:
            return codings(contained.get("code"))
    return []


def _is_prose(kind: Kind, document: JsonObject) -> bool:
    return kind.prose or "presentedForm" in document


def _day(name: str, kind: Kind, document: JsonObject, zone: tzinfo | None) -> str | None:
    for element in kind.day:
        value: Json = document.get(element)
        try:
            day = day_of(value, zone)
        except (ValueError, OverflowError):
            raise ElementRefused(name, f"{name}.{element}", "is no date") from None
        if day is not None:
            return day
    return None


def reference_targets(document: JsonObject) -> tuple[str, ...]:
    """Return the references of a document, each once, in their order; those into itself (`#…`) left out."""
    return tuple(dict.fromkeys(one for one in references(document) if not one.startswith("#")))
