"""Notices that others sent: since when they act on a statement, what was withdrawn, what is superseded.

A custodian may say of a disclosure what its recipient has not recorded yet: its receipt is on its way, or the flow that
takes it waits. What it says is kept for that moment: the recipient has signed the disclosure before the notary was
asked, so it knows whose it is and which items it names, and keeps nothing of what it has not signed.
"""

from collections.abc import Iterable
from sqlite3 import Connection
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from app.rows.tables import DisclosureItemRow, DisclosureRow, EarlyNoticeRow
from app.storage.statements import sql, table_of
from app.subjects.statement import Statements
from app.vault.ground import Ground
from app.vault.reader import NotHeld
from app.vault.subject import Step
from app.vault.tables import Status, TransactionRow
from flows.flow import FlowRefused
from flows.notices import InForceSince, Superseded, Withdrawn
from flows.services import Done
from flows.step import Handlers
from flows.subjects.notice import TakeNotice
from states.groups import Group
from states.identity import Party
from states.sealed import SEALED
from states.state import TRANSACTION_STATE, TransactionId
from states.subjects.disclosure import Disclosure, Item

_DISCLOSURE, _ITEM = table_of(DisclosureRow), table_of(DisclosureItemRow)
_EARLY, _TX = table_of(EarlyNoticeRow), table_of(TransactionRow)
_CUSTODIAN = sql(select(_DISCLOSURE.c.custodian).where(_DISCLOSURE.c.tx == bindparam("tx")))
_COMMITMENTS = sql(select(_ITEM.c.commitment).where(_ITEM.c.tx == bindparam("tx")))
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
_ADD_EARLY = sql(insert(_EARLY).prefix_with("OR IGNORE"))
_WITHDRAW_EARLY = sql(
    update(_EARLY)
    .where(_EARLY.c.tx == bindparam("id"), _EARLY.c.commitment == bindparam("which"))
    .values(withdrawn_at=bindparam("at"))
)
_SUPERSEDE_EARLY = sql(
    update(_EARLY)
    .where(_EARLY.c.tx == bindparam("id"), _EARLY.c.commitment == bindparam("which"))
    .values(superseded=bindparam("newer"))
)
_EARLY_OF = sql(
    select(_EARLY.c.commitment, _EARLY.c.withdrawn_at, _EARLY.c.superseded).where(
        _EARLY.c.tx == bindparam("tx")
    )
)
_DROP_EARLY = sql(delete(_EARLY).where(_EARLY.c.tx == bindparam("tx")))
_DROP_OF_DROPPED = sql(
    delete(_EARLY).where(
        _EARLY.c.tx.not_in(select(_TX.c.tx).where(_TX.c.status == int(Status.HELD)))
    )
)


class Early(NamedTuple):
    """What was said of an item before its disclosure was recorded."""

    withdrawn_at: int | None = None
    superseded: int | None = None


def take_early(db: Connection, tx: bytes) -> dict[bytes, Early]:
    """Return, by their commitments, what was said early of a disclosure's items; it is recorded now."""
    rows = db.execute(_EARLY_OF, {"tx": tx}).fetchall()
    if rows:
        db.execute(_DROP_EARLY, {"tx": tx})
    return {commitment: Early(*said) for commitment, *said in rows}


class Notices:
    """Keeps what the flows of `flows.subjects.notice` bring."""

    def __init__(self, ground: Ground, statements: Statements) -> None:
        self._statements = statements
        self._vault = ground.vault
        self.me = ground.me

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(TakeNotice, self.take)

    def take(self, step: Step, request: TakeNotice) -> Done:
        """See TakeNotice."""
        notice = request.notice
        if isinstance(notice, InForceSince):
            return self._statements.note_in_force(step, notice, request.peer)
        return self.heed(step, request.peer, notice)

    def heed(self, step: Step, peer: str, notice: Withdrawn | Superseded) -> Done:
        """Act on what a custodian says of a disclosure. Only its custodian may. Raises FlowRefused."""
        tx = notice.disclosure
        row = step.unit.execute(_CUSTODIAN, {"tx": tx}).fetchone()
        if row is not None and row[0] == peer:
            self._say(step, notice, _of(notice), _WITHDRAW, _SUPERSEDE)
            return Done()
        named = self.signed_here(step.unit, tx, peer) if row is None else frozenset[bytes]()
        early = [commitment for commitment in _of(notice) if commitment in named]
        if not early:
            raise FlowRefused("not-yours", "no disclosure of this custodian")
        step.unit.execute(_DROP_OF_DROPPED)
        nothing = {"withdrawn_at": None, "superseded": None}
        rows = [{"tx": tx, "commitment": commitment} | nothing for commitment in early]
        step.unit.executemany(_ADD_EARLY, rows)
        self._say(step, notice, early, _WITHDRAW_EARLY, _SUPERSEDE_EARLY)
        return Done()

    def close(self, step: Step, custodian: Party, tx: TransactionId) -> None:
        """Withdraw all of a disclosure, recorded or only signed here, that its custodian has lost."""
        row = step.unit.execute(_CUSTODIAN, {"tx": tx}).fetchone()
        if row is None:
            named = self.signed_here(step.unit, tx, custodian)
        else:
            named = frozenset(c for (c,) in step.unit.execute(_COMMITMENTS, {"tx": tx}))
        if named:
            self.heed(step, custodian, Withdrawn(tx, tuple(sorted(named))))

    @staticmethod
    def _say(
        step: Step,
        notice: Withdrawn | Superseded,
        commitments: Iterable[bytes],
        withdraw: str,
        supersede: str,
    ) -> None:
        rows = [{"id": notice.disclosure, "which": commitment} for commitment in commitments]
        if isinstance(notice, Withdrawn):
            step.unit.executemany(withdraw, [row | {"at": step.now} for row in rows])
        else:
            step.unit.executemany(supersede, [row | {"newer": notice.version} for row in rows])

    def signed_here(self, db: Connection, tx: TransactionId, custodian: str) -> frozenset[bytes]:
        """Return the commitments in a disclosure of a custodian to this node that is signed here, not recorded yet."""
        try:
            stored = self._vault.stored(db, tx)
        except NotHeld:
            return frozenset()
        contracts, filtered = self._vault.verifier.contracts, stored.filtered
        outputs = [TRANSACTION_STATE.decode(c) for _, c in filtered.components(Group.OUTPUTS)]
        made = [contracts.states.decode(output.data) for output in outputs]
        if stored.receipt is not None or not any(
            isinstance(each, Disclosure)
            and (each.custodian, each.recipient) == (custodian, self.me)
            for each in made
        ):
            return frozenset()
        sealed = [SEALED.decode(c) for _, c in filtered.components(Group.SEALED)]
        said = [contracts.seals.decode(each.data) for each in sealed]
        return frozenset(item.commitment for item in said if isinstance(item, Item))


def _of(notice: Withdrawn | Superseded) -> tuple[bytes, ...]:
    return notice.commitments if isinstance(notice, Withdrawn) else (notice.commitment,)
