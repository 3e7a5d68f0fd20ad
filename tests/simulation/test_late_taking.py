"""What a peer was still taking when a restored node asked it for everything comes to that node all the same."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from sqlite3 import OperationalError
from typing import NoReturn

import msgspec
import pytest

from app.assembly import Assembly
from app.vault.subject import Step
from flows.delivery import Bring, Deliver, GiveTransactions, TakeDelivery
from flows.envelope import Kind
from flows.recovery import Recall, Remind
from flows.retrying import WAIT_MS
from flows.services import Record, TakeRemembered, TakeTransactions, transaction_part
from flows.store import Status
from flows.subjects.consent import AmendConsent
from flows.subjects.disclosure import RequestDisclosure
from flows.subjects.statement import Stated
from states.state import StateRef
from states.subjects.terms import Exceptions, Terms
from tests.attack.liar import Liar
from tests.simulation.neighbours import DAY, REED, result
from tests.simulation.restoring import greet, image_of, put_back
from tests.simulation.test_recovery import aside, connect, grant_notes, recorded, recoveries
from tests.simulation.test_story import granted
from tests.simulation.village import Village

A_WHILE = 600_000  # ms: longer than the hospital waits before a flow tries again
_GIVES = f"SELECT 1 FROM flow WHERE tag = '{GiveTransactions.name}'"


@pytest.fixture
def village() -> Village:
    return Village(seed=22, double_run=True)


@contextmanager
def busy(village: Village, name: str, kind: type[msgspec.Struct]) -> Iterator[None]:
    """Let a resident's database be busy whenever it is asked for this."""

    def fails(step: Step, request: msgspec.Struct) -> NoReturn:
        del step, request
        raise OperationalError("database is locked")

    handlers = village.nodes[name].engine._around.handlers
    table = handlers._handlers
    well = table[kind]
    table[kind] = fails
    yield
    table[kind] = well


def part(village: Village, one: str, two: str) -> None:
    """Cut a connection: what is on its way does not come."""
    village.nodes[one].engine.disconnected(village.party(two))
    village.nodes[two].engine.disconnected(village.party(one))


def amended(village: Village, consent: StateRef) -> AmendConsent:
    terms = Terms("permit", REED, None, ("TREAT",), ("note",), ())
    return AmendConsent(consent, village.clock.now + 2 * DAY, terms, Exceptions((), ()))


def agent_that_lost_what_riverside_takes(village: Village) -> tuple[Assembly, bytes]:
    """Riverside, restored to before a consent, is brought its amendment, and asks the agent for the consent.

    While its answer is on its way, the agent is restored to before the amendment.
    """
    granted(village)
    riverside = image_of(village, "Riverside")
    consent = grant_notes(village)
    agent = image_of(village, "Agent")
    node = put_back(village, "Riverside", riverside, ())
    greet(village, "Riverside")
    village.settle()
    before = recorded(village.nodes["Mercy"])
    village.nodes["Agent"].engine.start(amended(village, consent))
    while village.nodes["Agent"].db.execute(_GIVES).fetchone() is None:
        for each in ("Riverside", "Mercy", "Agent"):
            village._turn(village.nodes[each])
    (amendment,) = recorded(village.nodes["Mercy"]) - before
    assert not recorded(node) & {consent.tx, amendment}
    part(village, "Riverside", "Agent")
    return put_back(village, "Agent", agent, ("Mercy", "Riverside")), amendment


@pytest.mark.parametrize("last", ["Mercy", "Riverside"])
def test_what_a_peer_takes_after_it_was_asked_it_brings(village: Village, last: str) -> None:
    agent, amendment = agent_that_lost_what_riverside_takes(village)
    first = "Riverside" if last == "Mercy" else "Mercy"
    connect(village, "Agent", first)
    connect(village, "Agent", last)
    assert amendment not in recorded(agent), "the custodian does not see all of it"
    assert recoveries(agent) == [(Status.DONE, "")] * 2
    village.pass_time(WAIT_MS)
    assert amendment in recorded(village.nodes["Riverside"])
    assert amendment in recorded(agent)
    assert aside(agent) == 0


def test_a_peer_that_was_restored_has_forgotten_whom_it_told_and_brings_it_too(
    village: Village,
) -> None:
    """Its backup is from before the agent asked: the flow that takes is in it, the question is not."""
    agent, amendment = agent_that_lost_what_riverside_takes(village)
    riverside = image_of(village, "Riverside")
    greet(village, "Agent")
    village.settle()
    assert recoveries(agent) == [(Status.DONE, "")] * 2
    put_back(village, "Riverside", riverside, ())
    greet(village, "Riverside")
    village.pass_time(WAIT_MS)
    assert amendment in recorded(agent)


