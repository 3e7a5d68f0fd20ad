"""Who looked: an organisation that only claims a restore fills no gap by what it numbers anew in its name."""

from app.keystore.keys import NodeKey
from app.keystore.signers import HandleSigner
from app.readings.alarms import Alarm
from flows.subjects.reading import ToldHead, ToldReading
from states.reading import DailyHead, Restored, sign_head
from tests.contracts.cast import seeded
from tests.unit.app.readings.test_looks import (
    DISCLOSED,
    NETWORK,
    RIVERSIDE,
    Network,
    Pen,
    restored,
)
from tests.unit.flows.nodes import NOON


def anew(pen: Pen, first: ToldReading, since: Restored, last: int) -> list[ToldReading]:
    """Harmless lines up to a number, in an epoch that goes on after the first."""
    lines = [first]
    for number in range(2, last + 1):
        before = pen.digest(lines[-1])
        lines.append(pen.write(number=number, previous=before, outcome="refused", restored=since))
    return lines[1:]


def test_what_one_epoch_says_that_it_kept_no_later_one_fills() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    # It says itself that it kept 2 to 5, which were never told.
    network.tell(first, pen.write(number=6, previous=seeded("5"), restored=restored(1, 5, NOON)))
    assert network.alarms() == [Alarm.RESTORED, Alarm.MISSING]
    network.tell(*anew(pen, first, restored(2, 1, NOON + 1), 5))
    assert Alarm.MISSING in network.alarms()


def test_nor_one_that_it_says_came_between() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    network.tell(first, pen.write(number=6, previous=seeded("5"), restored=restored(1, 5, NOON)))
    network.tell(*anew(pen, first, restored(2, 1, NOON - 1), 5))
    assert Alarm.MISSING in network.alarms()


def test_nor_one_that_was_told_first() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    network.tell(first, *anew(pen, first, restored(2, 1, NOON + 1), 5))
    network.tell(pen.write(number=6, previous=seeded("5"), restored=restored(1, 5, NOON)))
    assert Alarm.MISSING in network.alarms()


def test_a_line_of_a_later_epoch_is_not_the_one_that_an_earlier_one_goes_on_after() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    second = pen.write(number=2, previous=pen.digest(first))
    again = pen.write(number=2, previous=pen.digest(first), restored=restored(2, 1, NOON + 1))
    other = pen.write(number=3, previous=pen.digest(again), restored=restored(1, 2, NOON))
    network.tell(first, second, again)
    assert network.alarms() == [Alarm.RESTORED]
    network.tell(other)
    assert Alarm.CONTRADICTED in network.alarms()


def test_what_was_kept_settles_it_also_where_a_head_told_of_the_restore() -> None:
    network = Network()
    pen = Pen(network)
    lines = [pen.write()]
    for number in range(2, 6):
        lines.append(pen.write(number=number, previous=pen.digest(lines[-1])))
    since = restored(1, 5, NOON)
    six = pen.write(number=6, previous=pen.digest(lines[-1]), restored=since)
    said = DailyHead(NETWORK, RIVERSIDE, pen.first.chain, 6, pen.digest(six), 1, NOON, since)
    head = sign_head(HandleSigner(network.keys, NodeKey.READING_LOG), said)
    network.tell(lines[0], ToldHead(None, DISCLOSED, head))
    assert network.alarms() == [Alarm.RESTORED, Alarm.MISSING, Alarm.MISSING]
    network.tell(*lines[1:], six)
    assert network.alarms() == [Alarm.RESTORED]
