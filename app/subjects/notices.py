"""Notices that others sent: since when they act on a statement, what was withdrawn, what is superseded."""

from sqlite3 import Connection

from sqlalchemy import bindparam, select, update

from app.rows.tables import DisclosureItemRow, DisclosureRow
from app.storage.statements import sql, table_of
from app.subjects.statement import Statements
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.notices import InForceSince, Withdrawn
from flows.services import Done
from flows.step import Handlers
from flows.subjects.notice import TakeNotice

_DISCLOSURE, _ITEM = table_of(DisclosureRow), table_of(DisclosureItemRow)
_CUSTODIAN = sql(select(_DISCLOSURE.c.custodian).where(_DISCLOSURE.c.tx == bindparam("tx")))
_WITHDRAW = sql(
    update(_ITEM)
    .where(
        _ITEM.c.tx == bindparam("id"),
        _ITEM.c.commitment == bindparam("which"),
        _ITEM.c.withdrawn_at.is_(None),
    )
    .values(withdrawn_at=bindparam("at"))
)
_SUPERSEDE = sql(
    update(_ITEM)
    .where(_ITEM.c.tx == bindparam("id"), _ITEM.c.commitment == bindparam("which"))
    .values(superseded=bindparam("newer"))
)


class Notices:
    """Keeps what the flows of `flows.subjects.notice` bring."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(TakeNotice, self.take)

    def take(self, step: Step, request: TakeNotice) -> Done:
        """See TakeNotice. Only a disclosure's custodian may withdraw or supersede its items."""
        notice = request.notice
        if isinstance(notice, InForceSince):
            return self._statements.note_in_force(step, notice, request.peer)
        row = step.unit.execute(_CUSTODIAN, {"tx": notice.disclosure}).fetchone()
        if row is None or row[0] != request.peer:
            raise FlowRefused("not-yours", "no disclosure of this custodian")
        if isinstance(notice, Withdrawn):
            step.unit.executemany(
                _WITHDRAW,
                [
                    {"id": notice.disclosure, "which": each, "at": step.now}
                    for each in notice.commitments
                ],
            )
        else:
            which = {"id": notice.disclosure, "which": notice.commitment}
            step.unit.execute(_SUPERSEDE, which | {"newer": notice.version})
        return Done()
