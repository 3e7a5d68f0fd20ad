"""Telling agents: which readings are due, packed into letters, and the signed heads of a day."""

from collections.abc import Callable, Iterator
from sqlite3 import Connection

from sqlalchemy import bindparam, select, update

from app.keystore.keys import KeyStore, NodeKey
from app.keystore.signers import HandleSigner
from app.readings.log import ChainOf, ReadingLog
from app.readings.tables import ReadingChainRow, ReadingRow
from app.rows.tables import DisclosureRow, EnrolmentRow
from app.storage.statements import sql, table_of
from app.vault.subject import Step
from flows.step import Handlers
from flows.subjects.reading import (
    BATCH_MAX,
    LETTERS_MAX,
    Gathered,
    GatherHeads,
    GatherReadings,
    ReadingBatch,
    ReportHeads,
    ReportReadings,
    Telling,
    ToldHead,
    ToldReading,
)
from states.encoding import encode
from states.identity import Party, PatientId
from states.parameters import ParametersHistory
from states.reading import DAY_MS, DailyHead, SignedHead, sign_head
from states.state import TransactionId

ROUND_MAX = LETTERS_MAX  # readings a step: each may be for another agent
HEADS_MAX = BATCH_MAX  # chains a step
LETTER_BYTES_MAX = 900_000  # below a part's limit, with heads of fields

KeepOwn = Callable[[Step, ReadingBatch], None]
"""Keeps what this node would tell itself as an agent."""

_READING, _CHAIN = table_of(ReadingRow), table_of(ReadingChainRow)
_DISCLOSURE, _ENROLMENT = table_of(DisclosureRow), table_of(EnrolmentRow)
_FIRST_DUE = sql(
    select(_READING.c.idx).where(_READING.c.reported == 0).order_by(_READING.c.idx).limit(1)
)
_DUE = sql(
    select(_READING.c.idx, _CHAIN.c.agent, _CHAIN.c.patient)
    .join(_CHAIN, _CHAIN.c.chain == _READING.c.chain)
    .where(_READING.c.reported == 0)
    .order_by(_READING.c.idx)
    .limit(bindparam("most"))
)
_REPORTED = sql(update(_READING).where(_READING.c.idx == bindparam("id")).values(reported=1))
_CHAINS = sql(
    select(
        _CHAIN.c.subject,
        _CHAIN.c.agent,
        _CHAIN.c.disclosure,
        _CHAIN.c.patient,
        _CHAIN.c.chain,
        _CHAIN.c.number,
        _CHAIN.c.digest,
        _CHAIN.c.kept,
    )
    .where(_CHAIN.c.subject > bindparam("after"), _CHAIN.c.agent.is_not(None))
    .order_by(_CHAIN.c.subject)
    .limit(bindparam("most"))
)
_OPEN_DISCLOSURES = sql(
    select(_DISCLOSURE.c.tx, _DISCLOSURE.c.agent).where(
        _DISCLOSURE.c.recipient == bindparam("me"),
        _DISCLOSURE.c.read_until > bindparam("since"),
        _DISCLOSURE.c.tx.not_in(select(_CHAIN.c.subject)),
    )
)
_ENROLLED = sql(
    select(_ENROLMENT.c.patient, _ENROLMENT.c.agent).where(
        _ENROLMENT.c.custodian == bindparam("me"),
        _ENROLMENT.c.signed.is_not(None),
        _ENROLMENT.c.patient.not_in(select(_CHAIN.c.subject)),
    )
)


