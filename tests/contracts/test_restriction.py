"""The contract of restrictions: closed, amended, lifted, and for each clause one that breaks exactly it."""

from msgspec.structs import replace

from states.errors import InvalidSignature, MalformedBytes
from states.groups import Group
from states.subjects.pinned import check_pinned, named_patient
from states.subjects.restriction import (
    SEAL_PLACES,
    Restriction,
    RestrictionAmend,
    RestrictionClose,
    RestrictionLift,
    RestrictionRule,
)
from states.subjects.terms import SubjectAt, Terms
from tests.contracts.cast import (
    ADA,
    ADA_AND_GUARDIAN,
    ADA_AT_MERCY,
    AGENT,
    CONTRACTS,
    LABORATORY,
    MALLORY,
    MERCY,
    NOW,
    OTHER_AGENT,
    OTHER_NOTARY,
    RIVERSIDE,
    identity,
    seeded,
)
from tests.contracts.ledger_dsl import Draft, sealed_at
from tests.contracts.test_consent import CONSENT, ENROLMENT

RESTRICTION = Restriction(ADA, MERCY, AGENT, NOW)
LATER = replace(RESTRICTION, start=NOW + 1)
AT_MERCY = SubjectAt(MERCY, ADA_AT_MERCY)
NO_PSYCHIATRY = Terms("deny", None, None, (), (), ("PSY",))
SEALS = tuple(
    sealed_at(place, data)
    for place, data in zip(SEAL_PLACES, (AT_MERCY, NO_PSYCHIATRY), strict=True)
)
NAME, THE_TERMS = range(2)

CONTRACT = CONTRACTS.named("restriction/1")
CLOSE = Draft(CONTRACT).commanding(RestrictionClose(), ADA).creating(RESTRICTION).sealing(*SEALS)
AMEND = CLOSE.commanding(RestrictionAmend(), ADA).consuming(RESTRICTION).creating(LATER)
LIFT = Draft(CONTRACT).commanding(RestrictionLift(), ADA).consuming(RESTRICTION)


def test_a_patient_closes_amends_and_lifts() -> None:
    CLOSE.verifies()
    AMEND.verifies()
    LIFT.verifies()


def test_a_restriction_may_name_whom_it_closes_to() -> None:
    one = Terms("deny", None, "researcher", (), ("note",), (), (RIVERSIDE,))
    CLOSE.seal_says(THE_TERMS, one).verifies()


def test_what_is_torn_off_is_not_judged() -> None:
    CLOSE.tearing_off((Group.SEALED, NAME), (Group.SEALED, THE_TERMS)).verifies()
    AMEND.without_holding(0).verifies()
    LIFT.without_holding(0).verifies()


def test_a_restriction_has_one_command_alone() -> None:
    CLOSE.commanding_also(RestrictionLift(), ADA).fails_with(
        RestrictionRule.NOTHING_BUT_RESTRICTION
    )
    CLOSE.commanding_also(RestrictionClose(), MALLORY).fails_with(
        RestrictionRule.NOTHING_BUT_RESTRICTION
    )


def test_a_restriction_refers_to_nothing() -> None:
    CLOSE.referring_to(CONSENT).fails_with(RestrictionRule.NO_REFERENCES)


def test_one_notice_is_attached_at_most() -> None:
    CLOSE.attaching(seeded("notice")).verifies()
    CLOSE.attaching(seeded("a"), seeded("b")).fails_with(RestrictionRule.ONE_NOTICE)


def test_a_restriction_is_created_at_the_notary_of_its_transaction() -> None:
    CLOSE.creating(RESTRICTION, notary=OTHER_NOTARY).fails_with(RestrictionRule.AT_ITS_NOTARY)


def test_a_closing_consumes_nothing() -> None:
    CLOSE.consuming(LATER).fails_with(RestrictionRule.CLOSE_CONSUMES_NOTHING)


def test_a_closing_creates_one() -> None:
    CLOSE.creating(RESTRICTION, LATER).fails_with(RestrictionRule.CLOSE_CREATES_ONE)
    CLOSE.creating().sealing().fails_with(RestrictionRule.CLOSE_CREATES_ONE)


def test_an_amendment_is_one_for_one() -> None:
    AMEND.consuming().fails_with(RestrictionRule.AMEND_ONE_FOR_ONE)
    AMEND.creating().sealing().fails_with(RestrictionRule.AMEND_ONE_FOR_ONE)


