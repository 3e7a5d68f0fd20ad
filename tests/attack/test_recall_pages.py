"""An agent that asks for one page of its readings again and again fills nobody's disk."""

import pytest

from app.readings.log import ChainOf, Reading
from app.storage.database import transaction
from flows.reading_recall import BringReadings, RecallReadings, RemindReadings
from flows.subjects.reading import BATCH_MAX
from states.identity import Party
from tests.attack.liar import Liar
from tests.simulation.neighbours import REED
from tests.simulation.test_reading_recovery import House


class Siege:
    """Riverside with some pages of readings, and a session with an agent that has asked for the first."""

    def __init__(self) -> None:
        house = House()
        self.riverside = house.village.nodes["Riverside"]
        of = ChainOf(house.tx, None, house.agent.me)
        items = tuple(bytes([at % 256, at // 256] * 16) for at in range(200))
        one = Reading(of, REED, "Dr A. Reed", "clinician", "TREAT", "read", items)
        with transaction(self.riverside.db) as db:
            self.riverside.readings.append_all(db, house.village.clock.now, [one] * BATCH_MAX)
        self.liar = Liar(house.village, "Agent")
        self.to: Party = self.liar.attach("Riverside")
        self.session = self.liar.open(self.to, RemindReadings.name, RecallReadings(0))

    def kept(self) -> tuple[int, int]:
        """How many parts Riverside keeps, and how many bytes they have."""
        row: tuple[int, int] = self.riverside.db.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM flow_part"
        ).fetchone()
        return row

    def ask(self, start: int, parts: tuple[bytes, ...] = ()) -> None:
        self.liar.say(self.to, self.session, RecallReadings(start), parts)


@pytest.fixture
def siege() -> Siege:
    return Siege()


def test_one_page_is_kept_for_a_session_however_many_were_asked_for(siege: Siege) -> None:
    parts, first = siege.kept()
    assert parts == 1
    assert first > 500_000
    for start in range(1, 20):
        siege.ask(start, (b"unasked" * 1_000,))
        parts, now = siege.kept()
        assert (parts, now < 2 * first) == (1, True)


def test_a_page_is_not_asked_for_again(siege: Siege) -> None:
    siege.ask(2)
    said, parts = siege.liar.heard_of(siege.session, BringReadings)
    assert said.next > 2
    assert len(parts) == 1
    siege.ask(2)
    assert siege.liar.fault_in(siege.session).code == "failed"
    assert siege.kept() == (0, 0)
