"""A restored custodian that gets a denial back before the disclosure tells its recipient, which lost nothing."""

import pytest

from app.access import GateRule
from flows.retrying import TRIES, WAIT_MS
from flows.subjects.consent import ConfirmConsents
from flows.subjects.restriction import Restrict
from states.state import TransactionId
from states.subjects.terms import Terms
from tests.simulation.neighbours import ADA
from tests.simulation.restoring import greet, image_of
from tests.simulation.test_confirmation import close, decided, made, restored
from tests.simulation.test_recovery import connect, grant_notes
from tests.simulation.test_story import granted
from tests.simulation.village import Village

DENY_NOTES = Terms("deny", None, None, (), ("note",), ())


@pytest.fixture
def village() -> Village:
    return Village(seed=22, double_run=True)


def cut(village: Village, one: str, other: str) -> None:
    """What these two write to each other waits in their outboxes."""
    a, b = village.nodes[one], village.nodes[other]
    a.engine.disconnected(b.me)
    b.engine.disconnected(a.me)


def withdrawn(village: Village, tx: TransactionId) -> int:
    (count,) = (
        village.nodes["Mercy"]
        .db.execute(
            "SELECT count(*) FROM disclosure_item WHERE tx = ? AND withdrawn_at IS NOT NULL", (tx,)
        )
        .fetchone()
    )
    assert isinstance(count, int)
    return count


def test_where_the_agent_itself_recorded_the_denial_first(village: Village) -> None:
    granted(village)
    mercy = image_of(village, "Mercy")
    notes = grant_notes(village)
    for other in ("Mercy", "Riverside"):
        cut(village, "Agent", other)
    tx = made(village, notes)
    assert decided(village, tx) is None
    cut(village, "Mercy", "Riverside")
    village.nodes["Agent"].engine.start(Restrict(ADA, village.party("Mercy"), DENY_NOTES))
    village.settle()
    connect(village, "Agent", "Mercy")
    village.pass_time(60_000)
    assert withdrawn(village, tx) == 1, "the letter waits on the disk that is lost next"
    restored(village, "Mercy", mercy)
    greet(village, "Mercy")
    connect(village, "Agent", "Riverside")
    village.pass_time(WAIT_MS << TRIES)
    village.run("Riverside", ConfirmConsents())  # more than a lease has passed
    assert withdrawn(village, tx) == 1
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_where_only_the_recipient_still_has_the_disclosure(village: Village) -> None:
    granted(village)
    mercy = image_of(village, "Mercy")
    tx = made(village, grant_notes(village))
    cut(village, "Mercy", "Riverside")
    close(village, "note")
    assert decided(village, tx) is None
    village.nodes["Agent"].db.execute(
        "DELETE FROM ledger_holder WHERE party = ? AND number IN"
        " (SELECT number FROM ledger_tx WHERE tx = ?)",
        (village.party("Mercy"), tx),
    )
    restored(village, "Mercy", mercy)
    connect(village, "Mercy", "Agent")
    greet(village, "Mercy")
    village.pass_time(WAIT_MS << TRIES)
    village.run("Riverside", ConfirmConsents())
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
