"""What a patient permits or denies, and the sealed components that say so to the right readers."""

from typing import Annotated

import msgspec

from states.crypto.policy import Policy, policy_digest
from states.encoding import Codec
from states.identity import PartyField, PatientIdField
from states.lock import SpendLock, lock_digest
from states.sizes import U16, Bytes16, Bytes32
from states.subjects.codes import Category, Decision, Label, Purpose, RoleCode, require_sorted

CODES_MAX = 128
PARTIES_MAX = 64


class SubjectAt(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="subject-at/1"
):
    """Whom a state is about, in the words of one party: each organisation has a name of its own for a patient."""

    party: PartyField
    patient: PatientIdField


Categories = Annotated[tuple[Category, ...], msgspec.Meta(max_length=CODES_MAX)]
Labels = Annotated[tuple[Label, ...], msgspec.Meta(max_length=CODES_MAX)]


class Terms(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="terms/1"
):
    """Permit or deny: who, for what purpose, what. Fields narrow together; entries of a field are alternatives.

    `person` is the grantee's own id of one person, `role` a role; neither: everybody there. `purposes` cover what is
    beneath them; a denial without any is for every purpose. No categories: every one. No labels: no condition on
    labels; a confidentiality reaches at or below for a permit, at or above for a denial. `parties` (denials of a
    restriction only) are the organisations that it closes to; none: all.
    """

    decision: Decision
    person: Bytes16 | None
    role: RoleCode | None
    purposes: Annotated[tuple[Purpose, ...], msgspec.Meta(max_length=CODES_MAX)]
    categories: Categories
    labels: Labels
    parties: Annotated[tuple[PartyField, ...], msgspec.Meta(max_length=PARTIES_MAX)] = ()

    def __post_init__(self) -> None:
        if self.person is not None and self.role is not None:
            raise ValueError("terms name a person or a role, not both")
        if self.decision == "permit" and not self.purposes:
            raise ValueError("a permit names its purposes")
        require_sorted("purposes", self.purposes)
        require_sorted("categories", self.categories)
        require_sorted("labels", self.labels)
        require_sorted("parties", self.parties)


class Exceptions(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="exceptions/1"
):
    """What a permit leaves out, which its grantee does not read. Always there, mostly empty: absence would tell."""

    categories: Categories
    labels: Labels

    def __post_init__(self) -> None:
        require_sorted("categories", self.categories)
        require_sorted("labels", self.labels)


class Opening(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="opening/1"
):
    """What lets a state's holders refer to it: the salt of its lock and the digest of the lock's policy."""

    output: U16
    salt: Bytes32
    policy_digest: Bytes32

    @classmethod
    def of(cls, output: int, salt: bytes, policy: Policy) -> "Opening":
        return cls(output, salt, policy_digest(policy))

    def opens(self, lock: SpendLock) -> bool:
        return lock.digest == lock_digest(self.salt, self.policy_digest)


TERMS: Codec[Terms] = Codec(Terms, "terms", 1 << 16)
EXCEPTIONS: Codec[Exceptions] = Codec(Exceptions, "exceptions", 1 << 16)
