"""Records: metadata for whom they concern, content through the gate."""

from enum import StrEnum
from typing import Annotated

import strawberry
from sqlalchemy import and_, bindparam, func, or_

from app.auth.sessions import Role
from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.enums import documented
from app.graphql.scalars import Digest, LedgerSeq, UInt53
from app.graphql.schema.codes import Category, WithheldReason
from app.graphql.schema.content import (
    CONTENT_COST,
    TOLD_BY_READING,
    PurposeArgument,
    RecordContent,
    purpose_of,
    shown,
    shown_to_patient,
)
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.listing import After, Before, First, Last, Listing, Parameter, find, page
from app.graphql.schema.moment import Cell, Row, content_of
from app.graphql.schema.node import Id, Node, filter_keys, info_keys
from app.graphql.schema.party import KIND as PARTY_KIND
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.patient import KIND as PATIENT_KIND
from app.graphql.schema.patient import Patient, whose
from app.graphql.schema.policy import Reach, Subject
from app.graphql.schema.transaction import AsOf, Transaction, creating
from app.rows.tables import RecordRow
from app.storage.statements import table_of
from states.state import StateRef, TransactionId

KIND = "record"

_R = table_of(RecordRow)
_SEQ: Parameter = bindparam("seq")
LIVE_AT = or_(_R.c.consumed_seq.is_(None), _R.c.consumed_seq > _SEQ)
# As GateRule.NOT_CLOSED: what a patient closes to staff is to them as if it were not there.
_LEFT_OPEN = (
    func.staff_may_see(
        _R.c.patient,
        _R.c.content,
        bindparam("viewer_bytes"),
        bindparam("viewer_role"),
        bindparam("now"),
    )
    == 1
)

RECORDS = Listing(
    name="records",
    subject=Subject.RECORD,
    source=_R,
    columns=(
        _R.c.tx,
        _R.c.idx,
        _R.c.custodian,
        _R.c.patient,
        _R.c.version,
        _R.c.commitment,
        _R.c.blob,
        _R.c.size_class,
        _R.c.content,
        _R.c.withheld,
        _R.c.created_seq,
        _R.c.consumed_seq,
    ),
    key=(_R.c.tx, _R.c.idx),
    order=(_R.c.created_seq, _R.c.idx),
    visible={
        Reach.OWN: _R.c.patient == bindparam("viewer_person"),
        Reach.HOUSE: and_(
            _R.c.custodian == bindparam("viewer_me"), _R.c.passed_to.is_(None), _LEFT_OPEN
        ),
    },
    at=_R.c.created_seq <= _SEQ,
    filters={
        "patient": _R.c.patient == bindparam("filter_patient"),
        "category": _R.c.category == bindparam("filter_category"),
        "custodian": _R.c.custodian == bindparam("filter_custodian"),
        "live": and_(LIVE_AT, bindparam("filter_live") == 1),
        "past": and_(_R.c.consumed_seq <= _SEQ, bindparam("filter_past") == 1),
    },
)


@documented(
    "Which states: those that live, those that were consumed, or both.",
    {
        "LIVE": "Those that nothing has consumed.",
        "PAST": "Those that were replaced or have ended.",
        "ALL": "Both.",
    },
)
class Life(StrEnum):
    """At the ledger moment that is read."""

    LIVE = "live"
    PAST = "past"
    ALL = "all"


async def _content(root: "Record", info: Info, purpose: PurposeArgument) -> RecordContent:
    context = info.context
    gate = context.api.gate
    ref = StateRef(TransactionId(bytes(root.transaction_id)), root.index)
    session, why = context.caller.session, purpose_of(purpose)
    if session.role is Role.PATIENT:
        return await shown_to_patient(context, root.size_class, ref, why)
    return await shown(context, root.size_class, lambda: gate.read_own(session, ref, why))


