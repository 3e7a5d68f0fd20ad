"""The contract of records: four good transactions, and for each clause one that breaks exactly it."""

from msgspec.structs import replace

from states.crypto.policy import One
from states.errors import InvalidSignature
from states.groups import Group
from states.parameters import UnknownParty
from states.sealed import Sealed
from states.subjects.content import Content
from states.subjects.record import (
    About,
    MedicalRecord,
    RecordAmend,
    RecordErase,
    RecordPublish,
    RecordRule,
    RecordTransfer,
    TransferredContent,
    seal_places,
)
from states.subjects.restriction import Restriction
from states.subjects.terms import SubjectAt
from tests.contracts.cast import (
    ADA,
    ADA_AT_MERCY,
    AGENT,
    CONTRACTS,
    LABORATORY,
    MALLORY,
    MERCY,
    NOTARY,
    NOW,
    OTHER_NOTARY,
    RIVERSIDE,
    STRANGER,
    identity,
    seeded,
    signer,
)
from tests.contracts.ledger_dsl import Draft, sealed_at


def blob_id(name: str) -> str:
    digits = "abcdefghijklmnopqrstuvwxyz234567"
    return "bafkrei" + "".join(digits[byte % 32] for byte in seeded("blob", name) * 2)[:52]


RESULT = MedicalRecord(MERCY, 1, seeded("result"), blob_id("result"), 4_096)
NOTE = MedicalRecord(MERCY, 1, seeded("note"), blob_id("note"), 4_096)
AMENDED = MedicalRecord(MERCY, 2, seeded("amended"), blob_id("amended"), 8_192)
OF_LABORATORY = replace(RESULT, custodian=LABORATORY)

HBA1C = Content("Observation", "4548-4", "http://loinc.org", "laboratory", ("N",), "2026-11-20")
LETTER = Content("DocumentReference", "", "", "note", ("PSY", "R"), None)

ABOUT_RESULT, ABOUT_NOTE = About(ADA_AT_MERCY, HBA1C), About(ADA_AT_MERCY, LETTER)

RESTRICTION = Restriction(ADA, MERCY, AGENT, NOW)


def abouts(*said: About) -> tuple[Sealed, ...]:
    places = seal_places(RecordPublish(), len(said))
    return tuple(sealed_at(place, about) for place, about in zip(places, said, strict=True))


CONTRACT = CONTRACTS.named("record/1")
BY_MERCY = identity(MERCY)

PUBLISH = (
    Draft(CONTRACT)
    .commanding(RecordPublish(), BY_MERCY)
    .creating(RESULT, NOTE)
    .sealing(*abouts(ABOUT_RESULT, ABOUT_NOTE))
)
AMEND = (
    Draft(CONTRACT)
    .commanding(RecordAmend(), BY_MERCY)
    .consuming(RESULT)
    .creating(AMENDED)
    .sealing(*abouts(ABOUT_RESULT))
)
CONTENT_PLACE, SUBJECT_PLACE = seal_places(RecordTransfer(), 1)
TRANSFER = (
    Draft(CONTRACT)
    .commanding(RecordTransfer(), identity(LABORATORY), BY_MERCY)
    .consuming(OF_LABORATORY)
    .creating(RESULT)
    .sealing(
        sealed_at(CONTENT_PLACE, TransferredContent(HBA1C)),
        sealed_at(SUBJECT_PLACE, SubjectAt(MERCY, ADA_AT_MERCY)),
    )
)
ERASE = Draft(CONTRACT).commanding(RecordErase(), BY_MERCY).consuming(NOTE)


def test_a_custodian_publishes_amends_and_erases() -> None:
    PUBLISH.verifies()
    AMEND.verifies()
    ERASE.verifies()
    ERASE.consuming(RESULT, NOTE).verifies()


def test_a_record_changes_custodians() -> None:
    TRANSFER.verifies()


def test_a_rotated_identity_key_signs_as_well() -> None:
    PUBLISH.signed_by(One(signer("Mercy, next").key)).verifies()


def test_a_publication_verifies_without_what_was_erased() -> None:
    PUBLISH.tearing_off((Group.OUTPUTS, 1), (Group.SEALED, 1)).verifies()
    PUBLISH.tearing_off(*((g, i) for g in (Group.OUTPUTS, Group.SEALED) for i in (0, 1))).verifies()


def test_who_does_not_hold_the_old_record_judges_the_rest() -> None:
    AMEND.without_holding(0).verifies()
    TRANSFER.without_holding(0).verifies()
    ERASE.without_holding(0).verifies()
    AMEND.without_holding(0).signed_by(MALLORY).fails_with(RecordRule.CUSTODIAN_SIGNS)


