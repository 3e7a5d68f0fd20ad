"""The statements of an agent's "who looked": Core, compiled once to text."""

from sqlalchemy import (
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from app.readings.tables import LookChainRow, LookItemRow, LookLogRow, LookRow
from app.rows.tables import DisclosureItemRow, DisclosureRow, EnrolmentRow, RecordRow
from app.storage.statements import sql, table_of
from states.reading import FIRST_EPOCH

_LOOK, _ITEM, _CHAIN = table_of(LookRow), table_of(LookItemRow), table_of(LookChainRow)
_LOG = table_of(LookLogRow)
_DISCLOSURE, _DISCLOSED = table_of(DisclosureRow), table_of(DisclosureItemRow)
_ENROLMENT, _RECORD = table_of(EnrolmentRow), table_of(RecordRow)

# A statement that writes gives other names to what it looks for: SQLAlchemy keeps the columns' for what it sets.
_IN_CHAIN = (_LOOK.c.organisation == bindparam("organisation")) & (
    _LOOK.c.chain == bindparam("chain")
)
_IN_EPOCH = _IN_CHAIN & (_LOOK.c.epoch == bindparam("epoch"))
_THIS_LINE = (
    _IN_CHAIN & (_LOOK.c.number == bindparam("number")) & (_LOOK.c.digest == bindparam("digest"))
)
_MARKED = (_LOOK.c.organisation == bindparam("who")) & (_LOOK.c.chain == bindparam("which"))
_OF_CHAIN = (_CHAIN.c.organisation == bindparam("organisation")) & (
    _CHAIN.c.chain == bindparam("chain")
)
_OF_EPOCH = (
    (_CHAIN.c.organisation == _LOOK.c.organisation)
    & (_CHAIN.c.chain == _LOOK.c.chain)
    & (_CHAIN.c.epoch == _LOOK.c.epoch)
)
ADD_LOOK = sql(insert(_LOOK))
PUT_ITEM = sql(insert(_ITEM).prefix_with("OR REPLACE"))
COUNT_CONFLICTS = sql(
    select(func.count())
    .select_from(_LOOK)
    .where(
        _LOOK.c.organisation == bindparam("organisation"),
        _LOOK.c.patient.is_(bindparam("patient")),
        _LOOK.c.chain.between(bindparam("low"), bindparam("high")),
        _LOOK.c.mark == literal_column("'CONTRADICTED'"),
    )
)
# In an epoch, or in what it may have kept: an epoch that began later numbers anew, and says nothing of it.
GET_LOOK = sql(
    select(_LOOK.c.digest, _LOOK.c.previous)
    .where(
        _IN_CHAIN,
        _LOOK.c.number == bindparam("number"),
        or_(
            _LOOK.c.epoch == bindparam("epoch"),
            and_(
                _LOOK.c.number <= bindparam("kept"),
                exists().where(_OF_EPOCH, _CHAIN.c.restored_at <= bindparam("began")),
            ),
        ),
    )
    .order_by(_LOOK.c.taken_at, _LOOK.c.digest)
)
GET_EVIDENCE = sql(
    select(_LOOK.c.body, _LOOK.c.salt, _LOOK.c.proof, _LOOK.c.patient, _LOOK.c.mark).where(
        _THIS_LINE
    )
)
NEIGHBOURS = sql(
    select(_LOOK.c.body, _LOOK.c.salt, _LOOK.c.proof)
    .where(
        _LOOK.c.organisation == bindparam("organisation"),
        or_(
            and_(
                _LOOK.c.chain == bindparam("chain"),
                _LOOK.c.number.between(bindparam("first"), bindparam("last")),
            ),
            _LOOK.c.disclosure == bindparam("disclosure"),
        ),
        _LOOK.c.digest != bindparam("digest"),
        _LOOK.c.patient == bindparam("patient"),
    )
    .order_by(_LOOK.c.taken_at, _LOOK.c.number)
    .limit(bindparam("most"))
)
MARK = sql(
    update(_LOOK)
    .where(
        _MARKED,
        _LOOK.c.number == bindparam("number"),
        _LOOK.c.epoch == bindparam("of"),
    )
    .values(mark=bindparam("mark_is"))
)
UNMARK_LOST = sql(
    update(_LOOK)
    .where(
        _MARKED,
        _LOOK.c.mark == literal_column("'LOST'"),
    )
    .values(mark=null())
)
MARK_LOST = sql(
    update(_LOOK)
    .where(
        _MARKED,
        _LOOK.c.epoch == bindparam("of"),
        _LOOK.c.number > bindparam("kept"),
        _LOOK.c.mark.is_(None),
    )
    .values(mark=literal_column("'LOST'"))
)
EPOCHS = sql(
    select(_CHAIN.c.epoch, _CHAIN.c.restored_at, _CHAIN.c.kept, _CHAIN.c.branch).where(_OF_CHAIN)
)
WRITTEN_IN = sql(select(_LOOK.c.epoch).where(_THIS_LINE))
BEGIN_AFTER = sql(
    select(_LOOK.c.previous, _LOOK.c.epoch, _CHAIN.c.restored_at)
    .join(_CHAIN, _OF_EPOCH)
    .where(
        _IN_CHAIN,
        _LOOK.c.number == bindparam("number") + 1,
        _CHAIN.c.kept == bindparam("number"),
        _CHAIN.c.restored_at >= bindparam("began"),
    )
)
WRITTEN_BEFORE = sql(
    select(_LOOK.c.digest)
    .where(
        _IN_EPOCH,
        _LOOK.c.number > bindparam("number"),
        _LOOK.c.at < bindparam("at"),
    )
    .limit(1)
)
_SAME_ORGANISATION = _CHAIN.c.organisation.concat(literal_column("''")) == bindparam("organisation")
_PINNED = select(
    _CHAIN.c.chain,
    _CHAIN.c.subject,
    _CHAIN.c.epoch,
    _CHAIN.c.restored_at,
    _CHAIN.c.kept,
    _CHAIN.c.number,
)
# Neither by `or` nor, of a subject, by the column itself: SQLite would go through all chains of the organisation.
GET_CHAIN = sql(
    _PINNED.where(_OF_CHAIN).union(
        _PINNED.where(_CHAIN.c.subject == bindparam("subject"), _SAME_ORGANISATION)
    )
)
ADD_CHAIN = sql(insert(_CHAIN))
_WHICH = (
    (_CHAIN.c.organisation == bindparam("who"))
    & (_CHAIN.c.chain == bindparam("which"))
    & (_CHAIN.c.epoch == bindparam("of"))
)
SET_LAST = sql(
    update(_CHAIN).where(_WHICH).values(number=bindparam("last"), digest=bindparam("hash"))
)
SET_HEAD_AT = sql(update(_CHAIN).where(_WHICH).values(head_at=bindparam("seen")))
THIS_CHAIN = sql(
    select(_CHAIN.c.number, _CHAIN.c.digest, _CHAIN.c.head_at).where(
        _OF_CHAIN, _CHAIN.c.epoch == bindparam("epoch")
    )
)
GET_LOG = sql(
    select(_LOG.c.size, _LOG.c.root, _LOG.c.note, _LOG.c.since).where(
        _LOG.c.organisation == bindparam("organisation"), _LOG.c.epoch == bindparam("epoch")
    )
)
# An epoch is announced by what an entry or a daily head of it says of the restore with which it began. One that ended
# by another restore before its first daily head never is: then that restore is, and its patients are told of it.
_UNANNOUNCED = (_LOG.c.epoch != literal_column(f"x'{FIRST_EPOCH.hex()}'")) & ~(
    select(_CHAIN.c.epoch)
    .where(
        _CHAIN.c.organisation == _LOG.c.organisation,
        or_(
            _CHAIN.c.epoch == _LOG.c.epoch,
            _CHAIN.c.restored_at + bindparam("skew") >= _LOG.c.since,
        ),
    )
    .exists()
)
COUNT_UNANNOUNCED = sql(
    select(func.count())
    .select_from(_LOG)
    .where(_LOG.c.organisation == bindparam("organisation"), _UNANNOUNCED)
)
LONG_UNANNOUNCED = sql(
    select(_LOG.c.organisation, _LOG.c.note).where(_LOG.c.since < bindparam("since"), _UNANNOUNCED)
)
IS_ANNOUNCED = sql(
    select(_CHAIN.c.chain)
    .where(_CHAIN.c.organisation == bindparam("organisation"), _CHAIN.c.epoch == bindparam("epoch"))
    .limit(1)
)
PUT_LOG = sql(insert(_LOG).prefix_with("OR REPLACE"))
PRESENT = sql(
    select(func.count(_LOOK.c.number.distinct())).where(
        _IN_EPOCH,
        _LOOK.c.number.between(bindparam("first"), bindparam("last")),
    )
)
NAMED_BEFORE = sql(
    select(_LOOK.c.previous)
    .where(
        _IN_EPOCH,
        _LOOK.c.number == bindparam("number"),
    )
    .order_by(_LOOK.c.taken_at, _LOOK.c.digest)
    .limit(1)
)
_BEFORE = func.lag(_LOOK.c.number, 1, bindparam("kept")).over(order_by=_LOOK.c.number)
_SPANS = (
    select(_LOOK, _BEFORE.label("before"))
    .where(
        _IN_EPOCH,
    )
    .subquery()
)
GAPS = sql(
    select(_SPANS.c.before, _SPANS.c.number, _SPANS.c.body, _SPANS.c.salt, _SPANS.c.proof)
    .where(_SPANS.c.number > _SPANS.c.before + 1)
    .order_by(_SPANS.c.number)
    .limit(bindparam("most"))
)
CONTRADICTED_LINE = sql(
    select(_LOOK.c.number, _LOOK.c.body, _LOOK.c.salt, _LOOK.c.proof)
    .where(
        _IN_CHAIN,
        _LOOK.c.mark == literal_column("'CONTRADICTED'"),
    )
    .order_by(_LOOK.c.number)
    .limit(1)
)
_LINE = (_LOOK.c.organisation, _LOOK.c.chain, _LOOK.c.number, _LOOK.c.digest)
WHO_LOOKED = sql(
    select(*_LINE, _LOOK.c.body, _LOOK.c.mark)
    .where(
        _LOOK.c.patient == bindparam("patient"),
        tuple_(_LOOK.c.at, *_LINE)
        < tuple_(
            bindparam("at"),
            bindparam("organisation"),
            bindparam("chain"),
            bindparam("number"),
            bindparam("digest"),
        ),
    )
    .order_by(*(column.desc() for column in (_LOOK.c.at, *_LINE)))
    .limit(bindparam("most"))
)
ITEMS_OF = sql(
    select(_ITEM.c.commitment, _ITEM.c.content)
    .where(
        _ITEM.c.organisation == bindparam("organisation"),
        _ITEM.c.chain == bindparam("chain"),
        _ITEM.c.number == bindparam("number"),
        _ITEM.c.digest == bindparam("digest"),
    )
    .order_by(_ITEM.c.item)
)
SILENT = sql(
    select(_DISCLOSURE.c.tx, _DISCLOSURE.c.recipient, _DISCLOSURE.c.patient).where(
        _DISCLOSURE.c.agent == bindparam("me"),
        _DISCLOSURE.c.at < bindparam("since"),
        _DISCLOSURE.c.read_until > bindparam("since"),
        ~select(_CHAIN.c.subject)
        .where(
            _CHAIN.c.organisation == _DISCLOSURE.c.recipient,
            _CHAIN.c.subject == _DISCLOSURE.c.tx,
            _CHAIN.c.head_at >= bindparam("since"),
        )
        .exists(),
    )
)
