"""The contract of moving states to another notary, and for each clause one that breaks exactly it."""

from dataclasses import replace as with_fields

from msgspec.structs import replace

from states.encoding import encode
from states.errors import InvalidSignature
from states.groups import Group
from states.identity import Party
from states.ledger import Data
from states.sealed import Place, Sealed
from states.subjects.consent import HOLDERS
from states.subjects.notary_change import NotaryChange, NotaryChangeRule
from states.subjects.record import RecordErase
from tests.contracts.cast import (
    ADA,
    CONTRACTS,
    MALLORY,
    MERCY,
    NOTARY,
    OTHER_NOTARY,
    RIVERSIDE,
    STRANGER,
    identity,
    seeded,
)
from tests.contracts.ledger_dsl import Draft, opening
from tests.contracts.test_consent import CONSENT, LONGER, TERMS
from tests.contracts.test_disclosure import DISCLOSURE
from tests.contracts.test_record import NOTE, RESULT
from tests.contracts.test_restriction import RESTRICTION

CONTRACT = CONTRACTS.named("notary-change/1")
TO_OTHER = NotaryChange(OTHER_NOTARY)


def opening_for(output: int) -> Sealed:
    return Sealed(HOLDERS, Place(Group.OUTPUTS, output), encode(opening(output)))


def moving(*states: Data) -> Draft:
    return Draft(CONTRACT).consuming(*states).creating(*states, notary=OTHER_NOTARY)


RECORDS = moving(RESULT, NOTE).commanding(TO_OTHER, identity(MERCY))
A_CONSENT = moving(CONSENT).commanding(TO_OTHER, ADA).sealing(opening_for(0))
ALL = (
    moving(RESULT, CONSENT, RESTRICTION, DISCLOSURE, LONGER)
    .commanding(TO_OTHER, identity(MERCY), ADA)
    .sealing(opening_for(1), opening_for(4))
)


def test_states_of_every_subject_move() -> None:
    RECORDS.verifies()
    A_CONSENT.verifies()
    moving(RESTRICTION).commanding(TO_OTHER, ADA).verifies()
    moving(DISCLOSURE).commanding(TO_OTHER, identity(MERCY)).verifies()
    ALL.verifies()


def test_who_does_not_hold_a_state_judges_the_rest() -> None:
    A_CONSENT.without_holding(0).verifies()
    RECORDS.tearing_off((Group.OUTPUTS, 1)).verifies()
    ALL.without_holding(0, 1, 2, 3, 4).verifies()
    ALL.without_holding(1).tearing_off((Group.OUTPUTS, 1), (Group.SEALED, 0)).verifies()


def test_a_change_of_notary_is_alone() -> None:
    two = moving().commanding(TO_OTHER, ADA).commanding_also(NotaryChange(NOTARY), ADA)
    two.fails_with(NotaryChangeRule.ALONE)
    two.commanding(TO_OTHER, ADA).commanding_also(RecordErase(), ADA).fails_with(
        NotaryChangeRule.ALONE
    )


def test_it_moves_something() -> None:
    moving().commanding(TO_OTHER, ADA).fails_with(NotaryChangeRule.MOVES_SOMETHING)


def test_no_state_is_lost_or_won_on_the_way() -> None:
    RECORDS.creating(RESULT, notary=OTHER_NOTARY).fails_with(NotaryChangeRule.ONE_FOR_ONE)
    RECORDS.consuming(RESULT).fails_with(NotaryChangeRule.ONE_FOR_ONE)


def test_it_refers_to_nothing() -> None:
    RECORDS.referring_to(CONSENT).fails_with(NotaryChangeRule.NO_REFERENCES)


def test_it_attaches_nothing() -> None:
    RECORDS.attaching(seeded("notice")).fails_with(NotaryChangeRule.NO_ATTACHMENTS)


def to(notary: Party) -> Draft:
    return RECORDS.creating(RESULT, NOTE, notary=notary).commanding(
        NotaryChange(notary), identity(MERCY)
    )


