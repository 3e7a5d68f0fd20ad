"""Who looked: a log under a name that its organisation has announced to nobody is said, and crowds out none that is."""

import pytest

from app.keystore.keys import NodeKey
from app.keystore.signers import HandleSigner
from app.readings import looks
from app.readings.alarms import Alarm
from app.storage.database import transaction
from flows.subjects.reading import ToldHead, ToldReading
from states.checkpoint import Checkpoint
from states.crypto.merkle import inclusion_path, leaf_hash, root_of
from states.log_proof import write_proof
from states.note import NoteSigner, sign_note
from states.reading import (
    DAY_MS,
    FIRST_EPOCH,
    DailyHead,
    ReportedReading,
    epoch_named,
    leaf_of,
    origin_of,
    sign_head,
)
from tests.unit.app.readings.test_looks import (
    DISCLOSED,
    NETWORK,
    RIVERSIDE,
    SALT,
    Network,
    Pen,
    restored,
)
from tests.unit.flows.nodes import NOON

FEW = 8


def moved(network: Network, line: ToldReading, epoch: bytes, before: int = 1) -> ToldReading:
    """The same line, proven in a log of another epoch, behind so many entries of others."""
    origin = origin_of(RIVERSIDE, epoch)
    leaves = [leaf_hash(b"%d" % at) for at in range(before)]
    leaves.append(leaf_hash(leaf_of(Pen.digest(line))))
    signer = NoteSigner(origin, HandleSigner(network.keys, NodeKey.READING_LOG))
    note = sign_note(Checkpoint(origin, len(leaves), root_of(leaves)).text, [signer]).render()
    proof = write_proof(before, inclusion_path(leaves, before), note)
    return ToldReading(None, ReportedReading(line.reading.body, SALT, proof))


def epoch(name: int) -> bytes:
    return restored(name, 0).epoch


def check(network: Network, days: int) -> None:
    with transaction(network.there) as db:
        network.looks.check(db, NOON + days * DAY_MS)


def kinds(network: Network) -> list[Alarm]:
    return [each for each in network.alarms() if each is not Alarm.SILENT]


def announce(network: Network, pen: Pen, name: int) -> None:
    """Say in a daily head that the log goes on from a backup of now, under another name."""
    last = network.there.execute("SELECT digest FROM look").fetchone()[0]
    said = DailyHead(NETWORK, RIVERSIDE, pen.first.chain, 1, last, 1, NOON, restored(name, 1, NOON))
    signer = HandleSigner(network.keys, NodeKey.READING_LOG)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, said)))


def test_the_name_of_a_log_says_its_epoch() -> None:
    for each in (FIRST_EPOCH, epoch(1)):
        assert epoch_named(origin_of(RIVERSIDE, each)) == each


def test_a_log_that_is_announced_in_time_is_no_alarm() -> None:
    network = Network()
    pen = Pen(network)
    network.tell(moved(network, pen.write(), epoch(1)))
    check(network, 2)
    announce(network, pen, 1)
    check(network, 4)
    assert kinds(network) == [Alarm.RESTORED]


def test_a_log_that_nobody_announces_is_an_alarm_once_and_until_it_is_announced() -> None:
    network = Network()
    pen = Pen(network)
    network.tell(moved(network, pen.write(), epoch(1)))
    for days in (4, 5):
        check(network, days)
        assert kinds(network) == [Alarm.OTHER_LOG]
    announce(network, pen, 1)
    check(network, 6)
    assert kinds(network) == [Alarm.RESTORED]


def test_a_log_that_ended_by_another_restore_before_its_first_head_is_no_alarm() -> None:
    network = Network()
    pen = Pen(network)
    network.tell(moved(network, pen.write(), epoch(1)))
    announce(network, pen, 2)
    check(network, 4)
    assert kinds(network) == [Alarm.RESTORED]


def test_two_versions_of_an_unannounced_log_are_a_fork() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    second = pen.write(number=2, previous=Pen.digest(first))
    network.tell(moved(network, first, epoch(1)), moved(network, second, epoch(1)))
    assert kinds(network) == [Alarm.FORKED]
    assert sorted(network.lines()) == [1, 2]


def test_logs_that_nobody_announced_take_no_room_from_one_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looks, "UNANNOUNCED_LOGS_MAX", FEW)
    network = Network()
    pen = Pen(network)
    lines = [pen.write()]
    for number in range(2, FEW + 4):
        lines.append(pen.write(number=number, previous=Pen.digest(lines[-1])))
    network.tell(*(moved(network, line, epoch(at)) for at, line in enumerate(lines, 1)))
    (logs,) = network.there.execute("SELECT count(*) FROM look_log").fetchone()
    assert logs == FEW
    assert kinds(network) == [Alarm.OTHER_LOG]
    last = len(lines)
    since = restored(99, last)
    honest = pen.write(number=last + 1, previous=Pen.digest(lines[-1]), restored=since)
    network.tell(honest)
    assert (since.epoch,) in network.there.execute("SELECT epoch FROM look_log").fetchall()
    other = pen.write(number=last + 2, previous=Pen.digest(honest), restored=since)
    size = network.there.execute("SELECT max(size) FROM look_log").fetchone()[0]
    network.tell(moved(network, other, since.epoch, before=size - 1))
    assert Alarm.FORKED in kinds(network)
    assert len(network.lines()) == last + 2, "every line is kept, whatever its log is called"
