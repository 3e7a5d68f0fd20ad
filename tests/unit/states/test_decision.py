"""The rules of consent.md §11 but for overlap, each by hand, on both sides of each edge."""

from dataclasses import replace

import pytest

from states.decision import (
    ImplicitPolicy,
    Judgement,
    LogPlace,
    Outcome,
    Reason,
    Statement,
    StatementKind,
    decide,
)
from states.subjects.terms import Terms
from tests.oracle import consent_oracle as oracle
from tests.oracle.consent_cases import (
    END,
    NOON,
    START,
    Asking,
    brief,
    codes,
    consent,
    denial,
    judged,
    party,
    ref_of,
    request,
    request_of,
    restriction,
    statement_of,
)

PERMIT, DENY, NO_CONSENT = Outcome.PERMIT, Outcome.DENY, Outcome.NO_CONSENT


# What nobody speaks of: NO_CONSENT (§11.3)


def test_without_a_statement_nothing_is_consented_and_nobody_is_named() -> None:
    assert judged(request()) == Judgement(NO_CONSENT, Reason.NOTHING_SAID, None)


def test_a_consent_for_another_organisation_is_not_even_named() -> None:
    elsewhere = consent("p", organisations=codes("lakeside"))
    assert judged(request(), elsewhere) == Judgement(NO_CONSENT, Reason.NOTHING_SAID, None)


@pytest.mark.parametrize(
    ("moment", "outcome", "reason"),
    [
        (START + 9, NO_CONSENT, Reason.NOT_YET),
        (START + 10, PERMIT, Reason.PERMITTED),
        (END - 1, PERMIT, Reason.PERMITTED),
        (END, NO_CONSENT, Reason.OVER),
    ],
)
def test_a_consent_holds_from_its_start_to_just_before_its_end(
    moment: int, outcome: Outcome, reason: Reason
) -> None:
    judgement = judged(request(), consent("p", start=START + 10), moment=moment)
    assert (*brief(judgement), judgement.by) == (outcome, reason, ref_of("p"))


def test_the_nearest_consent_is_named_where_none_speaks() -> None:
    said = (
        consent("over", end=NOON),
        consent("other reader", person="kay"),
        consent("other purpose", purposes=codes("HRESCH")),
    )
    assert judged(request(), *said) == Judgement(
        NO_CONSENT, Reason.OTHER_PURPOSE, ref_of("other purpose")
    )
    later = consent("later", purposes=codes("CLINTRCH"), at=200, index=2)
    assert judged(request(), *said, later).by == ref_of("later")


@pytest.mark.parametrize(
    ("named", "asked", "permitted"),
    [
        ({"person": "reed"}, {"person": "reed"}, True),
        ({"person": "reed"}, {"person": "kay"}, False),
        ({"person": "reed"}, {"person": None}, False),
        ({"role": "clinician"}, {"role": "clinician", "person": None}, True),
        ({"role": "clinician"}, {"role": "pharmacist"}, False),
        ({}, {"person": None}, True),
    ],
)
def test_a_permit_for_a_person_or_role_is_for_nobody_else(
    named: dict[str, str], asked: Asking, *, permitted: bool
) -> None:
    said = consent("p", person=named.get("person"), role=named.get("role"))
    expected = (PERMIT, Reason.PERMITTED) if permitted else (NO_CONSENT, Reason.OTHER_READER)
    assert brief(judged(request(**asked), said)) == expected


@pytest.mark.parametrize(
    ("named", "declared", "permitted"),
    [
        ("TREAT", "TREAT", True),
        ("TREAT", "COC", True),
        ("TREAT", "ETREAT", True),
        ("COC", "TREAT", False),
        ("TREAT", "HRESCH", False),
        ("TREAT", "CLINTRCH", False),
        ("HRESCH", "CLINTRCH", True),
    ],
)
def test_a_purpose_covers_what_is_beneath_it(named: str, declared: str, *, permitted: bool) -> None:
    judgement = judged(request(purpose=declared), consent("p", purposes=codes(named)))
    expected = (PERMIT, Reason.PERMITTED) if permitted else (NO_CONSENT, Reason.OTHER_PURPOSE)
    assert brief(judgement) == expected


# Break-glass (§11.5)


@pytest.mark.parametrize("ancestor", ["TREAT", "ETREAT"])
def test_break_glass_is_permitted_by_name_only(ancestor: str) -> None:
    asked = request(purpose="BTG")
    implied = judged(asked, consent("p", purposes=codes(ancestor)))
    assert brief(implied) == (NO_CONSENT, Reason.BREAK_GLASS_NOT_NAMED)
    assert judged(asked, consent("p", purposes=codes("BTG", ancestor))).outcome is PERMIT


@pytest.mark.parametrize("purposes", [codes(), codes("TREAT"), codes("BTG")])
def test_a_denial_of_treatment_reaches_break_glass(purposes: frozenset[str]) -> None:
    said = (consent("p", purposes=codes("BTG")), denial("d", purposes=purposes))
    assert brief(judged(request(purpose="BTG"), *said)) == (DENY, Reason.DENIED)