def test_the_new_notary_is_the_networks_and_another() -> None:
    to(NOTARY).fails_with(NotaryChangeRule.ANOTHER_NOTARY)
    to(STRANGER).fails_with(NotaryChangeRule.ANOTHER_NOTARY)
    to(RIVERSIDE).fails_with(NotaryChangeRule.ANOTHER_NOTARY)


def test_every_state_arrives_at_the_new_notary() -> None:
    stays = RECORDS.creating(RESULT, NOTE)
    stays.fails_with(NotaryChangeRule.AT_THE_NEW_NOTARY)
    half = (RECORDS.outputs[0], stays.outputs[1])
    with_fields(RECORDS, outputs=half).fails_with(NotaryChangeRule.AT_THE_NEW_NOTARY)


def test_nothing_but_the_notary_changes() -> None:
    for changed in (replace(RESULT, version=2), replace(RESULT, custodian=RIVERSIDE), CONSENT):
        RECORDS.creating(changed, NOTE, notary=OTHER_NOTARY).fails_with(NotaryChangeRule.SAME_STATE)
    swapped = RECORDS.creating(NOTE, RESULT, notary=OTHER_NOTARY)
    swapped.fails_with(NotaryChangeRule.SAME_STATE)


def test_the_owner_of_each_state_signs() -> None:
    RECORDS.signed_by(identity(RIVERSIDE)).fails_with(NotaryChangeRule.OWNERS_SIGN)
    A_CONSENT.signed_by(identity(MERCY)).fails_with(NotaryChangeRule.OWNERS_SIGN)
    ALL.signed_by(ADA).fails_with(NotaryChangeRule.OWNERS_SIGN)
    ALL.signed_by(identity(MERCY)).fails_with(NotaryChangeRule.OWNERS_SIGN)
    moving(RESTRICTION).commanding(TO_OTHER, MALLORY).fails_with(NotaryChangeRule.OWNERS_SIGN)
    ALL.without_signature_of(ADA).refused_with(InvalidSignature)


def test_nobody_else_is_asked_to_sign() -> None:
    A_CONSENT.signed_by(ADA, MALLORY).fails_with(NotaryChangeRule.NOBODY_ELSE_SIGNS)


def test_nothing_but_openings_is_sealed() -> None:
    A_CONSENT.seal_says(0, TERMS).fails_with(NotaryChangeRule.OPENINGS_ONLY)


def test_each_consent_gets_the_opening_of_its_new_lock() -> None:
    A_CONSENT.sealing().fails_with(NotaryChangeRule.OPENING_FOR_EACH)
    ALL.sealing(opening_for(1)).fails_with(NotaryChangeRule.OPENING_FOR_EACH)
    ALL.sealing(opening_for(4), opening_for(1)).fails_with(NotaryChangeRule.OPENING_FOR_EACH)
    ALL.sealing(opening_for(1), opening_for(1)).fails_with(NotaryChangeRule.OPENING_FOR_EACH)
    RECORDS.sealing(opening_for(0)).fails_with(NotaryChangeRule.OPENING_FOR_EACH)


def test_an_opening_is_about_the_output_that_it_names() -> None:
    ALL.seal_about(0, Group.OUTPUTS, 4).fails_with(NotaryChangeRule.OPENING_ABOUT_ITS_OUTPUT)
    A_CONSENT.seal_about(0, Group.INPUTS, 0).fails_with(NotaryChangeRule.OPENING_ABOUT_ITS_OUTPUT)


def test_an_opening_is_for_the_holders_of_the_consent() -> None:
    A_CONSENT.seal_readers(0, "agent", "custodian").fails_with(NotaryChangeRule.OPENING_READERS)


def test_an_opening_opens_the_new_lock() -> None:
    wrong = replace(opening(0), salt=seeded("wrong"))
    A_CONSENT.seal_says(0, wrong).fails_with(NotaryChangeRule.OPENING_OPENS)
