"""Bundles read file by file: patients with their records, who treated them, and what was bad.

One bad record does not stop the others, one bad file not the other files. Nothing that is said of a bad one repeats
anything of its content; `file` is the name that the operator's own file has (Synthea's have the patient's name in
it), so an outcome is for the operator's screen, not for a log.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

import msgspec

from app.fhir.elements import objects, text
from app.fhir.entries import entries_of
from app.fhir.errors import FhirRefused, element_path
from app.fhir.files import BUNDLE_BYTES_MAX, bundle_files, read_file
from app.fhir.json_document import Json, JsonObject, read_json
from app.fhir.resource import (
    FhirResource,
    Validation,
    reference_targets,
    resource_of,
)

NAME_CHARS_MAX = 256
PROVIDERS = ("Organization", "Practitioner")
METHODS = (
    "",
    "POST",
    "PUT",
)  # of a transaction's entry; a deletion or a reading is nobody's record


class LocatedRecord(msgspec.Struct, frozen=True):
    """A record, its entry's index in the file, and what it refers to: `Kind/id` where that is in the file, too."""

    entry: int
    resource: FhirResource
    refers_to: tuple[str, ...]


class PatientRecords(msgspec.Struct, frozen=True):
    """A patient of a file and the records about her, in the file's order."""

    file: str
    patient: FhirResource
    records: tuple[LocatedRecord, ...]


class Provider(msgspec.Struct, frozen=True):
    """A practitioner or an organisation, as a file names it; `name` is empty where it does not."""

    kind: str
    id: str
    name: str


class Providers(msgspec.Struct, frozen=True):
    """The practitioners and organisations of a file; `others` counts what else is about no patient."""

    file: str
    practitioners: tuple[Provider, ...]
    organisations: tuple[Provider, ...]
    others: int


class BadRecord(msgspec.Struct, frozen=True):
    """An entry that was left out: its index, its resource type (`?`: none that is known), and why."""

    file: str
    entry: int
    kind: str
    reason: str


class BadFile(msgspec.Struct, frozen=True):
    """A file that was left out whole."""

    file: str
    reason: str


Outcome = PatientRecords | Providers | BadRecord | BadFile


class _Request(msgspec.Struct):
    method: str = ""


class _Entry(msgspec.Struct, rename="camel"):
    full_url: str = ""
    resource: msgspec.Raw = msgspec.Raw(b"")
    request: _Request = msgspec.field(default_factory=_Request)


@dataclass(frozen=True, slots=True)
class _Located:
    """An entry that was read: its references wait until the names of all are known."""

    entry: int
    full_url: str
    resource: FhirResource
    targets: tuple[str, ...]
    name: str


class _EntryRefused(FhirRefused):
    """An entry is not one that is taken, whatever its resource says."""


def read_bundles(
    places: Path | Iterable[Path],
    validate: Validation = "full",
    *,
    zone: tzinfo | None = None,
    bytes_max: int = BUNDLE_BYTES_MAX,
) -> Iterator[Outcome]:
    """Yield what each file holds: bad records, then its providers, then patient by patient; or that it is bad.

    `validate` and `zone` as in `read_resource`. Of a file as much is in memory as it has bytes, twice.
    """
    for path in bundle_files(places):
        try:
            yield from _read_bundle(path, validate, zone, bytes_max)
        except FhirRefused as refusal:
            yield BadFile(path.name, str(refusal))


@dataclass(slots=True)
class _Reading:
    """One file on the way: entries read so far, and the names under which they may be referred to."""

    file: str
    located: list[_Located] = field(default_factory=list)
    names: dict[str, str] = field(
        default_factory=dict
    )  # fullUrl or Kind/id -> Kind/id, or the fullUrl

    def add(self, located: _Located) -> None:
        resource = located.resource
        canonical = f"{resource.kind}/{resource.id}" if resource.id else located.full_url
        aliases = {name for name in (located.full_url, canonical) if name}
        if aliases & self.names.keys():
            raise _EntryRefused("is in the file twice, by its fullUrl or its id")
        self.names.update(dict.fromkeys(aliases, canonical))
        self.located.append(located)

    def resolve(self, reference: str) -> str:
        """Return what is in this file under `reference`, or the reference itself."""
        unversioned = reference.partition("/_history/")[0]
        return self.names.get(unversioned, reference)


