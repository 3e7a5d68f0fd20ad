"""Patients: at a custodian those who are enrolled, at an agent the patient herself."""

from datetime import datetime
from typing import Protocol

import strawberry
from sqlalchemy import and_, bindparam, func, or_, select

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.listing import After, Before, First, Last, Listing, find, page
from app.graphql.schema.moment import Cell, Row, sql
from app.graphql.schema.node import Node
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Reach, Subject
from app.rows.tables import EnrolmentRow
from app.storage.statements import table_of

KIND = "patient"

_E = table_of(EnrolmentRow)
_HERE = _E.c.custodian == bindparam("viewer_me")
_PATIENTS = (
    select(_E.c.local, func.min(_E.c.from_time).label("since"), func.max(_HERE).label("here"))
    .where(_E.c.signed.is_not(None))
    .group_by(_E.c.local)
    .subquery("patients")
)
PATIENTS = Listing(
    name="patients",
    subject=Subject.PATIENT,
    source=_PATIENTS,
    columns=(_PATIENTS.c.local, _PATIENTS.c.since),
    key=(_PATIENTS.c.local,),
    order=(_PATIENTS.c.local,),
    visible={
        Reach.OWN: _PATIENTS.c.local == bindparam("viewer_person"),
        Reach.HOUSE: _PATIENTS.c.here == 1,
    },
    newest_first=False,
)
_ENROLMENTS = sql(
    select(_E.c.custodian, _E.c.agent, _E.c.from_time)
    .where(
        _E.c.local == bindparam("local"),
        _E.c.signed.is_not(None),
        or_(_HERE, and_(_E.c.agent == bindparam("viewer_me"))),
    )
    .order_by(_E.c.from_time, _E.c.custodian)
)


@strawberry.type(description="A patient's tie to a custodian, through her agent.")
class Enrolment:
    """Both signed it; her records there are published to her agent."""

    custodian: Party = strawberry.field(description="Who keeps records of her.")
    agent: Party = strawberry.field(description="Who speaks for her.")
    since: datetime = strawberry.field(description="When it began, by the custodian's clock.")


def _enrolments(root: "Patient", info: Info) -> list[Enrolment]:
    context = info.context
    rows = context.moment.rows(
        _ENROLMENTS, {"local": root.local_name, "viewer_me": context.viewer.me}
    )
    return [
        Enrolment(
            custodian=party_of(context, str(custodian)),
            agent=party_of(context, str(agent)),
            since=instant(int(since or 0)),
        )
        for custodian, agent, since in rows
    ]


@strawberry.type(description="A patient, by this node's own name of her.")
class Patient(Node):
    """Another organisation has another name for her."""

    local_name: str = strawberry.field(
        description="At a custodian her patient number, at an agent her handle; of no use elsewhere."
    )
    enrolments: list[Enrolment] = strawberry.field(
        resolver=_enrolments,
        description="Where she is enrolled, as far as this node is part of it.",
    )


def patient_of(context: ApiContext, row: Row) -> Patient:
    local = str(row[0])
    return Patient(id=context.api.ids.seal(KIND, local), local_name=local)


def find_patient(context: ApiContext, keys: tuple[SortKey, ...]) -> Patient | None:
    row = find(context, PATIENTS, keys)
    return None if row is None else patient_of(context, row)


def patient_named(context: ApiContext, local: Cell) -> Patient | None:
    """Return the patient that a row names, if the viewer sees her."""
    return find_patient(context, (local,)) if isinstance(local, str) else None


class OfPatient(Protocol):
    """What has been read of a row that names a patient."""

    patient_name: Cell


def whose(root: OfPatient, info: Info) -> Patient | None:
    """Resolve the patient whom something is about, if the viewer sees her."""
    return patient_named(info.context, root.patient_name)


def patients(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Patient]:
    context = info.context
    return page(
        context,
        PATIENTS,
        PageArguments(first, after, last, before),
        lambda row: patient_of(context, row),
    )
