"""The vault's statements: Core, compiled once to text."""

from sqlalchemy import bindparam, delete, func, null, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from app.storage.statements import sql, table_of
from app.vault.tables import (
    AsideRow,
    EntryRow,
    HolderRow,
    LockRow,
    OpeningRow,
    SeenRow,
    StateRow,
    Status,
    TransactionRow,
    UpdateRow,
)

_TX, _STATE = table_of(TransactionRow), table_of(StateRow)
_HOLDER, _UPDATE = table_of(HolderRow), table_of(UpdateRow)

ADD_TX = sql(
    insert(_TX).inline().values({c.name: bindparam(c.name) for c in _TX.c if c.name != "number"})
)
GET_TX = sql(
    select(
        _TX.c.status, _TX.c.tearoff, _TX.c.signatures, _TX.c.receipt, _TX.c.until, _TX.c.log_index
    ).where(_TX.c.tx == bindparam("tx"))
)
SET_SIGNATURES = sql(
    update(_TX).where(_TX.c.tx == bindparam("id")).values(signatures=bindparam("signatures"))
)
SET_RECORDED = sql(
    update(_TX)
    .where(_TX.c.tx == bindparam("id"))
    .values(
        status=int(Status.RECORDED),
        tearoff=bindparam("tearoff"),
        signatures=bindparam("signatures"),
        receipt=bindparam("receipt"),
        seq=bindparam("seq"),
        at=bindparam("at"),
        log_index=bindparam("log_index"),
    )
)
_NUMBER = select(_TX.c.number).where(_TX.c.tx == bindparam("tx"))
DROP_HOLDERS = sql(
    _HOLDER.delete().where(
        _HOLDER.c.number == _NUMBER.where(_TX.c.status == int(Status.HELD)).scalar_subquery()
    )
)
"""Before `DROP_TX`: a number may be given again, and nobody inherits what was another's to read."""
DROP_TX = sql(_TX.delete().where(_TX.c.tx == bindparam("tx"), _TX.c.status == int(Status.HELD)))
LAST_SEQ = sql(select(func.coalesce(func.max(_TX.c.seq), 0)))
ADD_STATE = sql(insert(_STATE))
ADD_HOLDER = sql(
    insert(_HOLDER)
    .inline()
    .prefix_with("OR REPLACE")
    .values(number=_NUMBER.scalar_subquery(), party=bindparam("party"), roles=bindparam("roles"))
)
ADD_UPDATE = sql(
    insert(_UPDATE).values(
        seq=bindparam("seq"),
        kind=bindparam("kind"),
        tx=bindparam("tx"),
        idx=bindparam("idx"),
        contract=bindparam("contract"),
    )
)
GET_STATE = sql(
    select(_STATE.c.state, _STATE.c.consumed_by).where(
        _STATE.c.tx == bindparam("tx"), _STATE.c.idx == bindparam("idx")
    )
)
CONSUME = sql(
    update(_STATE)
    .where(
        _STATE.c.tx == bindparam("ref_tx"),
        _STATE.c.idx == bindparam("ref_idx"),
        or_(_STATE.c.consumed_by.is_(None), _STATE.c.consumed_by == bindparam("by")),
    )
    .values(consumed_seq=bindparam("seq"), consumed_by=bindparam("by"))
)
HELD_BY = sql(
    select(_TX.c.tx)
    .join(_HOLDER, _HOLDER.c.number == _TX.c.number)
    .where(
        _HOLDER.c.party == bindparam("party"),
        _TX.c.seq > bindparam("after"),
        _TX.c.at >= bindparam("since"),
    )
    .order_by(_TX.c.seq)
    .limit(bindparam("most"))
)
SEQ_OF = sql(select(_TX.c.seq).where(_TX.c.tx == bindparam("tx")))
ROLES = sql(
    select(_HOLDER.c.roles).where(
        _HOLDER.c.number == _NUMBER.scalar_subquery(), _HOLDER.c.party == bindparam("party")
    )
)


ROLES_OF = sql(
    select(_HOLDER.c.party, _HOLDER.c.roles).where(_HOLDER.c.number == _NUMBER.scalar_subquery())
)

_SEEN = table_of(SeenRow)
ADD_SEEN = sql(insert(_SEEN).prefix_with("OR IGNORE"))
GET_SEEN = sql(
    select(_SEEN.c.state).where(_SEEN.c.tx == bindparam("tx"), _SEEN.c.idx == bindparam("idx"))
)
_LOCK, _OPENING = table_of(LockRow), table_of(OpeningRow)
ADD_LOCK = sql(insert(_LOCK))
GET_LOCK = sql(select(_LOCK.c.owner).where(_LOCK.c.label == bindparam("label")))
ADD_OPENING = sql(insert(_OPENING).prefix_with("OR REPLACE"))
GET_OPENING = sql(
    select(_OPENING.c.salt, _OPENING.c.policy_digest).where(
        _OPENING.c.tx == bindparam("tx"), _OPENING.c.idx == bindparam("idx")
    )
)

_ENTRY = table_of(EntryRow)
ADD_ENTRY = sql(insert(_ENTRY).prefix_with("OR IGNORE"))
GET_ENTRIES = sql(select(_ENTRY.c.notary, _ENTRY.c.log_index).where(_ENTRY.c.tx == bindparam("tx")))

_ASIDE = table_of(AsideRow)
HAS_COME = sql(update(_ASIDE).where(_ASIDE.c.awaits == bindparam("what")).values(awaits=null()))
NOT_ASIDE = sql(delete(_ASIDE).where(_ASIDE.c.tx == bindparam("id")))