def _read_bundle(
    path: Path, validate: Validation, zone: tzinfo | None, bytes_max: int
) -> Iterator[Outcome]:
    reading = _Reading(path.name)
    bad: list[BadRecord] = []
    for index, entry in enumerate(entries_of(read_file(path, bytes_max))):
        kind = "?"
        try:
            document, parts = _open(entry)
            kind = _known_kind(document)
            reading.add(_located(index, document, parts, validate, zone))
        except FhirRefused as refusal:
            bad.append(BadRecord(path.name, index, kind, str(refusal)))
    yield from _sorted_out(reading, bad)


def _open(entry: memoryview) -> tuple[JsonObject, _Entry]:
    """Read an entry twice: strictly as a document, and for the very bytes of its resource."""
    whole = read_json(bytes(entry))
    try:
        parts = msgspec.json.decode(entry, type=_Entry)
    except msgspec.ValidationError:
        raise _EntryRefused("is no entry of a Bundle") from None
    document = whole.get("resource")
    if not isinstance(document, dict):
        raise _EntryRefused("has no resource")
    if parts.request.method not in METHODS:
        raise _EntryRefused("asks for something other than to be stored")
    return document, parts


def _known_kind(document: JsonObject) -> str:
    return element_path("", (text(document.get("resourceType")),)).removeprefix(".")


def _located(
    index: int, document: JsonObject, parts: _Entry, validate: Validation, zone: tzinfo | None
) -> _Located:
    resource = resource_of(document, bytes(parts.resource), validate, zone)
    name = _name(document) if resource.kind in PROVIDERS else ""
    return _Located(index, parts.full_url, resource, reference_targets(document), name)


def _sorted_out(reading: _Reading, bad: list[BadRecord]) -> Iterator[Outcome]:
    patients = [one for one in reading.located if one.resource.kind == "Patient"]
    of_patient: dict[str, list[LocatedRecord]] = {
        reading.resolve(one.full_url or f"Patient/{one.resource.id}"): [] for one in patients
    }
    providers: list[Provider] = []
    others = 0
    for one in reading.located:
        resource = one.resource
        if resource.kind in PROVIDERS:
            providers.append(Provider(resource.kind, resource.id, one.name))
        elif resource.patient is None and resource.kind != "Patient":
            others += 1
        elif resource.kind != "Patient":
            of_whom = of_patient.get(reading.resolve(resource.patient or ""))
            if of_whom is None:
                why = "is about a patient who is not in the file"
                bad.append(BadRecord(reading.file, one.entry, resource.kind, why))
            else:
                of_whom.append(_record(one, reading))
    yield from sorted(bad, key=lambda record: record.entry)
    yield _providers(reading.file, providers, others)
    for patient, records in zip(patients, of_patient.values(), strict=True):
        yield PatientRecords(reading.file, patient.resource, tuple(records))


def _record(one: _Located, reading: _Reading) -> LocatedRecord:
    refers_to = tuple(dict.fromkeys(reading.resolve(target) for target in one.targets))
    return LocatedRecord(one.entry, one.resource, refers_to)


def _providers(file: str, found: list[Provider], others: int) -> Providers:
    practitioners = tuple(one for one in found if one.kind == "Practitioner")
    organisations = tuple(one for one in found if one.kind == "Organization")
    return Providers(file, practitioners, organisations, others)


def _name(document: JsonObject) -> str:
    """An organisation's name, or a practitioner's first."""
    stated = document.get("name")
    if isinstance(stated, str):
        return stated[:NAME_CHARS_MAX]
    for name in objects(stated):
        given = name.get("given")
        parts: list[Json] = [*(given if isinstance(given, list) else []), name.get("family")]
        return " ".join(text(part) for part in parts if text(part))[:NAME_CHARS_MAX]
    return ""
