"""Who looked: two nodes with real engines; Riverside reads and reports, Ada's agent verifies, lists and alarms."""

from collections import Counter
from sqlite3 import Connection
from typing import ClassVar

import msgspec
from msgspec.structs import replace as but
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import SQLModel

from app.keystore.keys import NodeKey
from app.keystore.memory import SeededEntropy, memory_key_store
from app.keystore.ring import KeyRing
from app.keystore.signers import HandleSigner
from app.readings.alarms import ALARMS_MAX, CONFLICTS_MAX, Alarm
from app.readings.chains import EPOCHS_MAX, Mark, ReportedChain
from app.readings.log import ChainOf, Reading, ReadingLog
from app.readings.looks import Look, Looks
from app.readings.reports import ReadingReports
from app.rows.tables import (
    DISCLOSURE_TABLES,
    ENROLMENT_TABLES,
    RECORD_TABLES,
    DisclosureItemRow,
    DisclosureRow,
    EnrolmentRow,
    RecordRow,
)
from app.storage.database import open_database, transaction
from app.storage.statements import creation, sql, table_of
from flows.flow import FlowContext, Request
from flows.registry import Registry
from flows.services import Done
from flows.step import Handlers
from flows.store import Status
from flows.subjects import reading
from flows.subjects.blob import Part
from flows.subjects.reading import ReadingBatch, TakeReadings, TellReadings, ToldHead, ToldReading
from states.checkpoint import Checkpoint
from states.crypto.merkle import inclusion_path, leaf_hash, root_of
from states.encoding import encode
from states.identity import Party, PatientId
from states.log_proof import write_proof
from states.note import NoteSigner, sign_note
from states.parameters import Member, ParametersHistory, ReadingLogKey
from states.reading import (
    DAY_MS,
    FIRST_EPOCH,
    NOTHING_BEFORE,
    DailyHead,
    ReadingEntry,
    ReportedReading,
    Restored,
    entry_digest,
    leaf_of,
    origin_of,
    sign_head,
)
from states.state import TransactionId
from states.subjects.content import Content
from tests.contracts.cast import PARAMETERS, PARAMETERS_ID, seeded
from tests.unit.flows.nodes import NOON, Clock, Node, Wires

RIVERSIDE, AGENT = Party("did:key:zRiverside"), Party("did:key:zAgentOfAda")
MERCY = Party("did:key:zMercyHospital")
DISCLOSED = TransactionId(seeded("disclosure"))
ADA_THERE = PatientId(seeded("a@R")[:16])
ADA = "ada0"
DR_REED = seeded("s19")[:16]
RESULT = Content("Observation", "4548-4", "http://loinc.org", "laboratory", (), "2026-11-20")
COMMITMENT, OWN_COMMITMENT = seeded("result"), seeded("own result")
NETWORK = PARAMETERS.network
SALT = seeded("salt")
OF_DISCLOSURE = ChainOf(DISCLOSED, None, AGENT)
OF_ADA = ChainOf(None, ADA_THERE, AGENT)


class KeepLie(Request[Part], frozen=True, array_like=True, tag="keep-lie"):
    """Keep bytes as a part, as a node that lies would."""

    answers: ClassVar[type[msgspec.Struct]] = Part
    batch: bytes


class Lie(msgspec.Struct, frozen=True, array_like=True, tag="lie/1"):
    """Tell the agent whatever the test says."""

    batch: bytes

    async def call(self, flow: FlowContext) -> Done:
        kept = await KeepLie(self.batch)
        flow.letter(AGENT, TakeReadings.name, TellReadings(), (kept.part,))
        return Done()