def test_the_policy_leaves_only_break_glass_that_nobody_spoke_of_to_the_emergency_path() -> None:
    def emergency(
        purpose: str, *said: oracle.Statement, policy: ImplicitPolicy = "break-glass-only"
    ) -> bool:
        asked = request_of(request(purpose=purpose))
        held = [statement_of(s) for s in said]
        (judgement,) = decide(asked, held, policy, NOON).judgements
        assert judgement.outcome is not PERMIT
        return judgement.emergency

    assert emergency("BTG")
    assert emergency("BTG", consent("p"))
    assert not emergency("BTG", policy="deny")
    assert not emergency("TREAT")
    assert not emergency("BTG", restriction("r"))
    assert not emergency("BTG", consent("p", purposes=codes("BTG"), categories=codes("note")))


# Data: categories and labels (§11.4, §11.6, §11.7)


def test_an_item_outside_the_consented_data_is_denied_and_not_left_to_the_policy() -> None:
    judgement = judged(request(category="note"), consent("p", categories=codes("laboratory")))
    assert judgement == Judgement(DENY, Reason.OUTSIDE, ref_of("p"))


def test_two_permits_open_their_data_side_by_side_whichever_is_later() -> None:
    said = (
        consent("lab", categories=codes("laboratory"), index=1),
        consent("medication", categories=codes("medication"), index=2),
    )
    assert judged(request(category="laboratory"), *said).by == ref_of("lab")
    assert judged(request(category="medication"), *said).by == ref_of("medication")


def test_each_consent_that_opens_an_item_is_named_latest_first() -> None:
    said = (consent("old", index=1, at=100), consent("new", index=2, at=200))
    assert judged(request(), *said).opened_by == (ref_of("new"), ref_of("old"))


@pytest.mark.parametrize(
    ("labels", "named", "permitted"),
    [
        (("L",), "N", True),
        (("N",), "N", True),
        (("R",), "N", False),
        (("N", "R"), "N", False),
        (("R", "U"), "N", False),
        (("N", "own-ward-7"), "N", True),
        ((), "V", False),
        (("own-ward-7",), "V", False),
        (("HIV",), "V", False),
        (("HIV", "R"), "HIV", True),
        (("HIV",), "HIV", True),
        (("PSY", "R"), "BH", True),
        (("BH", "R"), "PSY", False),
        (("ETHUD", "R"), "SUD", True),
        (("ETHUD", "R"), "ETH", True),
    ],
)
def test_a_permit_covers_at_or_below_a_level_and_what_is_beneath_a_sensitivity(
    labels: tuple[str, ...], named: str, *, permitted: bool
) -> None:
    judgement = judged(request(labels=codes(*labels)), consent("p", labels=codes(named)))
    assert judgement.outcome is (PERMIT if permitted else DENY)


@pytest.mark.parametrize(
    ("labels", "named", "denied"),
    [
        (("N",), "R", False),
        (("R",), "R", True),
        (("V",), "R", True),
        (("N", "V"), "R", True),
        ((), "V", True),
        (("own-ward-7",), "PSY", True),
        (("HIV",), "R", True),
        (("HIV",), "PSY", False),
        (("N",), "PSY", False),
        (("PSY", "R"), "BH", True),
        (("BH", "R"), "PSY", False),
        (("ETHUD", "R"), "BH", True),
    ],
)
def test_a_denial_covers_at_or_above_a_level_and_what_is_not_labelled(
    labels: tuple[str, ...], named: str, *, denied: bool
) -> None:
    said = (consent("p"), restriction("r", labels=codes(named)))
    assert judged(request(labels=codes(*labels)), *said).outcome is (DENY if denied else PERMIT)


def test_what_lacks_labels_says_so_and_only_then() -> None:
    bare, known = request(labels=codes()), request(labels=codes("R"))
    level_missing = request(labels=codes("HIV"))
    below = consent("p", labels=codes("N"))
    assert brief(judged(bare, below)) == (DENY, Reason.UNLABELLED)
    assert brief(judged(level_missing, below)) == (DENY, Reason.UNLABELLED)
    assert brief(judged(known, below)) == (DENY, Reason.OUTSIDE)
    psychiatry = consent("p", labels=codes("PSY"))
    assert brief(judged(level_missing, psychiatry)) == (DENY, Reason.OUTSIDE)
    closed = (consent("p"), restriction("r", labels=codes("R")))
    assert brief(judged(bare, *closed)) == (DENY, Reason.UNLABELLED)
    assert brief(judged(known, *closed)) == (DENY, Reason.RESTRICTED)
    either = (consent("p"), restriction("r", labels=codes("HIV", "R")))
    assert brief(judged(level_missing, *either)) == (DENY, Reason.RESTRICTED)
    but = consent("p", but_labels=codes("PSY"))
    assert brief(judged(bare, but)) == (DENY, Reason.UNLABELLED)
    assert brief(judged(request(labels=codes("PSY", "R")), but)) == (DENY, Reason.EXCEPTED)


