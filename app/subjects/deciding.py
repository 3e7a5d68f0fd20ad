"""A custodian's decision over a request: all statements of the local patient against all her records here."""

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from app.storage.statements import sql, table_of
from app.subjects.record import CONTENT
from app.subjects.statement import LiveStatement
from app.subjects.tables import RecordRow
from app.vault.ground import Ground
from app.vault.subject import Step
from flows.subjects.disclosure import AskFor
from states.subjects.content import Content

_RECORD = table_of(RecordRow)
_RECORDS_OF = sql(
    select(
        _RECORD.c.commitment,
        _RECORD.c.blob,
        _RECORD.c.size_class,
        _RECORD.c.version,
        _RECORD.c.content,
    )
    .where(
        _RECORD.c.patient == bindparam("patient"),
        _RECORD.c.custodian == bindparam("custodian"),
        _RECORD.c.consumed_seq.is_(None),
    )
    .order_by(_RECORD.c.created_seq, _RECORD.c.idx)
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live record of the patient at this custodian."""

    commitment: bytes
    blob: str
    size_class: int
    version: int
    content: Content


class Deciding:
    """Applies the decision (states.decision) to what the vault holds."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def permitted(self, step: Step, asked: AskFor, consent: LiveStatement) -> list[Candidate]:
        """Return the records that the recipient may have, of those that it asked for."""
        key = {"patient": consent.patient, "custodian": self._ground.me}
        rows = step.unit.execute(_RECORDS_OF, key).fetchall()
        found = [
            Candidate(c, blob, size, v, CONTENT.decode(what)) for c, blob, size, v, what in rows
        ]
        return [
            each
            for each in found
            if not asked.categories or each.content.category in asked.categories
        ]

    def log_refusal(self, step: Step, asked: AskFor) -> None:
        """Keep a refused request in the reading log."""

    def log_release(self, step: Step, tx: bytes, *, released: bool) -> None:
        """Keep in the reading log that keys were released, or were not."""