class Network:
    """Riverside with its log, and the agent with its list."""

    def __init__(self) -> None:
        self.clock = Clock()
        history = ParametersHistory([(PARAMETERS_ID, PARAMETERS)])
        self.keys = memory_key_store(b"riverside")
        self.members = {RIVERSIDE: member(self.keys), AGENT: member(self.keys, AGENT, "agent")}
        self.log = ReadingLog(RIVERSIDE, self.keys, SeededEntropy(b"log"))
        self.looks = Looks(AGENT, self, history)
        self.reports = ReadingReports(self.log, self.keys, history, self.looks.keep_own)
        self.here, self.there = database(), database()
        with transaction(self.here) as db:
            self.log.create(db)
        with transaction(self.there) as db:
            self.looks.create(db)
        ours: Handlers[Connection] = Handlers()
        theirs: Handlers[Connection] = Handlers()
        self.reports.register(ours)
        ours.on(KeepLie, lambda step, asked: Part(step.put_part(asked.batch)))
        self.looks.register(theirs)
        registry = Registry((*reading.FLOWS, Lie), reading.RESPONDERS)
        self.riverside = Node("Riverside", registry, ours, self.clock, connection=self.here)
        self.agent = Node("AgentOfAda", registry, theirs, self.clock, connection=self.there)
        self.wires = Wires(self.riverside, self.agent)

    def latest(self, party: Party) -> Member | None:
        return self.members.get(party)

    def read(self, of: ChainOf = OF_DISCLOSURE, *items: bytes, **other: object) -> int:
        said: dict[str, object] = {"person": DR_REED, "purpose": "TREAT", "outcome": "read"} | other
        one = Reading(of, said["person"], "Dr A. Reed", "clinician", said["purpose"],  # type: ignore[arg-type]
                      said["outcome"], items or (COMMITMENT,))  # type: ignore[arg-type]  # fmt: skip
        with transaction(self.here) as db:
            return self.log.append(db, self.clock.now, one)

    def report(self) -> None:
        due = self.reports.report_due(self.here)
        assert due is not None, "something is to be told"
        flow = self.riverside.engine.start(*due)
        self.wires.run()
        assert self.riverside.status(flow) is Status.DONE

    def report_heads(self) -> None:
        self.riverside.engine.start(*self.reports.heads_due(self.clock.now))
        self.wires.run()

    def tell(self, *batch: ToldReading | ToldHead) -> None:
        readings = tuple(each for each in batch if isinstance(each, ToldReading))
        heads = tuple(each for each in batch if isinstance(each, ToldHead))
        self.riverside.engine.start(Lie(encode(ReadingBatch(readings, heads))))
        self.wires.run()

    def reported(self, *indexes: int) -> list[ReportedReading]:
        return self.log.reports(self.here, indexes)

    def lines(self) -> list[int]:
        """The numbers of the lines that Ada sees, the newest first."""
        return [look.number for look in self.looks.who_looked(self.there, ADA)]

    def alarms(self, patient: str = ADA) -> list[Alarm]:
        """The open alarms that Ada sees, the oldest first."""
        found = self.looks.alarms(self.there, patient)
        return [alarm.kind for alarm in reversed(found) if alarm.settled_at is None]

    def all_alarms(self) -> list[str]:
        return [k for (k,) in self.there.execute("SELECT kind FROM look_alarm ORDER BY number")]


def member(keys: KeyRing, party: Party = RIVERSIDE, kind: str = "hospital") -> Member:
    log = (ReadingLogKey(keys.public(NodeKey.READING_LOG).raw, 0, 1 << 60),)
    return Member(NETWORK, party, "A house", kind, (), bytes(32), bytes(32), log, (), 1, True)  # type: ignore[arg-type]  # noqa: FBT003  # fmt: skip


