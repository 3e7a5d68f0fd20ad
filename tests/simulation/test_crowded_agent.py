"""An agent that was told more about nobody known to it than it keeps gets the rest when there is room again."""

import pytest

from app.readings import alarms
from app.readings.alarms import Alarm
from app.storage.database import transaction
from tests.simulation.test_reading_recovery import House
from tests.simulation.test_recall_again import TWENTY_MINUTES, not_now

DAY_MS = 86_400_000


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """Riverside has reported six readings of a disclosure that the agent did not hold, and was heard of two."""
    monkeypatch.setattr(alarms, "UNMATCHED_MAX", 2)
    house = House()
    row = house.agent.db.execute("SELECT * FROM disclosure").fetchone()
    with transaction(house.agent.db) as db:
        db.execute("DELETE FROM disclosure")
    for _ in range(6):
        house.read("Riverside")
    assert not house.agent.regain_readings(), "there is no room yet"
    with transaction(house.agent.db) as db:
        db.execute(f"INSERT INTO disclosure VALUES ({','.join('?' * len(row))})", row)
    assert house.looks("Riverside") == []
    house.agent.report_heads()
    house.village.settle()
    return house


def test_what_was_left_out_comes_back_and_the_alarm_is_settled(house: House) -> None:
    assert len(house.looks("Riverside")) == 2
    assert Alarm.LEFT_OUT in house.kinds()
    assert house.agent.regain_readings()
    house.village.settle()
    assert not house.agent.regain_readings()
    assert [look.number for look in house.looks("Riverside")] == [1, 2, 3, 4, 5, 6]
    assert house.kinds() == {}
    assert not house.agent.regain_readings()


def test_who_could_not_bring_it_is_asked_again_the_next_day(house: House) -> None:
    with not_now(house.village, "Riverside"):
        assert house.agent.regain_readings()
        with transaction(house.agent.db) as db:
            db.execute("UPDATE look_alarm SET last = last + 1 WHERE kind = 'LEFT_OUT'")
        assert not house.agent.regain_readings(), "one flow at a time asks"
        for _ in range(12):
            house.village.pass_time(TWENTY_MINUTES)
        assert Alarm.LEFT_OUT in house.kinds()
    house.village.pass_time(DAY_MS)
    assert house.agent.regain_readings()
    house.village.settle()
    assert not house.agent.regain_readings()
    assert len(house.looks("Riverside")) == 6
    assert Alarm.LEFT_OUT not in house.kinds()