def test_unlabelled_data_flow_where_no_statement_looks_at_labels() -> None:
    assert judged(request(labels=codes()), consent("p")).outcome is PERMIT


def test_elements_narrow_together_and_entries_are_alternatives() -> None:
    said = consent("p", categories=codes("laboratory", "medication"), labels=codes("HIV", "N"))
    assert judged(request(category="medication", labels=codes("L")), said).outcome is PERMIT
    assert judged(request(labels=codes("R", "HIV")), said).outcome is PERMIT
    assert judged(request(category="note", labels=codes("N")), said).outcome is DENY
    assert judged(request(labels=codes("R", "PSY")), said).outcome is DENY


def test_a_denial_of_a_person_is_met_where_the_person_is_not_known() -> None:
    said = (consent("p"), restriction("r", person="reed"))
    assert judged(request(person="reed"), *said).outcome is DENY
    assert judged(request(person=None), *said).outcome is DENY
    assert judged(request(person="kay"), *said).outcome is PERMIT


def test_a_denial_of_a_role_leaves_the_other_roles() -> None:
    said = (consent("p"), restriction("r", role="pharmacist"))
    assert judged(request(role="pharmacist"), *said).outcome is DENY
    assert judged(request(role="clinician"), *said).outcome is PERMIT


# Exceptions (§11.2)


def test_what_a_consent_leaves_out_is_denied_by_it() -> None:
    said = consent("p", but_categories=codes("note"), but_labels=codes("PSY"))
    assert judged(request(category="note"), said) == Judgement(DENY, Reason.EXCEPTED, ref_of("p"))
    assert brief(judged(request(labels=codes("PSY", "R")), said)) == (DENY, Reason.EXCEPTED)
    assert judged(request(labels=codes("HIV", "R")), said).outcome is PERMIT


def test_an_exception_ends_an_earlier_permit_and_yields_to_a_later_one_that_names_the_thing() -> (
    None
):
    earlier = consent("earlier", index=1)
    but = consent("but", but_categories=codes("note"), index=2)
    naming = consent("naming", categories=codes("note"), index=3)
    broad = consent("broad", index=4)
    asked = request(category="note")
    assert judged(asked, earlier, but) == Judgement(DENY, Reason.EXCEPTED, ref_of("but"))
    assert judged(asked, earlier, but, broad).outcome is DENY
    assert judged(asked, earlier, but, naming).opened_by == (ref_of("naming"),)


def test_an_exception_says_nothing_outside_its_own_consent() -> None:
    but = consent("but", person="reed", but_categories=codes("note"), index=2)
    everybody = consent("everybody", index=1)
    asked = request(category="note", person="kay")
    assert judged(asked, but, everybody).by == ref_of("everybody")
    narrow = consent("but", categories=codes("laboratory"), but_labels=codes("HIV"), index=2)
    note = request(category="note", labels=codes("HIV", "R"))
    assert judged(note, narrow, everybody).by == ref_of("everybody")


def test_a_denial_is_not_softened_by_exceptions() -> None:
    said = denial("d", but_categories=codes("note"))
    assert brief(judged(request(category="note"), said)) == (DENY, Reason.DENIED)


# Values that the contracts do not allow


def test_a_statement_is_what_the_contracts_allow() -> None:
    permit = Terms("permit", None, None, ("TREAT",), (), ())
    closing = Terms("deny", None, None, (), (), ())
    narrowed = Terms("deny", None, None, (), (), (), (party("riverside"),))
    place = LogPlace(party("north"), 1, 1)
    ref, grantee = ref_of("x"), party("riverside")
    for kind, whose, terms, end in (
        (StatementKind.CONSENT, None, permit, END),
        (StatementKind.CONSENT, grantee, permit, None),
        (StatementKind.CONSENT, grantee, narrowed, END),
        (StatementKind.RESTRICTION, None, permit, None),
        (StatementKind.RESTRICTION, grantee, closing, None),
        (StatementKind.RESTRICTION, None, closing, END),
    ):
        with pytest.raises(ValueError, match=f"a {kind}"):
            Statement(ref, kind, whose, terms, START, end, place)


def test_a_withdrawn_statement_permits_nothing_and_denies_until_its_receipt() -> None:
    broad = statement_of(consent("broad"))
    permit = statement_of(consent("later", index=2, but_categories=codes("laboratory")))
    deny = statement_of(denial("deny", index=2))
    for later in (permit, deny):
        for closed in (False, True):
            said = (broad, replace(later, closed=closed))
            (judgement,) = decide(request_of(request()), said, "deny", NOON).judgements
            assert (judgement.outcome, judgement.by) == (DENY, later.ref)
    (alone,) = decide(
        request_of(request(category="note")), (replace(permit, closed=True),), "deny", NOON
    ).judgements
    assert alone.outcome is NO_CONSENT
