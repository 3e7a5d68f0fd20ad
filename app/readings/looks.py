"""Who looked, at a patient's agent: each reported line is verified and kept with its evidence."""

from dataclasses import dataclass
from sqlite3 import Connection
from typing import Protocol

from app.readings import looks_statements as text
from app.readings.chains import Alarm, Concerned, ReportedChain
from app.readings.tables import LOOK_TABLES
from app.storage.statements import creation
from app.vault.ledger_handlers import part_of
from app.vault.subject import Step
from flows.services import Done
from flows.step import Handlers
from flows.subjects.reading import (
    READING_BATCH,
    KeepReadings,
    ReadingBatch,
    ToldHead,
    ToldReading,
)
from states.encoding import encode
from states.errors import LedgerError
from states.identity import Party
from states.parameters import Member, ParametersHistory, UnknownParty
from states.reading import (
    DAY_MS,
    READING,
    ReadingContradicted,
    ReadingEntry,
    ReadingsMissing,
    ReportedReading,
    VerifiedReading,
    check_head,
    open_head,
    verify_reading,
)
from states.subjects.content import CONTENT, Content

SILENCE_MS = 2 * DAY_MS  # heads come once a day: two are missing
AHEAD_MS = 600_000  # by which another's clock may be ahead
_LAST = (1 << 63) - 1


class Members(Protocol):
    """The network map, past members included."""

    def latest(self, party: Party) -> Member | None: ...


@dataclass(frozen=True, slots=True)
class Look:
    """One line of "who looked"; `items` has None for a record that this agent does not know."""

    organisation: Party
    chain: bytes
    number: int
    entry: ReadingEntry
    items: tuple[Content | None, ...]


@dataclass(frozen=True, slots=True)
class LookAlarm:
    """Something that does not fit, as the patient is told."""

    number: int
    at: int
    organisation: Party
    kind: Alarm
    words: str
    settled_at: int | None


@dataclass(frozen=True, slots=True)
class After:
    """Where a page of the list goes on: behind this line."""

    at: int = _LAST
    organisation: str = "\N{GREEK SMALL LETTER OMEGA}"
    chain: bytes = b""
    number: int = 0


