"""Statements that overlap (consent.md §11.1), each case by hand, and the residual rules that come of them."""

import pytest

from states.decision import (
    Judgement,
    Outcome,
    Reason,
    Request,
    decide,
)
from tests.oracle import consent_oracle as oracle
from tests.oracle.consent_cases import (
    END,
    NOON,
    Wording,
    brief,
    codes,
    consent,
    content_of,
    denial,
    judged,
    party,
    person_id,
    ref_of,
    request,
    request_of,
    restriction,
    statement_of,
)

PERMIT, DENY, NO_CONSENT = Outcome.PERMIT, Outcome.DENY, Outcome.NO_CONSENT


@pytest.mark.parametrize(("permit_at", "outcome"), [(99, DENY), (100, DENY), (101, PERMIT)])
def test_a_permit_must_be_later_and_equal_is_not_later(permit_at: int, outcome: Outcome) -> None:
    said = (consent("p", index=permit_at), denial("d", purposes=codes("TREAT"), index=100))
    assert judged(request(), *said).outcome is outcome


@pytest.mark.parametrize(("permit_ms", "outcome"), [(199, DENY), (200, DENY), (201, PERMIT)])
def test_between_two_notaries_time_decides_and_indices_do_not(
    permit_ms: int, outcome: Outcome
) -> None:
    said = (
        consent("p", notary="south", at=permit_ms, index=9),
        restriction("r", notary="north", at=200, index=8),
    )
    assert judged(request(), *said).outcome is outcome


def test_at_one_notary_the_index_decides_within_a_millisecond() -> None:
    said = (consent("p", at=200, index=9), restriction("r", at=200, index=8))
    assert judged(request(), *said).outcome is PERMIT


def test_a_later_broader_denial_ends_every_earlier_permit() -> None:
    said = (
        consent("lab", categories=codes("laboratory"), index=1),
        consent("reed", person="reed", index=2),
        restriction("all", index=3),
    )
    assert judged(request(), *said) == Judgement(DENY, Reason.RESTRICTED, ref_of("all"))


def test_an_earlier_blanket_denial_yields_to_a_later_permit_that_names_the_thing() -> None:
    said = (
        restriction("all", index=1),
        consent("p", person="reed", categories=codes("laboratory"), index=2),
    )
    assert judged(request(), *said).outcome is PERMIT
    assert brief(judged(request(person="kay"), *said)) == (DENY, Reason.RESTRICTED)
    assert brief(judged(request(category="note"), *said)) == (DENY, Reason.RESTRICTED)


@pytest.mark.parametrize(
    ("permit", "closed"),
    [
        pytest.param({}, {"organisations": codes("riverside")}, id="same"),
        pytest.param(
            {}, {"organisations": codes("lakeside", "riverside")}, id="one of the parties"
        ),
        pytest.param({"person": "reed"}, {"person": "reed"}, id="same person"),
        pytest.param({"role": "clinician"}, {"role": "clinician"}, id="same role"),
        pytest.param(
            {"purposes": codes("COC")}, {"purposes": codes("TREAT")}, id="purpose beneath"
        ),
        pytest.param(
            {"categories": codes("laboratory")},
            {"categories": codes("laboratory", "note")},
            id="one of the categories",
        ),
        pytest.param({"labels": codes("PSY")}, {"labels": codes("BH")}, id="label beneath"),
        pytest.param({"labels": codes("PSY")}, {"labels": codes("BH", "U")}, id="every level"),
        pytest.param({"labels": codes("N")}, {"labels": codes("U")}, id="below within every level"),
        pytest.param({}, {"labels": codes("U")}, id="every level is everything"),
    ],
)
def test_a_later_permit_at_least_as_specific_prevails(permit: Wording, closed: Wording) -> None:
    asked = request(purpose="COC", labels=codes("N", "PSY"))
    before = restriction("r", **closed)
    after: oracle.Statement = {**consent("p", **permit), "index": before["index"] + 1}
    assert judged(asked, before).outcome is DENY
    assert judged(asked, before, after).outcome is PERMIT


@pytest.mark.parametrize(
    ("permit", "closed"),
    [
        pytest.param({}, {"person": "reed"}, id="everybody against a person"),
        pytest.param({}, {"role": "clinician"}, id="everybody against a role"),
        pytest.param({"person": "reed"}, {"role": "clinician"}, id="a person against a role"),
        pytest.param({"role": "clinician"}, {"person": "reed"}, id="a role against a person"),
        pytest.param({"purposes": codes("TREAT")}, {"purposes": codes("COC")}, id="purpose above"),
        pytest.param(
            {"purposes": codes("COC", "HRESCH")},
            {"purposes": codes("TREAT")},
            id="a purpose more",
        ),
        pytest.param({}, {"categories": codes("laboratory")}, id="all against a category"),
        pytest.param(
            {"categories": codes("laboratory", "note")},
            {"categories": codes("laboratory", "medication")},
            id="categories that cross",
        ),
        pytest.param({}, {"labels": codes("PSY")}, id="all against a label"),
        pytest.param({"labels": codes("BH")}, {"labels": codes("PSY")}, id="label above"),
        pytest.param({"labels": codes("R")}, {"labels": codes("R")}, id="below against above"),
        pytest.param({"labels": codes("R")}, {"labels": codes("L")}, id="levels that cross"),
        pytest.param({"labels": codes("PSY")}, {"labels": codes("N")}, id="label against level"),
        pytest.param(
            {"person": "reed"}, {"categories": codes("laboratory")}, id="narrower here, wider there"
        ),
    ],
)
def test_a_later_permit_that_is_wider_or_incomparable_loses(
    permit: Wording, closed: Wording
) -> None:
    asked = request(purpose="COC", labels=codes("R", "PSY"))
    before = restriction("r", **closed)
    after: oracle.Statement = {**consent("p", **permit), "index": before["index"] + 1}
    assert judged(asked, after).outcome is PERMIT
    assert brief(judged(asked, before, after)) == (DENY, Reason.RESTRICTED)


