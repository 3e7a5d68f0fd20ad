"""What a node's own log brings to an agent that lost its list: its readings of that agent's patients, page by page."""

from sqlite3 import Connection

from sqlalchemy import bindparam, select

from app.readings.log import ReadingLog
from app.readings.tables import ReadingChainRow, ReadingRow
from app.storage.statements import sql, table_of
from app.vault.subject import Step
from flows.reading_recall import FindReadings, FoundReadings
from flows.step import Handlers
from flows.subjects.reading import BATCH_BYTES_MAX, BATCH_MAX, ReadingBatch, ToldReading
from states.encoding import encode
from states.identity import PatientId

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


class ReadingRecall:
    """Answers the flow that reminds a restored agent."""

    def __init__(self, log: ReadingLog) -> None:
        self._log = log

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(FindReadings, self.find)

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
