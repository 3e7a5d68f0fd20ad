"""Who looked, after a restore of who read, of the agent that keeps the list, of both; and where it is only claimed."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from sqlite3 import Connection

import pytest

from app.assembly import Assembly
from app.auth.sessions import Role, Session
from app.gate import Opened, Refused
from app.readings.alarms import Alarm
from app.readings.chains import Mark
from app.readings.log import ChainOf, Reading
from app.readings.looks import Look, LookAlarm
from app.storage.database import open_database, transaction
from app.storage.flow_store import SqliteFlowStore
from flows.recovery import Recover
from flows.subjects.enrolment import Practitioner
from flows.subjects.reading import BATCH_MAX, ReportReadings
from states.reading import contradict, verify_reading
from states.state import StateRef, TransactionId
from tests.simulation.neighbours import ADA, REED
from tests.simulation.restoring import greet, image_of, put_back
from tests.simulation.test_story import disclosed, granted, reed_signed_in
from tests.simulation.village import Village

MORA = bytes(range(16, 32))
OTHERS = {
    name: tuple(other for other in ("Mercy", "Riverside", "Northside", "Agent") if other != name)
    for name in ("Mercy", "Riverside", "Agent")
}


class House:
    """The village after a disclosure: Dr Reed reads it at Riverside, Dr Mora the same record at Mercy."""

    def __init__(self, *, double_run: bool = True) -> None:
        self.village = Village(seed=29, double_run=double_run)
        self.first_disk = image_of(self.village, "Agent")
        consent = granted(self.village)
        self.tx = TransactionId(disclosed(self.village, consent).tx or b"")
        mercy = self.village.nodes["Mercy"]
        mercy.enrolments.add_practitioner(mercy.db, Practitioner(MORA, "Dr M. Mora", "clinician"))
        rows = mercy.db.execute("SELECT tx, idx FROM record WHERE category = 'laboratory'")
        tx, index = rows.fetchone()
        self.record = StateRef(TransactionId(tx), index)
        self.report()

    @property
    def agent(self) -> Assembly:
        return self.village.nodes["Agent"]

    def ask(self, name: str) -> Opened | Refused:
        """Let somebody at a node read, or be refused: either is a line, of which nobody is told yet."""
        gate = self.village.nodes[name].gate
        if name == "Mercy":
            answer = gate.read_own(self._mora(), self.record, "TREAT")
        else:
            answer = gate.read_record(reed_signed_in(self.village), self.tx, 0, "TREAT")
        self.village.pass_time(1_000)
        return answer

    def open(self, name: str) -> None:
        assert isinstance(self.ask(name), Opened)

    def read(self, name: str) -> None:
        self.open(name)
        self.report()

    def _mora(self) -> Session:
        now = datetime.fromtimestamp(self.village.clock.now / 1_000, UTC)
        at = self.village.party("Mercy")
        ends = now + timedelta(hours=8)
        return Session("s2", "mora", Role.CLINICIAN, MORA.hex(), at, now, ends)

    def report(self) -> None:
        for node in self.village.nodes.values():
            node.report_readings()
        self.village.settle()

    def report_heads(self) -> None:
        for node in self.village.nodes.values():
            node.report_heads()
        self.village.settle()

    def restore(self, name: str, image: Connection, *asks: str) -> None:
        put_back(self.village, name, image, asks or OTHERS[name])
        greet(self.village, name)
        self.village.settle()
        self.village.pass_time(60_000)

    def roll_back(self, name: str, image: Connection) -> None:
        """Put an older disk under a node, as nobody should: it does not know that it was restored."""
        with transaction(image):
            SqliteFlowStore(image).new_incarnation(self.village.entropy(16))
        node = Assembly(replace(self.village.nodes[name].given, db=image))
        self.village.nodes[name] = self.village._by_party[node.me] = node
        greet(self.village, name)
        self.village.settle()

    def looks(self, name: str = "", outcome: str = "read") -> list[Look]:
        """What Ada is shown, the oldest first."""
        found = self.agent.looks.who_looked(self.agent.db, ADA.hex(), most=1_000)
        at = {self.village.party(name)} if name else {each.organisation for each in found}
        return [
            each
            for each in reversed(found)
            if each.organisation in at and each.entry.outcome == outcome
        ]

    def alarms(self) -> list[LookAlarm]:
        found = self.agent.looks.alarms(self.agent.db, ADA.hex())
        return [each for each in reversed(found) if each.settled_at is None]

    def kinds(self) -> Counter[Alarm]:
        return Counter(each.kind for each in self.alarms())

    def verify(self, look: Look) -> None:
        reported = self.agent.looks.evidence(self.agent.db, look)
        assert reported is not None
        member = self.agent.given.directory.latest(look.organisation)
        assert member is not None
        assert verify_reading(reported, member).entry == look.entry


@pytest.fixture
def house() -> House:
    return House()


@pytest.mark.parametrize("name", ["Riverside", "Mercy"])
def test_every_reading_of_a_restored_organisation_is_in_the_list_before_and_after(
    house: House, name: str
) -> None:
    house.read(name)
    image = image_of(house.village, name)
    house.read(name)
    house.read(name)
    before = [look.digest for look in house.looks(name)]
    house.restore(name, image)
    for _ in range(3):
        house.read(name)
    house.report_heads()
    looks = house.looks(name)
    assert [look.digest for look in looks[:3]] == before
    assert [look.mark for look in looks] == [None, Mark.LOST, Mark.LOST, None, None, None]
    again = looks[1].number
    assert [look.number for look in looks] == [
        again - 1,
        again,
        again + 1,
        again,
        again + 1,
        again + 2,
    ]
    assert all(look.items[0] is not None for look in looks)
    for look in looks:
        house.verify(look)
    assert house.kinds().keys() == {Alarm.RESTORED}
    (told,) = house.agent.db.execute(
        "SELECT first, last FROM look_alarm WHERE organisation = ? AND chain = ?",
        (house.village.party(name), looks[0].chain),
    ).fetchall()
    assert told == (again, again + 1)


def test_she_is_told_of_a_restore_though_nobody_reads_any_more(house: House) -> None:
    house.read("Riverside")
    image = image_of(house.village, "Riverside")
    house.read("Riverside")
    house.restore("Riverside", image)
    assert house.kinds() == {}
    house.report_heads()
    assert house.kinds().keys() == {Alarm.RESTORED}
    assert [look.mark for look in house.looks("Riverside")] == [None, Mark.LOST]
    house.village.pass_time(86_400_000)
    house.report_heads()
    assert house.kinds().keys() == {Alarm.RESTORED}, "the next day says nothing new"


def test_what_waited_in_the_backup_is_told_and_what_came_after_twice_restored_as_well(
    house: House,
) -> None:
    house.read("Riverside")
    house.open("Riverside")  # its agent has not been told when the backup is made
    image = image_of(house.village, "Riverside")
    copy = image_of(house.village, "Riverside")
    house.report()
    house.restore("Riverside", image)
    house.report()
    house.read("Riverside")
    house.restore("Riverside", copy)
    house.report()
    house.read("Riverside")
    looks = house.looks("Riverside")
    assert [look.mark for look in looks] == [None, None, Mark.LOST, None]
    assert looks[2].number == looks[3].number == looks[1].number + 1
    assert len({look.digest for look in looks}) == 4
    assert house.kinds() == {Alarm.RESTORED: 2}


def test_a_restore_that_is_only_claimed_takes_no_line_away_and_hides_no_gap(house: House) -> None:
    """Riverside tells of one reading, signs that there were three, and then of a restore after the first."""
    house.read("Riverside")
    house.read("Riverside")
    house.open("Riverside")
    house.open("Riverside")
    riverside = house.village.nodes["Riverside"]
    riverside.db.execute("UPDATE reading SET reported = 1")
    house.report_heads()
    assert house.kinds() == {Alarm.MISSING: 1}
    chain = riverside.readings.chain(riverside.db, house.tx)
    (count,) = riverside.db.execute(
        "SELECT number FROM reading_chain WHERE chain = ?", (chain,)
    ).fetchone()
    with transaction(riverside.db) as db:
        riverside.readings.begin_epoch(db, house.village.clock.now)
        db.execute("DELETE FROM reading WHERE chain = ? AND number > 1", (chain,))
        first = db.execute("SELECT digest FROM reading WHERE chain = ?", (chain,)).fetchone()
        db.execute(
            "UPDATE reading_chain SET number = 1, kept = 1, digest = ? WHERE chain = ?",
            (*first, chain),
        )
    for _ in range(count):
        house.read("Riverside")
    house.report_heads()
    looks = house.looks("Riverside")
    assert [look.mark for look in looks] == [None, Mark.LOST] + [None] * count
    gap = [each for each in house.alarms() if each.kind is Alarm.MISSING]
    assert len(gap) == 1, "the numbers that were given anew fill no gap of what went before"
    assert Alarm.RESTORED in house.kinds()


def test_a_node_that_does_not_know_that_it_was_rolled_back_convicts_itself_and_drops_nothing(
    house: House,
) -> None:
    house.read("Riverside")
    image = image_of(house.village, "Riverside")
    house.read("Riverside")
    house.read("Riverside")
    house.roll_back("Riverside", image)
    for _ in range(3):
        house.read("Riverside")
    looks = house.looks("Riverside")
    assert len(looks) == 6
    assert [look.mark for look in looks] == [None] + [Mark.CONTRADICTED] * 5
    assert {look.entry.shown_as for look in looks} == {"Dr A. Reed"}
    assert all(look.items[0] is not None for look in looks)
    assert Alarm.CONTRADICTED in house.kinds()
    member = house.agent.given.directory.latest(looks[0].organisation)
    assert member is not None
    one, other = (house.agent.looks.evidence(house.agent.db, looks[at]) for at in (1, 3))
    assert one is not None
    assert other is not None
    assert contradict(verify_reading(one, member), verify_reading(other, member))


def lines_of(house: House) -> dict[bytes, tuple[object, ...]]:
    found = house.agent.looks.who_looked(house.agent.db, ADA.hex(), most=1_000)
    return {each.digest: (each.organisation, each.number, each.items, each.mark) for each in found}


def test_a_restored_agent_has_its_lines_back_from_everybody_who_has_them(house: House) -> None:
    image = image_of(house.village, "Agent")
    for name in ("Riverside", "Mercy", "Riverside"):
        house.read(name)
    house.report_heads()
    before = lines_of(house)
    house.restore("Agent", image)
    assert lines_of(house) == before
    assert house.kinds() == {}
    house.read("Riverside")
    house.report_heads()
    assert len(lines_of(house)) == len(before) + 1
    assert house.kinds() == {}
    mercy = house.village.party("Mercy")
    house.village.run("Agent", Recover(mercy, 0))
    assert len(lines_of(house)) == len(before) + 1, "twice is once"
    assert house.kinds() == {}


def test_an_agent_that_lost_all_has_the_list_of_a_disclosure_that_it_learns_of_again(
    house: House,
) -> None:
    """Riverside's readings come before Mercy has brought what they are about."""
    house.read("Riverside")
    house.report_heads()
    before = lines_of(house)
    assert len(before) == 2
    house.restore("Agent", house.first_disk, "Riverside", "Mercy")
    assert lines_of(house) == before
    assert house.kinds() == {}


