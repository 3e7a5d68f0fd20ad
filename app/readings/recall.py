"""Readings that come again: what a node's own log brings to an agent that lost its list, and whom an agent asks."""

from collections.abc import Callable
from sqlite3 import Connection

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert

from app.readings.log import ReadingLog
from app.readings.tables import ReadingChainRow, ReadingRecallRow, ReadingRow
from app.storage.statements import sql, table_of
from app.vault.subject import Step
from flows.reading_recall import AskForReadings, FindReadings, FoundReadings, RegainReadings
from flows.services import Done
from flows.step import Handlers
from flows.subjects.reading import BATCH_BYTES_MAX, BATCH_MAX, ReadingBatch, ToldReading
from states.encoding import encode
from states.identity import Party, PatientId

PAGE_BYTES_MAX = BATCH_BYTES_MAX - (1 << 17)  # one reading less than what a part may be

_READING, _CHAIN = table_of(ReadingRow), table_of(ReadingChainRow)
# By the agent's own index: a peer that has few readings here, or none, must not make the node walk its whole log.
_NEXT = sql(
    select(_READING.c.idx, _CHAIN.c.patient)
    .join(_CHAIN, _CHAIN.c.chain == _READING.c.chain)
    .where(
        _READING.c.agent == bindparam("agent"),
        _READING.c.idx >= bindparam("start"),
        _READING.c.body.is_not(None),
    )
    .order_by(_READING.c.idx)
    .limit(BATCH_MAX)
)


_RECALL = table_of(ReadingRecallRow)
_BEGIN = sql(insert(_RECALL).prefix_with("OR REPLACE"))
_END = sql(delete(_RECALL).where(_RECALL.c.peer == bindparam("which")))
_ASKING = sql(select(_RECALL.c.flow).where(_RECALL.c.peer == bindparam("peer")))
_UNENDED = sql(select(_RECALL.c.peer, _RECALL.c.flow).order_by(_RECALL.c.peer))


class ReadingRecall:
    """Both sides: who reminds a restored agent, and the agent that asks each peer until it has brought all."""

    def __init__(self, log: ReadingLog, has_ended: Callable[[bytes], bool]) -> None:
        self._log = log
        self._has_ended = has_ended

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(FindReadings, self.find)
        handlers.on(AskForReadings, self.ask)

    def ask(self, step: Step, request: AskForReadings) -> Done:
        """See AskForReadings."""
        row = step.unit.execute(_ASKING, {"peer": request.peer}).fetchone()
        if row is None or self._has_ended(row[0]):
            self.begin(step.unit, request.peer, step.start(RegainReadings(request.peer)))
        return Done()

    @staticmethod
    def begin(db: Connection, peer: Party, flow: bytes) -> None:
        """Ask this peer, by this flow, until one has ended well."""
        db.execute(_BEGIN, {"peer": peer, "flow": flow})

    @staticmethod
    def end(db: Connection, peer: Party) -> None:
        """Forget a peer that has brought its readings."""
        db.execute(_END, {"which": peer})

    @staticmethod
    def unended(db: Connection) -> list[tuple[Party, bytes]]:
        """Return the peers of which it is not known that they have brought all, each with the flow that asks."""
        return [(Party(peer), flow) for peer, flow in db.execute(_UNENDED).fetchall()]

    def find(self, step: Step, request: FindReadings) -> FoundReadings:
        """See FindReadings. Also what was not reported yet: it is told again in its turn, and known by then.

        Who asks for a page has the one before: so no more is kept for a session than one page, and nothing that came.
        """
        step.drop_parts()
        asked = {"agent": request.peer, "start": request.start}
        rows = step.unit.execute(_NEXT, asked).fetchall()
        page: list[ToldReading] = []
        size, last = 0, -1
        reports = self._log.reports(step.unit, [row[0] for row in rows])
        for (idx, patient), report in zip(rows, reports, strict=True):
            size += len(report.body) + len(report.proof)
            if page and size > PAGE_BYTES_MAX:
                break
            page.append(ToldReading(None if patient is None else PatientId(patient), report))
            last = idx
        if not page:
            return FoundReadings()
        return FoundReadings(step.put_part(encode(ReadingBatch(tuple(page), ()))), last + 1)
