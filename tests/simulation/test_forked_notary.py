"""A notary that shows two histories: as soon as one node sees both, it believes none of its receipts."""

import asyncio
import logging
from typing import NamedTuple

import pytest

from app.assembly import Assembly
from app.witness import FORKED
from flows.store import Status
from flows.subjects.record import PublishRecords
from notaries.memory import MemoryProvider
from notaries.service import NotaryService
from states.liveness import Liveness, sign_liveness
from states.signed import ProvenTransaction
from states.state import StateRef, TransactionId
from states.verifier import DistrustedNotary
from tests.simulation.neighbours import ADA, enrol, publish, stage
from tests.simulation.restoring import greet, image_of, put_back
from tests.simulation.village import Village


def two_faced(village: Village) -> None:
    """From now on the notary answers from a second log, signed with the same keys, that begins anew."""
    signer = village.founding.log_signer
    provider = MemoryProvider(signer, village.clock.now)
    service = NotaryService(village.founding.checker(), provider, signer, village.clock)
    village.services[village.notary.party] = service


class Betrayed(NamedTuple):
    """Mercy, which was shown two histories in receipts; `first` is a receipt of the first."""

    village: Village
    mercy: Assembly
    flow: bytes
    first_id: TransactionId
    first: ProvenTransaction

    def verify(self, node: Assembly) -> None:
        node.vault.verifier.verify(
            self.first, lambda ref: node.vault.state(node.db, ref), held=True
        )


@pytest.fixture
def betrayed() -> Betrayed:
    village = Village(seed=21)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    published = publish(village, "Mercy", "MRN 4711", [("laboratory", b"potassium 4.4")])
    two_faced(village)
    batch = stage(village, "Mercy", "MRN 4711", [("note", b"of the other history")])
    mercy = village.nodes["Mercy"]
    flow = village.run("Mercy", PublishRecords(batch))
    first = mercy.vault.transaction(mercy.db, published.tx)
    assert isinstance(first, ProvenTransaction)
    return Betrayed(village, mercy, flow, TransactionId(published.tx), first)


def test_of_two_histories_neither_is_believed_any_more(betrayed: Betrayed) -> None:
    flow = betrayed.mercy.engine.flow(betrayed.flow)
    assert flow is not None
    # Its transaction may stand in one of the two: it is kept, and waits for people.
    assert flow.status == Status.OBSERVED
    assert "do not fit together" in flow.why
    assert betrayed.mercy.vault.verifier.distrusted == {betrayed.village.notary.party}
    with pytest.raises(DistrustedNotary):
        betrayed.verify(betrayed.mercy)


def test_both_notes_are_on_disk_with_the_turn_that_found_them(betrayed: Betrayed) -> None:
    mercy, keys = betrayed.mercy, betrayed.village.founding.log_signer.keys
    (witness,) = mercy.witnesses.all()
    found = witness.distrust
    assert found is not None
    assert found.why == FORKED
    two = [keys.open(note).checkpoint for note in (found.note, found.evidence)]
    assert two[0].size == two[1].size
    assert two[0].root != two[1].root


def test_a_restart_does_not_make_a_forked_notary_believed_again(
    betrayed: Betrayed, caplog: pytest.LogCaptureFixture
) -> None:
    again = Assembly(betrayed.mercy.given)
    assert not again.witnesses.trusts(betrayed.village.notary.party)
    with pytest.raises(DistrustedNotary):
        betrayed.verify(again)
    assert "is distrusted since an earlier run" in caplog.text


def test_an_operator_is_told_of_a_fork_once_and_loudly(
    betrayed: Betrayed, caplog: pytest.LogCaptureFixture
) -> None:
    betrayed.mercy.engine.retry(betrayed.flow)  # a turn later, the evidence is written again
    betrayed.village.settle()
    told = [each for each in caplog.get_records("setup") if each.levelno == logging.CRITICAL]
    told += [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert [each.getMessage() for each in told] == [
        "the log village.notary is forked: its notary is distrusted"
    ]


def test_no_word_of_liveness_of_a_forked_notary_is_kept(betrayed: Betrayed) -> None:
    mercy, signer = betrayed.mercy, betrayed.village.founding.log_signer
    ref = StateRef(betrayed.first_id, 0)
    said = Liveness(
        network=betrayed.village.parameters.network,
        notary=betrayed.village.notary.party,
        nullifier=mercy.ground.locks.nullifier(mercy.db, ref),
        size=1,
        root=bytes(32),
        at=betrayed.village.clock.now,
        live=True,
    )
    statement = sign_liveness(signer.log_key, said)
    with pytest.raises(DistrustedNotary):
        mercy.handover.keep_statement(mercy.db, ref, statement, betrayed.village.clock.now)


def test_what_was_accepted_before_a_restart_convicts_a_receipt_after_it() -> None:
    """What a receipt is held against is not memory alone: the checkpoint that was followed counts as seen."""
    village = Village(seed=23)
    mercy = village.nodes["Mercy"]
    (witness,) = mercy.witnesses.all()
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    publish(village, "Mercy", "MRN 4711", [("laboratory", b"potassium 4.4")])
    shown = mercy.vault.verifier.seen[village.notary.party]
    asyncio.run(witness.see(shown.note, _unread))
    again = Assembly(mercy.given)
    assert again.vault.verifier.seen == {village.notary.party: shown}


def test_a_restored_node_that_forgot_the_fork_convicts_again_by_what_its_peers_bring_back() -> None:
    village = Village(seed=24)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    enrol(village, "Northside", "order book 93")
    image = image_of(village, "Agent")
    publish(village, "Mercy", "MRN 4711", [("laboratory", b"potassium 4.4")])
    two_faced(village)
    publish(village, "Northside", "order book 93", [("note", b"of the other history")])
    convicted = village.nodes["Agent"].witnesses.all()[0].distrust
    assert convicted is not None
    agent = put_back(village, "Agent", image, ("Mercy", "Northside"))
    assert agent.witnesses.trusts(village.notary.party), "its backup is from before"
    greet(village, "Agent")
    village.settle()
    assert not agent.witnesses.trusts(village.notary.party)
    again = agent.witnesses.all()[0].distrust
    assert again is not None
    assert (again.why, {again.note, again.evidence}) == (
        FORKED,
        {convicted.note, convicted.evidence},
    )


async def _unread(path: str) -> bytes:
    raise AssertionError(path)


def test_one_history_shown_twice_is_no_fork() -> None:
    village = Village(seed=22)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    published = publish(village, "Mercy", "MRN 4711", [("laboratory", b"potassium 4.4")])
    mercy = village.nodes["Mercy"]
    proven = mercy.vault.transaction(mercy.db, published.tx)
    assert isinstance(proven, ProvenTransaction)
    mercy.vault.verifier.verify(proven, lambda ref: mercy.vault.state(mercy.db, ref), held=True)
    assert mercy.vault.verifier.distrusted == set()
