"""A custodian that was announced to another makes more of it than was said: later, another record, another's token."""

import pytest

from app.subjects.transfer import INTRODUCED_MS
from flows.finality import Proposal
from flows.services import Held, transaction_part
from flows.subjects.record import (
    Acceptance,
    AnswerIntroduce,
    BuildTransfer,
    Introduce,
    Introduced,
    MakeOffer,
    Offer,
    Offered,
    TakeCustody,
)
from states.state import StateRef, TransactionId
from tests.attack.liar import Liar, count, enrol_patient, stuck
from tests.simulation.neighbours import ADA, permit, publish
from tests.simulation.village import Village

BOB = b"bob-at-her-agent"


@pytest.fixture
def village() -> Village:
    """Ada and Bob are patients of both hospitals, and permit for a week that Mercy passes records to Riverside."""
    made = Village(seed=42)
    for patient, local in ((ADA, "4711"), (BOB, "6666")):
        made.nodes["Agent"].given.keys.add_patient(patient)
        enrol_patient(made, "Mercy", f"MRN {local}", patient)
        enrol_patient(made, "Riverside", f"RV {local}", patient)
        permit(made, "Mercy", "Riverside", patient)
    return made


def published(village: Village, local: str = "MRN 4711") -> StateRef:
    made = publish(village, "Mercy", local, [("laboratory", b"HbA1c 6.1 %")])
    return StateRef(TransactionId(made.tx), 0)


class LyingMercy(Liar):
    """Asks the agent as it should, and says to Riverside what it likes."""

    def __init__(self, village: Village) -> None:
        super().__init__(village, "Mercy")
        self.agent, self.riverside = self.attach("Agent"), self.attach("Riverside")

    def announced(self, record: StateRef) -> bytes:
        """Have the agent announce a record to Riverside; return the token."""
        asked = self.open(self.agent, AnswerIntroduce.name, Introduce(record, self.riverside))
        return self.heard_of(asked, Introduced)[0].token

    def offers(self, token: bytes, record: StateRef) -> bytes:
        """Offer a record by a token; return the session."""
        step = self.step()
        offered = self.node.engine._around.handlers.answer(step, MakeOffer(record))  # type: ignore[arg-type]  # a request it is
        assert isinstance(offered, Offered)
        part = step.read_part(offered.part)
        assert part is not None
        return self.open(self.riverside, TakeCustody.name, Offer(token, record, None), (part,))

    def proposes(self, session: bytes, record: StateRef) -> None:
        """Propose, now, the transfer that was accepted in a session."""
        acceptance = self.heard_of(session, Acceptance)[0]
        asked = BuildTransfer(record, self.riverside, acceptance)
        held = self.node.engine._around.handlers.answer(self.step(), asked)  # type: ignore[arg-type]  # as above
        assert isinstance(held, Held)
        wanted = transaction_part(held.tx, self.riverside)
        part = self.node.vault.read_part(self.node.db, wanted)
        assert part is not None
        self.say(self.riverside, session, Proposal(held.tx), (part,))


def refused(liar: Liar, session: bytes) -> str:
    """Return how a session was refused, by which Riverside holds nothing and waits for nobody."""
    riverside = liar.village.nodes["Riverside"]
    assert stuck(riverside) == []
    assert count(riverside, "ledger_tx") == 0
    return liar.fault_in(session).code


def test_what_was_announced_is_accepted_and_signed(village: Village) -> None:
    record = published(village)
    liar = LyingMercy(village)
    liar.proposes(liar.offers(liar.announced(record), record), record)
    assert count(village.nodes["Riverside"], "ledger_tx") == 1


def test_an_introduction_lasts_an_hour(village: Village) -> None:
    """However long the permit lasts, for it may be withdrawn."""
    record = published(village)
    liar = LyingMercy(village)
    tokens = [liar.announced(record) for _ in range(2)]
    village.pass_time(INTRODUCED_MS - 1)
    assert liar.heard_of(liar.offers(tokens[0], record), Acceptance)
    village.pass_time(1)
    assert refused(liar, liar.offers(tokens[1], record)) == "introduction-ended"


def test_an_introduction_lasts_no_longer_than_the_permit(village: Village) -> None:
    record = published(village)
    agent, pair = village.nodes["Agent"], (village.party("Mercy"), village.party("Riverside"))
    now = village.clock.now
    agent.transfer_permits.permit(agent.db, now, ADA.hex(), *pair, now + 60_000)
    liar = LyingMercy(village)
    tokens = [liar.announced(record) for _ in range(2)]
    village.pass_time(59_999)
    assert liar.heard_of(liar.offers(tokens[0], record), Acceptance)
    village.pass_time(1)
    assert refused(liar, liar.offers(tokens[1], record)) == "introduction-ended"


def test_what_was_accepted_in_time_is_not_signed_later(village: Village) -> None:
    record = published(village)
    liar = LyingMercy(village)
    session = liar.offers(liar.announced(record), record)
    village.pass_time(INTRODUCED_MS)
    liar.proposes(session, record)
    assert refused(liar, session) == "introduction-ended"


@pytest.mark.parametrize("local", ["MRN 4711", "MRN 6666"])
def test_another_record_than_was_announced_is_not_accepted(village: Village, local: str) -> None:
    """Not even one of the same patient: she may have withdrawn the permit since."""
    record, other = published(village), published(village, local)
    liar = LyingMercy(village)
    assert refused(liar, liar.offers(liar.announced(record), other)) == "not-announced"


def test_an_introduction_is_for_once(village: Village) -> None:
    record = published(village)
    liar = LyingMercy(village)
    token = liar.announced(record)
    assert liar.heard_of(liar.offers(token, record), Acceptance)
    assert refused(liar, liar.offers(token, record)) == "not-announced"


def test_an_introduction_is_nobody_elses(village: Village) -> None:
    record = published(village)
    liar = LyingMercy(village)
    token = liar.announced(record)
    stranger = Liar(village, "Northside")
    to = stranger.attach("Riverside")
    said = Offer(token, record, None)
    session = stranger.open(to, TakeCustody.name, said, (b"any bytes",))
    assert refused(stranger, session) == "not-announced"


def test_what_was_announced_and_not_used_is_forgotten(village: Village) -> None:
    """An agent that announces without end keeps an hour's worth at the custodian, whatever end it names."""
    record = published(village)
    liar = LyingMercy(village)
    for _ in range(50):
        liar.announced(record)
    village.pass_time(2 * 3_600_000)
    liar.announced(record)
    (rows,) = village.nodes["Riverside"].db.execute("SELECT count(*) FROM introduction").fetchone()
    assert rows == 1
