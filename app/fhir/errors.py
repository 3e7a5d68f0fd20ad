"""What can be wrong with a FHIR resource. No message has a value of the resource: element names only."""

import re

from states.errors import LedgerError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_KIND = re.compile(r"[A-Z][A-Za-z]{0,63}\Z")


class FhirRefused(LedgerError):
    """The bytes are not a FHIR R4 resource that can be kept; nothing of them was."""


class JsonRefused(FhirRefused):
    """The bytes are not one strict JSON object; `why` says which rule is broken, never where by content."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class DocumentTooLarge(FhirRefused):
    """More bytes than the limit for what it is."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"longer than {limit:,} bytes")
        self.limit = limit


class KindRefused(FhirRefused):
    """The resource type is none of FHIR R4's that a medical record is made of."""

    def __init__(self, kind: str) -> None:
        self.kind = kind if _KIND.match(kind) else "?"
        super().__init__(f"{self.kind} is no resource type of FHIR R4 that is kept here")


class VersionRefused(FhirRefused):
    """The resource has the shape of another FHIR version; `element` shows it."""

    def __init__(self, kind: str, element: str, version: str) -> None:
        super().__init__(f"{element} is of FHIR {version}; R4 (4.0) is read here")
        self.kind = kind
        self.element = element
        self.version = version


class ElementRefused(FhirRefused):
    """An element of the resource breaks a rule of FHIR R4, or a limit."""

    def __init__(self, kind: str, element: str, reason: str) -> None:
        super().__init__(f"{element} {reason}")
        self.kind = kind
        self.element = element
        self.reason = reason


def element_path(kind: str, location: tuple[str | int, ...]) -> str:
    """Return a path such as `Observation.component[0].code`; what is no name of an element becomes `?`.

    A sender may write anything as a member's name, so a name that FHIR could not have is not repeated.
    """
    path = kind
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step if _NAME.match(step) else '?'}"
    return path
