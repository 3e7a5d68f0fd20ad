"""A notary that shows two histories: as soon as one node sees both, it believes none of its receipts."""

import pytest

from flows.store import Status
from flows.subjects.record import PublishRecords
from notaries.memory import MemoryProvider
from notaries.service import NotaryService
from states.signed import ProvenTransaction
from states.verifier import DistrustedNotary
from tests.simulation.neighbours import ADA, enrol, publish, stage
from tests.simulation.village import Village


def two_faced(village: Village) -> None:
    """From now on the notary answers from a second log, signed with the same keys, that begins anew."""
    signer = village.founding.log_signer
    provider = MemoryProvider(signer, village.clock.now)
    service = NotaryService(village.founding.checker(), provider, signer, village.clock)
    village.services[village.notary.party] = service


def test_of_two_histories_neither_is_believed_any_more() -> None:
    village = Village(seed=21)
    village.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    published = publish(village, "Mercy", "MRN 4711", [("laboratory", b"potassium 4.4")])
    two_faced(village)
    batch = stage(village, "Mercy", "MRN 4711", [("note", b"of the other history")])
    mercy = village.nodes["Mercy"]
    flow = mercy.engine.flow(village.run("Mercy", PublishRecords(batch)))
    assert flow is not None
    # Its transaction may stand in one of the two: it is kept, and waits for people.
    assert flow.status == Status.OBSERVED
    assert "do not fit together" in flow.why
    verifier = mercy.vault.verifier
    assert verifier.distrusted == {village.notary.party}
    proven = mercy.vault.transaction(mercy.db, published.tx)
    assert isinstance(proven, ProvenTransaction)
    with pytest.raises(DistrustedNotary):
        verifier.verify(proven, lambda ref: mercy.vault.state(mercy.db, ref), held=True)


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
