"""A denial closes what was disclosed before it, when it begins: by the notary's clock, or later where it says so."""

import pytest

from app.access import GateRule
from flows.store import Status
from flows.subjects.consent import ConfirmConsents, GrantConsent, RevokeConsent
from flows.subjects.statement import BindAtStart, Stated
from states.state import StateRef
from states.subjects.terms import Exceptions, Terms
from tests.attack.test_clocks import set_back
from tests.simulation.neighbours import ADA, DAY, REED, result
from tests.simulation.restoring import greet, image_of
from tests.simulation.test_confirmation import close, decided, made, restored
from tests.simulation.test_story import granted
from tests.simulation.village import Village

IN_AN_HOUR = 3_600_000
WELL_BEGUN_MS = 600_000


@pytest.fixture
def village() -> Village:
    return Village(seed=24, double_run=True)


def stated(village: Village, terms: Terms, start: int, left_out: Exceptions) -> StateRef:
    """Ada says something else to Riverside about what Mercy keeps, from a moment on."""
    now = village.clock.now
    parties = village.party("Mercy"), village.party("Riverside")
    grant = GrantConsent(ADA, *parties, now + start, now + DAY, terms, left_out)
    return result(village, "Agent", village.run("Agent", grant), Stated).ref


def denied(village: Village, start: int) -> StateRef:
    terms = Terms("deny", REED, None, ("TREAT",), ("laboratory",), ())
    return stated(village, terms, start, Exceptions((), ()))


def waiting(village: Village) -> list[Status]:
    tag = BindAtStart.__struct_config__.tag
    return [Status(row.status) for row in village.nodes["Mercy"].engine.flows() if row.tag == tag]


@pytest.mark.parametrize("behind", [1, 500, 240_000])
def test_a_restriction_binds_at_once_where_the_custodians_clock_is_behind(
    village: Village, behind: int
) -> None:
    consent = granted(village)
    village.clock.now += WELL_BEGUN_MS
    set_back(village, "Mercy", behind)
    tx = made(village, consent)
    assert decided(village, tx) is None
    close(village, "laboratory")
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_what_is_left_out_of_a_later_permit_is_closed_to_its_reader(village: Village) -> None:
    tx = made(village, granted(village))
    terms = Terms("permit", REED, None, ("TREAT",), (), ())
    stated(village, terms, 0, Exceptions(("laboratory",), ()))
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_a_denial_that_begins_later_closes_then(village: Village) -> None:
    tx = made(village, granted(village))
    denied(village, IN_AN_HOUR)
    village.pass_time(IN_AN_HOUR - 1)
    assert decided(village, tx) is None
    village.pass_time(1)
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
    assert waiting(village) == [Status.DONE]


def test_a_denial_that_was_revoked_before_it_began_closes_nothing(village: Village) -> None:
    tx = made(village, granted(village))
    village.run("Agent", RevokeConsent(denied(village, IN_AN_HOUR)))
    village.pass_time(IN_AN_HOUR)
    village.run("Riverside", ConfirmConsents())  # a lease has passed
    assert decided(village, tx) is None
    assert waiting(village) == [Status.DONE]


def test_a_restored_custodian_closes_when_a_denial_that_it_had_lost_begins(
    village: Village,
) -> None:
    tx = made(village, granted(village))
    image = image_of(village, "Mercy")
    denied(village, IN_AN_HOUR)
    restored(village, "Mercy", image)
    greet(village, "Mercy")
    village.pass_time(IN_AN_HOUR)
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
