"""Medical records: that a version exists, who keeps it, and what its bytes must be. Never whose it is."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec

from states.contract import Owner, requirements
from states.errors import Rule
from states.groups import Group
from states.identity import PartyField, PatientIdField
from states.ledger import Data, LedgerTransaction
from states.sizes import Bytes32
from states.subjects import shape
from states.subjects.content import BlobId, Content, SizeClass
from states.subjects.notary_change import moves_notary
from states.subjects.shape import KEEPERS, SealPlace
from states.subjects.terms import SubjectAt

CORPUS = bytes.fromhex("784eb5aa15709a7edbb52462334e297306e737d9ceba548fc15c7cd535599378")

BOTH_KEEPERS = ("agent", "custodian", "former-custodian")

Version = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF_FFFF)]


class MedicalRecord(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="record/1"
):
    """A version of a record: salted commitment to its plaintext, id and size of its ciphertext."""

    custodian: PartyField
    version: Version
    commitment: Bytes32
    blob: BlobId
    size_class: SizeClass


class RecordPublish(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="record-publish/1"
):
    """A custodian takes records into its care."""


class RecordAmend(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="record-amend/1"
):
    """A new version takes the place of a record."""


class RecordTransfer(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="record-transfer/1",
):
    """Another custodian takes over the very bytes."""


class RecordErase(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="record-erase/1"
):
    """Records end."""


class About(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="about/1"
):
    """Whose record it is, in the custodian's name of the patient, and what it is."""

    patient: PatientIdField
    content: Content


class TransferredContent(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="content/1"
):
    """What a record is that changes custodians: they have no common name of the patient."""

    content: Content


class RecordRule(Rule):
    """Clauses of the record contract."""

    NOTHING_BUT_RECORDS = "a transaction that touches a record has one command, of records, alone"
    NO_REFERENCES = "a transaction of records refers to nothing"
    NO_ATTACHMENTS = "a transaction of records attaches nothing"
    AT_ITS_NOTARY = "a record is created at the notary of its transaction"
    PUBLISH_CONSUMES_NOTHING = "a publication consumes nothing"
    PUBLISH_CREATES = "a publication creates at least one record"
    FIRST_VERSION = "a published record has version 1"
    AMEND_ONE_FOR_ONE = "an amendment consumes one record and creates one"
    NEXT_VERSION = "an amendment has the next version"
    NEW_BYTES = "an amendment has a new commitment and a new blob"
    TRANSFER_ONE_FOR_ONE = "a transfer consumes one record and creates one"
    SAME_BYTES = "a transfer changes neither commitment, blob, version nor size class"
    ANOTHER_CUSTODIAN = "a transfer is to another custodian"
    ERASE_CONSUMES = "an erasure consumes at least one record"
    ERASE_CREATES_NOTHING = "an erasure creates nothing"
    ONE_CUSTODIAN = "all records but those of a transfer have one custodian"
    CUSTODIAN_SIGNS = "each custodian signs"
    NOBODY_ELSE_SIGNS = "nobody but the custodians is asked to sign"
    SEALS_COUNTED = (
        "each new record has the sealed components that its command wants, and no others"
    )
    SEALS_OF_KIND = "each sealed component is of the kind that its place wants"
    SEALS_ABOUT_RECORDS = "each sealed component is about the record of its place"
    SEALS_FOR_KEEPERS = "each sealed component is for the readers of its place"
    NAMED_BY_NEW_CUSTODIAN = (
        "a transferred record's patient is named as the new custodian names her"
    )