def test_a_lifting_ends_one() -> None:
    LIFT.consuming(RESTRICTION, LATER).fails_with(RestrictionRule.LIFT_CONSUMES_ONE)
    LIFT.consuming().fails_with(RestrictionRule.LIFT_CONSUMES_ONE)


def test_a_lifting_creates_nothing() -> None:
    LIFT.creating(LATER).sealing(*SEALS).fails_with(RestrictionRule.LIFT_CREATES_NOTHING)


def test_nobody_closes_amends_or_lifts_for_the_patient() -> None:
    for good in (CLOSE, AMEND, LIFT):
        good.signed_by(identity(MERCY)).fails_with(RestrictionRule.AUTHORITY_SIGNS)
        good.signed_by(MALLORY).fails_with(RestrictionRule.AUTHORITY_SIGNS)


def test_a_new_authority_signs_beside_the_old() -> None:
    renewed = AMEND.creating(replace(LATER, authority=ADA_AND_GUARDIAN))
    renewed.signed_by(ADA, ADA_AND_GUARDIAN).verifies()
    renewed.signed_by(ADA).fails_with(RestrictionRule.AUTHORITY_SIGNS)
    renewed.signed_by(ADA_AND_GUARDIAN).fails_with(RestrictionRule.AUTHORITY_SIGNS)


def test_nobody_else_is_asked_to_sign() -> None:
    for good in (CLOSE, AMEND, LIFT):
        good.signed_by(ADA, identity(AGENT)).fails_with(RestrictionRule.NOBODY_ELSE_SIGNS)


def test_a_patient_who_is_asked_must_have_signed() -> None:
    CLOSE.without_signature_of(ADA).refused_with(InvalidSignature)
    LIFT.without_signature_of(ADA).refused_with(InvalidSignature)


def test_custodian_and_agent_are_two() -> None:
    CLOSE.creating(replace(RESTRICTION, agent=MERCY)).fails_with(RestrictionRule.PARTIES_DIFFER)


def test_an_amendment_keeps_the_parties() -> None:
    AMEND.creating(replace(LATER, custodian=LABORATORY)).fails_with(
        RestrictionRule.AMEND_KEEPS_PARTIES
    )
    AMEND.creating(replace(LATER, agent=OTHER_AGENT)).fails_with(
        RestrictionRule.AMEND_KEEPS_PARTIES
    )


def test_a_restriction_has_every_sealed_component_and_a_lifting_none() -> None:
    CLOSE.sealing(SEALS[NAME]).fails_with(RestrictionRule.SEALS_COUNTED)
    CLOSE.sealing(*SEALS, SEALS[THE_TERMS]).fails_with(RestrictionRule.SEALS_COUNTED)
    LIFT.sealing(SEALS[NAME]).seal_about(0, Group.INPUTS, 0).fails_with(
        RestrictionRule.SEALS_COUNTED
    )


def test_name_and_terms_lie_in_their_places() -> None:
    CLOSE.sealing(SEALS[THE_TERMS], SEALS[NAME]).fails_with(RestrictionRule.SEALS_OF_KIND)


def test_what_is_sealed_is_about_the_restriction() -> None:
    CLOSE.seal_about(NAME, Group.LOCKS, 0).fails_with(RestrictionRule.SEALS_ABOUT_RESTRICTION)
    CLOSE.seal_about(NAME, Group.OUTPUTS, 1).refused_with(MalformedBytes)


def test_no_grantee_is_ever_shown_a_restriction() -> None:
    for index in (NAME, THE_TERMS):
        wider = CLOSE.seal_readers(index, "agent", "custodian", "grantee")
        wider.fails_with(RestrictionRule.NEVER_FOR_A_GRANTEE)


def test_the_patient_is_named_as_the_custodian_names_her() -> None:
    CLOSE.seal_says(NAME, SubjectAt(RIVERSIDE, ADA_AT_MERCY)).fails_with(
        RestrictionRule.NAMED_TO_CUSTODIAN
    )


def test_a_restriction_never_permits() -> None:
    permit = Terms("permit", None, None, ("TREAT",), (), ())
    CLOSE.seal_says(THE_TERMS, permit).fails_with(RestrictionRule.DENIES)


def test_a_restriction_is_pinned_like_a_consent() -> None:
    ledger = CLOSE.checked().ledger
    ((_, restriction),) = ledger.outputs_of(Restriction)
    check_pinned(restriction, named_patient(ledger, MERCY), ENROLMENT)