@strawberry.type(description="One version of a record, without its content.")
class Record(Node):
    """What the ledger and its sealed components say of a record."""

    patient_name: strawberry.Private[Cell]
    transaction_id: Digest = strawberry.field(description="The transaction that created it.")
    index: int = strawberry.field(description="Its place among that transaction's outputs.")
    custodian: Party = strawberry.field(description="Who keeps it.")
    version: int = strawberry.field(description="1 at first.")
    kind: str = strawberry.field(description="FHIR resource type.")
    code: str | None = strawberry.field(
        description="Its clinical code; may be empty. " + TOLD_BY_READING
    )
    code_system: str | None = strawberry.field(
        description="The code's system; may be empty. " + TOLD_BY_READING
    )
    category: Category = strawberry.field(description="What kind of record it is.")
    labels: list[str] | None = strawberry.field(
        description="Confidentiality and sensitivity. " + TOLD_BY_READING
    )
    day: str | None = strawberry.field(
        description="Day of care at the custodian, as YYYY-MM-DD; null where the resource has none."
    )
    commitment: Digest = strawberry.field(description="What its bytes must hash to.")
    blob: str = strawberry.field(description="The CID of its ciphertext.")
    size_class: UInt53 = strawberry.field(description="Bytes of ciphertext, padded.")
    created_seq: LedgerSeq = strawberry.field(description="Since when it is here.")
    consumed_seq: LedgerSeq | None = strawberry.field(
        description="Since when it has ended here: amended, moved, erased. Null while it lives."
    )
    withheld: WithheldReason | None = strawberry.field(
        description="Why the custodian withholds its content from the patient; null where it does not."
    )
    patient: Patient | None = strawberry.field(
        resolver=whose, description="Whose it is; null where you may not see her."
    )
    transaction: Transaction | None = strawberry.field(
        resolver=creating, description="What created it; null where you may not see it."
    )
    content: RecordContent | None = strawberry.field(
        resolver=_content,
        description="The FHIR resource, to the custodian's staff and to the patient herself. Reading it is logged, "
        "also where it is refused.",
        metadata={"cost": CONTENT_COST},
    )


def record_of(context: ApiContext, row: Row) -> Record:
    tx, idx, custodian, patient, version, commitment, blob, size, content, withheld = row[:10]
    made, ended = row[10:]
    assert isinstance(tx, bytes), "a primary key"
    assert isinstance(commitment, bytes), "a column of bytes"
    said = content_of(content)
    hers = context.viewer.reach(Subject.RECORD) is Reach.OWN
    return Record(
        id=context.api.ids.seal(KIND, tx, int(idx or 0)),
        patient_name=patient,
        transaction_id=Digest(tx),
        index=int(idx or 0),
        custodian=party_of(context, str(custodian)),
        version=int(version or 0),
        kind=said.kind,
        code=said.code if hers else None,
        code_system=said.system if hers else None,
        category=Category(said.category),
        labels=list(said.labels) if hers else None,
        day=said.day,
        commitment=Digest(commitment),
        blob=str(blob),
        size_class=UInt53(int(size or 0)),
        withheld=None if withheld is None else WithheldReason(str(withheld)),
        created_seq=LedgerSeq(int(made or 0)),
        consumed_seq=None if ended is None else LedgerSeq(int(ended)),
    )


def find_record(context: ApiContext, keys: tuple[SortKey, ...]) -> Record | None:
    row = find(context, RECORDS, keys)
    return None if row is None else record_of(context, row)


PatientFilter = Annotated[
    strawberry.ID | None, strawberry.argument(description="Only those of this patient.")
]
LifeFilter = Annotated[Life, strawberry.argument(description="Live ones, unless you say so.")]


def chosen(info: Info, patient: str | None, status: Life) -> dict[str, Cell]:
    """Return the filters that were asked for. Raises BAD_USER_INPUT for what is no id of a patient."""
    filters: dict[str, Cell] = {}
    if patient is not None:
        (local,) = filter_keys(info.context, "patient", patient, PATIENT_KIND)
        filters["patient"] = str(local)
    if status is not Life.ALL:
        filters[status.value] = 1
    return filters


def record(info: Info, id: Id) -> Record | None:  # noqa: A002  its name in the API
    keys = info_keys(info, id, KIND)
    return None if keys is None else find_record(info.context, keys)


def records(  # noqa: PLR0913, PLR0917  filters, and a Relay connection's four arguments
    info: Info,
    patient: PatientFilter = None,
    category: Annotated[
        Category | None, strawberry.argument(description="Only those of this category.")
    ] = None,
    custodian: Annotated[
        strawberry.ID | None, strawberry.argument(description="Only those that this member keeps.")
    ] = None,
    status: LifeFilter = Life.LIVE,
    as_of: AsOf = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Record]:
    context = info.context
    filters = chosen(info, patient, status)
    if category is not None:
        filters["category"] = category.value
    if custodian is not None:
        (filters["custodian"],) = filter_keys(context, "custodian", custodian, PARTY_KIND)
    return page(
        context,
        RECORDS,
        PageArguments(first, after, last, before),
        lambda row: record_of(context, row),
        filters,
        as_of,
    )