def database() -> Connection:
    """A node's database with the rows that both sides have: a disclosure, an enrolment, a record."""
    db = open_database(":memory:", cache_kib=1_024)
    content = encode(RESULT)
    with transaction(db):
        for statement in creation(*ENROLMENT_TABLES, *RECORD_TABLES, *DISCLOSURE_TABLES):
            db.execute(statement)
        add(db, DisclosureRow, tx=DISCLOSED, custodian=MERCY, recipient=RIVERSIDE, agent=AGENT,
            patient=ADA, consent_tx=bytes(32), consent_idx=0, person=DR_REED, shown_as="Dr A. Reed",
            role="clinician", purpose="TREAT", release_by=NOON, read_until=NOON + 5 * DAY_MS, items=1,
            at=NOON - 1, since=NOON - 1, created_seq=1, released=NOON)  # fmt: skip
        add(db, DisclosureItemRow, tx=DISCLOSED, item=0, commitment=COMMITMENT, blob="b", size_class=4_096,
            version=1, content=content, category="laboratory", wrapped=None, epoch=None,
            withdrawn_at=None, superseded=None)  # fmt: skip
        add(db, EnrolmentRow, patient=ADA_THERE, custodian=RIVERSIDE, agent=AGENT, local=ADA,
            authority=b"", signed=b"signed", keepsake=b"kept", from_time=0)  # fmt: skip
        add(db, RecordRow, tx=seeded("own"), idx=0, custodian=RIVERSIDE, patient=ADA, version=1,
            commitment=OWN_COMMITMENT, blob="b", size_class=4_096, content=content,
            category="laboratory", kind="Observation", day=None, key=None, length=None,
            resource_id=None, withheld=None, created_seq=1, consumed_seq=None, passed_to=None)  # fmt: skip
    return db


def add(db: Connection, model: type[SQLModel], **values: object) -> None:
    db.execute(sql(insert(table_of(model))), values)


