"""Who looked: an organisation that uses up the room for what is of nobody known hides nothing of a patient by it."""

from collections import Counter

from app.keystore.keys import NodeKey
from app.keystore.signers import HandleSigner
from app.readings.alarms import ALARMS_MAX, CONFLICTS_MAX, Alarm
from app.readings.chains import Mark
from app.storage.database import transaction
from flows.subjects.reading import BATCH_MAX, ToldHead, ToldReading
from states.crypto.hashes import HASH_SIZE
from states.reading import DailyHead, ReportedReading, sign_head
from states.state import TransactionId
from tests.contracts.cast import seeded
from tests.unit.app.readings.test_looks import (
    ADA,
    DISCLOSED,
    NETWORK,
    RIVERSIDE,
    SALT,
    Network,
    Pen,
    marks,
)
from tests.unit.flows.nodes import NOON

FORGED = ToldReading(None, ReportedReading(b"x", SALT, "y"))


class Early(Network):
    """Riverside reports before the custodian has brought the disclosure to the agent."""

    def __init__(self) -> None:
        super().__init__()
        with transaction(self.there) as db:
            self._row = db.execute("SELECT * FROM disclosure").fetchone()
            db.execute("DELETE FROM disclosure")
        self.pen = Pen(self)

    def flood(self) -> None:
        """Report what nobody signed until there is no more room for it."""
        for _ in range(ALARMS_MAX // BATCH_MAX + 1):
            self.tell(*[FORGED] * BATCH_MAX)

    def bring(self) -> None:
        marks_ = ",".join("?" * len(self._row))
        with transaction(self.there) as db:
            db.execute(f"INSERT INTO disclosure VALUES ({marks_})", self._row)

    def head(self, number: int, last: ToldReading) -> ToldHead:
        said = DailyHead(NETWORK, RIVERSIDE, self.pen.first.chain, number, Pen.digest(last), 1, NOON, None)  # fmt: skip
        signer = HandleSigner(self.keys, NodeKey.READING_LOG)
        return ToldHead(None, DISCLOSED, sign_head(signer, said))


def test_a_flood_of_forged_reports_hides_no_omission_and_shows() -> None:
    network = Early()
    network.flood()
    first = network.pen.write()
    second = network.pen.write(number=2, previous=Pen.digest(first))
    third = network.pen.write(number=3, previous=Pen.digest(second))
    network.tell(first, third)
    network.bring()
    network.tell(network.head(3, third))
    assert sorted(network.lines()) == [1, 3]
    assert network.alarms() == [Alarm.FLOODED, Alarm.MISSING]
    assert network.alarms("somebody else's") == []
    network.tell(second)
    assert network.alarms() == [Alarm.FLOODED]


def test_contradictions_in_other_chains_take_no_room_from_hers() -> None:
    network = Early()
    for n in range(CONFLICTS_MAX // BATCH_MAX + 1):
        elsewhere = {"disclosure": TransactionId(seeded(f"d{n}")), "chain": seeded(f"c{n}")}
        many = [network.pen.write(at=NOON + at, **elsewhere) for at in range(BATCH_MAX)]
        network.tell(*many)
    network.flood()
    network.tell(network.pen.write(outcome="refused"), network.pen.write())
    network.bring()
    network.tell(FORGED)
    assert marks(network) == {Mark.CONTRADICTED: 2}
    assert Alarm.CONTRADICTED in network.alarms()


def test_what_there_was_no_room_to_say_is_said_when_it_is_known_whose_it_is() -> None:
    network = Early()
    first = network.pen.write()
    third = network.pen.write(number=3, previous=seeded("second"))
    network.tell(first, third, network.pen.write(number=3, previous=seeded("another")))
    with transaction(network.there) as db:
        db.execute("DELETE FROM look_alarm")
    network.bring()
    network.tell(FORGED)
    assert Counter(network.alarms()) == {Alarm.MISSING: 1, Alarm.CONTRADICTED: 1}
    network.tell(FORGED)
    assert len(network.alarms()) == 2


def test_what_is_of_no_subject_at_all_has_one_room_for_all_its_chains() -> None:
    network = Network()
    pen = Pen(network)
    for start in range(0, ALARMS_MAX + BATCH_MAX, BATCH_MAX):
        chains = [at.to_bytes(HASH_SIZE, "big") for at in range(start, start + BATCH_MAX)]
        network.tell(*(pen.write(disclosure=None, chain=chain) for chain in chains))
    kinds = Counter(network.all_alarms())
    assert kinds == {"UNKNOWN": ALARMS_MAX - 1, "FLOODED": 1}
    assert [each.kind for each in network.looks.alarms(network.there, ADA)] == [Alarm.FLOODED]
