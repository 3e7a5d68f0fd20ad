"""Restrictions: what patients close at a custodian. No grantee is ever shown one."""

from datetime import datetime

import strawberry
from sqlalchemy import and_, bindparam

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.scalars import Digest, LedgerSeq
from app.graphql.schema.consent import COLUMNS, HERS, STATEMENT_FILTERS
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.listing import After, Before, First, Last, Listing, find, page
from app.graphql.schema.moment import Cell, Row
from app.graphql.schema.node import Id, Node, info_keys
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.patient import Patient, whose
from app.graphql.schema.policy import Reach, Subject
from app.graphql.schema.record import Life, LifeFilter, PatientFilter, chosen
from app.graphql.schema.terms import (
    InForce,
    StatementStatus,
    Terms,
    in_force,
    status_of,
    terms_of,
)
from app.graphql.schema.transaction import AsOf, Transaction, creating
from app.rows.tables import StatementRow
from app.storage.statements import table_of

KIND = "restriction"

_S = table_of(StatementRow)
RESTRICTIONS = Listing(
    name="restrictions",
    subject=Subject.RESTRICTION,
    source=_S,
    columns=COLUMNS,
    key=(_S.c.tx, _S.c.idx),
    order=(_S.c.created_seq, _S.c.idx),
    visible={Reach.OWN: HERS, Reach.HOUSE: _S.c.custodian == bindparam("viewer_me")},
    at=and_(_S.c.grantee.is_(None), _S.c.created_seq <= bindparam("seq")),
    filters=STATEMENT_FILTERS,
)


def _in_force(root: "Restriction", info: Info) -> list[InForce]:
    context = info.context
    reach = context.viewer.reach(Subject.RESTRICTION)
    return in_force(context, reach, bytes(root.transaction_id), root.since_ms)


@strawberry.type(description="What a patient closes at one custodian, until she opens it again.")
class Restriction(Node):
    """It binds from the custodian's signed word on."""

    patient_name: strawberry.Private[Cell]
    since_ms: strawberry.Private[Cell]
    transaction_id: Digest = strawberry.field(description="The transaction that created it.")
    index: int = strawberry.field(description="Its place among that transaction's outputs.")
    custodian: Party = strawberry.field(description="Where it closes.")
    agent: Party = strawberry.field(description="Who speaks for the patient.")
    start: datetime = strawberry.field(description="From when on.")
    terms: Terms = strawberry.field(description="To whom, for what, which records.")
    status: StatementStatus = strawberry.field(description="What it is now.")
    recorded_at: datetime = strawberry.field(description="The notary's time.")
    created_seq: LedgerSeq = strawberry.field(description="Since when it is here.")
    consumed_seq: LedgerSeq | None = strawberry.field(
        description="Since when it has ended here, lifted or replaced. Null while it lives."
    )
    in_force: list[InForce] = strawberry.field(
        resolver=_in_force, description="Who acts on it, since when, by their signed word."
    )
    patient: Patient | None = strawberry.field(
        resolver=whose, description="Who restricts; null where you may not see her."
    )
    transaction: Transaction | None = strawberry.field(
        resolver=creating, description="What created it; null where you may not see it."
    )


def restriction_of(context: ApiContext, row: Row) -> Restriction:
    tx, idx, custodian, _, agent, patient, start, _, terms, _ = row[:10]
    at, since, made, consumed, closed = row[10:]
    assert isinstance(tx, bytes), "a primary key"
    return Restriction(
        id=context.api.ids.seal(KIND, tx, int(idx or 0)),
        patient_name=patient,
        since_ms=since,
        transaction_id=Digest(tx),
        index=int(idx or 0),
        custodian=party_of(context, str(custodian)),
        agent=party_of(context, str(agent)),
        start=instant(int(start or 0)),
        terms=terms_of(context, terms),
        status=status_of(context.moment.now, start, None, consumed, closed),
        recorded_at=instant(int(at or 0)),
        created_seq=LedgerSeq(int(made or 0)),
        consumed_seq=None if consumed is None else LedgerSeq(int(consumed)),
    )


def find_restriction(context: ApiContext, keys: tuple[SortKey, ...]) -> Restriction | None:
    row = find(context, RESTRICTIONS, keys)
    return None if row is None else restriction_of(context, row)


def restriction(info: Info, id: Id) -> Restriction | None:  # noqa: A002  its name in the API
    keys = info_keys(info, id, KIND)
    return None if keys is None else find_restriction(info.context, keys)


def restrictions(  # noqa: PLR0913, PLR0917  filters, and a Relay connection's four arguments
    info: Info,
    patient: PatientFilter = None,
    status: LifeFilter = Life.LIVE,
    as_of: AsOf = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Restriction]:
    context = info.context
    return page(
        context,
        RESTRICTIONS,
        PageArguments(first, after, last, before),
        lambda row: restriction_of(context, row),
        chosen(info, patient, status),
        as_of,
    )
