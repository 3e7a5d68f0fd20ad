"""Whether a document has the shape of FHIR R4, by the element names and models of `fhir.resources`.

Its R4B (4.3) models are the nearest that it ships; for the types of `KINDS` R4B changed nothing. They check names,
cardinalities, choices and primitive formats, not value sets: a gender `xx` passes.
"""

import functools
import re
from collections.abc import Callable
from enum import Enum

import pydantic
from fhir.resources import R4B, STU3
from fhir.resources import get_fhir_model_class as r5_model

from app.fhir.elements import objects
from app.fhir.errors import ElementRefused, VersionRefused, element_path
from app.fhir.json_document import JsonObject

_PROFILE = re.compile(r"http://hl7\.org/fhir/([0-9]\.[0-9])(\.[0-9]+)?/StructureDefinition/")


class Release(Enum):
    """A release of FHIR, as `fhir.resources` has its models."""

    R4 = "R4 (4.0)"
    R5 = "R5 (5.0)"
    STU3 = "STU3 (3.0)"


_MODELS: dict[Release, Callable[[str], type[pydantic.BaseModel]]] = {
    Release.R4: R4B.get_fhir_model_class,
    Release.R5: r5_model,
    Release.STU3: STU3.get_fhir_model_class,
}
_ELSEWHERE = (Release.R5, Release.STU3)
_NO_ELEMENTS = frozenset({"fhir_comments"})  # the models take it from DSTU1

_REASONS = {
    "extra_forbidden": "is no element of FHIR R4",
    "missing": "is required",
    "model_field_validation.missing": "is required",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "bool_type": "must be a boolean",
    "base64_decode": "is not base64",
}


def require_stated_version(kind: str, document: JsonObject) -> None:
    """Raise VersionRefused where a profile of another FHIR version is claimed; most resources claim none."""
    for meta in objects(document.get("meta")):
        profiles = meta.get("profile")
        for profile in profiles if isinstance(profiles, list) else []:
            stated = _PROFILE.match(profile) if isinstance(profile, str) else None
            if stated and stated[1] != "4.0":
                raise VersionRefused(kind, f"{kind}.meta.profile", stated[1])


def require_known_elements(kind: str, document: JsonObject) -> None:
    """Raise VersionRefused or ElementRefused for a top-level element that R4 does not have."""
    for name in document:
        if name != "resourceType" and name not in _element_names(Release.R4, kind):
            path = element_path(kind, (name,))
            for release in _ELSEWHERE:
                if name in _element_names(release, kind):
                    raise VersionRefused(kind, path, release.value)
            raise ElementRefused(kind, path, _REASONS["extra_forbidden"])


def require_valid(kind: str, document: JsonObject) -> None:
    """Raise VersionRefused or ElementRefused unless the R4B model of `kind` accepts the document."""
    fault = _fault(Release.R4, kind, document)
    if fault is None:
        return
    for release in _ELSEWHERE:
        if _fault(release, kind, document) is None:
            raise VersionRefused(kind, fault[0], release.value)
    raise ElementRefused(kind, *fault)


@functools.cache
def _model(release: Release, kind: str) -> type[pydantic.BaseModel] | None:
    try:
        return _MODELS[release](kind)
    except (ValueError, KeyError):  # that release has no such resource
        return None


@functools.cache
def _element_names(release: Release, kind: str) -> frozenset[str]:
    model = _model(release, kind)
    if model is None:
        return frozenset()
    names = (field.alias or name for name, field in model.model_fields.items())
    return frozenset(names) - _NO_ELEMENTS


def _fault(release: Release, kind: str, document: JsonObject) -> tuple[str, str] | None:
    """Return the first element that the release's model refuses, and why; None where it accepts."""
    model = _model(release, kind)
    if model is None:
        return kind, "is unknown"
    try:
        model.model_validate(document)
    except pydantic.ValidationError as refusal:
        first = refusal.errors(include_input=False, include_url=False, include_context=False)[0]
        reason = _REASONS.get(first["type"], f"is not valid ({first['type']})")
        return element_path(kind, first["loc"]), reason
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        return (
            kind,
            "is not valid",
        )  # a validator of the models stumbled over what it did not expect
    return None