def test_what_a_backup_counts_as_reported_is_told_again_to_an_agent_that_lost_it(
    house: House,
) -> None:
    """When the agent was restored, Riverside had an older disk, without the line; then it gets a newer one back."""
    older = image_of(house.village, "Riverside")
    agent = image_of(house.village, "Agent")
    house.read("Riverside")
    newer = image_of(house.village, "Riverside")
    newer.execute("DELETE FROM flow_outbox")  # the agent had acknowledged all that it was told
    house.restore("Riverside", older)
    house.restore("Agent", agent)
    assert house.looks("Riverside") == []
    house.restore("Riverside", newer)
    (look,) = house.looks("Riverside")
    assert look.mark is None
    house.report_heads()
    assert house.kinds().keys() == {Alarm.RESTORED}


def test_many_readings_come_back_page_by_page(house: House) -> None:
    image = image_of(house.village, "Agent")
    riverside = house.village.nodes["Riverside"]
    count = 2 * BATCH_MAX + 7
    of = ChainOf(house.tx, None, house.agent.me)
    one = Reading(of, REED, "Dr A. Reed", "clinician", "TREAT", "read")
    with transaction(riverside.db) as db:
        riverside.readings.append_all(db, house.village.clock.now, [one] * count)
    house.report()
    before = lines_of(house)
    house.restore("Agent", image)
    assert lines_of(house) == before
    assert len(before) >= count
    assert house.kinds() == {}


