"""A peer that cannot bring its readings for longer than a restored agent asks is asked again until it can."""

from typing import NoReturn

from app.vault.aside import recalls
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.reading_recall import FindReadings
from tests.simulation.restoring import image_of
from tests.simulation.test_reading_recovery import House

TWENTY_MINUTES, DAY_MS = 1_200_000, 86_400_000


def not_now(step: Step, request: FindReadings) -> NoReturn:
    del step, request
    raise FlowRefused("not-now", "its disk is full")


def test_readings_are_asked_for_again_when_the_flow_that_asked_has_failed() -> None:
    house = House()
    image = image_of(house.village, "Agent")
    for _ in range(3):
        house.read("Mercy")
    handlers = house.village.nodes["Mercy"].engine._around.handlers
    table = next(each for each in vars(handlers).values() if FindReadings in each)
    well = table[FindReadings]
    table[FindReadings] = not_now
    house.restore("Agent", image)
    for _ in range(12):
        house.village.pass_time(TWENTY_MINUTES)
    assert house.looks("Mercy") == []
    assert recalls(house.agent.db)
    table[FindReadings] = well
    assert house.agent.ask_again()
    house.village.pass_time(DAY_MS)
    assert len(house.looks("Mercy")) == 3
    house.agent.ask_again()
    assert recalls(house.agent.db) == []
