"""Security labels of a record: those that it brings, and those that its codes call for.

The rule is IHE PCF's (1:53.4.2.7): data with a sensitivity label is R, other data N. It is R or N only where it can
be judged: the record's own code is well-formed, of a vocabulary with a table, and the record is not prose. Anything
else stays without a label, and is withheld under any label condition until somebody labels it. Where the record
states a confidentiality itself, the more restrictive one holds. Free text within a coded record is not read.
"""

import re
from collections.abc import Iterable, Iterator

from app.fhir.elements import Coding, every_coding, objects, text
from app.fhir.errors import ElementRefused
from app.fhir.json_document import JsonObject
from app.fhir.sensitive_codes import BY_PREFIX, SENSITIVE_CODES, VOCABULARIES, Vocabulary
from states.subjects.codes import CONFIDENTIALITIES, LABELS, Sensitivity
from states.subjects.content import LABELS_MAX

LABEL_CHARS_MAX = 64

_CONFIDENTIALITY_SYSTEMS = (
    "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "urn:oid:2.16.840.1.113883.5.25",
)
_ACT_CODE_SYSTEMS = (
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "urn:oid:2.16.840.1.113883.5.4",
)
_PURPOSE_SYSTEMS = (  # a purpose of use says why it may be used, not how sensitive it is
    "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "urn:oid:2.16.840.1.113883.5.8",
)

_WELL_FORMED: dict[Vocabulary, re.Pattern[str]] = {
    "ATC": re.compile(r"[A-Z][0-9]{2}[A-Z]{2}[0-9]{2}\Z"),
    "CVX": re.compile(r"[0-9]{2,3}\Z"),
    "ICD-10": re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?\Z"),
    "LOINC": re.compile(r"[0-9]{1,7}-[0-9]\Z"),
    "RxNorm": re.compile(r"[0-9]{1,8}\Z"),
    "SNOMED CT": re.compile(r"[0-9]{6,18}\Z"),
}

_ROWS: dict[tuple[Vocabulary, str], set[Sensitivity]] = {}
for _row in SENSITIVE_CODES:
    for _code in _row.codes.split():
        _ROWS.setdefault((_row.vocabulary, _code), set()).update(_row.labels)
_LONGEST = {
    vocabulary: max(len(code) for owner, code in _ROWS if owner == vocabulary)
    for vocabulary in BY_PREFIX
}


def sensitivities_of(coding: Coding) -> set[Sensitivity]:
    """Return what a single code reveals, by the table; nothing where the table does not know the code."""
    vocabulary = VOCABULARIES.get(coding.system)
    if vocabulary is None:
        return set()
    if vocabulary not in BY_PREFIX:
        return _ROWS.get((vocabulary, coding.code), set())
    code = coding.code.replace(".", "").upper()
    prefixes = (code[:length] for length in range(1, _LONGEST[vocabulary] + 1))
    return set().union(*(_ROWS.get((vocabulary, prefix), set()) for prefix in prefixes))


def is_judged(coding: Coding) -> bool:
    """Whether a code is of a vocabulary with a table, and has the form of that vocabulary's codes."""
    vocabulary = VOCABULARIES.get(coding.system)
    return vocabulary is not None and bool(_WELL_FORMED[vocabulary].match(coding.code))


def labels_of(kind: str, document: JsonObject, *, judged: bool) -> tuple[str, ...]:
    """Return the labels of a document, sorted. ElementRefused where there are too many.

    `judged`: whether silence of the table means N. A code that reveals something makes the record R in any case.
    """
    stated = list(_stated_labels(kind, document))
    found = sorted(
        {label for coding in every_coding(document) for label in sensitivities_of(coding)}
    )
    sensitive = found or any(label in LABELS and label not in CONFIDENTIALITIES for label in stated)
    levels = [label for label in stated if label in CONFIDENTIALITIES]
    if sensitive:
        levels.append("R")
    elif judged and not stated:
        levels.append("N")
    labels = {label for label in stated if label not in CONFIDENTIALITIES} | set(found)
    labels.update(_most_restrictive(levels))
    if len(labels) > LABELS_MAX:
        raise ElementRefused(kind, f"{kind}.meta.security", f"has more than {LABELS_MAX} labels")
    return tuple(sorted(labels))


def _stated_labels(kind: str, document: JsonObject) -> Iterator[str]:
    """Yield the labels that the document brings in `meta.security`.

    A custodian's own label counts under its code, unless that code is one of HL7's: it would pass for it.
    """
    for meta in objects(document.get("meta")):
        for security in objects(meta.get("security")):
            system, code = text(security.get("system")), text(security.get("code"))
            if len(code) > LABEL_CHARS_MAX:
                raise ElementRefused(kind, f"{kind}.meta.security.code", "is too long")
            if _is_label(system, code):
                yield code


def _is_label(system: str, code: str) -> bool:
    if not code or system in _PURPOSE_SYSTEMS:
        return False
    if system in _CONFIDENTIALITY_SYSTEMS:
        return code in CONFIDENTIALITIES
    if system in _ACT_CODE_SYSTEMS:
        return code not in CONFIDENTIALITIES
    return code not in LABELS


def _most_restrictive(levels: Iterable[str]) -> set[str]:
    ranked = [level for level in CONFIDENTIALITIES if level in set(levels)]
    return set(ranked[-1:])
