"""One organisation's chain as an agent knows it: what is reported is linked, and whatever does not fit is an alarm.

No line that an organisation signed is left out because it contradicts another: it is kept beside it, and marked.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.readings import alarm_statements as alarm_text
from app.readings import looks_statements as text
from app.readings.alarms import CONFLICTS_MAX, Alarm, Reported
from app.readings.epochs import mark_lost, reach
from states.encoding import encode
from states.reading import (
    NOTHING_BEFORE,
    ChainHead,
    DailyHead,
    ReadingContradicted,
    ReadingEntry,
    ReadingsMissing,
    ReportedReading,
    VerifiedReading,
    check_head,
    follow,
    item_hash,
)

EPOCHS_MAX = 64  # restores that an organisation may tell of in one chain
UNANNOUNCED = "A record was read that this organisation never announced to you."


class Mark(StrEnum):
    """What the patient must know of a line that is otherwise as good as any. The words are hers."""

    CONTRADICTED = (
        "The organisation signed something else that contradicts it: its log has two versions here."
    )
    LOST = (
        "The organisation says that it was restored from a backup since and has lost this line. "
        "It is kept here."
    )


@dataclass(frozen=True, slots=True)
class Concerned:
    """Whom a chain is about: this agent's own name of her, and what may be read by whom there."""

    subject: bytes
    patient: str | None
    beyond: str = ""
    items: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class ReportedChain(Reported):
    """One chain of an organisation, and what is reported of it."""

    # -- the chain ---------------------------------------------------------------------------------------

    def pin(self, subject: bytes, evidence: bytes, before: bytes = b"") -> bool:
        """Whether this chain is the one of its subject, and no other's; the first that is seen is pinned.

        An epoch begins with the first that is heard of it. `before` is the digest of the entry after which it goes on,
        where what is heard names it.
        """
        key = self.key | {"subject": subject}
        rows = self.db.execute(text.GET_CHAIN, key).fetchall()
        words = ""
        mine = [row[3:5] for row in rows if row[2] == self.epoch]
        if any((row[0], row[1]) != (self.chain, subject) for row in rows):
            words = "Two chains of readings for one matter."
        elif mine and mine != [self._begins]:
            words = "The organisation told of one restore from a backup in two ways."
        elif not mine and len(rows) >= EPOCHS_MAX:
            words = "The organisation says too often that it was restored from a backup."
        if words:
            self.alarm(Alarm.CONTRADICTED, evidence, words=words)
            return False
        if not mine:
            # What an epoch that began later has numbered anew, this one does not know of.
            earlier = [row[5] for row in rows if row[3] <= self._begins[0]]
            self._begin(subject, evidence, before, earlier)
        return True

    @property
    def _begins(self) -> tuple[int, int]:
        return (0, 0) if self.restored is None else (self.restored.at, self.restored.after)

    def _begin(self, subject: bytes, evidence: bytes, before: bytes, known: list[int]) -> None:
        """Begin an epoch of the chain; `known` is how far each that began before is."""
        began, after = self._begins
        branch = self._branch(after, before)
        row = {
            "epoch": self.epoch,
            "restored_at": began,
            "kept": after,
            "subject": subject,
            "patient": self.patient,
            "number": after,
            "branch": branch,
            "digest": branch,
            "head_at": 0,
        }
        self.db.execute(text.ADD_CHAIN, self.key | row)
        if self.restored is None or not (known or after):
            return
        furthest = max(known, default=0)
        self.alarm(Alarm.RESTORED, evidence, after + 1, max(after + 1, furthest))
        if furthest < after:
            # What it kept it can report, and what it says that it kept it must.
            self.alarm(Alarm.MISSING, evidence, furthest + 1, after)
        mark_lost(self.db, self.peer, self.chain)

    def _branch(self, after: int, named: bytes) -> bytes:
        """Return the digest of the entry after which an epoch goes on; empty where it is not known yet."""
        if not after:
            return NOTHING_BEFORE
        lines = [digest for digest, _ in self._lines(after)]
        if not lines or named in lines:
            return named
        return lines[0] if named or len(lines) == 1 else b""

    def known(self) -> ChainHead:
        """Return how far a pinned chain is known."""
        number, digest, _ = self._row()
        return ChainHead(number, digest)

    def head_at(self) -> int:
        """Return when the newest daily head was signed; 0 if none was."""
        return self._row()[2]

    def check(self, head: DailyHead, evidence: bytes) -> None:
        """Compare a daily head with the lines of a pinned chain; raise an alarm for what it adds or denies."""
        known = self.known()
        if self._is_behind(head, known):
            known = ChainHead(head.number, self._digest_at(head))
        try:
            check_head(known, head)
        except ReadingsMissing as missing:
            self.alarm(Alarm.MISSING, evidence, missing.first, missing.last)
        except ReadingContradicted as contradicted:
            self.alarm(Alarm.CONTRADICTED, evidence, contradicted.number)
        self.db.execute(text.SET_HEAD_AT, self._which | {"seen": head.at})

    def _is_behind(self, head: DailyHead, known: ChainHead) -> bool:
        """Whether a head names all that was written when it was signed: it may come after what was written since."""
        if head.number == known.number:
            return not known.digest
        later = {"epoch": self.epoch, "number": head.number, "at": head.at}
        denied = self.db.execute(text.WRITTEN_BEFORE, self.key | later).fetchone()
        return head.number < known.number and denied is None

    def _digest_at(self, head: DailyHead) -> bytes:
        """Return the digest of the entry that a head names as the last, if it is known; else what the head says."""
        lines = [digest for digest, _ in self._lines(head.number)]
        return lines[0] if lines and head.digest not in lines else head.digest

    def link(self, reading: VerifiedReading, evidence: bytes) -> bool:
        """Place a new reading in its pinned chain; return whether it fits. What does not raises an alarm."""
        head, entry = self.known(), reading.entry
        fits = self._fits(reading)
        if entry.number > head.number:
            try:
                follow(head if head.digest else head._replace(digest=entry.previous), reading)
            except ReadingsMissing as missing:
                self.alarm(Alarm.MISSING, evidence, missing.first, missing.last)
            except ReadingContradicted:
                fits = False
            last = {"last": entry.number, "hash": reading.digest}
            self.db.execute(text.SET_LAST, self._which | last)
        if not fits:
            self.alarm(Alarm.CONTRADICTED, evidence, entry.number)
        return fits

    def _fits(self, reading: VerifiedReading) -> bool:
        """Whether no line has its number, and it names the one before it and is named by the one behind it."""
        number, previous = reading.entry.number, reading.entry.previous
        if self._lines(number):
            return False
        before, behind = self._lines(number - 1), self._lines(number + 1)
        after_it = not before or any(digest == previous for digest, _ in before)
        ahead_of = not behind or any(named == reading.digest for _, named in behind)
        return after_it and ahead_of and self._is_gone_on_from(reading)

    def _is_gone_on_from(self, reading: VerifiedReading) -> bool:
        """Whether every epoch that goes on after this number does so after this line, or another that came before."""
        number, began = reading.entry.number, self._begins[0]
        here = self.key | {"number": number, "kept": number}
        for named, epoch, later in self.db.execute(
            text.BEGIN_AFTER, here | {"began": began}
        ).fetchall():
            there = here | {"epoch": epoch, "began": later}
            lines = self.db.execute(text.GET_LOOK, there).fetchall()
            if named not in {reading.digest, *(digest for digest, _ in lines)}:
                return False
        return True

    # -- lines -------------------------------------------------------------------------------------------

    def has(self, reading: VerifiedReading) -> bool:
        """Whether the very line is there."""
        line = self._line(reading.entry, reading.digest)
        return self.db.execute(text.GET_EVIDENCE, line).fetchone() is not None

    def has_room(self) -> bool:
        """Whether one more line that contradicts others is kept of this organisation; if not, say so once."""
        kept: int = self.db.execute(text.COUNT_CONFLICTS, self.room).fetchone()[0]
        if kept < CONFLICTS_MAX:
            return True
        if not self.is_flooded():
            self.alarm(Alarm.FLOODED, b"")
        return False

    def add(
        self, reading: VerifiedReading, reported: ReportedReading, about: Concerned, *, fits: bool
    ) -> None:
        """Keep a line and what it is about; settle an alarm that it was missing."""
        entry = reading.entry
        row = {
            "epoch": self.epoch,
            "subject": about.subject,
            "patient": self.patient,
            "disclosure": entry.disclosure,
            "at": entry.at,
            "previous": entry.previous,
            "body": reported.body,
            "salt": reported.salt,
            "proof": reported.proof,
            "taken_at": self.now,
            "mark": self._mark(entry, fits=fits),
        }
        self.db.execute(text.ADD_LOOK, self._line(entry, reading.digest) | row)
        if not fits:
            same = {"number": entry.number, "of": self.epoch, "mark_is": Mark.CONTRADICTED.name}
            self.db.execute(text.MARK, self._which_chain | same)
        self.concern(entry, reading.digest, reported, about)
        self.settle(Alarm.MISSING, self.chain)

    def concern(
        self, entry: ReadingEntry, digest: bytes, reported: ReportedReading, about: Concerned
    ) -> None:
        """Keep what a line is about, and raise an alarm where that goes beyond what was announced.

        Of nobody's line nothing is known that could be kept: it is about what it says when it is matched.
        """
        if about.patient is None:
            return
        if not self._know(entry, digest, reported, about):
            self.alarm(Alarm.BEYOND, encode(reported), entry.number, words=UNANNOUNCED)
        if about.beyond:
            self.alarm(Alarm.BEYOND, encode(reported), entry.number, words=about.beyond)

    def concern_again(
        self, entry: ReadingEntry, digest: bytes, reported: ReportedReading, about: Concerned
    ) -> None:
        """Keep what a line is about that did not say it before; settle the alarm if it was all announced."""
        if self._know(entry, digest, reported, about):
            line = {"said": UNANNOUNCED, "line": encode(reported), "settled": self.now}
            self.db.execute(alarm_text.SETTLE_BEYOND, self._which_chain | line)

    def _know(
        self, entry: ReadingEntry, digest: bytes, reported: ReportedReading, about: Concerned
    ) -> bool:
        """Keep which records a line is about; return whether all of them are known."""
        line = self._line(entry, digest)
        known = {item_hash(reported.salt, each[0]): each for each in about.items}
        found = [known.get(item, (None, None)) for item in entry.items]
        rows = [
            line | {"item": at, "commitment": each[0], "content": each[1]}
            for at, each in enumerate(found)
        ]
        self.db.executemany(text.PUT_ITEM, rows)
        return all(each[0] is not None for each in found)

    def _mark(self, entry: ReadingEntry, *, fits: bool) -> str | None:
        if not fits:
            return Mark.CONTRADICTED.name
        last = reach(self.db, self.peer, self.chain).get(self.epoch, entry.number)
        return Mark.LOST.name if entry.number > last else None

    def _line(self, entry: ReadingEntry, digest: bytes) -> dict[str, object]:
        return self.key | {"number": entry.number, "digest": digest}

    def _lines(self, number: int) -> list[tuple[bytes, bytes]]:
        """Return digest and previous of the lines of this number: in this epoch, or in what it kept."""
        began, after = self._begins
        seen = {"number": number, "epoch": self.epoch, "kept": after, "began": began}
        return self.db.execute(text.GET_LOOK, self.key | seen).fetchall()

    def _row(self) -> tuple[int, bytes, int]:
        row: tuple[int, bytes, int] = self.db.execute(
            text.THIS_CHAIN, self.key | {"epoch": self.epoch}
        ).fetchone()
        return row

    @property
    def _which_chain(self) -> dict[str, object]:
        return {"who": self.peer, "which": self.chain}

    @property
    def _which(self) -> dict[str, object]:
        return self._which_chain | {"of": self.epoch}
