"""Whom a reported line is about, by what its agent holds of disclosures, enrolments and records, or comes to hold."""

from dataclasses import replace
from sqlite3 import Connection

from app.readings import alarm_statements as alarm_text
from app.readings import concern_statements as text
from app.readings import looks_statements as line_text
from app.readings.alarms import ALARMS_MAX, Alarm, Reported
from app.readings.chains import Concerned, ReportedChain
from states.crypto.hashes import HASH_SIZE
from states.encoding import encode
from states.identity import Party
from states.reading import (
    FIRST_EPOCH,
    READING,
    ReadingEntry,
    ReportedReading,
    Restored,
    entry_digest,
)

MATCHED_MAX = 512  # lines a step


class Concerns:
    """What an agent knows of the subjects of chains."""

    def __init__(self, me: Party) -> None:
        self.me = me

    def named(
        self, db: Connection, peer: Party, disclosure: bytes | None, patient: bytes | None
    ) -> tuple[bytes, str | None]:
        """Return the subject of a chain, and this agent's own name of the patient if it knows the subject."""
        if disclosure is not None:
            row = db.execute(text.GET_DISCLOSURE, {"tx": disclosure, "me": self.me}).fetchone()
            return disclosure, row[2] if row is not None and peer in row[:2] else None
        if patient is None:
            return b"", None
        if peer == self.me:  # in its own log an agent calls its patients what it calls them
            return patient, patient.hex()
        row = db.execute(text.GET_NAMED, {"patient": patient, "organisation": peer}).fetchone()
        return patient, None if row is None else row[0]

    def of(
        self, db: Connection, peer: Party, entry: ReadingEntry, told_patient: bytes | None
    ) -> Concerned:
        """Return whom and what an organisation's entry is about."""
        subject, patient = self.named(db, peer, entry.disclosure, told_patient)
        if patient is None:
            return Concerned(subject, None)
        if entry.disclosure is None:
            if peer == self.me:  # what she reads at home is in the custody of others
                hers = tuple(db.execute(text.HER_RECORDS, {"patient": patient}))
                return Concerned(subject, patient, "", hers)
            there = {"patient": patient, "custodian": peer}
            return Concerned(subject, patient, "", tuple(db.execute(text.RECORDS_THERE, there)))
        row = db.execute(text.GET_DISCLOSURE, {"tx": entry.disclosure, "me": self.me}).fetchone()
        items = tuple(db.execute(text.DISCLOSED_ITEMS, {"tx": entry.disclosure}))
        beyond = ""
        if entry.outcome == "read":
            beyond = _beyond(entry, person=row[3], purpose=row[4], read_until=row[5])
        return Concerned(subject, patient, beyond, items)

    def match(self, db: Connection, now: int, peer: Party | None = None) -> None:
        """Give the lines that were reported before their subject was known to the patients whose they are.

        And let those that were reported before their records were known say which these are: an agent that was
        restored may hear of a reading before it has back what was read. Of one organisation's lines only where `peer`
        is given, so that nobody's lines of records that there are not keep others' waiting for long.
        """
        asked = {"me": self.me, "most": MATCHED_MAX}
        matched: dict[tuple[Party, bytes], Reported] = {}
        for who, chain, subject in db.execute(text.UNMATCHED_CHAINS, asked).fetchall():
            place = self._match_chain(db, now, Party(who), chain, subject)
            matched[place.peer, place.chain] = place
        for organisation, subject, body, salt, proof in db.execute(
            text.UNMATCHED, asked
        ).fetchall():
            reported = ReportedReading(body, salt, proof)
            place = self._match(db, now, Party(organisation), subject, reported)
            matched[place.peer, place.chain] = place
        for place in matched.values():
            db.execute(alarm_text.MATCH_ALARMS, _hers(place))
            place.settle(Alarm.UNKNOWN, place.chain)
            _raise_again(place)
        known = text.OF_UNKNOWN if peer is None else text.OF_UNKNOWN_BY
        for organisation, subject, body, salt, proof in db.execute(
            known, asked | {"who": peer}
        ).fetchall():
            reported = ReportedReading(body, salt, proof)
            self._know(db, now, Party(organisation), subject, reported)

    def _know(
        self, db: Connection, now: int, peer: Party, subject: bytes, reported: ReportedReading
    ) -> None:
        entry, digest = READING.decode(reported.body), entry_digest(reported.salt, reported.body)
        about = self.of(db, peer, entry, subject)
        if about.patient is None:
            return
        place = ReportedChain(db, now, peer, entry.chain, about.patient, entry.restored)
        place.concern_again(entry, digest, reported, about)

    def _match_chain(
        self, db: Connection, now: int, peer: Party, chain: bytes, subject: bytes
    ) -> Reported:
        """Give a chain to whose it is: alarms may be all that is known of it, for its heads may be all that came."""
        is_disclosure = len(subject) == HASH_SIZE
        ids = (subject, None) if is_disclosure else (None, subject)
        _, patient = self.named(db, peer, *ids)
        place = Reported(db, now, peer, chain, patient)
        db.execute(text.MATCH_CHAIN, _hers(place))
        return place

    def _match(
        self, db: Connection, now: int, peer: Party, subject: bytes, reported: ReportedReading
    ) -> Reported:
        entry, digest = READING.decode(reported.body), entry_digest(reported.salt, reported.body)
        about = self.of(db, peer, entry, subject)
        place = ReportedChain(db, now, peer, entry.chain, about.patient, entry.restored)
        line = {"at_number": entry.number, "hash": digest}
        db.execute(text.MATCH, _hers(place) | line)
        place.concern(entry, digest, reported, about)
        return place


def _hers(place: Reported) -> dict[str, object]:
    return {"who": place.peer, "which": place.chain, "hers": place.patient}


def _raise_again(place: Reported) -> None:
    """Raise what the kept lines of a chain show and no open alarm says, now that it is known whose it is.

    While it was not there may have been no room for it.
    """
    chain = {"organisation": place.peer, "chain": place.chain}
    for epoch, restored_at, kept, _ in place.db.execute(line_text.EPOCHS, chain).fetchall():
        restored = Restored(epoch, restored_at, kept) if epoch != FIRST_EPOCH else None
        there = replace(place, restored=restored)
        here = chain | {"epoch": epoch}
        most = {"kept": kept, "most": ALARMS_MAX}
        for before, number, *line in place.db.execute(line_text.GAPS, here | most).fetchall():
            first, last = before + 1, number - 1
            span = {"first": first, "last": last}
            if place.db.execute(alarm_text.IS_MISSED, here | span).fetchone() is None:
                there.alarm(Alarm.MISSING, encode(ReportedReading(*line)), first, last)
    row = place.db.execute(line_text.CONTRADICTED_LINE, chain).fetchone()
    if row is not None:
        place.alarm_once(Alarm.CONTRADICTED, encode(ReportedReading(*row[1:])), row[0])


def _beyond(entry: ReadingEntry, *, person: bytes, purpose: str, read_until: int) -> str:
    """Say what of a reading goes beyond its disclosure; empty where nothing does."""
    if entry.person != person:
        return "Somebody else read than the person to whom it was disclosed."
    if entry.purpose != purpose:
        return "It was read for another purpose than it was disclosed for."
    if entry.at >= read_until:
        return "It was read after the time until which it was disclosed."
    return ""
