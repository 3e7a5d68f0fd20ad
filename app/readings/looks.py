"""Who looked, at a patient's agent: each reported line is verified and kept with its evidence."""

from dataclasses import dataclass
from sqlite3 import Connection
from typing import NamedTuple, Protocol

from app.readings import alarm_statements as alarm_text
from app.readings import looks_statements as text
from app.readings.alarms import Alarm, Reported
from app.readings.chains import Concerned, Mark, ReportedChain
from app.readings.concerned import Concerns
from app.readings.tables import LOOK_TABLES
from app.storage.statements import creation
from app.vault.ledger_handlers import part_of
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.services import Done
from flows.step import Handlers
from flows.subjects.reading import (
    READING_BATCH,
    KeepReadings,
    MatchReadings,
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
    FIRST_EPOCH,
    READING,
    ReadingEntry,
    ReportedReading,
    VerifiedReading,
    after_of,
    epoch_named,
    open_head,
    verify_reading,
)
from states.subjects.content import CONTENT, Content

SILENCE_MS = 2 * DAY_MS  # heads come once a day: two are missing
HIDDEN_MS = (
    3 * DAY_MS
)  # a log whose node is restored once more before its first heads is announced by the next ones
AHEAD_MS = 600_000  # by which another's clock may be ahead
UNANNOUNCED_LOGS_MAX = 64  # of an organisation, that are watched before their epoch is announced
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
    digest: bytes
    entry: ReadingEntry
    items: tuple[Content | None, ...]
    mark: Mark | None = None

    @property
    def after(self) -> "After":
        """Where the page behind this line begins."""
        return After(self.entry.at, self.organisation, self.chain, self.number, self.digest)


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
    digest: bytes = b""


class LeftOut(NamedTuple):
    """An organisation that reported more about nobody known here than there was room for, `lines` by now."""

    peer: Party
    alarm: int
    lines: int


