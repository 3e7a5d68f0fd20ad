"""What a log brings to an agent is found by that agent: a question costs what its answer has, not what the log has."""

import pytest

from app.readings.log import ChainOf
from app.readings.recall import _NEXT
from app.storage.database import transaction
from states.identity import Party
from states.state import TransactionId
from tests.contracts.cast import seeded
from tests.unit.app.readings.test_looks import AGENT, Network

STRANGER = Party("did:key:zNobodysAgent")
RARE = Party("did:key:zAgentOfOne")


@pytest.mark.parametrize(("agent", "count"), [(AGENT, 128), (RARE, 1), (STRANGER, 0)])
def test_a_question_looks_at_no_readings_of_other_agents(agent: Party, count: int) -> None:
    network = Network()
    for _ in range(600):
        network.read()
    network.read(ChainOf(TransactionId(seeded("another")), None, RARE))
    steps = 0

    def count_steps() -> int:
        nonlocal steps
        steps += 1
        return 0

    network.here.set_progress_handler(count_steps, 100)
    rows = network.here.execute(_NEXT, {"agent": agent, "start": 0}).fetchall()
    network.here.set_progress_handler(None, 0)
    assert len(rows) == count
    assert steps <= 1 + count, "hundreds of steps, at most, for each reading that is found"


def test_an_erased_reading_is_not_found() -> None:
    network = Network()
    first, second = network.read(), network.read()
    with transaction(network.here) as db:
        network.log.erase(db, first)
    asked = {"agent": AGENT, "start": 0}
    assert [row[0] for row in network.here.execute(_NEXT, asked)] == [second]