class Pen:
    """Writes whatever Riverside might sign, in logs of which each is one entry longer than the last."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._leaves = [leaf_hash(b"another")]
        self.first = ReadingEntry(
            organisation=RIVERSIDE, chain=network.log.chain(network.here, DISCLOSED), number=1,
            previous=NOTHING_BEFORE, at=NOON, person=DR_REED, shown_as="Dr A. Reed", role="clinician",
            purpose="TREAT", by="person", emergency=False, disclosure=DISCLOSED, items=(),
            outcome="read", restored=None)  # fmt: skip

    def write(self, **changes: object) -> ToldReading:
        entry = but(self.first, **changes)
        body = encode(entry)
        self._leaves.append(leaf_hash(leaf_of(entry_digest(SALT, body))))
        epoch = FIRST_EPOCH if entry.restored is None else entry.restored.epoch
        origin = origin_of(RIVERSIDE, epoch)
        signer = NoteSigner(origin, HandleSigner(self._network.keys, NodeKey.READING_LOG))
        text = Checkpoint(origin, len(self._leaves), root_of(self._leaves)).text
        at = len(self._leaves) - 1
        note = sign_note(text, [signer]).render()
        proof = write_proof(at, inclusion_path(self._leaves, at), note)
        return ToldReading(None, ReportedReading(body, SALT, proof))

    @staticmethod
    def digest(reading: ToldReading) -> bytes:
        return entry_digest(SALT, reading.reading.body)


def restored(name: int, after: int, at: int = NOON) -> Restored:
    return Restored(seeded(f"epoch {name}")[:16], at, after)


def told(report: ReportedReading, patient: PatientId | None = None) -> ToldReading:
    return ToldReading(patient, report)


def test_a_reading_becomes_a_line_with_what_who_when_and_its_evidence() -> None:
    network = Network()
    network.read()
    network.report()
    (look,) = network.looks.who_looked(network.there, ADA)
    assert (look.organisation, look.entry.shown_as, look.entry.purpose) == (
        RIVERSIDE,
        "Dr A. Reed",
        "TREAT",
    )
    assert (look.entry.at, look.items) == (NOON, (RESULT,))
    evidence = network.looks.evidence(network.there, look)
    assert evidence == network.reported(0)[0]
    assert network.alarms() == []
    assert network.reports.report_due(network.here) is None


def test_readings_inside_the_custodian_go_to_the_agent_of_the_enrolment() -> None:
    network = Network()
    network.read(OF_ADA, OWN_COMMITMENT)
    network.read(OF_DISCLOSURE)
    network.report()
    looks = network.looks.who_looked(network.there, ADA)
    assert [look.entry.disclosure for look in looks].count(None) == 1
    assert {look.items for look in looks} == {(RESULT,)}
    assert network.alarms() == []


def test_many_readings_are_paged_newest_first_without_gap_or_repetition() -> None:
    network = Network()
    for at in range(300):
        network.clock.now = NOON + at // 3
        network.read(OF_DISCLOSURE if at % 2 else OF_ADA, COMMITMENT if at % 2 else OWN_COMMITMENT)
    network.report()
    found, after = list[Look](), None
    while page := network.looks.who_looked(network.there, ADA, after, 70):
        found += page
        after = page[-1].after
    assert len({(look.chain, look.number) for look in found}) == len(found) == 300
    times = [look.entry.at for look in found]
    assert times == sorted(times, reverse=True)
    assert network.alarms() == []


def test_the_same_report_twice_is_one_line() -> None:
    network = Network()
    network.read()
    network.report()
    network.tell(told(network.reported(0)[0]))
    assert (network.lines(), network.alarms()) == ([1], [])


def test_an_omitted_reading_shows_and_is_settled_when_it_comes() -> None:
    network = Network()
    for _ in range(4):
        network.read()
    first, second, third, fourth = network.reported(0, 1, 2, 3)
    network.tell(told(first), told(fourth))
    assert network.alarms() == [Alarm.MISSING]
    network.tell(told(third))
    assert network.alarms() == [Alarm.MISSING]
    network.tell(told(second))
    assert (sorted(network.lines()), network.alarms()) == ([1, 2, 3, 4], [])


def test_two_entries_of_one_number_contradict_each_other() -> None:
    network, liar = Network(), Network()
    network.read()
    network.report()
    liar.read(OF_DISCLOSURE, COMMITMENT, outcome="refused")  # same key and secret, another story
    network.tell(told(liar.reported(0)[0]))
    assert Alarm.CONTRADICTED in network.alarms()
    looks = network.looks.who_looked(network.there, ADA)
    assert sorted(look.entry.outcome for look in looks) == ["read", "refused"]
    assert {look.mark for look in looks} == {Mark.CONTRADICTED}
    assert {look.items for look in looks} == {(RESULT,)}
    for look in looks:
        assert network.looks.evidence(network.there, look) is not None
    network.tell(told(liar.reported(0)[0]), told(network.reported(0)[0]))
    assert len(network.lines()) == network.alarms().count(Alarm.CONTRADICTED) + 1 == 2


def test_a_log_of_one_size_with_two_roots_is_a_fork() -> None:
    network, liar = Network(), Network()
    network.read()
    network.report()
    liar.clock.now += 1
    liar.read(OF_ADA, OWN_COMMITMENT)
    network.tell(told(liar.reported(0)[0], ADA_THERE))
    assert Alarm.FORKED in network.alarms()


def test_a_second_chain_of_one_disclosure_is_a_contradiction() -> None:
    network = Network()
    network.read()
    network.report()
    other = ReadingLog(RIVERSIDE, network.keys, SeededEntropy(b"another secret"))
    elsewhere = open_database(":memory:", cache_kib=1_024)
    one = Reading(OF_DISCLOSURE, DR_REED, "Dr A. Reed", "clinician", "TREAT", "read")
    with transaction(elsewhere):
        other.create(elsewhere)
        other.append_all(elsewhere, NOON, (one, one))
    network.tell(told(other.reports(elsewhere, [0])[0]))
    assert Alarm.CONTRADICTED in network.alarms()
    marks = {look.chain: look.mark for look in network.looks.who_looked(network.there, ADA)}
    assert marks == {
        network.log.chain(network.here, DISCLOSED): None,
        other.chain(elsewhere, DISCLOSED): Mark.CONTRADICTED,
    }


def test_a_report_with_another_key_is_no_line() -> None:
    network = Network()
    network.read()
    network.members[RIVERSIDE] = member(memory_key_store(b"another"))
    network.report()
    assert network.lines() == []
    assert network.all_alarms() == ["FORGED"]


def test_a_reading_of_what_was_never_disclosed_is_an_alarm_until_it_is_known() -> None:
    network = Network()
    row = network.there.execute("SELECT * FROM disclosure").fetchone()
    with transaction(network.there) as db:
        db.execute("DELETE FROM disclosure")
    network.read()
    network.report()
    assert (network.lines(), network.all_alarms()) == ([], ["UNKNOWN"])
    with transaction(network.there) as db:
        db.execute(f"INSERT INTO disclosure VALUES ({','.join('?' * len(row))})", row)
    network.read()
    network.report()
    assert network.lines() == [2, 1]


def test_what_goes_beyond_the_disclosure_is_said() -> None:
    for beyond in ({"person": seeded("s20")[:16]}, {"purpose": "HRESCH"}):
        network = Network()
        network.read(OF_DISCLOSURE, COMMITMENT, **beyond)
        network.report()
        assert (network.lines(), network.alarms()) == ([1], [Alarm.BEYOND])
    network = Network()
    network.read(OF_DISCLOSURE, seeded("never announced"))
    network.clock.now = NOON + 5 * DAY_MS
    network.read()
    network.report()
    assert network.alarms() == [Alarm.BEYOND, Alarm.BEYOND]
    network = Network()
    network.read(OF_DISCLOSURE, COMMITMENT, person=seeded("s20")[:16], outcome="refused")
    network.report()
    assert network.alarms() == []  # that somebody was refused goes beyond nothing


def test_a_day_without_readings_is_said_too_and_heads_follow_what_they_name() -> None:
    network = Network()
    network.report_heads()
    chains = network.there.execute("SELECT number, head_at FROM look_chain").fetchall()
    assert chains == [(0, NOON), (0, NOON)]  # of the disclosure and of the enrolment
    assert network.alarms() == []
    network.read()
    network.report()
    network.read()
    network.clock.now += DAY_MS
    network.report_heads()  # tells what was read before
    assert (network.lines(), network.alarms()) == ([2, 1], [])


def test_a_head_that_names_an_unreported_entry_or_forgets_one_is_an_alarm() -> None:
    network = Network()
    network.read()
    network.report()
    signer = HandleSigner(network.keys, NodeKey.READING_LOG)
    chain = network.log.chain(network.here, DISCLOSED)
    head = DailyHead(NETWORK, RIVERSIDE, chain, 3, seeded("x"), 1, NOON + 1, None)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, head)))
    assert network.alarms() == [Alarm.MISSING]
    shorter = but(head, number=0, digest=bytes(32), at=NOON + 2)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, shorter)))
    assert network.alarms() == [Alarm.MISSING, Alarm.CONTRADICTED]
    forged = sign_head(HandleSigner(network.keys, NodeKey.IDENTITY), head)
    network.tell(ToldHead(None, DISCLOSED, forged))
    assert network.all_alarms()[-1] == "FORGED"


def test_a_head_that_comes_after_what_was_written_since_denies_nothing() -> None:
    """It lay in the backup of its organisation, and its agent was restored to before it came."""
    network = Network()
    pen = Pen(network)
    first = pen.write(at=NOON)
    second = pen.write(number=2, previous=pen.digest(first), at=NOON + 10)
    network.tell(first, second)
    signer = HandleSigner(network.keys, NodeKey.READING_LOG)
    late = DailyHead(NETWORK, RIVERSIDE, pen.first.chain, 1, pen.digest(first), 1, NOON + 5, None)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, late)))
    assert network.alarms() == []
    another = but(late, digest=seeded("another"), at=NOON + 6)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, another)))
    assert network.alarms() == [Alarm.CONTRADICTED]
    denied = but(late, at=NOON + 11)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, denied)))
    assert network.alarms() == [Alarm.CONTRADICTED, Alarm.CONTRADICTED]


def test_a_head_that_later_lines_have_overtaken_denies_nothing() -> None:
    """Letters are taken in any order: the day's head was signed before the line that came first."""
    network = Network()
    network.read()
    network.report()
    signer = HandleSigner(network.keys, NodeKey.READING_LOG)
    chain, first = network.there.execute("SELECT chain, digest FROM look").fetchone()
    head = DailyHead(NETWORK, RIVERSIDE, chain, 1, first, 1, NOON + 1, None)
    network.clock.now += 2
    network.read()
    network.report()
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, head)))
    assert (network.lines(), network.alarms()) == ([2, 1], [])
    for denied in (
        but(head, digest=seeded("another entry"), at=NOON + 2),
        but(head, at=NOON + 3),  # the second line was written by then
    ):
        network.tell(ToldHead(None, DISCLOSED, sign_head(signer, denied)))
    assert network.alarms() == [Alarm.CONTRADICTED, Alarm.CONTRADICTED]


