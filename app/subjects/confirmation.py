"""What a restored recipient may open again: only what its custodian has answered for (flows.subjects.confirmation)."""

from sqlite3 import Connection

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert

from app.rows.tables import DisclosureItemRow, DisclosureRow, RecordRow, UnconfirmedRow
from app.storage.statements import sql, table_of
from app.subjects.deciding import Deciding
from app.subjects.notices import Notices
from app.subjects.statement import Statements
from app.vault.aside import recovering_from
from app.vault.ground import Ground
from app.vault.subject import Step
from app.vault.tables import HolderRow, Status, TransactionRow
from flows.flow import FlowRefused
from flows.notices import Superseded, Withdrawn
from flows.services import FETCH_MAX, Done, Found
from flows.step import Handlers
from flows.subjects.confirmation import (
    EndConfirmation,
    FindDisclosures,
    HeedAgain,
    SaidAgain,
    SayAgain,
)
from states.identity import Party
from states.state import StateRef, TransactionId

SAID_ITEMS_MAX = 6_000  # named in one answer: of about 90 bytes each, they stay within an envelope

_DISCLOSURE, _ITEM = table_of(DisclosureRow), table_of(DisclosureItemRow)
_RECORD, _UNCONFIRMED = table_of(RecordRow), table_of(UnconfirmedRow)
_NEWER = _RECORD.alias("newer")
_TX, _HOLDER = table_of(TransactionRow), table_of(HolderRow)
_RECEIVED = sql(
    select(_DISCLOSURE.c.tx)
    .where(
        _DISCLOSURE.c.custodian == bindparam("custodian"),
        _DISCLOSURE.c.recipient == bindparam("me"),
        _DISCLOSURE.c.tx > bindparam("after"),
    )
    .order_by(_DISCLOSURE.c.tx)
    .limit(FETCH_MAX)
)
_CUSTODIANS = sql(
    select(_DISCLOSURE.c.custodian).where(_DISCLOSURE.c.recipient == bindparam("me")).distinct()
)
_SIGNED = sql(
    select(_TX.c.tx, _HOLDER.c.party)
    .join(_HOLDER, _HOLDER.c.number == _TX.c.number)
    .where(_TX.c.status == int(Status.HELD))
)
_MADE = sql(
    select(_DISCLOSURE.c.agent, _DISCLOSURE.c.consent_tx, _DISCLOSURE.c.consent_idx).where(
        _DISCLOSURE.c.tx == bindparam("tx"),
        _DISCLOSURE.c.custodian == bindparam("me"),
        _DISCLOSURE.c.recipient == bindparam("recipient"),
    )
)
_COMMITMENTS = sql(
    select(_ITEM.c.commitment, _ITEM.c.withdrawn_at)
    .where(_ITEM.c.tx == bindparam("tx"))
    .order_by(_ITEM.c.item)
)
_SUPERSEDED = sql(
    select(_ITEM.c.commitment, _NEWER.c.version)
    .join(_RECORD, _RECORD.c.commitment == _ITEM.c.commitment)
    .join(_NEWER, _NEWER.c.created_seq == _RECORD.c.consumed_seq)
    .where(
        _ITEM.c.tx == bindparam("tx"),
        _RECORD.c.custodian == bindparam("me"),
        _NEWER.c.custodian == bindparam("me"),
        _NEWER.c.version > _RECORD.c.version,
    )
    .order_by(_ITEM.c.item)
)
_BEGIN = sql(insert(_UNCONFIRMED).prefix_with("OR REPLACE"))
_END = sql(delete(_UNCONFIRMED).where(_UNCONFIRMED.c.custodian == bindparam("which")))
_UNENDED = sql(
    select(_UNCONFIRMED.c.custodian, _UNCONFIRMED.c.flow).order_by(_UNCONFIRMED.c.custodian)
)


