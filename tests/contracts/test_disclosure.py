"""The contract of disclosure: a good one, and for each clause one that breaks exactly it."""

import pytest
from msgspec.structs import replace

from states.encoding import encode
from states.errors import InvalidSignature, MalformedBytes
from states.groups import Group
from states.sealed import Sealed
from states.subjects.content import Content
from states.subjects.disclosure import (
    ByConsent,
    Disclosure,
    DisclosureMake,
    DisclosureRule,
    Item,
    Who,
    seal_places,
)
from states.verifier import WrongNotary
from tests.contracts.cast import (
    AGENT,
    CONTRACTS,
    DAY,
    DR_REED,
    LABORATORY,
    MALLORY,
    MERCY,
    MINUTE,
    NOW,
    OTHER_AGENT,
    OTHER_NOTARY,
    PARAMETERS,
    RIVERSIDE,
    identity,
    seeded,
)
from tests.contracts.ledger_dsl import WINDOW, Draft, sealed_at
from tests.contracts.test_consent import CONSENT
from tests.contracts.test_record import HBA1C, NOTE, RESULT
from tests.contracts.test_restriction import RESTRICTION

DISCLOSURE = Disclosure(
    custodian=MERCY,
    recipient=RIVERSIDE,
    agent=AGENT,
    basis=ByConsent(0),
    items=2,
    release_by=WINDOW.until_time + 5 * MINUTE,
    read_until=CONSENT.end,
    obligations=("DELAU", "NORDSCLCD"),
)
WHO = Who(DR_REED, "Dr A. Reed", "clinician", "TREAT", b"credential")
METFORMIN = Content("MedicationRequest", "860975", "http://www.nlm.nih.gov/research/umls/rxnorm",
                    "medication", (), None)  # fmt: skip
FIRST = Item(RESULT.commitment, RESULT.blob, RESULT.size_class, RESULT.version, HBA1C)
SECOND = Item(NOTE.commitment, NOTE.blob, NOTE.size_class, NOTE.version, METFORMIN)


def seals(who: Who, *items: Item) -> tuple[Sealed, ...]:
    places = seal_places(len(items))
    return tuple(sealed_at(p, data) for p, data in zip(places, (who, *items), strict=True))


CONTRACT = CONTRACTS.named("disclosure/1")
BOTH = (identity(MERCY), identity(RIVERSIDE))

DISCLOSE = (
    Draft(CONTRACT)
    .commanding(DisclosureMake(), *BOTH)
    .referring_to(CONSENT)
    .creating(DISCLOSURE)
    .sealing(*seals(WHO, FIRST, SECOND))
)


def test_a_custodian_discloses_and_a_recipient_accepts() -> None:
    DISCLOSE.verifies()


def test_one_item_may_be_disclosed_or_two() -> None:
    DISCLOSE.creating(replace(DISCLOSURE, items=1)).sealing(*seals(WHO, FIRST)).verifies()


def test_an_erased_item_does_not_spoil_the_rest() -> None:
    DISCLOSE.tearing_off((Group.SEALED, 1)).verifies()
    DISCLOSE.tearing_off(*((Group.SEALED, i) for i in range(3))).verifies()


def test_who_does_not_hold_the_consent_judges_the_rest() -> None:
    later = CONSENT.end + DAY
    unseen = DISCLOSE.creating(replace(DISCLOSURE, read_until=later))
    unseen.without_holding_the_reference().verifies()
    unseen.fails_with(DisclosureRule.READ_WHILE_CONSENT_RUNS)


# -- the shape -------------------------------------------------------------------------------------


def test_a_disclosure_has_one_command_alone() -> None:
    again = DISCLOSE.commanding_also(DisclosureMake(), *BOTH[:1])
    again.fails_with(DisclosureRule.NOTHING_BUT_DISCLOSURE)
    DISCLOSE.creating(DISCLOSURE, RESULT).fails_with(DisclosureRule.NOTHING_BUT_DISCLOSURE)
    DISCLOSE.consuming(RESULT).fails_with(DisclosureRule.NOTHING_BUT_DISCLOSURE)


