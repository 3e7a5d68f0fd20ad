"""Faults planted in the gate and in what is told of readings."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace as but
from sqlite3 import Connection

import msgspec

import app.gate
from app.access import Decision
from app.blobs.cipher import BlobOpener
from app.gate import Gate
from app.gate_facts import DisclosedFacts, disclosed_facts
from app.readings.log import Reading, ReadingLog
from states.encoding import encode
from states.reading import NOTHING_BEFORE, READING, ReportedReading

Replace = Callable[[object, str, object], None]


def withdrawal_ignored(replace: Replace) -> None:
    def facts(db: Connection, tx: bytes, item: int) -> DisclosedFacts | None:
        found = disclosed_facts(db, tx, item)
        return found and but(found, item=but(found.item, withdrawn=False))

    replace(app.gate, "disclosed_facts", facts)


def revocation_ignored(replace: Replace) -> None:
    def facts(db: Connection, tx: bytes, item: int) -> DisclosedFacts | None:
        found = disclosed_facts(db, tx, item)
        return found and but(found, item=but(found.item, consent_ended=False))

    replace(app.gate, "disclosed_facts", facts)


def opens_before_it_logs(replace: Replace) -> None:
    """The entry is written when the last byte has left."""
    commit, stream, waiting = Gate._commit, Gate._stream, list[Reading]()

    def later(self: Gate, reading: Reading) -> int:
        if reading.outcome != "read":
            return commit(self, reading)
        waiting.append(reading)
        (count,) = self._db.execute("SELECT count(*) FROM reading").fetchone()
        return int(count)

    def streamed(
        self: Gate, opener: BlobOpener, blob: str, first: bytes, still: Callable[[], Decision]
    ) -> Iterator[bytes]:
        yield from stream(self, opener, blob, first, still)
        commit(self, waiting.pop())

    replace(Gate, "_commit", later)
    replace(Gate, "_stream", streamed)


def no_chain_number(replace: Replace) -> None:
    original = ReadingLog.reports

    def reports(self: ReadingLog, db: Connection, indexes: Sequence[int]) -> list[ReportedReading]:
        return [_unnumbered(each) for each in original(self, db, indexes)]

    replace(ReadingLog, "reports", reports)


def _unnumbered(told: ReportedReading) -> ReportedReading:
    entry = READING.decode(told.body)
    first = msgspec.structs.replace(entry, number=1, previous=NOTHING_BEFORE, restored=None)
    return msgspec.structs.replace(told, body=encode(first))


def numbers_reused(replace: Replace) -> None:
    def begin_epoch(_self: ReadingLog, _db: Connection, _now: int) -> None:
        return

    replace(ReadingLog, "begin_epoch", begin_epoch)