class Looks:
    """Keeps and lists the readings of this agent's patients."""

    def __init__(self, me: Party, members: Members, parameters: ParametersHistory) -> None:
        self.me = me
        self._members = members
        self._parameters = parameters
        self._concerns = Concerns(me)

    @staticmethod
    def create(db: Connection) -> None:
        for statement in creation(*LOOK_TABLES):
            db.execute(statement)

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(KeepReadings, self.keep)
        handlers.on(MatchReadings, self.match)

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
                "digest": start.digest,
                "most": most,
            },
        ).fetchall()
        return [
            Look(
                Party(who),
                chain,
                number,
                digest,
                READING.decode(body),
                _items(db, who, chain, number, digest),
                None if mark is None else Mark[mark],
            )
            for who, chain, number, digest, body, mark in rows
        ]

    def alarms(
        self, db: Connection, patient: str, before: int = _LAST, most: int = 50
    ) -> list[LookAlarm]:
        """Return what does not fit, the newest first."""
        rows = db.execute(alarm_text.ALARMS, {"patient": patient, "before": before, "most": most})
        return [LookAlarm(n, at, Party(who), Alarm[k], w, s) for n, at, who, k, w, s in rows]

    def evidence(self, db: Connection, line: Look) -> ReportedReading | None:
        """Return a line as it was reported: entry, salt and proof."""
        key = {
            "organisation": line.organisation,
            "chain": line.chain,
            "number": line.number,
            "digest": line.digest,
        }
        row = db.execute(text.GET_EVIDENCE, key).fetchone()
        return None if row is None else ReportedReading(row[0], row[1], row[2])

    # -- what is reported ------------------------------------------------------------------------------

    def keep(self, step: Step, request: KeepReadings) -> Done:
        """See KeepReadings. Raises FlowRefused at a member that is no patients' agent: it keeps nothing of them."""
        mine = self._members.latest(self.me)
        if mine is None or mine.kind != "agent":
            raise FlowRefused("not-an-agent", "this member is no patients' agent")
        self._keep(step, request.peer, READING_BATCH.decode(part_of(step, request.part)))
        step.drop_part(request.part)  # a peer that is asked for all may bring as many as it likes
        return Done()

    def match(self, step: Step, request: MatchReadings) -> Done:
        """See MatchReadings."""
        del request
        self._concerns.match(step.unit, step.now)
        return Done()

    def keep_own(self, step: Step, batch: ReadingBatch) -> None:
        """Keep lines of this agent's own reading log: of patients who read here."""
        self._keep(step, self.me, batch)

    def _keep(self, step: Step, peer: Party, batch: ReadingBatch) -> None:
        member = self._members.latest(peer)
        if member is None:
            raise UnknownParty(peer)
        self._concerns.match(step.unit, step.now, peer)
        for told in batch.readings:
            self._keep_reading(step, member, told)
        for head in batch.heads:
            self._keep_head(step, member, head)

    def check(self, db: Connection, now: int) -> None:
        """Match what waits for its subject by itself; raise alarms for silence, and for logs that are not announced.

        To be called often enough to tell of them the same day, in a transaction of the caller's.
        """
        self._concerns.match(db, now)
        self._check_logs(db, now)
        self.check_silence(db, now)

    def check_silence(self, db: Connection, now: int) -> int:
        """Raise an alarm for each readable disclosure whose recipient sends no daily heads; return how many."""
        rows = db.execute(text.SILENT, {"me": self.me, "since": now - SILENCE_MS}).fetchall()
        new = 0
        for tx, recipient, patient in rows:
            place = Reported(db, now, Party(recipient), tx, patient)
            if not place.standing(Alarm.SILENT):
                place.alarm(Alarm.SILENT, b"")
                new += 1
        return new

    @staticmethod
    def _check_logs(db: Connection, now: int) -> None:
        """Raise an alarm for logs whose epoch no daily head has announced for so long; settle it where all are."""
        asked = {"since": now - HIDDEN_MS, "skew": AHEAD_MS}
        hidden = dict(db.execute(text.LONG_UNANNOUNCED, asked).fetchall())
        for organisation, note in hidden.items():
            place = Reported(db, now, Party(organisation))
            place.alarm_once(Alarm.OTHER_LOG, str(note).encode())
        for organisation, _, _ in db.execute(
            alarm_text.WHOLE, {"kind": Alarm.OTHER_LOG.name}
        ).fetchall():
            if organisation not in hidden:
                Reported(db, now, Party(organisation)).settle(Alarm.OTHER_LOG, b"")

    def left_out(self, db: Connection) -> list[LeftOut]:
        """Return the organisations of which lines were left out that there is room for again."""
        rows = db.execute(alarm_text.WHOLE, {"kind": Alarm.LEFT_OUT.name}).fetchall()
        return [
            LeftOut(Party(who), number, lines)
            for who, number, lines in rows
            if Reported(db, 0, Party(who)).has_room_for_nobodys(half=True)
        ]

    @staticmethod
    def end_left_out(db: Connection, now: int, brought: LeftOut) -> None:
        """Settle the alarm: what was left out has come, in the caller's transaction."""
        db.execute(alarm_text.SETTLE, {"id": brought.alarm, "settled": now})

    def _keep_reading(self, step: Step, member: Member, told: ToldReading) -> None:
        reported, peer = told.reading, Party(member.party)
        try:
            reading = verify_reading(reported, member)
        except LedgerError:
            Reported(step.unit, step.now, peer).alarm(Alarm.FORGED, encode(reported))
            return
        entry = reading.entry
        about = self._concerns.of(step.unit, peer, entry, told.patient)
        place = ReportedChain(step.unit, step.now, peer, entry.chain, about.patient, entry.restored)
        if not place.has(reading):
            self._keep_line(place, about, reading, reported)
        self._watch_log(place, reading)

    @staticmethod
    def _keep_line(
        place: ReportedChain, about: Concerned, reading: VerifiedReading, reported: ReportedReading
    ) -> None:
        entry, evidence = reading.entry, encode(reported)
        if not about.subject:
            place.whole.alarm(Alarm.UNKNOWN, evidence, entry.number)
            return
        if about.patient is None:
            if not place.has_room_for_nobodys():
                place.leave_out()
                return
            place.alarm_once(Alarm.UNKNOWN, evidence, entry.number)
        begins = entry.number == after_of(entry.restored) + 1
        before = entry.previous if begins else b""
        fits = place.pin(about.subject, evidence, before) and place.link(reading, evidence)
        if fits or place.has_room():
            place.add(reading, reported, about, fits=fits)

    def _keep_head(self, step: Step, member: Member, told: ToldHead) -> None:
        peer = Party(member.party)
        network = self._parameters.in_force(step.now)[1].network
        try:
            head = open_head(told.head, network, member)
        except LedgerError:
            Reported(step.unit, step.now, peer).alarm(Alarm.FORGED, encode(told.head))
            return
        subject, patient = self._concerns.named(step.unit, peer, told.disclosure, told.patient)
        place = ReportedChain(step.unit, step.now, peer, head.chain, patient, head.restored)
        evidence = encode(told.head)
        if head.at > step.now + AHEAD_MS:
            # It would speak for days to come, and whatever is said until then would count as older.
            words = (
                "The organisation said today how often somebody will have looked by a later day."
            )
            place.alarm(Alarm.CONTRADICTED, evidence, head.number, words=words)
            return
        if patient is None and subject and not place.has_room_for_nobodys():
            place.leave_out()
            return
        before = head.digest if head.number == after_of(head.restored) else b""
        if not subject or not place.pin(subject, evidence, before) or head.at < place.head_at():
            return
        place.check(head, evidence)
        if told.disclosure is not None:
            place.settle(Alarm.SILENT, told.disclosure)

    @staticmethod
    def _watch_log(place: Reported, reading: VerifiedReading) -> None:
        """Keep the largest checkpoint of the log, in each epoch; two of one size with other roots convict it.

        A log under a name that nothing has announced is watched as well, as long as there is room: it takes none from
        those that are, and its epoch's first daily head announces it (`_check_logs`).
        """
        seen = reading.place.checkpoint
        epoch, size, root = (
            epoch_named(seen.checkpoint.origin),
            seen.checkpoint.size,
            seen.checkpoint.root,
        )
        log = {"organisation": place.peer, "epoch": epoch}
        row = place.db.execute(text.GET_LOG, log).fetchone()
        if row is not None and row[0] == size and row[1] != root:
            place.alarm(Alarm.FORKED, f"{row[2]}\n{seen.note}".encode())
        elif row is None and not _may_watch(place, epoch):
            place.whole.alarm_once(Alarm.OTHER_LOG, seen.note.encode())
        elif row is None or row[0] < size:
            since = place.now if row is None else row[3]
            new = {"size": size, "root": root, "note": seen.note, "since": since}
            place.db.execute(text.PUT_LOG, log | new)


def _may_watch(place: Reported, epoch: bytes) -> bool:
    """Whether there is room for a log of this epoch that is not watched yet."""
    key = {"organisation": place.peer, "epoch": epoch}
    if epoch == FIRST_EPOCH or place.db.execute(text.IS_ANNOUNCED, key).fetchone() is not None:
        return True
    counted = {"organisation": place.peer, "skew": AHEAD_MS}
    unannounced: int = place.db.execute(text.COUNT_UNANNOUNCED, counted).fetchone()[0]
    return unannounced < UNANNOUNCED_LOGS_MAX


def _items(
    db: Connection, who: str, chain: bytes, number: int, digest: bytes
) -> tuple[Content | None, ...]:
    key = {"organisation": who, "chain": chain, "number": number, "digest": digest}
    rows = db.execute(text.ITEMS_OF, key).fetchall()
    return tuple(None if content is None else CONTENT.decode(content) for _, content in rows)
