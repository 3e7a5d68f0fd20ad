"""The statements of an agent's alarms about readings: Core, compiled once to text."""

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from app.readings.tables import LookAlarmRow
from app.rows.tables import DisclosureRow, EnrolmentRow
from app.storage.statements import sql, table_of

_ALARM = table_of(LookAlarmRow)
_DISCLOSURE, _ENROLMENT = table_of(DisclosureRow), table_of(EnrolmentRow)

ADD_ALARM = sql(
    insert(_ALARM).values({c.name: bindparam(c.name) for c in _ALARM.c if c.name != "number"})
)
_IN_CHAIN = (
    (_ALARM.c.organisation == bindparam("organisation"))
    & (_ALARM.c.chain == bindparam("chain"))
    & _ALARM.c.settled_at.is_(None)
)
# Of a patient: in whichever chain; of nobody known yet: in one chain, from `low` to `high` (ReportedChain).
_OPEN_ABOUT = (
    (_ALARM.c.organisation == bindparam("organisation"))
    & _ALARM.c.patient.is_(bindparam("patient"))
    & _ALARM.c.chain.between(bindparam("low"), bindparam("high"))
    & _ALARM.c.settled_at.is_(None)
)
COUNT_ALARMS = sql(select(func.count()).select_from(_ALARM).where(_OPEN_ABOUT))
IS_FLOODED = sql(
    select(_ALARM.c.number)
    .where(_OPEN_ABOUT, _ALARM.c.kind == literal_column("'FLOODED'"))
    .limit(1)
)
OPEN_ALARMS = sql(
    select(_ALARM.c.number, _ALARM.c.first, _ALARM.c.last, _ALARM.c.epoch).where(
        _IN_CHAIN, _ALARM.c.kind == bindparam("kind")
    )
)
IS_MISSED = sql(
    select(_ALARM.c.number)
    .where(
        _IN_CHAIN,
        _ALARM.c.epoch == bindparam("epoch"),
        _ALARM.c.kind == literal_column("'MISSING'"),
        _ALARM.c.first <= bindparam("first"),
        _ALARM.c.last >= bindparam("last"),
    )
    .limit(1)
)
SETTLE = sql(
    update(_ALARM).where(_ALARM.c.number == bindparam("id")).values(settled_at=bindparam("settled"))
)
MATCH_ALARMS = sql(
    update(_ALARM)
    .where(
        _ALARM.c.organisation == bindparam("who"),
        _ALARM.c.chain == bindparam("which"),
        _ALARM.c.patient.is_(None),
        _ALARM.c.kind != literal_column("'UNKNOWN'"),
    )
    .values(patient=bindparam("hers"))
)
ONE_MORE = sql(
    update(_ALARM).where(_ALARM.c.number == bindparam("id")).values(last=_ALARM.c.last + 1)
)
WHOLE = sql(
    select(_ALARM.c.organisation, _ALARM.c.number, _ALARM.c.last).where(
        _ALARM.c.kind == bindparam("kind"),
        _ALARM.c.patient.is_(None),
        _ALARM.c.settled_at.is_(None),
    )
)
_OF_WHOLE = _ALARM.c.kind.in_(
    [literal_column(f"'{kind}'") for kind in ("FLOODED", "LEFT_OUT", "OTHER_LOG")]
)


def seen_by(patient: BindParameter[str]) -> ColumnElement[bool]:
    """Whether a patient is told of an alarm: of her own, and of what may have been about any of an organisation's."""
    hers = or_(
        exists().where(
            _ENROLMENT.c.local == patient, _ENROLMENT.c.custodian == _ALARM.c.organisation
        ),
        exists().where(
            _DISCLOSURE.c.patient == patient,
            or_(
                _DISCLOSURE.c.custodian == _ALARM.c.organisation,
                _DISCLOSURE.c.recipient == _ALARM.c.organisation,
            ),
        ),
    )
    return or_(_ALARM.c.patient == patient, and_(_ALARM.c.patient.is_(None), _OF_WHOLE, hers))


ALARMS = sql(
    select(
        _ALARM.c.number,
        _ALARM.c.at,
        _ALARM.c.organisation,
        _ALARM.c.kind,
        _ALARM.c.words,
        _ALARM.c.settled_at,
    )
    .where(seen_by(bindparam("patient")), _ALARM.c.number < bindparam("before"))
    .order_by(_ALARM.c.number.desc())
    .limit(bindparam("most"))
)
SETTLE_BEYOND = sql(
    update(_ALARM)
    .where(
        _ALARM.c.organisation == bindparam("who"),
        _ALARM.c.chain == bindparam("which"),
        _ALARM.c.kind == literal_column("'BEYOND'"),
        _ALARM.c.words == bindparam("said"),
        _ALARM.c.evidence == bindparam("line"),
        _ALARM.c.settled_at.is_(None),
    )
    .values(settled_at=bindparam("settled"))
)
