"""What should close what was disclosed before closes it: whatever moves, ends, or comes in between."""

import pytest

from app.access import GateRule
from flows.notary_change import ChangeNotary, Moved
from flows.subjects.consent import ConfirmConsents, RevokeConsent
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from flows.subjects.record import AmendRecord
from states.state import StateRef
from states.subjects.terms import Exceptions, Terms
from tests.attack.test_clocks import WELL_BEGUN_MS, set_back
from tests.simulation.neighbours import DAY, REED, result, stage
from tests.simulation.restoring import greet
from tests.simulation.test_confirmation import close, decided, made
from tests.simulation.test_denial_begins import IN_AN_HOUR, denied, stated
from tests.simulation.test_story import disclosed, granted
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=31, double_run=True, two_notaries=True)


def move(village: Village, ref: StateRef) -> StateRef:
    second = village.founding.notaries[1].party
    return result(village, "Agent", village.run("Agent", ChangeNotary(ref, second)), Moved).ref


def permit_again(village: Village) -> StateRef:
    terms = Terms("permit", REED, None, ("TREAT",), ("laboratory",), ())
    return stated(village, terms, 0, Exceptions((), ()))


def test_a_denial_that_moved_to_another_notary_closes_when_it_begins(village: Village) -> None:
    tx = made(village, granted(village))
    move(village, move_back(village, denied(village, IN_AN_HOUR)))
    village.pass_time(IN_AN_HOUR)
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def move_back(village: Village, ref: StateRef) -> StateRef:
    there = move(village, ref)
    change = ChangeNotary(there, village.notary.party)
    return result(village, "Agent", village.run("Agent", change), Moved).ref


def test_a_disclosure_comes_to_the_agent_though_its_consent_has_moved_meanwhile(
    village: Village,
) -> None:
    consent = granted(village)
    agent = village.nodes["Agent"]
    for name in ("Mercy", "Riverside"):
        village.nodes[name].engine.disconnected(agent.me)
    tx = made(village, consent)
    moved = move(village, consent)
    greet(village, "Agent")
    village.settle()
    kept = agent.db.execute("SELECT tx, consent_tx FROM disclosure").fetchall()
    assert kept == [(tx, moved.tx)]
    assert decided(village, tx) is None


def test_a_denial_closes_what_another_permit_opens_for_a_while_only(village: Village) -> None:
    """The other one ends before that on which the disclosure rests, and its end closes nothing of the first."""
    first = granted(village)
    tx = made(village, first)
    denied(village, IN_AN_HOUR)
    other = permit_again(village)
    village.pass_time(IN_AN_HOUR)
    assert disclosed(village, first).outcome == "refused"
    assert disclosed(village, other).outcome == "disclosed"
    village.run("Agent", RevokeConsent(other))
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_a_denial_that_is_revoked_stands_until_the_notary_says_so(village: Village) -> None:
    consent = granted(village)
    denial = denied(village, 0)
    village.notary_is_away = True
    village.run("Agent", RevokeConsent(denial))
    assert disclosed(village, consent).outcome == "refused"
    village.notary_is_away = False
    village.pass_time(60_000)
    assert disclosed(village, consent).outcome == "disclosed"


@pytest.mark.parametrize("ahead", [1, 20_000])
def test_a_restriction_binds_where_the_agents_clock_is_ahead_and_the_custodians_behind(
    village: Village, ahead: int
) -> None:
    consent = granted(village)
    village.clock.now += WELL_BEGUN_MS
    set_back(village, "Mercy", 240_000)
    set_back(village, "Agent", -ahead)
    tx = made(village, consent)
    close(village, "laboratory")
    village.clock.now += ahead
    for node in village.nodes.values():
        village._turn(node)
    village.settle()
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_a_restriction_closes_what_a_custodian_takes_for_ended_by_its_clock(
    village: Village,
) -> None:
    tx = made(village, granted(village))
    set_back(village, "Mercy", -8 * DAY)
    close(village, "laboratory")
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_no_key_is_released_of_a_version_that_was_amended_since_the_decision(
    village: Village,
) -> None:
    """Its recipient would read it as the newest: it was not there yet when others were told of the newer one."""
    consent = granted(village)
    mercy = village.nodes["Mercy"]
    village.answers_are_held = True
    flow = village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
    (late,), village.held, village.answers_are_held = village.held, [], False
    old = mercy.db.execute("SELECT tx, idx FROM record WHERE category = 'laboratory'").fetchone()
    batch = stage(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.2 %, corrected")])
    village.run("Mercy", AmendRecord(StateRef(*old), batch))
    village.held.append(late)
    assert village.tell().node is mercy
    village.settle()
    assert result(village, "Riverside", flow, Disclosed).outcome == "not-released"
    assert disclosed(village, consent).outcome == "disclosed"
    village.run("Riverside", ConfirmConsents())
    opened = "SELECT version FROM disclosure_item WHERE wrapped IS NOT NULL"
    assert village.nodes["Riverside"].db.execute(opened).fetchall() == [(2,)]