def test_readings_are_told_though_the_flow_that_was_to_tell_them_has_ended(house: House) -> None:
    riverside = house.village.nodes["Riverside"]
    (entries,) = riverside.db.execute("SELECT count(*) FROM reading").fetchone()
    riverside.engine.start(ReportReadings(), f"report-readings/{entries}")
    house.village.settle()
    house.read("Riverside")
    assert len(house.looks("Riverside")) == 1
    assert not riverside.report_readings()


def test_only_its_own_patients_readings_are_brought_to_a_peer_that_asks(house: House) -> None:
    house.read("Riverside")
    house.village.run("Northside", Recover(house.village.party("Riverside"), 0))
    northside = house.village.nodes["Northside"]
    assert northside.db.execute("SELECT count(*) FROM look").fetchone() == (0,)
    assert northside.db.execute("SELECT count(*) FROM look_alarm").fetchone() == (0,)


def test_both_restored_keep_together_what_either_has(house: House) -> None:
    agent = image_of(house.village, "Agent")
    house.read("Riverside")
    riverside = image_of(house.village, "Riverside")
    house.read("Riverside")  # on no disk any more, soon
    house.restore("Riverside", riverside)
    house.read("Riverside")
    house.restore("Agent", agent)
    house.read("Riverside")
    house.report_heads()
    looks = house.looks("Riverside")
    assert [look.mark for look in looks] == [None, None, None]
    assert [look.number for look in looks] == [1, 2, 3]
    assert house.kinds().keys() == {Alarm.RESTORED}


