"""The statements of an agent's "who looked": Core, compiled once to text."""

from sqlalchemy import bindparam, func, or_, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert

from app.readings.tables import LookAlarmRow, LookChainRow, LookItemRow, LookLogRow, LookRow
from app.rows.tables import DisclosureItemRow, DisclosureRow, EnrolmentRow, RecordRow
from app.storage.statements import sql, table_of

_LOOK, _ITEM, _CHAIN = table_of(LookRow), table_of(LookItemRow), table_of(LookChainRow)
_LOG, _ALARM = table_of(LookLogRow), table_of(LookAlarmRow)
_DISCLOSURE, _DISCLOSED = table_of(DisclosureRow), table_of(DisclosureItemRow)
_ENROLMENT, _RECORD = table_of(EnrolmentRow), table_of(RecordRow)

ADD_LOOK = sql(insert(_LOOK))
ADD_ITEM = sql(insert(_ITEM))
ADD_ALARM = sql(
    insert(_ALARM).values({c.name: bindparam(c.name) for c in _ALARM.c if c.name != "number"})
)
GET_LOOK = sql(
    select(_LOOK.c.digest, _LOOK.c.previous, _LOOK.c.body).where(
        _LOOK.c.organisation == bindparam("organisation"),
        _LOOK.c.chain == bindparam("chain"),
        _LOOK.c.number == bindparam("number"),
    )
)
GET_EVIDENCE = sql(
    select(_LOOK.c.body, _LOOK.c.salt, _LOOK.c.proof, _LOOK.c.patient, _LOOK.c.disclosure).where(
        _LOOK.c.organisation == bindparam("organisation"),
        _LOOK.c.chain == bindparam("chain"),
        _LOOK.c.number == bindparam("number"),
    )
)
GET_CHAIN = sql(
    select(_CHAIN.c.chain, _CHAIN.c.subject).where(
        _CHAIN.c.organisation == bindparam("organisation"),
        or_(_CHAIN.c.chain == bindparam("chain"), _CHAIN.c.subject == bindparam("subject")),
    )
)
ADD_CHAIN = sql(insert(_CHAIN))
SET_LAST = sql(
    update(_CHAIN)
    .where(_CHAIN.c.organisation == bindparam("who"), _CHAIN.c.chain == bindparam("which"))
    .values(number=bindparam("last"), digest=bindparam("hash"))
)
SET_HEAD_AT = sql(
    update(_CHAIN)
    .where(_CHAIN.c.organisation == bindparam("who"), _CHAIN.c.chain == bindparam("which"))
    .values(head_at=bindparam("seen"))
)
THIS_CHAIN = sql(
    select(_CHAIN.c.subject, _CHAIN.c.number, _CHAIN.c.digest, _CHAIN.c.head_at).where(
        _CHAIN.c.organisation == bindparam("organisation"), _CHAIN.c.chain == bindparam("chain")
    )
)
GET_LOG = sql(
    select(_LOG.c.size, _LOG.c.root, _LOG.c.note).where(
        _LOG.c.organisation == bindparam("organisation")
    )
)
PUT_LOG = sql(insert(_LOG).prefix_with("OR REPLACE"))
PRESENT = sql(
    select(func.count())
    .select_from(_LOOK)
    .where(
        _LOOK.c.organisation == bindparam("organisation"),
        _LOOK.c.chain == bindparam("chain"),
        _LOOK.c.number.between(bindparam("first"), bindparam("last")),
    )
)
OPEN_ALARMS = sql(
    select(_ALARM.c.number, _ALARM.c.first, _ALARM.c.last).where(
        _ALARM.c.organisation == bindparam("organisation"),
        _ALARM.c.chain == bindparam("chain"),
        _ALARM.c.kind == bindparam("kind"),
        _ALARM.c.settled_at.is_(None),
    )
)
SETTLE = sql(
    update(_ALARM).where(_ALARM.c.number == bindparam("id")).values(settled_at=bindparam("settled"))
)
REMATCH = sql(
    update(_LOOK)
    .where(_LOOK.c.patient.is_(None), _LOOK.c.disclosure.in_(select(_DISCLOSURE.c.tx)))
    .values(
        patient=select(_DISCLOSURE.c.patient)
        .where(_DISCLOSURE.c.tx == _LOOK.c.disclosure)
        .scalar_subquery()
    )
)

GET_DISCLOSURE = sql(
    select(
        _DISCLOSURE.c.custodian,
        _DISCLOSURE.c.recipient,
        _DISCLOSURE.c.patient,
        _DISCLOSURE.c.person,
        _DISCLOSURE.c.purpose,
        _DISCLOSURE.c.read_until,
    ).where(_DISCLOSURE.c.tx == bindparam("tx"), _DISCLOSURE.c.agent == bindparam("me"))
)
# Also before a desk has signed: an organisation that she consented to knows her by an id drawn for it here.
GET_NAMED = sql(
    select(_ENROLMENT.c.local).where(
        _ENROLMENT.c.patient == bindparam("patient"),
        _ENROLMENT.c.custodian == bindparam("organisation"),
    )
)
DISCLOSED_ITEMS = sql(
    select(_DISCLOSED.c.commitment, _DISCLOSED.c.content).where(_DISCLOSED.c.tx == bindparam("tx"))
)
RECORDS_THERE = sql(
    select(_RECORD.c.commitment, _RECORD.c.content).where(
        _RECORD.c.patient == bindparam("patient"), _RECORD.c.custodian == bindparam("custodian")
    )
)
HER_RECORDS = sql(
    select(_RECORD.c.commitment, _RECORD.c.content).where(_RECORD.c.patient == bindparam("patient"))
)

_LINE = (_LOOK.c.organisation, _LOOK.c.chain, _LOOK.c.number)
WHO_LOOKED = sql(
    select(*_LINE, _LOOK.c.at, _LOOK.c.body)
    .where(
        _LOOK.c.patient == bindparam("patient"),
        tuple_(_LOOK.c.at, *_LINE)
        < tuple_(
            bindparam("at"), bindparam("organisation"), bindparam("chain"), bindparam("number")
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
    )
    .order_by(_ITEM.c.item)
)
ALARMS = sql(
    select(
        _ALARM.c.number,
        _ALARM.c.at,
        _ALARM.c.organisation,
        _ALARM.c.kind,
        _ALARM.c.words,
        _ALARM.c.settled_at,
    )
    .where(_ALARM.c.patient == bindparam("patient"), _ALARM.c.number < bindparam("before"))
    .order_by(_ALARM.c.number.desc())
    .limit(bindparam("most"))
)
SILENT = sql(
    select(_DISCLOSURE.c.tx, _DISCLOSURE.c.recipient, _DISCLOSURE.c.patient)
    .outerjoin(
        _CHAIN,
        (_CHAIN.c.organisation == _DISCLOSURE.c.recipient) & (_CHAIN.c.subject == _DISCLOSURE.c.tx),
    )
    .where(
        _DISCLOSURE.c.agent == bindparam("me"),
        _DISCLOSURE.c.at < bindparam("since"),
        _DISCLOSURE.c.read_until > bindparam("since"),
        func.coalesce(_CHAIN.c.head_at, 0) < bindparam("since"),
    )
)
