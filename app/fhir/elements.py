"""Parts of a FHIR document that are looked at: codings, references, days. What has another shape is not there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from app.fhir.json_document import Json, JsonObject

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T|\Z)")


@dataclass(frozen=True, slots=True)
class Coding:
    """A code and the URI of its system; empty where the document has none."""

    system: str
    code: str


def objects(value: Json) -> list[JsonObject]:
    """Return the object, or the objects of the list, that `value` is; FHIR repeats some elements and not others."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return [inner for inner in value if isinstance(inner, dict)]
    return []


def text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def codings(value: Json) -> list[Coding]:
    """Return the codings of a CodeableConcept, of several, or of a bare Coding, in their order."""
    return [
        Coding(text(coding.get("system")), code)
        for concept in objects(value)
        for coding in objects(concept.get("coding")) or [concept]
        if (code := text(coding.get("code")))
    ]


def every_coding(document: Json) -> Iterator[Coding]:
    """Yield each coding at any depth: reasons, components, contained resources, extensions."""
    if isinstance(document, dict):
        code = document.get("code")
        if isinstance(code, str):
            yield Coding(text(document.get("system")), code)
        for inner in document.values():
            yield from every_coding(inner)
    elif isinstance(document, list):
        for inner in document:
            yield from every_coding(inner)


def references(document: Json) -> Iterator[str]:
    """Yield each `reference` at any depth, as it is written."""
    if isinstance(document, dict):
        reference = document.get("reference")
        if isinstance(reference, str):
            yield reference
        for inner in document.values():
            yield from references(inner)
    elif isinstance(document, list):
        for inner in document:
            yield from references(inner)


def day_of(value: Json, zone: tzinfo | None) -> str | None:
    """Return the day of a date, dateTime, instant, Period or Timing; None for less than a day. ValueError.

    An instant's day is that of `zone`; without a zone, the day as it is written, which is the writer's.
    """
    for part in (value, *_days_within(value)):
        if isinstance(part, str) and _DATE.match(part):
            if len(part) == len("2026-11-22") or zone is None:
                return date.fromisoformat(part[:10]).isoformat()
            return datetime.fromisoformat(part).astimezone(zone).date().isoformat()
    return None


def _days_within(value: Json) -> list[Json]:
    if not isinstance(value, dict):
        return []
    events = value.get("event")
    return [value.get("start"), *(events if isinstance(events, list) else []), value.get("end")]