class Looks:
    """Keeps and lists the readings of this agent's patients."""

    def __init__(self, me: Party, members: Members, parameters: ParametersHistory) -> None:
        self.me = me
        self._members = members
        self._parameters = parameters

    @staticmethod
    def create(db: Connection) -> None:
        for statement in creation(*LOOK_TABLES):
            db.execute(statement)

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(KeepReadings, self.keep)

    # -- what the patient sees -----------------------------------------------------------------------

    def who_looked(
        self, db: Connection, patient: str, after: After | None = None, most: int = 50
    ) -> list[Look]:
        """Return lines of a patient (this agent's own name of her), the newest first."""
        start = after or After()
        rows = db.execute(
            text.WHO_LOOKED,
            {
                "patient": patient,
                "at": start.at,
                "organisation": start.organisation,
                "chain": start.chain,
                "number": start.number,
                "most": most,
            },
        ).fetchall()
        return [
            Look(Party(who), chain, number, READING.decode(body), _items(db, who, chain, number))
            for who, chain, number, _, body in rows
        ]

    def alarms(
        self, db: Connection, patient: str, before: int = _LAST, most: int = 50
    ) -> list[LookAlarm]:
        """Return what does not fit, the newest first."""
        rows = db.execute(text.ALARMS, {"patient": patient, "before": before, "most": most})
        return [LookAlarm(n, at, Party(who), Alarm[k], w, s) for n, at, who, k, w, s in rows]

    def evidence(
        self, db: Connection, organisation: Party, chain: bytes, number: int
    ) -> ReportedReading | None:
        """Return a line as it was reported: entry, salt and proof."""
        key = {"organisation": organisation, "chain": chain, "number": number}
        row = db.execute(text.GET_EVIDENCE, key).fetchone()
        return None if row is None else ReportedReading(row[0], row[1], row[2])

    # -- what is reported ------------------------------------------------------------------------------

    def keep(self, step: Step, request: KeepReadings) -> Done:
        """See KeepReadings."""
        self._keep(step, request.peer, READING_BATCH.decode(part_of(step, request.part)))
        return Done()

    def keep_own(self, step: Step, batch: ReadingBatch) -> None:
        """Keep lines of this agent's own reading log: of patients who read here."""
        self._keep(step, self.me, batch)

    def _keep(self, step: Step, peer: Party, batch: ReadingBatch) -> None:
        member = self._members.latest(peer)
        if member is None:
            raise UnknownParty(peer)
        step.unit.execute(text.REMATCH)
        for told in batch.readings:
            self._keep_reading(step, member, told)
        for head in batch.heads:
            self._keep_head(step, member, head)

    def check_silence(self, db: Connection, now: int) -> int:
        """Raise an alarm for each readable disclosure whose recipient sends no daily heads; return how many.

        To be called once a day, in a transaction of the caller's.
        """
        rows = db.execute(text.SILENT, {"me": self.me, "since": now - SILENCE_MS}).fetchall()
        new = 0
        for tx, recipient, patient in rows:
            key = {"organisation": recipient, "chain": tx, "kind": Alarm.SILENT.name}
            if db.execute(text.OPEN_ALARMS, key).fetchone() is None:
                place = ReportedChain(db, now, Party(recipient), tx, patient)
                place.alarm(Alarm.SILENT, b"")
                new += 1
        return new

    def _keep_reading(self, step: Step, member: Member, told: ToldReading) -> None:
        reported, peer = told.reading, Party(member.party)
        place = ReportedChain(step.unit, step.now, peer, b"", None)
        try:
            reading = verify_reading(reported, member)
        except LedgerError:
            place.alarm(Alarm.FORGED, encode(reported))
            return
        entry = reading.entry
        concerned = self._concerned(step.unit, peer, entry, told.patient)
        place = ReportedChain(step.unit, step.now, peer, entry.chain, concerned.patient)
        self._watch_log(place, reading)
        if concerned.patient is None:
            place.alarm(Alarm.UNKNOWN, encode(reported), entry.number)
        if not concerned.subject:
            return
        if not place.pin(concerned.subject, encode(reported)):
            return
        if place.link(reading, encode(reported)):
            place.add(reading, reported, concerned)
            if concerned.beyond:
                place.alarm(Alarm.BEYOND, encode(reported), entry.number, words=concerned.beyond)

    def _keep_head(self, step: Step, member: Member, told: ToldHead) -> None:
        peer = Party(member.party)
        network = self._parameters.in_force(step.now)[1].network
        try:
            head = open_head(told.head, network, member)
        except LedgerError:
            ReportedChain(step.unit, step.now, peer, b"", None).alarm(
                Alarm.FORGED, encode(told.head)
            )
            return
        subject, patient = self._named(step.unit, peer, told.disclosure, told.patient)
        place = ReportedChain(step.unit, step.now, peer, head.chain, patient)
        if head.at > step.now + AHEAD_MS:
            # It would speak for days to come, and whatever is said until then would count as older.
            words = (
                "The organisation said today how often somebody will have looked by a later day."
            )
            place.alarm(Alarm.CONTRADICTED, encode(told.head), head.number, words=words)
            return
        if not subject or not place.pin(subject, encode(told.head)) or head.at < place.head_at():
            return
        try:
            check_head(place.known(), head)
        except ReadingsMissing as missing:
            place.alarm(Alarm.MISSING, encode(told.head), missing.first, missing.last)
        except ReadingContradicted as contradicted:
            place.alarm(Alarm.CONTRADICTED, encode(told.head), contradicted.number)
        place.heard(head.at)
        if told.disclosure is not None:
            place.settle(Alarm.SILENT, told.disclosure)

    @staticmethod
    def _watch_log(place: "ReportedChain", reading: VerifiedReading) -> None:
        """Keep the largest checkpoint of the log; two of one size with other roots convict it."""
        seen = reading.place.checkpoint
        row = place.db.execute(text.GET_LOG, {"organisation": place.peer}).fetchone()
        size, root = seen.checkpoint.size, seen.checkpoint.root
        if row is not None and row[0] == size and row[1] != root:
            place.alarm(Alarm.FORKED, f"{row[2]}\n{seen.note}".encode())
        elif row is None or row[0] < size:
            new = {"organisation": place.peer, "size": size, "root": root, "note": seen.note}
            place.db.execute(text.PUT_LOG, new)

    # -- whom it is about ------------------------------------------------------------------------------

    def _named(
        self, db: Connection, peer: Party, disclosure: bytes | None, patient: bytes | None
    ) -> tuple[bytes, str | None]:
        """Return the subject of a chain, and this agent's name of the patient if it knows the subject."""
        if disclosure is not None:
            row = db.execute(text.GET_DISCLOSURE, {"tx": disclosure, "me": self.me}).fetchone()
            return disclosure, row[2] if row is not None and peer in row[:2] else None
        if patient is None:
            return b"", None
        if peer == self.me:  # in its own log an agent calls its patients what it calls them
            return patient, patient.hex()
        row = db.execute(text.GET_NAMED, {"patient": patient, "organisation": peer}).fetchone()
        return patient, None if row is None else row[0]

    def _concerned(
        self, db: Connection, peer: Party, entry: ReadingEntry, told_patient: bytes | None
    ) -> Concerned:
        subject, patient = self._named(db, peer, entry.disclosure, told_patient)
        if patient is None:
            return Concerned(subject, None)
        if entry.disclosure is None:
            if peer == self.me:  # what she reads at home is in the custody of others
                return Concerned(
                    subject, patient, "", tuple(db.execute(text.HER_RECORDS, {"patient": patient}))
                )
            there = {"patient": patient, "custodian": peer}
            return Concerned(subject, patient, "", tuple(db.execute(text.RECORDS_THERE, there)))
        row = db.execute(text.GET_DISCLOSURE, {"tx": entry.disclosure, "me": self.me}).fetchone()
        items = tuple(db.execute(text.DISCLOSED_ITEMS, {"tx": entry.disclosure}))
        beyond = ""
        if entry.outcome == "read":
            beyond = _beyond(entry, person=row[3], purpose=row[4], read_until=row[5])
        return Concerned(subject, patient, beyond, items)


def _beyond(entry: ReadingEntry, *, person: bytes, purpose: str, read_until: int) -> str:
    """Say what of a reading goes beyond its disclosure; empty where nothing does."""
    if entry.person != person:
        return "Somebody else read than the person to whom it was disclosed."
    if entry.purpose != purpose:
        return "It was read for another purpose than it was disclosed for."
    if entry.at >= read_until:
        return "It was read after the time until which it was disclosed."
    return ""


def _items(db: Connection, who: str, chain: bytes, number: int) -> tuple[Content | None, ...]:
    key = {"organisation": who, "chain": chain, "number": number}
    rows = db.execute(text.ITEMS_OF, key).fetchall()
    return tuple(None if content is None else CONTENT.decode(content) for _, content in rows)