def test_shares_that_come_late_from_both_peers_are_joined(village: Village) -> None:
    granted(village)
    image = image_of(village, "Agent")
    with ExitStack() as stack:
        for name in ("Mercy", "Riverside"):
            stack.enter_context(busy(village, name, TakeTransactions))
        consent = grant_notes(village)
        agent = put_back(village, "Agent", image, ("Mercy", "Riverside"))
        greet(village, "Agent")
        village.settle()
        assert recoveries(agent) == [(Status.DONE, "")] * 2
        assert aside(agent) == 0
    village.pass_time(A_WHILE)
    assert consent.tx in recorded(village.nodes["Riverside"])
    assert consent.tx in recorded(agent)


def test_what_was_brought_back_by_one_that_has_lost_it_since_is_brought_to_it(
    village: Village,
) -> None:
    granted(village)
    riverside, agent = image_of(village, "Riverside"), image_of(village, "Agent")
    consent = grant_notes(village)
    put_back(village, "Riverside", riverside, ("Agent",))
    with busy(village, "Riverside", TakeRemembered):
        greet(village, "Riverside")
        village.settle()
        node = put_back(village, "Agent", agent, ("Mercy", "Riverside"))
        greet(village, "Agent")
        village.settle()
        assert recoveries(node) == [(Status.DONE, "")] * 2
    village.pass_time(A_WHILE)
    assert consent.tx in recorded(village.nodes["Riverside"])
    assert consent.tx in recorded(node)


def test_a_receipt_from_one_that_has_lost_it_since_is_brought_back_to_it(village: Village) -> None:
    consent = granted(village)
    image = image_of(village, "Mercy")
    before = recorded(village.nodes["Mercy"])
    part(village, "Mercy", "Agent")
    with busy(village, "Riverside", Record):
        village.run("Riverside", RequestDisclosure(consent, REED, "TREAT", ()))
        (made,) = recorded(village.nodes["Mercy"]) - before
        mercy = put_back(village, "Mercy", image, ("Riverside",))
        connect(village, "Mercy", "Riverside")
        assert recoveries(mercy) == [(Status.DONE, "")]
        part(village, "Riverside", "Agent")
    village.pass_time(A_WHILE)
    assert made in recorded(village.nodes["Riverside"])
    assert made in recorded(mercy)


def test_what_was_fetched_of_an_earlier_transaction_is_put_aside_as_well(village: Village) -> None:
    """The agent lost a consent and its amendment. Riverside brings that, is asked for the consent, and shows it."""
    granted(village)
    image = image_of(village, "Agent")
    consent = grant_notes(village)
    flow = village.run("Agent", amended(village, consent))
    amendment = result(village, "Agent", flow, Stated).ref.tx
    agent = put_back(village, "Agent", image, ("Mercy",))
    bringer = Liar(village, "Riverside")
    bringer.attach("Agent")
    shown = {
        tx: bringer.node.vault.read_part(bringer.node.db, transaction_part(tx, agent.me)) or b""
        for tx in (consent.tx, amendment)
    }
    letter = Deliver(amendment)
    bringer.open(agent.me, TakeDelivery.name, letter, (shown[amendment],), letter=True)
    (fetch,) = [envelope for _, envelope in bringer.heard if envelope.kind == Kind.INIT]
    bringer._said[fetch.session] = 0
    bringer.say(agent.me, fetch.session, Bring((consent.tx,)), (shown[consent.tx],))
    assert aside(agent) == 2, "it reads more of the consent than a grantee does"
    connect(village, "Mercy", "Agent")
    assert {consent.tx, amendment} <= recorded(agent)


def test_a_peer_that_asks_for_everything_again_and_again_is_owed_no_more(village: Village) -> None:
    granted(village)
    mercy = village.nodes["Mercy"]
    asking = Liar(village, "Riverside")
    asking.attach("Mercy")
    for _ in range(20):
        asking.open(mercy.me, Remind.name, Recall(0))
        village.settle()
    told = mercy.db.execute("SELECT peer, at FROM ledger_restored").fetchall()
    assert told == [(village.party("Riverside"), village.clock.now)]