class Chances:
    """Readings, reports, backups and restores in any order, and what Ada's list must have in the end."""

    def __init__(self, seed: int) -> None:
        self.house = House(double_run=False)
        self.random = Random(seed)
        names = ("Mercy", "Riverside", "Agent")
        self.listed = self._in_list()
        self.ever = set(self.listed)
        self.images = {name: [(image_of(self.house.village, name), self.listed)] for name in names}

    def _in_list(self) -> set[bytes]:
        found = self.house.agent.looks.who_looked(self.house.agent.db, ADA.hex(), most=1_000)
        return {each.digest for each in found}

    def _in_logs(self, *, told: bool) -> set[bytes]:
        return {
            digest
            for name in ("Mercy", "Riverside")
            for (digest,) in self.house.village.nodes[name].db.execute(
                "SELECT r.digest FROM reading r JOIN reading_chain c USING (chain)"
                " WHERE c.agent IS NOT NULL AND r.reported >= ?",
                (int(told),),
            )
        }

    def read(self) -> None:
        self.house.ask(self.random.choice(("Mercy", "Riverside")))

    def report(self) -> None:
        self.house.report()
        self.listed = self.listed | self._in_logs(told=True)

    def heads(self) -> None:
        self.house.village.pass_time(86_400_000)
        self.house.report_heads()
        self.listed = self.listed | self._in_logs(told=True)

    def back_up(self) -> None:
        name = self.random.choice(sorted(self.images))
        self.images[name].append((image_of(self.house.village, name), self.listed))

    def restore(self) -> None:
        """Put any backup back, not the newest alone."""
        name = self.random.choice(sorted(self.images))
        image, listed = self.random.choice(self.images[name])
        copy = open_database(":memory:")
        image.backup(copy)
        self.house.restore(name, copy)
        if name == "Agent":
            self.listed = listed
        self.listed = self.listed | self._in_logs(told=True)
        self.ever |= self._in_logs(told=False)

    def check(self) -> list[Look]:
        house = self.house
        found = self._in_list()
        assert found >= self.listed
        # A letter that lies in the backup of an organisation goes again to an agent that was itself restored since.
        assert found - self.listed <= self.ever
        self.listed = found
        self.ever |= found
        looks = house.agent.looks.who_looked(house.agent.db, ADA.hex(), most=1_000)
        assert Mark.CONTRADICTED not in {each.mark for each in looks}
        for each in looks:
            house.verify(each)
        assert house.kinds().keys() <= {Alarm.RESTORED}
        return looks

    def check_marks(self) -> None:
        """Once every chain's head was told: what is in a log is not lost to it, and what is in none any more is."""
        self.heads()
        lost = {each.digest for each in self.check() if each.mark is Mark.LOST}
        assert lost == self.listed - self._in_logs(told=False)


@pytest.mark.parametrize("seed", range(16))
def test_whatever_is_restored_her_list_has_all_that_it_can_and_nobody_honest_is_accused(
    seed: int,
) -> None:
    chances = Chances(seed)
    steps = (chances.read, chances.report, chances.heads, chances.back_up, chances.restore)
    for _ in range(40):
        chances.random.choices(steps, (10, 5, 1, 3, 3))[0]()
        chances.check()
    chances.check_marks()
    assert chances._in_list() >= chances._in_logs(told=False)
