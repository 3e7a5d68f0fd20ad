"""Consents: what patients permit to organisations."""

from datetime import datetime

import strawberry
from sqlalchemy import and_, bindparam, func, or_

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.scalars import Digest, LedgerSeq
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.listing import After, Before, First, Last, Listing, Parameter, find, page
from app.graphql.schema.moment import Cell, Row
from app.graphql.schema.node import Id, Node, info_keys
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.patient import Patient, whose
from app.graphql.schema.policy import Reach, Subject
from app.graphql.schema.record import Life, LifeFilter, PatientFilter, chosen
from app.graphql.schema.terms import (
    Exceptions,
    InForce,
    StatementStatus,
    Terms,
    exceptions_of,
    in_force,
    status_of,
    terms_of,
)
from app.graphql.schema.transaction import AsOf, Transaction, creating
from app.rows.tables import StatementRow
from app.storage.statements import table_of

KIND = "consent"

_S = table_of(StatementRow)
_SEQ: Parameter = bindparam("seq")
_ME: Parameter = bindparam("viewer_me")

IS_CONSENT = _S.c.grantee.is_not(None)
ADDRESSED = and_(
    _S.c.grantee == _ME,
    func.terms_reach(_S.c.terms, bindparam("viewer_bytes"), bindparam("viewer_role")) == 1,
)
OPEN_NOW = and_(_S.c.consumed_seq.is_(None), _S.c.closed_at.is_(None), _S.c.end > bindparam("now"))
INVOLVED = or_(_S.c.custodian == _ME, _S.c.grantee == _ME)
HERS = _S.c.patient == bindparam("viewer_person")
STATEMENT_FILTERS = {
    "patient": _S.c.patient == bindparam("filter_patient"),
    "live": and_(
        or_(_S.c.consumed_seq.is_(None), _S.c.consumed_seq > _SEQ), bindparam("filter_live") == 1
    ),
    "past": and_(_S.c.consumed_seq <= _SEQ, bindparam("filter_past") == 1),
}
COLUMNS = (
    _S.c.tx,
    _S.c.idx,
    _S.c.custodian,
    _S.c.grantee,
    _S.c.agent,
    _S.c.patient,
    _S.c.start,
    _S.c.end,
    _S.c.terms,
    _S.c.exceptions,
    _S.c.at,
    _S.c.since,
    _S.c.created_seq,
    _S.c.consumed_seq,
    _S.c.closed_at,
)
CONSENTS = Listing(
    name="consents",
    subject=Subject.CONSENT,
    source=_S,
    columns=COLUMNS,
    key=(_S.c.tx, _S.c.idx),
    order=(_S.c.created_seq, _S.c.idx),
    visible={
        Reach.OWN: HERS,
        Reach.ADDRESSED: and_(ADDRESSED, OPEN_NOW),
        Reach.INVOLVED: INVOLVED,
    },
    at=and_(IS_CONSENT, _S.c.created_seq <= _SEQ),
    filters=STATEMENT_FILTERS,
)


def _in_force(root: "Consent", info: Info) -> list[InForce]:
    context = info.context
    reach = context.viewer.reach(Subject.CONSENT)
    return in_force(context, reach, bytes(root.transaction_id), root.since_ms)


@strawberry.type(
    description="What one organisation may read at one custodian, by a patient's word."
)
class Consent(Node):
    """Signed with the patient's authority; ends when she says so, or at its end."""

    patient_name: strawberry.Private[Cell]
    since_ms: strawberry.Private[Cell]
    transaction_id: Digest = strawberry.field(description="The transaction that created it.")
    index: int = strawberry.field(description="Its place among that transaction's outputs.")
    custodian: Party = strawberry.field(description="Where it lets read.")
    grantee: Party = strawberry.field(description="Whom it lets read.")
    agent: Party = strawberry.field(description="Who speaks for the patient.")
    start: datetime = strawberry.field(description="From when on.")
    end: datetime = strawberry.field(description="Until when, exclusive.")
    terms: Terms = strawberry.field(description="Who, for what, which records.")
    exceptions: Exceptions | None = strawberry.field(
        description="What it leaves out; null at its grantee, who is not told."
    )
    status: StatementStatus = strawberry.field(description="What it is now.")
    recorded_at: datetime = strawberry.field(description="The notary's time.")
    created_seq: LedgerSeq = strawberry.field(description="Since when it is here.")
    consumed_seq: LedgerSeq | None = strawberry.field(
        description="Since when it has ended here, revoked or replaced. Null while it lives."
    )
    in_force: list[InForce] = strawberry.field(
        resolver=_in_force, description="Who acts on it, since when, by their signed word."
    )
    patient: Patient | None = strawberry.field(
        resolver=whose, description="Who consents; null where you may not see her."
    )
    transaction: Transaction | None = strawberry.field(
        resolver=creating, description="What created it; null where you may not see it."
    )


def consent_of(context: ApiContext, row: Row) -> Consent:
    tx, idx, custodian, grantee, agent, patient, start, end, terms, exceptions = row[:10]
    at, since, made, consumed, closed = row[10:]
    assert isinstance(tx, bytes), "a primary key"
    # What is left out is for the patient and the custodian, though an agent's row may be read by others one day.
    may = context.viewer.reach(Subject.CONSENT) is Reach.OWN or custodian == context.viewer.me
    return Consent(
        id=context.api.ids.seal(KIND, tx, int(idx or 0)),
        patient_name=patient,
        since_ms=since,
        transaction_id=Digest(tx),
        index=int(idx or 0),
        custodian=party_of(context, str(custodian)),
        grantee=party_of(context, str(grantee)),
        agent=party_of(context, str(agent)),
        start=instant(int(start or 0)),
        end=instant(int(end or 0)),
        terms=terms_of(context, terms),
        exceptions=exceptions_of(exceptions) if may else None,
        status=status_of(context.moment.now, start, end, consumed, closed),
        recorded_at=instant(int(at or 0)),
        created_seq=LedgerSeq(int(made or 0)),
        consumed_seq=None if consumed is None else LedgerSeq(int(consumed)),
    )


def find_consent(context: ApiContext, keys: tuple[SortKey, ...]) -> Consent | None:
    row = find(context, CONSENTS, keys)
    return None if row is None else consent_of(context, row)


def consent(info: Info, id: Id) -> Consent | None:  # noqa: A002  its name in the API
    keys = info_keys(info, id, KIND)
    return None if keys is None else find_consent(info.context, keys)


def consents(  # noqa: PLR0913, PLR0917  filters, and a Relay connection's four arguments
    info: Info,
    patient: PatientFilter = None,
    status: LifeFilter = Life.LIVE,
    as_of: AsOf = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Consent]:
    context = info.context
    return page(
        context,
        CONSENTS,
        PageArguments(first, after, last, before),
        lambda row: consent_of(context, row),
        chosen(info, patient, status),
        as_of,
    )
