"""What a record is, without saying whose or what it says: kind, code, labels, day."""

from datetime import date
from typing import Annotated

import msgspec

from states.encoding import Codec
from states.subjects.codes import Category, require_sorted

LABELS_MAX = 32
BLOB_BYTES_MIN = 1 << 12  # the smallest size class
BLOB_BYTES_MAX = 1 << 30

ResourceType = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Z][A-Za-z]*\Z")]
Code = Annotated[str, msgspec.Meta(max_length=64)]
CodeSystem = Annotated[str, msgspec.Meta(max_length=256)]
LabelText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Day = Annotated[
    str, msgspec.Meta(min_length=10, max_length=10, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
]
BlobId = Annotated[str, msgspec.Meta(min_length=59, max_length=59, pattern=r"^b[a-z2-7]{58}\Z")]
"""CIDv1 of a ciphertext, SHA-256, in base32: 59 characters."""

SizeClass = Annotated[int, msgspec.Meta(ge=BLOB_BYTES_MIN, le=BLOB_BYTES_MAX)]
"""Bytes of ciphertext, padded so that many records share each number."""


class Content(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """FHIR resource type, its clinical code and the code's system (empty: none), category, labels, clinical day.

    Labels are confidentiality and sensitivity codes (states.subjects.codes) and those of the custodian, sorted; none
    means not yet labelled. `day` is the day of care in the custodian's time zone; None where the source has none.
    """

    kind: ResourceType
    code: Code
    system: CodeSystem
    category: Category
    labels: Annotated[tuple[LabelText, ...], msgspec.Meta(max_length=LABELS_MAX)]
    day: Day | None

    def __post_init__(self) -> None:
        require_sorted("labels", self.labels)
        if self.day is not None:
            date.fromisoformat(self.day)  # ValueError for 30 February


CONTENT: Codec[Content] = Codec(Content, "content of a record", 4_096)