# -- the shape -------------------------------------------------------------------------------------


def test_two_commands_are_refused() -> None:
    PUBLISH.commanding_also(RecordErase(), BY_MERCY).fails_with(RecordRule.NOTHING_BUT_RECORDS)


def test_another_subject_does_not_come_along() -> None:
    PUBLISH.creating(RESULT, RESTRICTION).fails_with(RecordRule.NOTHING_BUT_RECORDS)
    ERASE.consuming(NOTE, RESTRICTION).fails_with(RecordRule.NOTHING_BUT_RECORDS)


def test_a_record_refers_to_nothing() -> None:
    PUBLISH.referring_to(NOTE).fails_with(RecordRule.NO_REFERENCES)
    PUBLISH.referring_to(NOTE).without_holding_the_reference().fails_with(RecordRule.NO_REFERENCES)


def test_a_record_attaches_nothing() -> None:
    PUBLISH.attaching(seeded("notice")).fails_with(RecordRule.NO_ATTACHMENTS)


def test_a_record_is_created_at_the_notary_of_its_transaction() -> None:
    PUBLISH.creating(RESULT, NOTE, notary=OTHER_NOTARY).fails_with(RecordRule.AT_ITS_NOTARY)
    assert NOTARY != OTHER_NOTARY


# -- what each command does ------------------------------------------------------------------------


def test_a_publication_consumes_nothing() -> None:
    PUBLISH.consuming(AMENDED).fails_with(RecordRule.PUBLISH_CONSUMES_NOTHING)
    PUBLISH.consuming(AMENDED).without_holding(0).fails_with(RecordRule.PUBLISH_CONSUMES_NOTHING)


def test_a_publication_creates_something() -> None:
    PUBLISH.creating().sealing().fails_with(RecordRule.PUBLISH_CREATES)


def test_a_publication_begins_with_version_1() -> None:
    PUBLISH.creating(RESULT, replace(NOTE, version=2)).fails_with(RecordRule.FIRST_VERSION)


def test_an_amendment_is_one_for_one() -> None:
    AMEND.consuming(RESULT, NOTE).fails_with(RecordRule.AMEND_ONE_FOR_ONE)
    AMEND.consuming().fails_with(RecordRule.AMEND_ONE_FOR_ONE)
    AMEND.creating().sealing().fails_with(RecordRule.AMEND_ONE_FOR_ONE)


def test_an_amendment_has_the_next_version() -> None:
    AMEND.creating(replace(AMENDED, version=3)).fails_with(RecordRule.NEXT_VERSION)
    AMEND.creating(replace(AMENDED, version=1)).fails_with(RecordRule.NEXT_VERSION)


def test_an_amendment_is_encrypted_anew() -> None:
    AMEND.creating(replace(AMENDED, blob=RESULT.blob)).fails_with(RecordRule.NEW_BYTES)
    same = replace(AMENDED, commitment=RESULT.commitment)
    AMEND.creating(same).fails_with(RecordRule.NEW_BYTES)


def test_a_transfer_is_one_for_one() -> None:
    TRANSFER.consuming(OF_LABORATORY, NOTE).fails_with(RecordRule.TRANSFER_ONE_FOR_ONE)
    TRANSFER.creating(RESULT, NOTE).fails_with(RecordRule.TRANSFER_ONE_FOR_ONE)


def test_a_transfer_changes_nothing_of_the_record() -> None:
    for changed in (
        replace(RESULT, version=2),
        replace(RESULT, commitment=seeded("forged")),
        replace(RESULT, blob=NOTE.blob),
        replace(RESULT, size_class=8_192),
    ):
        TRANSFER.creating(changed).fails_with(RecordRule.SAME_BYTES)


def test_a_transfer_is_to_another_custodian() -> None:
    TRANSFER.consuming(RESULT).fails_with(RecordRule.ANOTHER_CUSTODIAN)


def test_an_erasure_consumes_something() -> None:
    ERASE.consuming().fails_with(RecordRule.ERASE_CONSUMES)


def test_an_erasure_creates_nothing() -> None:
    ERASE.creating(RESULT).sealing(*abouts(ABOUT_RESULT)).fails_with(
        RecordRule.ERASE_CREATES_NOTHING
    )


# -- who signs -------------------------------------------------------------------------------------