class Confirmation:
    """Both sides: the recipient that lost what it was told, and the custodian that tells it again."""

    def __init__(
        self, ground: Ground, statements: Statements, deciding: Deciding, notices: Notices
    ) -> None:
        self._statements = statements
        self._deciding = deciding
        self._notices = notices
        self.me = ground.me

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(FindDisclosures, self.find)
        handlers.on(SayAgain, self.say)
        handlers.on(HeedAgain, self.heed)
        handlers.on(EndConfirmation, self.end)

    # -- the recipient -------------------------------------------------------------------------------

    def custodians(self, db: Connection) -> list[Party]:
        """Return of whom this node holds a disclosure to itself, recorded or only signed."""
        received = {custodian for (custodian,) in db.execute(_CUSTODIANS, {"me": self.me})}
        return sorted(map(Party, received | {custodian for _, custodian in self._signed(db)}))

    @staticmethod
    def begin(db: Connection, custodian: Party, flow: bytes) -> None:
        """Open nothing of this custodian's until it has answered this flow for all that is here."""
        db.execute(_BEGIN, {"custodian": custodian, "flow": flow})

    @staticmethod
    def unended(db: Connection) -> list[tuple[Party, bytes]]:
        """Return the custodians that have not answered yet, each with the flow that asks it."""
        return [(Party(custodian), flow) for custodian, flow in db.execute(_UNENDED)]

    def find(self, step: Step, request: FindDisclosures) -> Found:
        """See FindDisclosures."""
        named = {"custodian": request.custodian, "me": self.me, "after": request.after}
        received = {tx for (tx,) in step.unit.execute(_RECEIVED, named)}
        received |= {
            tx
            for tx, custodian in self._signed(step.unit)
            if custodian == request.custodian and tx > request.after
        }
        return Found(tuple(map(TransactionId, sorted(received)[:FETCH_MAX])))

    def _signed(self, db: Connection) -> list[tuple[bytes, str]]:
        """Return the disclosures to this node that it has signed and not recorded, with the custodian of each."""
        rows = db.execute(_SIGNED).fetchall()
        return [
            (tx, party)
            for tx, party in rows
            if party != self.me and self._notices.signed_here(db, TransactionId(tx), party)
        ]

    def heed(self, step: Step, request: HeedAgain) -> Done:
        """See HeedAgain."""
        for notice in request.notices:
            self._notices.heed(step, request.custodian, notice)
        return Done()

    def end(self, step: Step, request: EndConfirmation) -> Done:
        """See EndConfirmation."""
        step.unit.execute(_END, {"which": request.custodian})
        return Done()

    # -- the custodian -------------------------------------------------------------------------------

    def say(self, step: Step, request: SayAgain) -> SaidAgain:
        """See SayAgain: of as many as one message holds. What is not the recipient's is as if it did not exist."""
        said: list[Withdrawn | Superseded] = []
        answered = items = 0
        for tx in request.disclosures:
            mine = {"tx": tx, "me": self.me, "recipient": request.peer}
            row = step.unit.execute(_MADE, mine).fetchone()
            self._require_told(step.unit, None if row is None else row[0])
            if row is not None:
                withdrawn = self._withdrawn(step, tx, StateRef(TransactionId(row[1]), row[2]))
                newer = step.unit.execute(_SUPERSEDED, {"tx": tx, "me": self.me}).fetchall()
                items += len(withdrawn) + len(newer)
                if answered and items > SAID_ITEMS_MAX:
                    break
                said += [Withdrawn(tx, withdrawn)] if withdrawn else []
                said += [Superseded(tx, commitment, version) for commitment, version in newer]
            answered += 1
        return SaidAgain(answered, tuple(said))

    def _withdrawn(self, step: Step, tx: TransactionId, consent: StateRef) -> tuple[bytes, ...]:
        """Return what of a disclosure may not be read any more: all of it where its consent is over or closed."""
        found = self._statements.live_or_ended(step.unit, consent)
        over = found.ended or found.closed
        if not over and found.patient is not None:
            # A restored custodian may have got back the denial before the disclosure, which it did not touch then.
            self._deciding.withdraw_closed(step, tx)
        rows = step.unit.execute(_COMMITMENTS, {"tx": tx}).fetchall()
        return tuple(commitment for commitment, at in rows if over or at is not None)

    @staticmethod
    def _require_told(db: Connection, agent: str | None) -> None:
        """Raise FlowRefused where the agent of a disclosure, or anybody of one that is not here, has to be heard yet.

        This node was restored itself, and what it has forgotten the recipient must not take for permitted.
        """
        unheard = recovering_from(db)
        if agent in unheard or (agent is None and unheard):
            raise FlowRefused("not-now", "this node was restored, and asks what it has lost")
