"""What a former custodian does with what it has passed on: its staff reads it no more."""

from sqlalchemy import bindparam, select, tuple_, update

from app.rows.tables import RecordRow
from app.storage.statements import sql, table_of
from app.vault.subject import Step
from states.identity import Party
from states.ledger import LedgerTransaction
from states.state import StateRef
from states.subjects.record import MedicalRecord

_RECORD = table_of(RecordRow)
_VERSION = (
    select(_RECORD.c.tx, _RECORD.c.idx, _RECORD.c.created_seq)
    .where(_RECORD.c.tx == bindparam("id"), _RECORD.c.idx == bindparam("index"))
    .cte("version", recursive=True)
)
_BEFORE = _RECORD.alias("before")
_VERSIONS = _VERSION.union(
    select(_BEFORE.c.tx, _BEFORE.c.idx, _BEFORE.c.created_seq).join(
        _VERSION,
        (_BEFORE.c.consumed_seq == _VERSION.c.created_seq)
        & (_BEFORE.c.custodian == bindparam("me")),
    )
)
_PASS_ON = sql(
    update(_RECORD)
    .where(
        _RECORD.c.custodian == bindparam("me"),
        tuple_(_RECORD.c.tx, _RECORD.c.idx).in_(select(_VERSIONS.c.tx, _VERSIONS.c.idx)),
    )
    .values(passed_to=bindparam("to"))
)


def pass_on(step: Step, me: Party, ledger: LedgerTransaction, ref: StateRef) -> None:
    """At a former custodian: close a record that a transaction passes on, with the versions before it.

    It is outside from here on: who reads the record again needs a consent, as everybody else does.
    """
    for _, record in ledger.outputs_of(MedicalRecord):
        if record.custodian != me:
            passed = {"id": ref.tx, "index": ref.index, "me": me, "to": record.custodian}
            step.unit.execute(_PASS_ON, passed)