@dataclass(frozen=True)
class RecordContract:
    """The rules of records. Every path not listed is refused."""

    corpus: bytes = CORPUS
    name: ClassVar[str] = "record/1"
    rules: ClassVar[type[Rule]] = RecordRule
    state: ClassVar[type[Data] | None] = MedicalRecord
    commands: ClassVar[tuple[type[Data], ...]] = (
        RecordPublish,
        RecordAmend,
        RecordTransfer,
        RecordErase,
    )
    sealed: ClassVar[tuple[type[Data], ...]] = (About, TransferredContent, SubjectAt)
    referring: ClassVar[tuple[str, ...]] = ()

    def owners(self, data: Data) -> tuple[Owner, ...]:
        assert isinstance(data, MedicalRecord), "a record's contract is asked about records"
        return (data.custodian,)

    def verify(self, tx: LedgerTransaction) -> None:
        if moves_notary(tx):
            return
        require, rule = requirements(tx), RecordRule
        command = shape.own_command(tx, self)
        require(rule.NOTHING_BUT_RECORDS, command is not None)
        require(rule.NO_REFERENCES, tx.count(Group.REFERENCES) == 0)
        require(rule.NO_ATTACHMENTS, tx.count(Group.ATTACHMENTS) == 0)
        require(rule.AT_ITS_NOTARY, shape.at_its_notary(tx))
        match command:
            case RecordPublish():
                _verify_publication(tx)
            case RecordAmend():
                _verify_amendment(tx)
            case RecordTransfer():
                _verify_transfer(tx)
            case _:
                _verify_erasure(tx)
        _verify_signers(tx, transfer=isinstance(command, RecordTransfer))
        places = seal_places(command, tx.count(Group.OUTPUTS))
        require(rule.SEALS_COUNTED, shape.seals_are_counted(tx, places))
        require(rule.SEALS_OF_KIND, shape.seals_are_of_their_kind(tx, places))
        require(rule.SEALS_ABOUT_RECORDS, shape.seals_are_about_theirs(tx, places))
        require(rule.SEALS_FOR_KEEPERS, shape.seals_are_for_their_readers(tx, places))
        named = [subject.party for _, subject in tx.seals_of(SubjectAt)]
        custodians = [record.custodian for _, record in tx.outputs_of(MedicalRecord)]
        require(rule.NAMED_BY_NEW_CUSTODIAN, not named or not custodians or named == custodians)


def seal_places(command: Data | None, records: int) -> tuple[SealPlace, ...]:
    """Return what lies where in the sealed group: one `about` a record, so that each is erasable alone.

    A transfer's record is described without a patient for all three, and named for the new custodian and the agent.
    """
    if isinstance(command, RecordTransfer):
        return (
            SealPlace(TransferredContent, 0, BOTH_KEEPERS),
            SealPlace(SubjectAt, 0, KEEPERS),
        )
    return tuple(SealPlace(About, index, KEEPERS) for index in range(records))


def _verify_publication(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), RecordRule
    require(rule.PUBLISH_CONSUMES_NOTHING, tx.count(Group.INPUTS) == 0)
    require(rule.PUBLISH_CREATES, tx.count(Group.OUTPUTS) > 0)
    records = [record for _, record in tx.outputs_of(MedicalRecord)]
    require(rule.FIRST_VERSION, all(record.version == 1 for record in records))


def _verify_amendment(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), RecordRule
    require(rule.AMEND_ONE_FOR_ONE, shape.is_one(tx, inputs=1, outputs=1))
    for old, new in _successions(tx):
        require(rule.NEXT_VERSION, new.version == old.version + 1)
        renewed = new.commitment != old.commitment and new.blob != old.blob
        require(rule.NEW_BYTES, renewed)


def _verify_transfer(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), RecordRule
    require(rule.TRANSFER_ONE_FOR_ONE, shape.is_one(tx, inputs=1, outputs=1))
    for old, new in _successions(tx):
        same = msgspec.structs.replace(new, custodian=old.custodian) == old
        require(rule.SAME_BYTES, same)
        require(rule.ANOTHER_CUSTODIAN, new.custodian != old.custodian)


def _verify_erasure(tx: LedgerTransaction) -> None:
    require, rule = requirements(tx), RecordRule
    require(rule.ERASE_CONSUMES, tx.count(Group.INPUTS) > 0)
    require(rule.ERASE_CREATES_NOTHING, tx.count(Group.OUTPUTS) == 0)


def _verify_signers(tx: LedgerTransaction, *, transfer: bool) -> None:
    """Custodians sign, as far as they are known: with an input not held or an output torn off, one may not be."""
    require, rule = requirements(tx), RecordRule
    known = [*tx.inputs_of(MedicalRecord), *(record for _, record in tx.outputs_of(MedicalRecord))]
    custodians = {record.custodian for record in known}
    require(rule.ONE_CUSTODIAN, transfer or len(custodians) <= 1)
    require(rule.CUSTODIAN_SIGNS, all(tx.party_signs(custodian) for custodian in custodians))
    if len(custodians) == (2 if transfer else 1):
        require(rule.NOBODY_ELSE_SIGNS, shape.is_signed_only_by(tx, custodians))


def _successions(tx: LedgerTransaction) -> list[tuple[MedicalRecord, MedicalRecord]]:
    """The old record and the new, where both are known here."""
    new = [record for _, record in tx.outputs_of(MedicalRecord)]
    return list(zip(tx.inputs_of(MedicalRecord), new, strict=False))
