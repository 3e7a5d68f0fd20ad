"""A peer that cannot bring its readings for longer than one flow asks is asked for them again until it can."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import pytest

from app.assembly import Assembly
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.reading_recall import AskReadings, FindReadings, OfferReadings, RegainReadings
from flows.recovery import Recover
from flows.store import Status
from tests.attack.liar import Liar
from tests.simulation.restoring import greet, image_of
from tests.simulation.test_reading_recovery import House
from tests.simulation.village import Village

TWENTY_MINUTES, DAY_MS = 1_200_000, 86_400_000


@contextmanager
def not_now(village: Village, name: str) -> Iterator[None]:
    """Let a resident be unable to say what is in its reading log."""

    def refuses(step: Step, request: FindReadings) -> NoReturn:
        del step, request
        raise FlowRefused("not-now", "its disk is full")

    table = village.nodes[name].engine._around.handlers._handlers
    well = table[FindReadings]
    table[FindReadings] = refuses  # type: ignore[assignment]  # called with these requests only
    yield
    table[FindReadings] = well


def statuses(node: Assembly, flow: type[Recover | RegainReadings]) -> list[Status]:
    tag = flow.__struct_config__.tag
    return sorted(Status(row.status) for row in node.engine.flows(limit=1_000) if row.tag == tag)


def start_again(house: House) -> None:
    """End the agent's process, and start it on what is on its disk."""
    given = replace(house.agent.given, db=image_of(house.village, "Agent"))
    house.village.nodes["Agent"] = house.village._by_party[given.me] = Assembly(given)
    greet(house.village, "Agent")


def let_hours_pass(house: House) -> None:
    for _ in range(12):
        house.village.pass_time(TWENTY_MINUTES)


@pytest.mark.parametrize("restored", [True, False])
def test_readings_are_asked_for_until_they_come(*, restored: bool) -> None:
    """The agent asks because it was restored, or because it is offered what it has lost."""
    house = House()
    image = image_of(house.village, "Agent")
    for _ in range(3):
        house.read("Mercy")
    if not restored:
        house.roll_back("Agent", image)  # it lacks them, and asks nobody by itself
        assert house.looks("Mercy") == []
    with not_now(house.village, "Mercy"):
        if restored:
            house.restore("Agent", image)
        else:
            house.village.run("Mercy", Recover(house.agent.me, 0))
        let_hours_pass(house)
        assert statuses(house.agent, RegainReadings)[-1] == Status.FAILED
        recovered = statuses(house.agent, Recover)
        assert set(recovered) <= {Status.DONE}
        start_again(house)
        assert house.agent.ask_again()
        let_hours_pass(house)
        assert house.looks("Mercy") == []
    assert house.agent.ask_again()
    house.village.pass_time(DAY_MS)
    assert len(house.looks("Mercy")) == 3
    assert not house.agent.ask_again()
    assert house.agent.reading_recall.unended(house.agent.db) == []
    assert statuses(house.agent, Recover) == recovered, "nothing else is asked for again"


def test_one_that_offers_its_readings_again_and_again_is_asked_once_at_a_time() -> None:
    house = House()
    offering = Liar(house.village, "Riverside")
    offering.attach("Agent")
    for _ in range(20):
        offering.open(house.agent.me, AskReadings.name, OfferReadings(), letter=True)
    house.village.settle()
    assert statuses(house.agent, RegainReadings) == [Status.RUNNING]
