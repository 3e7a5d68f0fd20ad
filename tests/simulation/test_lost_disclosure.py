"""What a custodian has lost for good it does not call clean: a restored recipient closes it."""

import pytest

from app.access import GateRule
from flows.retrying import TRIES, WAIT_MS
from flows.store import Status
from flows.subjects.consent import ConfirmConsents
from flows.subjects.disclosure import RequestDisclosure
from tests.simulation.neighbours import REED
from tests.simulation.restoring import greet, image_of, put_back
from tests.simulation.test_confirmation import close, confirmations, decided, made, restored
from tests.simulation.test_story import granted
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=22, double_run=True)


def test_what_the_custodian_has_lost_is_closed(village: Village) -> None:
    """Nobody whom it asks has the consent, so it never has the disclosure back."""
    mercy = image_of(village, "Mercy")
    tx = made(village, granted(village))
    riverside = image_of(village, "Riverside")
    close(village, "laboratory")
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN
    put_back(village, "Mercy", mercy, ("Riverside", "Northside"))
    restored(village, "Riverside", riverside)
    for name in ("Mercy", "Riverside"):
        greet(village, name)
    village.pass_time(WAIT_MS << TRIES)
    village.run("Riverside", ConfirmConsents())
    assert confirmations(village) == [(Status.DONE, "")]
    assert village.nodes["Mercy"].db.execute("SELECT tx FROM disclosure").fetchall() == []
    assert decided(village, tx) is GateRule.NOT_WITHDRAWN


def test_what_the_custodian_only_holds_is_not_lost(
    village: Village,
) -> None:
    """Both have signed it, and the notary is away: what is recorded after the recipient has asked opens."""
    consent = granted(village)
    village.notary_is_away = True
    village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
    restored(village, "Riverside", image_of(village, "Riverside"))
    greet(village, "Riverside")
    village.settle()
    assert confirmations(village) == [(Status.DONE, "")]
    held = village.nodes["Mercy"].db.execute("SELECT count(*) FROM ledger_tx WHERE status = 0")
    assert held.fetchone() == (1,)
    village.notary_is_away = False
    village.pass_time(WAIT_MS << TRIES)
    items = village.nodes["Riverside"].db.execute("SELECT withdrawn_at FROM disclosure_item")
    assert items.fetchall() == [(None,)]