def test_a_disclosure_consumes_nothing() -> None:
    DISCLOSE.consuming(DISCLOSURE).fails_with(DisclosureRule.CONSUMES_NOTHING)
    DISCLOSE.consuming(RESULT).without_holding(0).fails_with(DisclosureRule.CONSUMES_NOTHING)


def test_a_disclosure_creates_one_state() -> None:
    DISCLOSE.creating(DISCLOSURE, DISCLOSURE).fails_with(DisclosureRule.CREATES_ONE)
    DISCLOSE.creating().sealing().fails_with(DisclosureRule.CREATES_ONE)


def test_a_disclosure_attaches_nothing() -> None:
    DISCLOSE.attaching(seeded("notice")).fails_with(DisclosureRule.NO_ATTACHMENTS)


def test_a_disclosure_is_created_at_the_notary_of_its_transaction() -> None:
    moved = DISCLOSE.creating(DISCLOSURE, notary=OTHER_NOTARY)
    moved.fails_with(DisclosureRule.AT_ITS_NOTARY)


# -- who signs -------------------------------------------------------------------------------------


def test_nobody_discloses_for_the_custodian() -> None:
    DISCLOSE.signed_by(BOTH[1]).fails_with(DisclosureRule.CUSTODIAN_SIGNS)
    DISCLOSE.signed_by(BOTH[1], MALLORY).fails_with(DisclosureRule.CUSTODIAN_SIGNS)


def test_nobody_accepts_for_the_recipient() -> None:
    DISCLOSE.signed_by(BOTH[0]).fails_with(DisclosureRule.RECIPIENT_SIGNS)


def test_nobody_else_is_asked_to_sign() -> None:
    DISCLOSE.signed_by(*BOTH, identity(AGENT)).fails_with(DisclosureRule.NOBODY_ELSE_SIGNS)


def test_both_who_are_asked_must_have_signed() -> None:
    for side in BOTH:
        DISCLOSE.without_signature_of(side).refused_with(InvalidSignature)


def test_custodian_recipient_and_agent_are_three() -> None:
    for changed in (
        replace(DISCLOSURE, recipient=MERCY),
        replace(DISCLOSURE, agent=RIVERSIDE),
        replace(DISCLOSURE, agent=MERCY),
    ):
        DISCLOSE.creating(changed).fails_with(DisclosureRule.PARTIES_DIFFER)


# -- the basis -------------------------------------------------------------------------------------


def test_there_is_no_disclosure_without_a_basis() -> None:
    DISCLOSE.referring_to().fails_with(DisclosureRule.ONE_REFERENCE)


def test_a_disclosure_refers_to_nothing_but_its_basis() -> None:
    DISCLOSE.referring_to(CONSENT, RESULT).fails_with(DisclosureRule.ONE_REFERENCE)


def test_the_basis_is_reference_0() -> None:
    DISCLOSE.creating(replace(DISCLOSURE, basis=ByConsent(1))).fails_with(
        DisclosureRule.BASIS_IS_THE_REFERENCE
    )


def test_the_basis_is_a_consent_and_nothing_else() -> None:
    DISCLOSE.referring_to(RESTRICTION).fails_with(DisclosureRule.BASIS_IS_A_CONSENT)
    DISCLOSE.referring_to(RESULT).fails_with(DisclosureRule.BASIS_IS_A_CONSENT)


def test_a_consent_for_another_custodian_is_no_basis() -> None:
    DISCLOSE.referring_to(replace(CONSENT, custodian=LABORATORY)).fails_with(
        DisclosureRule.CONSENT_OF_THE_CUSTODIAN
    )


def test_a_consent_for_another_recipient_is_no_basis() -> None:
    DISCLOSE.referring_to(replace(CONSENT, grantee=LABORATORY)).fails_with(
        DisclosureRule.CONSENT_FOR_THE_RECIPIENT
    )