def test_a_narrower_denial_takes_away_only_what_it_covers() -> None:
    said = (consent("p", index=2), restriction("r", categories=codes("note"), index=1))
    assert judged(request(category="note"), *said).outcome is DENY
    assert judged(request(category="laboratory"), *said).outcome is PERMIT


@pytest.mark.parametrize(("for_reed", "for_lab"), [(3, 4), (4, 3)])
def test_one_permit_must_prevail_over_every_denial_alone(for_reed: int, for_lab: int) -> None:
    said = (
        denial("reed", person="reed", index=1),
        denial("lab", categories=codes("laboratory"), index=2),
        consent("for reed", person="reed", index=for_reed),
        consent("for lab", categories=codes("laboratory"), index=for_lab),
    )
    assert judged(request(), *said) == Judgement(DENY, Reason.DENIED, ref_of("lab"))
    both = consent("both", person="reed", categories=codes("laboratory"), index=5)
    assert judged(request(), *said, both).opened_by == (ref_of("both"),)


def test_the_denial_that_is_named_is_one_that_no_permit_overcame() -> None:
    said = (
        restriction("standing", categories=codes("laboratory"), at=100, index=1),
        restriction("overcome", at=200, index=2),
        consent("p", at=300, index=3),
    )
    assert judged(request(), *said).by == ref_of("standing")


def test_a_denial_that_is_over_or_has_not_begun_says_nothing() -> None:
    permit = consent("p")
    assert judged(request(), permit, denial("d", end=NOON)).outcome is PERMIT
    assert judged(request(), permit, denial("d", end=NOON + 1)).outcome is DENY
    assert judged(request(), permit, restriction("r", start=NOON + 1)).outcome is PERMIT
    assert judged(request(), permit, restriction("r", start=NOON)).outcome is DENY


def test_a_restriction_binds_from_the_custodians_word_and_not_from_its_place_in_the_log() -> None:
    said = (consent("p", index=1), restriction("r", in_force_since=NOON, index=2))
    assert judged(request(), *said, moment=NOON - 1).outcome is PERMIT
    assert judged(request(), *said, moment=NOON).outcome is DENY


def test_a_denial_alone_is_a_denial_and_elsewhere_nothing_is_said() -> None:
    said = denial("d", categories=codes("note"))
    assert judged(request(category="note"), said) == Judgement(DENY, Reason.DENIED, ref_of("d"))
    assert brief(judged(request(), said)) == (NO_CONSENT, Reason.NOTHING_SAID)


def test_a_restriction_closes_to_its_parties_only() -> None:
    lakeside = restriction("r", organisations=codes("lakeside"))
    assert judged(request(), consent("p"), lakeside).outcome is PERMIT


# Residual rules


def test_residuals_say_what_flows_until_when_and_what_does_not() -> None:
    said = (
        consent("p", but_labels=codes("PSY"), index=1),
        restriction("r", categories=codes("note"), index=2),
    )
    decision = decide(request_of(request()), [statement_of(s) for s in said], "deny", NOON)
    (residual,) = decision.residuals
    assert (residual.by, residual.until) == (ref_of("p"), END)
    assert {(forbid.by, forbid.reason) for forbid in residual.forbids} == {
        (ref_of("p"), Reason.EXCEPTED),
        (ref_of("r"), Reason.RESTRICTED),
    }
    assert residual.opens(content_of("laboratory", codes("N")))
    assert not residual.opens(content_of("laboratory", codes("PSY", "R")))
    assert not residual.opens(content_of("note", codes("N")))


def test_a_consent_that_a_denial_closes_wholly_leaves_no_residual() -> None:
    said = [statement_of(consent("p", index=1)), statement_of(restriction("r", index=2))]
    assert decide(request_of(request()), said, "deny", NOON).residuals == ()


def test_a_denial_that_a_permit_overcomes_is_not_in_its_residual() -> None:
    said = [statement_of(restriction("r", index=1)), statement_of(consent("p", index=2))]
    (residual,) = decide(request_of(request()), said, "deny", NOON).residuals
    assert residual.forbids == ()


def test_items_are_judged_apart_and_answered_in_their_order() -> None:
    asked = request_of(request(category="note"), request(category="laboratory"))
    held = [statement_of(consent("p", categories=codes("laboratory")))]
    outcomes = [judgement.outcome for judgement in decide(asked, held, "deny", NOON).judgements]
    assert outcomes == [DENY, PERMIT]
    nothing = Request(party("riverside"), person_id("reed"), "clinician", "TREAT")
    assert decide(nothing, held, "deny", NOON).judgements == ()
