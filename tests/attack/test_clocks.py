"""A custodian whose clock is wrong: it takes nothing for younger than it is."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.assembly import Assembly
from flows.subjects.blob import Keys, NotReleased
from flows.subjects.consent import RevokeConsent
from tests.attack.test_requests import Recipient
from tests.simulation.restoring import greet
from tests.simulation.test_story import disclosed, granted
from tests.simulation.village import Village

BEHIND_MS = (240_000, 235_000, 228_000, 500, 0, -500)
KEPT_BACK_MS = 230_000
WELL_BEGUN_MS = 600_000  # after which a consent has begun by the slowest clock, too


@pytest.fixture
def village() -> Village:
    return Village(seed=16)


def set_back(village: Village, name: str, ms: int) -> Assembly:
    """Let the clock of a resident show that much less than all others'; nothing else changes."""
    given = village.nodes[name].given
    clock: Callable[[], int] = lambda: village.clock.now - ms  # noqa: E731 - two of them differ in `ms`
    node = Assembly(replace(given, clock=clock))
    village.nodes[name] = village._by_party[node.me] = node
    greet(village, name)
    return node


@pytest.mark.parametrize("behind", BEHIND_MS)
def test_an_old_receipt_releases_nothing_whatever_the_custodians_clock_shows(
    village: Village, behind: int
) -> None:
    """Its recipient had it notarised alone and kept it back, until the consent had ended."""
    recipient = Recipient(village)
    village.clock.now += WELL_BEGUN_MS
    mercy = set_back(village, "Mercy", behind)
    recipient.attach("Mercy")
    asked = recipient.asks()
    session = recipient.request(asked)
    tx, part = recipient.is_offered(session)
    signatures = recipient.holds(asked, part)
    notary, data = recipient.node.question("notarise", tx)
    village.services[notary].answer_all([data])
    village.nodes["Agent"].engine.disconnected(mercy.me)  # the revocation does not reach it
    village.run("Agent", RevokeConsent(recipient.consent))
    village.clock.now += KEPT_BACK_MS
    recipient.say(recipient.mercy, session, signatures)
    assert mercy.db.execute("SELECT closed_at FROM statement").fetchall() != [(None,)]
    assert isinstance(recipient.heard_of(session, Keys | NotReleased)[0], NotReleased)  # type: ignore[arg-type]  # a union
    assert mercy.db.execute("SELECT released FROM disclosure").fetchall() == [(-1,)]


@pytest.mark.parametrize("behind", BEHIND_MS)
def test_a_receipt_that_comes_at_once_needs_no_further_word_of_the_notary(
    village: Village, behind: int
) -> None:
    consent = granted(village)
    village.clock.now += WELL_BEGUN_MS
    set_back(village, "Mercy", behind)
    village.asked.clear()
    assert disclosed(village, consent).outcome == "disclosed"
    assert village.asked == ["notarise"]


def test_a_word_of_the_notary_that_was_long_on_its_way_is_asked_for_again(
    village: Village,
) -> None:
    recipient = Recipient(village)
    asked = recipient.asks()
    session = recipient.request(asked)
    _, part = recipient.is_offered(session)
    signatures = recipient.holds(asked, part)
    grace = village.parameters.limits.release_grace_ms

    def tell() -> str:
        told = village.tell()
        village.settle()
        return told.question.kind

    village.answers_are_held = True
    recipient.say(recipient.mercy, session, signatures)
    village.clock.now += grace + 1
    assert tell() == "notarise"
    village.clock.now += grace + 1
    assert tell() == "liveness"
    village.clock.now += grace
    assert tell() == "liveness", "what had been asked for eleven seconds ago says nothing of now"
    assert isinstance(recipient.heard_of(session, Keys | NotReleased)[0], Keys)  # type: ignore[arg-type]  # a union
    assert village.held == []


def test_a_clock_that_was_set_back_meanwhile_measures_nothing(village: Village) -> None:
    recipient = Recipient(village)
    village.clock.now += WELL_BEGUN_MS
    asked = recipient.asks()
    session = recipient.request(asked)
    _, part = recipient.is_offered(session)
    signatures = recipient.holds(asked, part)
    mercy = village.nodes["Mercy"]
    village.clock.now -= 1_000
    recipient.say(recipient.mercy, session, signatures)
    assert isinstance(recipient.heard_of(session, Keys | NotReleased)[0], Keys)  # type: ignore[arg-type]  # a union
    said = mercy.db.execute("SELECT count(*) FROM liveness").fetchone()
    assert said == (1,), "the notary was asked"