def test_the_agent_who_is_told_is_the_consents() -> None:
    DISCLOSE.referring_to(replace(CONSENT, agent=OTHER_AGENT)).fails_with(
        DisclosureRule.CONSENT_OF_THE_AGENT
    )


def test_the_window_lies_inside_the_consents_time() -> None:
    at_its_end = replace(CONSENT, end=WINDOW.until_time)
    short = replace(DISCLOSURE, read_until=WINDOW.until_time)
    DISCLOSE.creating(short).referring_to(at_its_end).verifies()
    for outside in (
        replace(CONSENT, end=WINDOW.until_time - 1),
        replace(CONSENT, start=WINDOW.from_time + 1),
        replace(CONSENT, start=NOW - 2 * DAY, end=NOW - DAY),
        replace(CONSENT, start=NOW + DAY),
    ):
        DISCLOSE.creating(short).referring_to(outside).fails_with(DisclosureRule.WHILE_CONSENT_RUNS)


def test_nothing_is_read_after_the_consents_end() -> None:
    DISCLOSE.creating(replace(DISCLOSURE, read_until=CONSENT.end + 1)).fails_with(
        DisclosureRule.READ_WHILE_CONSENT_RUNS
    )


def test_a_consent_at_another_notary_is_no_basis() -> None:
    DISCLOSE.holding_at(OTHER_NOTARY).refused_with(WrongNotary)


# -- release ---------------------------------------------------------------------------------------


def test_keys_are_released_soon_after_the_window_and_not_before() -> None:
    closes = WINDOW.until_time
    latest = closes + PARAMETERS.limits.release_ms
    for allowed in (closes, latest):
        DISCLOSE.creating(replace(DISCLOSURE, release_by=allowed)).verifies()
    for wrong in (closes - 1, latest + 1):
        DISCLOSE.creating(replace(DISCLOSURE, release_by=wrong)).fails_with(
            DisclosureRule.RELEASE_SOON
        )


# -- what is sealed --------------------------------------------------------------------------------


def test_there_is_one_item_for_each_record() -> None:
    for items in (1, 3):
        DISCLOSE.creating(replace(DISCLOSURE, items=items)).fails_with(DisclosureRule.SEALS_COUNTED)
    hidden = DISCLOSE.creating(replace(DISCLOSURE, items=1)).tearing_off((Group.SEALED, 2))
    hidden.fails_with(DisclosureRule.SEALS_COUNTED)


def test_a_disclosure_of_nothing_is_no_value() -> None:
    nothing = replace(DISCLOSURE, items=0)
    DISCLOSE.creating(nothing).sealing(*seals(WHO)).refused_with(MalformedBytes)


def test_who_comes_first_and_only_once() -> None:
    DISCLOSE.seal_says(1, WHO).fails_with(DisclosureRule.SEALS_OF_KIND)
    DISCLOSE.seal_says(0, FIRST).fails_with(DisclosureRule.SEALS_OF_KIND)


def test_what_is_sealed_is_about_the_disclosure() -> None:
    DISCLOSE.seal_about(1, Group.REFERENCES, 0).fails_with(DisclosureRule.SEALS_ABOUT_DISCLOSURE)


def test_custodian_recipient_and_agent_read_all_of_it() -> None:
    for index in range(3):
        DISCLOSE.seal_readers(index, "custodian", "recipient").fails_with(
            DisclosureRule.SEALS_FOR_HOLDERS
        )


def test_no_record_is_disclosed_twice() -> None:
    DISCLOSE.seal_says(2, FIRST).fails_with(DisclosureRule.ITEMS_DIFFER)


def test_obligations_are_sorted() -> None:
    with pytest.raises(ValueError, match="sorted"):
        replace(DISCLOSURE, obligations=("NORDSCLCD", "DELAU"))
    assert encode(DISCLOSURE)