def test_a_head_of_a_day_to_come_speaks_for_nothing_and_is_an_alarm() -> None:
    """Else one would end all alarms about silence, and later heads would count as older."""
    network = Network()
    signer = HandleSigner(network.keys, NodeKey.READING_LOG)
    chain = network.log.chain(network.here, DISCLOSED)
    at = NOON + 20 * DAY_MS
    head = DailyHead(NETWORK, RIVERSIDE, chain, 0, bytes(32), at // DAY_MS, at, None)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, head)))
    assert network.alarms() == [Alarm.CONTRADICTED]
    network.clock.now = NOON + 3 * DAY_MS
    with transaction(network.there) as db:
        assert network.looks.check_silence(db, network.clock.now) == 1


def test_silence_of_two_days_is_an_alarm_once_and_a_head_settles_it() -> None:
    network = Network()
    for days, expected in ((1, []), (3, [Alarm.SILENT]), (4, [Alarm.SILENT])):
        network.clock.now = NOON + days * DAY_MS
        with transaction(network.there) as db:
            network.looks.check_silence(db, network.clock.now)
        assert network.alarms() == expected
    network.report_heads()
    assert network.alarms() == []


def test_a_patient_sees_no_line_of_another() -> None:
    network = Network()
    network.read()
    network.report()
    assert network.looks.who_looked(network.there, "bob0") == []


def test_a_report_that_was_cut_off_is_brought_again() -> None:
    network = Network()
    network.read()
    due = network.reports.report_due(network.here)
    assert due is not None
    network.riverside.engine.start(*due)
    network.riverside.turn()  # its envelopes are lost with the process
    network.riverside.crash()
    network.wires.connect()
    network.wires.wait(60_000)
    assert (network.lines(), network.alarms()) == ([1], [])


def marks(network: Network) -> dict[Mark | None, int]:
    found = network.looks.who_looked(network.there, ADA, most=10_000)
    return Counter(look.mark for look in found)


def test_lines_that_contradict_are_kept_up_to_a_limit_and_she_is_told_where_it_is_reached() -> None:
    network = Network()
    pen = Pen(network)
    versions = [pen.write(at=NOON + at) for at in range(CONFLICTS_MAX + 20)]
    for start in range(0, len(versions), 100):
        network.tell(*versions[start : start + 100])
    assert marks(network) == {Mark.CONTRADICTED: CONFLICTS_MAX}
    assert network.all_alarms().count("FLOODED") == 1
    network.tell(pen.write(number=2, previous=pen.digest(versions[0])))
    assert marks(network) == {None: 1, Mark.CONTRADICTED: CONFLICTS_MAX}, "others are kept"


def test_alarms_about_one_organisation_have_a_limit_and_the_last_says_so() -> None:
    network = Network()
    place = ReportedChain(network.there, NOON, RIVERSIDE, bytes(32), ADA)
    with transaction(network.there):
        for _ in range(ALARMS_MAX + 3):
            place.alarm(Alarm.BEYOND, b"")
    kinds = network.all_alarms()
    assert len(kinds) == ALARMS_MAX
    assert kinds[-2:] == ["BEYOND", "FLOODED"]
    with transaction(network.there):
        ReportedChain(network.there, NOON, MERCY, bytes(32), ADA).alarm(Alarm.BEYOND, b"")
        network.there.execute("UPDATE look_alarm SET settled_at = 1 WHERE number = 1")
        place.alarm(Alarm.MISSING, b"")
    assert len(network.all_alarms()) == ALARMS_MAX + 2, "what is settled takes no room"


def test_one_restore_that_is_told_in_two_ways_is_a_contradiction_and_a_line() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    second = pen.write(number=2, previous=pen.digest(first), restored=restored(1, 1))
    network.tell(first, second)
    assert network.alarms() == [Alarm.RESTORED]
    third = pen.write(number=3, previous=pen.digest(second), restored=restored(1, 2))
    network.tell(third)
    assert network.alarms() == [Alarm.RESTORED, Alarm.CONTRADICTED]
    assert marks(network) == {None: 2, Mark.CONTRADICTED: 1}


def test_a_restore_after_another_entry_than_was_reported_is_a_contradiction() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    network.tell(first, pen.write(number=2, previous=seeded("x"), restored=restored(1, 1)))
    assert network.alarms() == [Alarm.RESTORED, Alarm.CONTRADICTED]
    assert marks(network) == {None: 1, Mark.CONTRADICTED: 1}
    head = DailyHead(NETWORK, RIVERSIDE, pen.first.chain, 1, seeded("x"), 1, NOON, restored(2, 1))
    signer = HandleSigner(network.keys, NodeKey.READING_LOG)
    network.tell(ToldHead(None, DISCLOSED, sign_head(signer, head)))
    assert network.alarms()[2:] == [Alarm.RESTORED, Alarm.CONTRADICTED]


def test_restores_without_end_are_not_believed() -> None:
    network = Network()
    pen = Pen(network)
    claims = [
        pen.write(at=NOON + at, restored=restored(at, 0, NOON + at)) for at in range(EPOCHS_MAX + 2)
    ]
    network.tell(*claims)
    (chains,) = network.there.execute("SELECT count(*) FROM look_chain").fetchone()
    (logs,) = network.there.execute("SELECT count(*) FROM look_log").fetchone()
    assert (chains, logs) == (EPOCHS_MAX, EPOCHS_MAX + 2), "of the last two no chain is known"
    assert marks(network) == {None: 1, Mark.LOST: EPOCHS_MAX - 1, Mark.CONTRADICTED: 2}


def test_what_a_restored_log_says_that_it_kept_must_come() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    second = pen.write(number=2, previous=pen.digest(first))
    later = pen.write(number=3, previous=pen.digest(second), restored=restored(1, 2))
    network.tell(first, later)
    assert network.alarms() == [Alarm.RESTORED, Alarm.MISSING]
    network.tell(second)
    assert network.alarms() == [Alarm.RESTORED]
    assert marks(network) == {None: 3}


def test_a_line_that_came_before_she_was_known_there_is_hers_with_what_it_is_about() -> None:
    network = Network()
    row = network.there.execute("SELECT * FROM enrolment").fetchone()
    network.there.execute("DELETE FROM enrolment")
    network.read(OF_ADA, OWN_COMMITMENT)
    network.read(OF_ADA, seeded("never published"))
    network.report()
    assert (network.lines(), network.all_alarms()) == ([], ["UNKNOWN"])
    network.there.execute(f"INSERT INTO enrolment VALUES ({','.join('?' * len(row))})", row)
    network.read(OF_DISCLOSURE)
    network.report()
    looks = network.looks.who_looked(network.there, ADA)
    assert {look.items for look in looks} == {(RESULT,), (None,)}
    assert len(looks) == 3
    assert network.alarms() == [Alarm.BEYOND], "what it is about is compared as it would have been"
    (open_,) = network.there.execute(
        "SELECT count(*) FROM look_alarm WHERE kind = 'UNKNOWN' AND settled_at IS NULL"
    ).fetchone()
    assert open_ == 0


def test_a_line_that_came_before_its_record_says_what_it_is_about_when_that_has_come() -> None:
    """As to an agent that was restored, and is told of a reading before it has the publication again."""
    network = Network()
    row = network.there.execute("SELECT * FROM record").fetchone()
    network.there.execute("DELETE FROM record")
    network.read(OF_ADA, OWN_COMMITMENT)
    network.read(OF_ADA, seeded("never published"))
    network.report()
    looks = network.looks.who_looked(network.there, ADA)
    assert [look.items for look in looks] == [(None,), (None,)]
    assert network.alarms() == [Alarm.BEYOND, Alarm.BEYOND]
    network.there.execute(f"INSERT INTO record VALUES ({','.join('?' * len(row))})", row)
    network.read(OF_DISCLOSURE)
    network.report()
    looks = network.looks.who_looked(network.there, ADA)
    assert [look.items for look in reversed(looks)][:2] == [(RESULT,), (None,)]
    assert network.alarms() == [Alarm.BEYOND], "of what was never published"


def test_a_line_that_comes_after_its_log_was_restored_to_before_it_is_lost_there() -> None:
    network = Network()
    pen = Pen(network)
    first = pen.write()
    late = pen.write(number=2, previous=pen.digest(first), outcome="refused")
    again = pen.write(number=2, previous=pen.digest(first), restored=restored(1, 1))
    network.tell(first, again)
    network.tell(late)
    found = network.looks.who_looked(network.there, ADA)
    assert [look.mark for look in found if look.entry.outcome == "refused"] == [Mark.LOST]
    assert marks(network) == {None: 2, Mark.LOST: 1}
    assert network.alarms() == [Alarm.RESTORED]


def test_an_entry_that_another_epoch_disowned_before_it_came_is_a_contradiction() -> None:
    network = Network()
    pen = Pen(network)
    network.tell(pen.write(number=2, previous=seeded("x"), restored=restored(1, 1)))
    assert network.alarms() == [Alarm.RESTORED, Alarm.MISSING]
    network.tell(pen.write())
    assert marks(network) == {None: 1, Mark.CONTRADICTED: 1}
    assert Alarm.CONTRADICTED in network.alarms()


def test_a_backup_older_than_the_last_may_be_followed_by_a_newer() -> None:
    """Restored after the first line, and then from a backup that had three: that has back what was lost."""
    network = Network()
    pen = Pen(network)
    lines = [pen.write()]
    for number in (2, 3):
        lines.append(pen.write(number=number, previous=pen.digest(lines[-1])))
    older = pen.write(
        number=2,
        previous=pen.digest(lines[0]),
        outcome="refused",
        restored=restored(1, 1, NOON + 1),
    )
    network.tell(*lines, older)
    assert lost(network) == {(2, "read"), (3, "read")}
    newer = pen.write(number=4, previous=pen.digest(lines[2]), restored=restored(2, 3, NOON + 2))
    network.tell(newer)
    assert lost(network) == {(2, "refused")}
    assert network.alarms() == [Alarm.RESTORED, Alarm.RESTORED]


def lost(network: Network) -> set[tuple[int, str]]:
    found = network.looks.who_looked(network.there, ADA)
    return {(look.number, look.entry.outcome) for look in found if look.mark is Mark.LOST}
