"""A peer that brings transactions: cut short, forged, not his, without end, or resting on nothing."""

import msgspec
import pytest

from app.assembly import Assembly
from app.vault.drafts import Output, Saying
from app.vault.reader import for_roles
from flows.consumed import SeeConsumed
from flows.delivery import Bring, Deliver, TakeDelivery
from flows.recovery import Recover
from flows.services import transaction_part
from flows.step import StepContext
from flows.store import Status
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.policy import One
from states.crypto.signatures import sign_transaction
from states.encoding import encode
from states.errors import RuleBroken
from states.groups import Group
from states.identity import Party
from states.signed import PROVEN_TRANSACTION, ProvenTransaction
from states.state import StateRef, TransactionId
from states.subjects.consent import ConsentRevoke
from states.subjects.record import MedicalRecord, RecordRule, RecordTransfer
from states.tearoff import FilteredTransaction, open_tearoff
from tests.attack.bad_input import said
from tests.attack.liar import Liar, count, stuck
from tests.simulation.neighbours import ADA, enrol, publish
from tests.simulation.test_story import disclosed, granted
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    return Village(seed=12)


def without_seals(filtered: FilteredTransaction, *hidden: int) -> list[int]:
    """Return the positions of a tear-off that leaves out these sealed components."""
    dropped = {filtered.layout.position(Group.SEALED, index) for index in hidden}
    return [at for at in filtered.tearoff.positions if at not in dropped]


def proven_at(node: Assembly, tx: bytes) -> ProvenTransaction:
    data = node.vault.read_part(node.db, transaction_part(tx, node.me))
    assert data is not None
    return PROVEN_TRANSACTION.decode(data)


@pytest.mark.parametrize("hidden", [(0,), (1,), (0, 1)])
def test_an_agent_does_not_take_a_disclosure_without_all_that_it_may_read(
    village: Village, hidden: tuple[int, ...]
) -> None:
    consent = granted(village)
    agent = village.nodes["Agent"]
    before = count(agent, "disclosure_item")
    wall = AgentBehindAWall(village)
    made = disclosed(village, consent)
    assert made.tx is not None
    proven = proven_at(village.nodes["Riverside"], made.tx)
    filtered = open_tearoff(proven.tearoff)
    cut = ProvenTransaction(
        filtered.narrowed(without_seals(filtered, *hidden)), proven.signatures, proven.receipt
    )
    liar = Liar(village, "Riverside")
    to = liar.attach("Agent")
    liar.open(to, TakeDelivery.name, Deliver(TransactionId(made.tx)), (encode(cut),), letter=True)
    assert stuck(agent) == []
    (failed,) = agent.engine.flows((Status.FAILED,))
    said("left out", failed.why)
    wall.hears(village.nodes["Mercy"].me)
    village.pass_time(600_000)
    assert count(agent, "disclosure_item") == before + 1
    rows = agent.db.execute("SELECT items, shown_as FROM disclosure").fetchall()
    assert rows == [(1, "Dr A. Reed")]


class AgentBehindAWall:
    """The agent hears nothing but from whom it greets again."""

    def __init__(self, village: Village) -> None:
        self.village = village
        self.agent = village.nodes["Agent"]
        for node in village.nodes.values():
            if node is not self.agent:
                node.engine.disconnected(self.agent.me)

    def hears(self, peer: Party) -> None:
        node = self.village._by_party[peer]
        mine = node.engine.connected(self.agent.me)
        theirs = self.agent.engine.connected(node.me)
        node.engine.hello(self.agent.me, theirs)
        self.agent.engine.hello(node.me, mine)


def test_a_forged_transaction_that_rests_on_nothing_waits_for_nobody(village: Village) -> None:
    """Unsigned, and never notarised: it must not be kept as one that lacks an earlier state."""
    consent = granted(village)
    revocation = drafted_revocation(village, consent)
    liar = Liar(village, "Northside")
    to = liar.attach("Mercy")
    mercy = village.nodes["Mercy"]
    for _ in range(3):
        liar.open(
            to, TakeDelivery.name, Deliver(TransactionId(bytes(32))), (revocation,), letter=True
        )
    village.pass_time(60_000)
    assert stuck(mercy) == []
    assert mercy.engine.flows((Status.RUNNING,)) == []


