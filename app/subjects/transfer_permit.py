"""Permits of transfer at an agent: from which custodian to which other a patient lets her records pass, until when."""

from sqlite3 import Connection
from typing import Literal

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert

from app.rows.tables import TransferPermitRow
from app.storage.statements import sql, table_of
from app.subjects.enrolment import Enrolments
from app.vault.reader import NotEnrolled
from states.errors import LedgerError
from states.identity import Party

PERMIT_DAYS_MAX = 30
PERMIT_MS_MAX = PERMIT_DAYS_MAX * 86_400_000

_PERMIT = table_of(TransferPermitRow)
_THIS = (
    _PERMIT.c.patient == bindparam("whose"),
    _PERMIT.c.custodian == bindparam("old"),
    _PERMIT.c.to == bindparam("new"),
)
_PUT = sql(insert(_PERMIT).prefix_with("OR REPLACE"))
_LIVE = sql(select(_PERMIT.c.until).where(*_THIS, _PERMIT.c.until > bindparam("now")))
_DROP = sql(delete(_PERMIT).where(*_THIS))
_DROP_ALL = sql(delete(_PERMIT))
_DROP_ENDED = sql(
    delete(_PERMIT).where(
        _PERMIT.c.patient == bindparam("whose"), _PERMIT.c.until <= bindparam("now")
    )
)


class NotPermissible(LedgerError):
    """A patient cannot permit this: `field` is what of it is wrong."""

    def __init__(self, field: Literal["custodian", "to", "until"], words: str) -> None:
        super().__init__(words)
        self.field = field


class TransferPermits:
    """What this agent's patients permit. One row for a patient and two custodians, for any number of records."""

    def __init__(self, enrolments: Enrolments) -> None:
        self._enrolments = enrolments

    def permit(
        self, db: Connection, now: int, patient: str, custodian: Party, to: Party, until: int
    ) -> None:
        """Let records of a patient (her handle, hex) pass, until then and not longer. Raises NotPermissible.

        Said again, the new end takes the place of the old one, be it later or earlier.
        """
        if to == custodian:
            raise NotPermissible("to", "a record passes to another organisation")
        if until <= now:
            raise NotPermissible("until", "it must end later than now")
        if until - now > PERMIT_MS_MAX:
            raise NotPermissible("until", f"it must end within {PERMIT_DAYS_MAX} days")
        self._check_enrolled(db, patient, "custodian", custodian)
        self._check_enrolled(db, patient, "to", to)
        db.execute(_DROP_ENDED, {"whose": patient, "now": now})
        row = {"patient": patient, "custodian": custodian, "to": to, "until": until}
        db.execute(_PUT, row)

    def _check_enrolled(
        self, db: Connection, patient: str, field: Literal["custodian", "to"], party: Party
    ) -> None:
        try:
            self._enrolments.of_local(db, party, patient)
        except NotEnrolled:
            raise NotPermissible(field, "you are not enrolled there") from None

    @staticmethod
    def withdraw(db: Connection, patient: str, custodian: Party, to: Party) -> None:
        """End a permit, if there is one: nothing is introduced by it from now on."""
        db.execute(_DROP, {"whose": patient, "old": custodian, "new": to})

    @staticmethod
    def withdraw_all(db: Connection) -> None:
        """End every permit: an image from before a withdrawal does not know of it, and nobody else could tell."""
        db.execute(_DROP_ALL)

    @staticmethod
    def permitted_until(
        db: Connection, now: int, patient: str, custodian: Party, to: Party
    ) -> int | None:
        """Return until when a patient lets her records pass from one custodian to another; None if not now."""
        asked = {"whose": patient, "old": custodian, "new": to, "now": now}
        row = db.execute(_LIVE, asked).fetchone()
        return None if row is None else row[0]
