"""The statements of whom reported lines are about: Core, compiled once to text.

What is of nobody known here has indexes of its own: what it takes to look for it does not grow with all that is kept.
"""

from sqlalchemy import (
    ColumnElement,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from app.readings.tables import LookChainRow, LookItemRow, LookRow
from app.rows.tables import DisclosureItemRow, DisclosureRow, EnrolmentRow, RecordRow
from app.storage.statements import sql, table_of

_LOOK, _ITEM, _CHAIN = table_of(LookRow), table_of(LookItemRow), table_of(LookChainRow)
_DISCLOSURE, _DISCLOSED = table_of(DisclosureRow), table_of(DisclosureItemRow)
_ENROLMENT, _RECORD = table_of(EnrolmentRow), table_of(RecordRow)


def _is_known(
    organisation: ColumnElement[str], subject: ColumnElement[bytes]
) -> ColumnElement[bool]:
    """Whether a chain's subject is a disclosure of this agent's, or a name by which a patient of its is known there.

    They are told apart by their lengths.
    """
    return or_(
        exists().where(
            _DISCLOSURE.c.tx == subject,
            _DISCLOSURE.c.agent == bindparam("me"),
            _DISCLOSURE.c.patient.is_not(None),
            or_(_DISCLOSURE.c.custodian == organisation, _DISCLOSURE.c.recipient == organisation),
        ),
        exists().where(_ENROLMENT.c.patient == subject, _ENROLMENT.c.custodian == organisation),
    )


COUNT_UNMATCHED, COUNT_UNMATCHED_CHAINS = (
    sql(
        select(func.count())
        .select_from(table)
        .where(table.c.organisation == bindparam("organisation"), table.c.patient.is_(None))
    )
    for table in (_LOOK, _CHAIN)
)
_REPORTED = (_LOOK.c.organisation, _LOOK.c.subject, _LOOK.c.body, _LOOK.c.salt, _LOOK.c.proof)
UNMATCHED = sql(
    select(*_REPORTED)
    .where(_LOOK.c.patient.is_(None), _is_known(_LOOK.c.organisation, _LOOK.c.subject))
    .limit(bindparam("most"))
)
UNMATCHED_CHAINS = sql(
    select(_CHAIN.c.organisation, _CHAIN.c.chain, _CHAIN.c.subject)
    .where(_CHAIN.c.patient.is_(None), _is_known(_CHAIN.c.organisation, _CHAIN.c.subject))
    .distinct()
    .limit(bindparam("most"))
)
MATCH_CHAIN = sql(
    update(_CHAIN)
    .where(_CHAIN.c.organisation == bindparam("who"), _CHAIN.c.chain == bindparam("which"))
    .values(patient=bindparam("hers"))
)
MATCH = sql(
    update(_LOOK)
    .where(
        _LOOK.c.organisation == bindparam("who"),
        _LOOK.c.chain == bindparam("which"),
        _LOOK.c.number == bindparam("at_number"),
        _LOOK.c.digest == bindparam("hash"),
    )
    .values(patient=bindparam("hers"))
)
_OF_UNKNOWN = (
    select(*_REPORTED)
    .join(
        _ITEM,
        (_ITEM.c.organisation == _LOOK.c.organisation)
        & (_ITEM.c.chain == _LOOK.c.chain)
        & (_ITEM.c.number == _LOOK.c.number)
        & (_ITEM.c.digest == _LOOK.c.digest),
    )
    .where(_ITEM.c.commitment.is_(None))
    .distinct()
    .limit(bindparam("most"))
)
OF_UNKNOWN = sql(_OF_UNKNOWN)
# Not the column itself: by it SQLite would go through all items of the organisation, and not the few unknown ones.
OF_UNKNOWN_BY = sql(
    _OF_UNKNOWN.where(_ITEM.c.organisation.concat(literal_column("''")) == bindparam("who"))
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
