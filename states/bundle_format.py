"""What a proof bundle is made of; `states.bundle` verifies one."""

from typing import Annotated, Literal

import msgspec

from states.encoding import Codec
from states.reading import ReportedReading
from states.signed import ProvenTransaction

TRANSACTIONS_MAX = 32
PARAMETERS_MAX = 8
MEMBERS_MAX = 16

BundleSubject = Literal["reading", "disclosure", "record"]


class Bundle(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="bundle/2"
):
    """A proof bundle. `transactions` child first: what refers, then what it refers to.

    `other` is another entry of the same organisation that contradicts the reading. `parameters` are published versions
    (signed-params/1), `members` map entries (signed-member/1), `liveness` a statement of the notary (is-live/1),
    `enrolment` (signed-enrolment/1) only where the patient wants to be named.
    """

    subject: BundleSubject
    reading: ReportedReading | None
    other: ReportedReading | None
    transactions: Annotated[
        tuple[ProvenTransaction, ...], msgspec.Meta(max_length=TRANSACTIONS_MAX)
    ]
    liveness: bytes | None
    parameters: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=PARAMETERS_MAX)]
    members: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]
    enrolment: bytes | None

    def __post_init__(self) -> None:
        if (self.subject == "reading") != (self.reading is not None):
            raise ValueError("a bundle of a reading, and no other, carries one")
        if self.other is not None and self.reading is None:
            raise ValueError("an entry contradicts a reading, or is not there")


BUNDLE: Codec[Bundle] = Codec(Bundle, "proof bundle")