def drafted_revocation(village: Village, consent: StateRef) -> bytes:
    """A revocation of a consent that the receiver does not hold, with somebody else's receipt and no signature."""
    agent = village.nodes["Agent"]
    said = Saying(
        ConsentRevoke(),
        (One(Ed25519Signer(bytes(32)).key),),
        inputs=(StateRef(TransactionId(b"\7" * 32), 0),),
    )
    built = agent.ground.drafts.build(village.clock.now, said)
    receipt = proven_at(agent, consent.tx).receipt
    return encode(ProvenTransaction(built.whole(), (), receipt))


def test_who_says_that_this_node_took_something_over_shows_it_nothing(village: Village) -> None:
    """Else it would keep any state that was ever notarised, and believe what refers to that."""
    consent = granted(village)
    liar, northside = Liar(village, "Mercy"), village.nodes["Northside"]
    shown = proven_at(liar.node, consent.tx)
    filtered = open_tearoff(for_roles(open_tearoff(shown.tearoff), frozenset()))
    proof = msgspec.structs.replace(shown, tearoff=filtered.only_output(0))
    step = StepContext(northside.engine, bytes(16), village.clock.now, northside.db, doubt=False)
    parts = [step.put_part(encode(each)) for each in (proof, took_over(liar, consent, shown))]
    asked = SeeConsumed((parts[0],), (), (parts[1],))
    with pytest.raises(RuleBroken) as refused:
        northside.engine._around.handlers.answer(step, asked)  # type: ignore[arg-type]  # a request it is
    assert refused.value.rule is RecordRule.CUSTODIAN_SIGNS
    assert northside.vault.state(northside.db, consent) is None


def took_over(liar: Liar, ref: StateRef, proven: ProvenTransaction) -> ProvenTransaction:
    """A transfer to Northside, which Northside never signed, of what is no record."""
    (blob,) = liar.node.db.execute("SELECT blob FROM record LIMIT 1").fetchone()
    record = MedicalRecord(liar.village.party("Northside"), 1, bytes(32), blob, 4_096)
    own = One(liar.node.ground.identity.key)
    said = Saying(
        RecordTransfer(),
        (own,),
        outputs=(Output("record/1", record, liar.node.ground.locks.make(liar.step())),),
        inputs=(ref,),
    )
    built = liar.node.ground.drafts.build(liar.village.clock.now, said)
    signature = sign_transaction(
        liar.node.ground.identity, liar.village.parameters.network, built.id
    )
    return ProvenTransaction(built.whole(), (signature,), proven.receipt)


def test_a_peer_that_reminds_without_end_does_not_fill_the_disk(village: Village) -> None:
    consent = granted(village)
    liar = Liar(village, "Riverside")
    liar.attach("Mercy")
    mercy = village.nodes["Mercy"]
    proven = proven_at(mercy, consent.tx)
    flow = mercy.engine.start(Recover(liar.party, 0))
    village.settle()
    session = liar.heard[-1][1].session
    liar._said[session] = 0
    for _ in range(20):
        row = mercy.engine.flow(flow)
        assert row is not None
        if row.status >= Status.DONE:
            break
        liar.say(mercy.me, session, Bring((consent.tx,)), (encode(proven),))
    row = mercy.engine.flow(flow)
    assert row is not None
    assert row.status == Status.FAILED


def test_recovery_pages_fit_an_envelope_however_large_the_transactions(village: Village) -> None:
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 1")
    for batch in range(6):
        publish(village, "Mercy", "MRN 1", [("note", b"%d %d" % (batch, n)) for n in range(400)])
    flow = village.run("Agent", Recover(village.nodes["Mercy"].me, 0))
    row = village.nodes["Agent"].engine.flow(flow)
    assert row is not None
    assert row.status == Status.DONE, row.why