def test_records_of_two_custodians_are_not_published_or_erased_together() -> None:
    both = (BY_MERCY, identity(LABORATORY))
    mixed = (RESULT, replace(NOTE, custodian=LABORATORY))
    PUBLISH.creating(*mixed).signed_by(*both).fails_with(RecordRule.ONE_CUSTODIAN)
    ERASE.consuming(*mixed).signed_by(*both).fails_with(RecordRule.ONE_CUSTODIAN)


def test_an_amendment_keeps_the_custodian() -> None:
    AMEND.creating(replace(AMENDED, custodian=LABORATORY)).fails_with(RecordRule.ONE_CUSTODIAN)


def test_nobody_publishes_amends_or_erases_for_a_custodian() -> None:
    for good in (PUBLISH, AMEND, ERASE):
        good.signed_by(identity(RIVERSIDE)).fails_with(RecordRule.CUSTODIAN_SIGNS)


def test_both_custodians_sign_a_transfer() -> None:
    TRANSFER.signed_by(BY_MERCY).fails_with(RecordRule.CUSTODIAN_SIGNS)
    TRANSFER.signed_by(identity(LABORATORY)).fails_with(RecordRule.CUSTODIAN_SIGNS)


def test_nobody_else_is_asked_to_sign() -> None:
    for good in (PUBLISH, AMEND, ERASE):
        good.signed_by(BY_MERCY, MALLORY).fails_with(RecordRule.NOBODY_ELSE_SIGNS)
    three = (BY_MERCY, identity(LABORATORY), identity(RIVERSIDE))
    TRANSFER.signed_by(*three).fails_with(RecordRule.NOBODY_ELSE_SIGNS)


def test_a_custodian_who_is_asked_must_have_signed() -> None:
    PUBLISH.without_signature_of(BY_MERCY).refused_with(InvalidSignature)
    TRANSFER.without_signature_of(identity(LABORATORY)).refused_with(InvalidSignature)


def test_a_custodian_is_a_member_of_the_network() -> None:
    unknown = replace(RESULT, custodian=STRANGER)
    PUBLISH.creating(unknown).sealing(*abouts(ABOUT_RESULT)).refused_with(UnknownParty)


# -- what is sealed --------------------------------------------------------------------------------


def test_each_record_says_once_what_it_is_about() -> None:
    PUBLISH.sealing(*PUBLISH.seals[:1]).fails_with(RecordRule.SEALS_COUNTED)
    PUBLISH.sealing(*PUBLISH.seals, PUBLISH.seals[1]).fails_with(RecordRule.SEALS_COUNTED)
    ERASE.sealing(abouts(ABOUT_NOTE)[0]).seal_about(0, Group.INPUTS, 0).fails_with(
        RecordRule.SEALS_COUNTED
    )


def test_no_other_kind_is_sealed_in_its_place() -> None:
    subject = SubjectAt(MERCY, ADA_AT_MERCY)
    PUBLISH.seal_says(1, subject).fails_with(RecordRule.SEALS_OF_KIND)
    # Else the old custodian would read how the new one names the patient.
    TRANSFER.seal_says(0, subject).fails_with(RecordRule.SEALS_OF_KIND)
    TRANSFER.seal_says(0, ABOUT_RESULT).fails_with(RecordRule.SEALS_OF_KIND)


def test_what_a_record_is_about_lies_beside_it() -> None:
    PUBLISH.seal_about(1, Group.OUTPUTS, 0).fails_with(RecordRule.SEALS_ABOUT_RECORDS)
    PUBLISH.seal_about(0, Group.COMMANDS, 0).fails_with(RecordRule.SEALS_ABOUT_RECORDS)


def test_only_custodian_and_agent_read_what_a_record_is_about() -> None:
    wider = PUBLISH.seal_readers(0, "agent", "custodian", "recipient")
    wider.fails_with(RecordRule.SEALS_FOR_KEEPERS)
    PUBLISH.seal_readers(0, "custodian").fails_with(RecordRule.SEALS_FOR_KEEPERS)


def test_the_old_custodian_does_not_read_how_the_new_one_names_the_patient() -> None:
    wider = TRANSFER.seal_readers(1, "agent", "custodian", "former-custodian")
    wider.fails_with(RecordRule.SEALS_FOR_KEEPERS)


def test_a_transferred_record_is_named_as_the_new_custodian_names_her() -> None:
    other = SubjectAt(LABORATORY, ADA_AT_MERCY)
    TRANSFER.seal_says(1, other).fails_with(RecordRule.NAMED_BY_NEW_CUSTODIAN)
