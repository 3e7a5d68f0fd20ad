"""A state moves to another notary: the old one spends it, the new one enters the change, and all goes on there."""

from flows.notary_change import ChangeNotary, Moved
from flows.store import Status
from flows.subjects.consent import ConfirmConsents, Confirmed, RevokeConsent
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from states.state import StateRef, TransactionId
from tests.simulation.neighbours import REED, result
from tests.simulation.test_story import granted
from tests.simulation.village import Village


def moved(village: Village) -> tuple[StateRef, StateRef]:
    """A consent before and after its agent moved it to the second notary."""
    old = granted(village)
    second = village.founding.notaries[1].party
    done = result(village, "Agent", village.run("Agent", ChangeNotary(old, second)), Moved)
    return old, done.ref


def test_a_moved_consent_lives_at_its_new_notary_for_everybody() -> None:
    village = Village(seed=11, double_run=True, two_notaries=True)
    old, new = moved(village)
    second = village.founding.notaries[1].party
    for name in ("Agent", "Mercy", "Riverside"):
        node = village.nodes[name]
        assert not node.vault.is_live(node.db, old)
        assert node.vault.is_live(node.db, new)
        state = node.vault.state(node.db, new)
        assert state is not None
        assert state.notary == second


def test_the_new_notary_knows_who_revokes_and_who_asks() -> None:
    village = Village(seed=12, double_run=True, two_notaries=True)
    _, new = moved(village)
    confirmed = village.run("Riverside", ConfirmConsents())
    assert result(village, "Riverside", confirmed, Confirmed) == Confirmed(1, 0)
    village.run("Agent", RevokeConsent(new))
    mercy = village.nodes["Mercy"]
    assert not mercy.vault.is_live(mercy.db, new)


def test_a_disclosure_under_a_moved_consent_is_notarised_where_the_consent_is() -> None:
    village = Village(seed=13, double_run=True, two_notaries=True)
    _, new = moved(village)
    ask = RequestDisclosure(new, REED, "TREAT", ())
    made = result(village, "Riverside", village.run("Riverside", ask), Disclosed)
    assert made.outcome == "disclosed"
    agent = village.nodes["Agent"]
    state = agent.vault.state(agent.db, StateRef(TransactionId(made.tx or b""), 0))
    assert state is not None
    assert state.notary == village.founding.notaries[1].party


def test_nobody_but_the_owner_of_a_lock_moves_a_state() -> None:
    village = Village(seed=14, double_run=True, two_notaries=True)
    consent = granted(village)
    second = village.founding.notaries[1].party
    flow = village.run("Riverside", ChangeNotary(consent, second))
    row = village.nodes["Riverside"].engine.flow(flow)
    assert row is not None
    assert row.status == Status.FAILED
    assert "its owner moves it" in row.why
