"""The contract of consent: grant, amendment, revocation, and for each clause one that breaks exactly it."""

import pytest
from msgspec.structs import replace

from states.crypto.policy import Policy
from states.encoding import Codec, encode
from states.enrolment import Enrolment
from states.errors import InvalidSignature, MalformedBytes
from states.groups import Group
from states.identity import PatientId
from states.subjects.consent import (
    LENGTH_MAX_MS,
    SEAL_PLACES,
    Consent,
    ConsentAmend,
    ConsentGrant,
    ConsentRevoke,
    ConsentRule,
)
from states.subjects.pinned import NotPinned, check_pinned, named_patient
from states.subjects.record import MedicalRecord
from states.subjects.terms import Exceptions, SubjectAt, Terms
from tests.attack.bad_input import said
from tests.contracts.cast import (
    ADA,
    ADA_AND_GUARDIAN,
    ADA_AT_MERCY,
    ADA_AT_RIVERSIDE,
    AGENT,
    CONTRACTS,
    DAY,
    DR_REED,
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
from tests.contracts.ledger_dsl import WINDOW, Draft, opening, sealed_at

CONSENT = Consent(ADA, MERCY, RIVERSIDE, AGENT, NOW, NOW + 7 * DAY)
LONGER = replace(CONSENT, end=NOW + 30 * DAY)

AT_MERCY = SubjectAt(MERCY, ADA_AT_MERCY)
AT_RIVERSIDE = SubjectAt(RIVERSIDE, ADA_AT_RIVERSIDE)
TERMS = Terms("permit", DR_REED, None, ("TREAT",), ("laboratory", "medication"), ())
NO_EXCEPTIONS = Exceptions((), ())

SEALS = tuple(
    sealed_at(place, data)
    for place, data in zip(
        SEAL_PLACES, (AT_MERCY, AT_RIVERSIDE, TERMS, opening(0), NO_EXCEPTIONS), strict=True
    )
)
CUSTODIAN_NAME, GRANTEE_NAME, THE_TERMS, THE_OPENING, THE_EXCEPTIONS = range(5)

CONTRACT = CONTRACTS.named("consent/1")
NOTICE = seeded("notice")
A_RECORD = MedicalRecord(MERCY, 1, seeded("record"), "b" + "a" * 58, 4_096)

GRANT = (
    Draft(CONTRACT)
    .commanding(ConsentGrant(), ADA)
    .creating(CONSENT)
    .sealing(*SEALS)
    .attaching(NOTICE)
)
AMEND = GRANT.commanding(ConsentAmend(), ADA).consuming(CONSENT).creating(LONGER)
REVOKE = Draft(CONTRACT).commanding(ConsentRevoke(), ADA).consuming(CONSENT)

FOR_GRANTEE = ((Group.SEALED, CUSTODIAN_NAME), (Group.SEALED, THE_EXCEPTIONS))
FOR_CUSTODIAN = ((Group.SEALED, GRANTEE_NAME),)


def test_a_patient_grants_amends_and_revokes() -> None:
    GRANT.verifies()
    AMEND.verifies()
    REVOKE.verifies()


def test_a_consent_may_start_later_and_attach_no_notice() -> None:
    GRANT.creating(replace(CONSENT, start=NOW + DAY)).attaching().verifies()


def test_each_holder_verifies_what_it_is_shown() -> None:
    GRANT.tearing_off(*FOR_GRANTEE).verifies()
    GRANT.tearing_off(*FOR_CUSTODIAN).verifies()
    AMEND.tearing_off(*FOR_GRANTEE).without_holding(0).verifies()
    REVOKE.without_holding(0).verifies()


def test_a_patient_may_deny_and_except() -> None:
    GRANT.seal_says(THE_TERMS, Terms("deny", None, None, (), (), ("PSY",))).verifies()
    GRANT.seal_says(THE_EXCEPTIONS, Exceptions(("note",), ("HIV", "V"))).verifies()


def test_the_authority_may_be_a_policy_of_many_keys() -> None:
    GRANT.creating(replace(CONSENT, authority=ADA_AND_GUARDIAN)).signed_by(
        ADA_AND_GUARDIAN
    ).verifies()


# -- the shape -------------------------------------------------------------------------------------


def test_consent_has_one_command_alone() -> None:
    GRANT.commanding_also(ConsentRevoke(), ADA).fails_with(ConsentRule.NOTHING_BUT_CONSENT)
    GRANT.creating(CONSENT, A_RECORD).fails_with(ConsentRule.NOTHING_BUT_CONSENT)
    REVOKE.consuming(CONSENT, A_RECORD).fails_with(ConsentRule.NOTHING_BUT_CONSENT)


def test_consent_refers_to_nothing() -> None:
    GRANT.referring_to(A_RECORD).fails_with(ConsentRule.NO_REFERENCES)


def test_one_notice_is_attached_at_most() -> None:
    GRANT.attaching(NOTICE, seeded("another")).fails_with(ConsentRule.ONE_NOTICE)


def test_a_consent_is_created_at_the_notary_of_its_transaction() -> None:
    GRANT.creating(CONSENT, notary=OTHER_NOTARY).fails_with(ConsentRule.AT_ITS_NOTARY)


def test_a_grant_consumes_nothing() -> None:
    GRANT.consuming(LONGER).fails_with(ConsentRule.GRANT_CONSUMES_NOTHING)
    GRANT.consuming(LONGER).without_holding(0).fails_with(ConsentRule.GRANT_CONSUMES_NOTHING)


def test_a_grant_creates_one_consent() -> None:
    GRANT.creating(CONSENT, LONGER).fails_with(ConsentRule.GRANT_CREATES_ONE)
    GRANT.creating(CONSENT, LONGER).tearing_off((Group.OUTPUTS, 1)).fails_with(
        ConsentRule.GRANT_CREATES_ONE
    )


def test_an_amendment_is_one_for_one() -> None:
    AMEND.consuming().fails_with(ConsentRule.AMEND_ONE_FOR_ONE)
    AMEND.creating(LONGER, CONSENT).fails_with(ConsentRule.AMEND_ONE_FOR_ONE)


def test_a_revocation_ends_one_consent() -> None:
    REVOKE.consuming(CONSENT, LONGER).fails_with(ConsentRule.REVOKE_CONSUMES_ONE)
    REVOKE.consuming().fails_with(ConsentRule.REVOKE_CONSUMES_ONE)


def test_a_revocation_creates_nothing() -> None:
    REVOKE.creating(LONGER).sealing(*SEALS).fails_with(ConsentRule.REVOKE_CREATES_NOTHING)


# -- who signs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("forger", [MALLORY, identity(MERCY), identity(RIVERSIDE), identity(AGENT)])
def test_whoever_is_not_the_patient_is_refused(forger: Policy) -> None:
    for good in (GRANT, AMEND, REVOKE):
        good.signed_by(forger).fails_with(ConsentRule.AUTHORITY_SIGNS)


def test_nobody_grants_amends_or_revokes_for_the_patient() -> None:
    for good in (GRANT, AMEND, REVOKE):
        good.signed_by(MALLORY).fails_with(ConsentRule.AUTHORITY_SIGNS)


def test_a_new_authority_signs_beside_the_old() -> None:
    renewed = AMEND.creating(replace(LONGER, authority=ADA_AND_GUARDIAN))
    renewed.signed_by(ADA, ADA_AND_GUARDIAN).verifies()
    renewed.signed_by(ADA).fails_with(ConsentRule.AUTHORITY_SIGNS)
    renewed.signed_by(ADA_AND_GUARDIAN).fails_with(ConsentRule.AUTHORITY_SIGNS)


def test_nobody_else_is_asked_to_sign() -> None:
    GRANT.signed_by(ADA, identity(AGENT)).fails_with(ConsentRule.NOBODY_ELSE_SIGNS)
    REVOKE.signed_by(ADA, MALLORY).fails_with(ConsentRule.NOBODY_ELSE_SIGNS)


def test_a_consent_that_names_the_real_patient_needs_her_signature() -> None:
    GRANT.without_signature_of(ADA).refused_with(InvalidSignature)
    REVOKE.without_signature_of(ADA).refused_with(InvalidSignature)


# -- what it says ----------------------------------------------------------------------------------


def test_custodian_grantee_and_agent_are_three() -> None:
    GRANT.creating(replace(CONSENT, grantee=MERCY)).fails_with(ConsentRule.PARTIES_DIFFER)
    GRANT.creating(replace(CONSENT, agent=MERCY)).fails_with(ConsentRule.PARTIES_DIFFER)
    GRANT.creating(replace(CONSENT, agent=RIVERSIDE)).fails_with(ConsentRule.PARTIES_DIFFER)


def test_an_amendment_keeps_the_parties() -> None:
    for changed in (
        replace(LONGER, custodian=LABORATORY),
        replace(LONGER, grantee=LABORATORY),
        replace(LONGER, agent=OTHER_AGENT),
    ):
        AMEND.creating(changed).fails_with(ConsentRule.AMEND_KEEPS_PARTIES)


def test_a_consent_is_not_over_before_it_is_notarised() -> None:
    GRANT.creating(replace(CONSENT, end=WINDOW.until_time)).verifies()
    over = replace(CONSENT, end=WINDOW.until_time - 1)
    GRANT.creating(over).fails_with(ConsentRule.NOT_OVER)


def test_a_consent_ends_within_ten_years() -> None:
    GRANT.creating(replace(CONSENT, end=NOW + LENGTH_MAX_MS)).verifies()
    for_ever = replace(CONSENT, end=NOW + LENGTH_MAX_MS + 1)
    GRANT.creating(for_ever).fails_with(ConsentRule.TEN_YEARS_AT_MOST)


# -- what is sealed --------------------------------------------------------------------------------


def test_a_consent_has_every_sealed_component_and_a_revocation_none() -> None:
    GRANT.sealing(*SEALS[:4]).fails_with(ConsentRule.SEALS_COUNTED)
    GRANT.sealing(*SEALS, SEALS[THE_TERMS]).fails_with(ConsentRule.SEALS_COUNTED)
    REVOKE.sealing(SEALS[THE_TERMS]).seal_about(0, Group.INPUTS, 0).fails_with(
        ConsentRule.SEALS_COUNTED
    )


def test_a_consent_has_terms_once_and_in_their_place() -> None:
    GRANT.seal(THE_OPENING, SEALS[THE_TERMS]).fails_with(ConsentRule.SEALS_OF_KIND)
    GRANT.seal(THE_TERMS, SEALS[THE_OPENING]).fails_with(ConsentRule.SEALS_OF_KIND)


def test_what_is_sealed_is_about_the_consent() -> None:
    GRANT.seal_about(THE_TERMS, Group.COMMANDS, 0).fails_with(ConsentRule.SEALS_ABOUT_CONSENT)


def test_each_sealed_component_has_its_own_readers() -> None:
    for index in (CUSTODIAN_NAME, THE_EXCEPTIONS):
        wider = GRANT.seal_readers(index, "agent", "custodian", "grantee")
        wider.fails_with(ConsentRule.SEALS_FOR_READERS)
    for index in range(5):
        GRANT.seal_readers(index, "agent").fails_with(ConsentRule.SEALS_FOR_READERS)


def test_each_party_gets_its_own_name_of_the_patient() -> None:
    wrong = SubjectAt(RIVERSIDE, ADA_AT_MERCY)
    GRANT.seal_says(CUSTODIAN_NAME, wrong).fails_with(ConsentRule.NAMED_TO_EACH)
    GRANT.seal_says(GRANTEE_NAME, AT_MERCY).fails_with(ConsentRule.NAMED_TO_EACH)


def test_two_parties_have_no_common_name_of_the_patient() -> None:
    common = SubjectAt(RIVERSIDE, ADA_AT_MERCY)
    GRANT.seal_says(GRANTEE_NAME, common).fails_with(ConsentRule.PAIRWISE_NAMES)


def test_the_terms_of_a_consent_are_for_its_grantee() -> None:
    others = replace(TERMS, parties=(LABORATORY,))
    GRANT.seal_says(THE_TERMS, others).fails_with(ConsentRule.FOR_THE_GRANTEE)


def test_the_opening_opens_the_lock() -> None:
    GRANT.seal_says(THE_OPENING, replace(opening(0), salt=seeded("wrong"))).fails_with(
        ConsentRule.OPENING_OPENS
    )
    GRANT.seal_says(THE_OPENING, replace(opening(0), output=1)).fails_with(
        ConsentRule.OPENING_OPENS
    )


# -- forgery ---------------------------------------------------------------------------------------

ENROLMENT = Enrolment(MERCY, ADA_AT_MERCY, ADA, AGENT, NOW - DAY)


def accepted(draft: Draft) -> tuple[Consent, PatientId]:
    """A consent as the custodian takes it from a transaction that the ledger accepts, and whom it names."""
    ledger = draft.tearing_off(*FOR_CUSTODIAN).checked().ledger
    ((_, consent),) = ledger.outputs_of(Consent)
    return consent, named_patient(ledger, MERCY)


def test_the_patients_own_consent_is_pinned_by_her_enrolment() -> None:
    check_pinned(*accepted(GRANT), ENROLMENT)


def test_a_forged_consent_is_refused_by_the_pin_though_the_ledger_accepts_it() -> None:
    forged = GRANT.creating(replace(CONSENT, authority=MALLORY)).signed_by(MALLORY)
    forged.verifies()  # it is consistent in itself: Mallory signed for her own key
    with pytest.raises(NotPinned) as refused:
        check_pinned(*accepted(forged), ENROLMENT)
    said("other key", refused.value)


def test_a_consent_is_pinned_by_the_enrolment_of_that_patient_there_and_then_only() -> None:
    mine = accepted(GRANT)
    for other, why in (
        (replace(ENROLMENT, patient=PatientId(seeded("Bob")[:16])), "another's"),
        (replace(ENROLMENT, custodian=LABORATORY), "another's"),
        (replace(ENROLMENT, agent=OTHER_AGENT), "agent"),
    ):
        with pytest.raises(NotPinned, match=why):
            check_pinned(*mine, other)


def test_who_is_shown_no_name_of_the_patient_pins_nothing() -> None:
    ledger = GRANT.tearing_off(*FOR_GRANTEE).checked().ledger
    with pytest.raises(NotPinned, match="0 names"):
        named_patient(ledger, MERCY)
    assert named_patient(ledger, RIVERSIDE) == ADA_AT_RIVERSIDE


# -- values that refuse to be wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: replace(CONSENT, end=CONSENT.start),
        lambda: replace(TERMS, role="clinician"),
        lambda: replace(TERMS, purposes=()),
        lambda: replace(TERMS, purposes=("TREAT", "COC")),
        lambda: replace(TERMS, categories=("note", "note")),
        lambda: replace(TERMS, labels=("R", "N")),
    ],
)
def test_a_value_that_is_wrong_cannot_be_made(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(ValueError, match=r"sorted|before|not both|purposes"):
        wrong()


@pytest.mark.parametrize(
    ("data", "field", "forged"),
    [
        (TERMS, 3, ["ANYTHING"]),
        (TERMS, 4, ["everything"]),
        (TERMS, 0, "allow"),
        (replace(TERMS, person=None, role="clinician"), 2, "clinician\n"),
    ],
)
def test_codes_are_closed_lists(data: Terms, field: int, forged: object) -> None:
    fields: list[object] = ["permit", data.person, data.role, ["TREAT"], ["note"], [], []]
    codec = Codec(Terms, "terms")
    codec.decode(encode(["terms/1", *fields]))
    fields[field] = forged
    with pytest.raises(MalformedBytes):
        codec.decode(encode(["terms/1", *fields]))