class ReadingReports:
    """Answers the flows that report, and says when they are due.

    An agent's own chains are of patients who read at home: what would be told to itself is kept at once.
    """

    def __init__(
        self, log: ReadingLog, keys: KeyStore, parameters: ParametersHistory, own: KeepOwn
    ) -> None:
        self._own = own
        self._log = log
        self._signer = HandleSigner(keys, NodeKey.READING_LOG)
        self._parameters = parameters

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(GatherReadings, self.gather)
        handlers.on(GatherHeads, self.gather_heads)

    def report_due(self, db: Connection) -> tuple[ReportReadings, str] | None:
        """Return the flow to start and its client key if an agent is still to be told of something.

        Asked at a fixed beat (a second): the key is the first reading's, so one flow carries it.
        """
        row = db.execute(_FIRST_DUE).fetchone()
        return None if row is None else (ReportReadings(), f"report-readings/{row[0]}")

    @staticmethod
    def heads_due(now: int) -> tuple[ReportHeads, str]:
        """Return the flow of the day that `now` (ms) lies in, and its client key: starting it again is harmless."""
        day = now // DAY_MS
        return ReportHeads(day), f"report-heads/{day}"

    def gather(self, step: Step, request: GatherReadings) -> Gathered:
        """See GatherReadings."""
        del request
        rows = step.unit.execute(_DUE, {"most": ROUND_MAX}).fetchall()
        reports = self._log.reports(step.unit, [row[0] for row in rows])
        by_agent: dict[str, list[ToldReading]] = {}
        for (_, agent, patient), report in zip(rows, reports, strict=True):
            told = ToldReading(None if patient is None else PatientId(patient), report)
            by_agent.setdefault(agent, []).append(told)
        step.unit.executemany(_REPORTED, [{"id": row[0]} for row in rows])
        tellings = self._tellings(
            step,
            [
                (agent, ReadingBatch(batch, ()))
                for agent, told in by_agent.items()
                for batch in _batches(told)
            ],
        )
        return Gathered(tellings, step.unit.execute(_FIRST_DUE).fetchone() is not None)

    def gather_heads(self, step: Step, request: GatherHeads) -> Gathered:
        """See GatherHeads. Also of chains that have no entry yet: that nobody read is a statement, too."""
        if not request.after:
            self._begin_chains(step)
        rows = step.unit.execute(_CHAINS, {"after": request.after, "most": HEADS_MAX}).fetchall()
        network = self._parameters.in_force(step.now)[1].network
        by_agent: dict[str, list[ToldHead]] = {}
        for _, agent, disclosure, patient, chain, number, digest, kept in rows:
            head = DailyHead(
                network=network,
                organisation=self._log.me,
                chain=chain,
                number=number,
                digest=digest,
                day=request.day,
                at=step.now,
                restored=self._log.restored(step.unit, kept),
            )
            told = _told_head(disclosure, patient, sign_head(self._signer, head))
            by_agent.setdefault(agent, []).append(told)
        tellings = self._tellings(
            step,
            [(agent, ReadingBatch((), tuple(heads))) for agent, heads in by_agent.items()],
        )
        last = rows[-1][0] if rows else b""
        return Gathered(tellings, len(rows) == HEADS_MAX, last)

    def _begin_chains(self, step: Step) -> None:
        """Give a chain to each readable disclosure and each enrolment that has none."""
        me, since = self._log.me, step.now - DAY_MS
        for tx, agent in step.unit.execute(
            _OPEN_DISCLOSURES, {"me": me, "since": since}
        ).fetchall():
            self._log.begin_chain(step.unit, ChainOf(TransactionId(tx), None, Party(agent)))
        for patient, agent in step.unit.execute(_ENROLLED, {"me": me}).fetchall():
            self._log.begin_chain(step.unit, ChainOf(None, PatientId(patient), Party(agent)))

    def _tellings(self, step: Step, batches: list[tuple[str, ReadingBatch]]) -> tuple[Telling, ...]:
        for agent, batch in batches:
            if agent == self._log.me:
                self._own(step, batch)
        return tuple(
            Telling(Party(agent), step.put_part(encode(batch)))
            for agent, batch in batches
            if agent != self._log.me
        )


def _told_head(disclosure: bytes | None, patient: bytes | None, head: SignedHead) -> ToldHead:
    return ToldHead(
        None if patient is None else PatientId(patient),
        None if disclosure is None else TransactionId(disclosure),
        head,
    )


def _batches(told: list[ToldReading]) -> Iterator[tuple[ToldReading, ...]]:
    """Cut what one agent is told into letters, in order."""
    batch, size = list[ToldReading](), 0
    for each in told:
        bytes_ = len(each.reading.body) + len(each.reading.proof)
        if len(batch) == BATCH_MAX or (batch and size + bytes_ > LETTER_BYTES_MAX):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(each)
        size += bytes_
    yield tuple(batch)
