"""One organisation's chain as an agent knows it: what is reported is linked, and whatever does not fit is an alarm."""

from dataclasses import dataclass
from enum import StrEnum
from sqlite3 import Connection

from app.readings import looks_statements as text
from states.encoding import encode
from states.identity import Party
from states.reading import (
    EMPTY_CHAIN,
    ChainHead,
    ReadingContradicted,
    ReadingsMissing,
    ReportedReading,
    VerifiedReading,
    follow,
    item_hash,
)


class Alarm(StrEnum):
    """What can be wrong with what an organisation reports. The words are the patient's."""

    FORGED = "A report did not carry this organisation's valid signature. It was not taken into the list."
    UNKNOWN = "A reading was reported for something that was never announced to you."
    MISSING = "The organisation's own numbering shows readings that it has not reported."
    CONTRADICTED = (
        "Two signed statements of this organisation about its readings contradict each other."
    )
    BEYOND = "Somebody read more, later, or for another purpose than was disclosed."
    FORKED = "The organisation showed two versions of its reading log."
    SILENT = "The organisation has not said for two days whether anybody looked."


@dataclass(frozen=True, slots=True)
class Concerned:
    """Whom a chain is about: this agent's own name of her, and what may be read by whom there."""

    subject: bytes
    patient: str | None
    beyond: str = ""
    items: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class ReportedChain:
    """One chain of an organisation, at the moment that something about it is taken."""

    db: Connection
    now: int
    peer: Party
    chain: bytes
    patient: str | None

    def alarm(
        self, kind: Alarm, evidence: bytes, first: int = 0, last: int = 0, words: str = ""
    ) -> None:
        row = {
            "at": self.now,
            "organisation": self.peer,
            "chain": self.chain,
            "patient": self.patient,
            "kind": kind.name,
            "words": words or kind.value,
            "first": first,
            "last": last or first,
            "evidence": evidence,
            "settled_at": None,
        }
        self.db.execute(text.ADD_ALARM, row)

    def pin(self, subject: bytes, evidence: bytes) -> bool:
        """Whether this chain is the one of its subject, and no other's; the first that is seen is pinned."""
        key = {"organisation": self.peer, "chain": self.chain, "subject": subject}
        rows = self.db.execute(text.GET_CHAIN, key).fetchall()
        if any((row[0], row[1]) != (self.chain, subject) for row in rows):
            self.alarm(Alarm.CONTRADICTED, evidence, words="Two chains of readings for one matter.")
            return False
        if not rows:
            row = {
                "organisation": self.peer,
                "chain": self.chain,
                "subject": subject,
                "number": EMPTY_CHAIN.number,
                "digest": EMPTY_CHAIN.digest,
                "head_at": 0,
            }
            self.db.execute(text.ADD_CHAIN, row)
        return True

    def known(self) -> ChainHead:
        """Return how far a pinned chain is known."""
        _, number, digest, _ = self._row()
        return ChainHead(number, digest)

    def head_at(self) -> int:
        """Return when the newest daily head was signed; 0 if none was."""
        return self._row()[3]

    def heard(self, at: int) -> None:
        key = {"who": self.peer, "which": self.chain, "seen": at}
        self.db.execute(text.SET_HEAD_AT, key)

    def link(self, reading: VerifiedReading, evidence: bytes) -> bool:
        """Place a reading in its chain; return whether it is a new line. What does not fit raises an alarm."""
        head, number = self.known(), reading.entry.number
        if number <= head.number:
            return self._late(reading, evidence)
        try:
            follow(head, reading)
        except ReadingsMissing as missing:
            self.alarm(Alarm.MISSING, evidence, missing.first, missing.last)
        except ReadingContradicted:
            self.alarm(Alarm.CONTRADICTED, evidence, number)
        last = {"who": self.peer, "which": self.chain, "last": number, "hash": reading.digest}
        self.db.execute(text.SET_LAST, last)
        return True

    def _late(self, reading: VerifiedReading, evidence: bytes) -> bool:
        """A number that was passed: the same again, one that was missing, or a contradiction."""
        number = reading.entry.number
        known = self._look(number)
        if known is not None:
            if known[0] != reading.digest:
                self.alarm(Alarm.CONTRADICTED, evidence, number)
            return False
        before, behind = self._look(number - 1), self._look(number + 1)
        fits = before is None or before[0] == reading.entry.previous
        if not fits or (behind is not None and behind[1] != reading.digest):
            self.alarm(Alarm.CONTRADICTED, evidence, number)
        return True

    def add(self, reading: VerifiedReading, reported: ReportedReading, about: Concerned) -> None:
        """Keep a line and what it is about; settle an alarm that it was missing."""
        entry = reading.entry
        key = {"organisation": self.peer, "chain": self.chain, "number": entry.number}
        row = {
            "patient": self.patient,
            "disclosure": entry.disclosure,
            "at": entry.at,
            "digest": reading.digest,
            "previous": entry.previous,
            "body": reported.body,
            "salt": reported.salt,
            "proof": reported.proof,
            "taken_at": self.now,
        }
        self.db.execute(text.ADD_LOOK, key | row)
        known = {item_hash(reading.salt, each[0]): each for each in about.items}
        found = [known.get(item, (None, None)) for item in entry.items]
        self.db.executemany(
            text.ADD_ITEM,
            [
                key | {"item": at, "commitment": each[0], "content": each[1]}
                for at, each in enumerate(found)
            ],
        )
        if self.patient is not None and any(each[0] is None for each in found):
            words = "A record was read that this organisation never announced to you."
            self.alarm(Alarm.BEYOND, encode(reported), entry.number, words=words)
        self.settle(Alarm.MISSING, self.chain)

    def settle(self, kind: Alarm, chain: bytes) -> None:
        """Settle the open alarms of this kind whose numbers are all there now."""
        key = {"organisation": self.peer, "chain": chain, "kind": kind.name}
        for number, first, last in self.db.execute(text.OPEN_ALARMS, key).fetchall():
            span = {"organisation": self.peer, "chain": chain, "first": first, "last": last}
            present: int = self.db.execute(text.PRESENT, span).fetchone()[0]
            if kind is Alarm.SILENT or present == last - first + 1:
                self.db.execute(text.SETTLE, {"id": number, "settled": self.now})

    def _row(self) -> tuple[bytes, int, bytes, int]:
        key = {"organisation": self.peer, "chain": self.chain}
        row: tuple[bytes, int, bytes, int] = self.db.execute(text.THIS_CHAIN, key).fetchone()
        return row

    def _look(self, number: int) -> tuple[bytes, bytes] | None:
        key = {"organisation": self.peer, "chain": self.chain, "number": number}
        row = self.db.execute(text.GET_LOOK, key).fetchone()
        return None if row is None else (row[0], row[1])
