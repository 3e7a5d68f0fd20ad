"""Who has seen a record's commitment, and no key, publishes it as his own and asks the patient's agent for the key."""

import pytest

from app.storage.database import transaction
from app.subjects.record import Staged
from flows.subjects.key_return import ReturnKeys, WantKeysBack
from flows.subjects.record import Published, PublishRecords
from states.identity import PatientId
from states.state import TransactionId
from states.subjects.content import CONTENT
from tests.attack.liar import Liar
from tests.simulation.neighbours import ADA, enrol, publish, result
from tests.simulation.village import Village


@pytest.fixture
def village() -> Village:
    made = Village(seed=37)
    made.nodes["Agent"].given.keys.add_patient(ADA)
    enrol(made, "Mercy", "MRN 4711")
    enrol(made, "Riverside", "RV-20-88")
    return made


def published_as_his_own(village: Village, name: str, local: str, of: bytes) -> TransactionId:
    """Publish what a disclosure showed of another's record, though its key was never released."""
    columns = "commitment, blob, size_class, content"
    shown = f"SELECT {columns} FROM record WHERE tx = ?"
    commitment, blob, size_class, content = (
        village.nodes["Mercy"].db.execute(shown, (of,)).fetchone()
    )
    node, batch = village.nodes[name], village.entropy(16)
    patient = PatientId(node.enrolments.of_local(node.db, node.me, local).patient)
    no_key = node.given.keys.wrap_at_rest(bytes(32), commitment)
    said = CONTENT.decode(content)
    staged = Staged(
        patient, local, said, commitment, blob, size_class, 5, no_key, "obs-1", "harm"
    )  # "withheld": so that the agent gets no key from him
    with transaction(node.db):
        node.records.stage(node.db, batch, [staged])
    made = result(village, name, village.run(name, PublishRecords(batch)), Published)
    return TransactionId(made.tx)


def asks_for_keys(village: Village, name: str, tx: TransactionId) -> tuple[Liar, bytes]:
    keys = village.nodes["Agent"].given.keys
    key = keys.epoch_public(keys.epochs()[0])
    liar = Liar(village, name)
    liar.attach("Agent")
    wanted = WantKeysBack(tx, 1, key)
    return liar, liar.open(village.party("Agent"), ReturnKeys.name, wanted)


def test_the_key_of_anothers_record_is_not_returned_to_who_published_its_commitment(
    village: Village,
) -> None:
    hers = publish(village, "Mercy", "MRN 4711", [("laboratory", b"first")])
    copied = published_as_his_own(village, "Riverside", "RV-20-88", TransactionId(hers.tx))
    liar, session = asks_for_keys(village, "Riverside", copied)
    assert liar.fault_in(session).code == "nothing-available"
