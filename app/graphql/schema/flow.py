"""Flows: what they are, how far they came, what came of them."""

from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated

import msgspec
import strawberry
from sqlalchemy import and_, bindparam, column, select, table

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.enums import documented
from app.graphql.schema.consent import Consent, find_consent
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.disclosure import Disclosure, find_disclosure
from app.graphql.schema.failures import FailureCode, FlowFailure, failure_of
from app.graphql.schema.listing import After, Before, First, Last, Listing, find, page
from app.graphql.schema.moment import Cell, Row, sql
from app.graphql.schema.node import Node
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Action, Reach, Subject
from app.graphql.schema.record import Record, find_record
from app.graphql.schema.restriction import Restriction, find_restriction
from app.rows.tables import RecordRow
from app.storage.statements import table_of
from flows.store import Status
from flows.subjects.disclosure import Disclosed
from flows.subjects.enrolment import Enrolled, EnrolmentOffer, Practitioners
from flows.subjects.record import Published
from flows.subjects.statement import Stated
from states.errors import MalformedBytes

KIND = "flow"
RECORDS_SHOWN_MAX = 100

_F = table(
    "flow",
    *(
        column(name)
        for name in ("id", "tag", "status", "created", "client_key", "result", "why", "in_doubt")
    ),
)
_P = table("flow_progress", column("number"), column("flow"), column("at"), column("status"), column("step"))  # fmt: skip  # noqa: E501
_RECORD = table_of(RecordRow)
STARTED_BY_HER = and_(
    _F.c.client_key >= bindparam("viewer_keys"), _F.c.client_key < bindparam("viewer_keys_end")
)
FLOWS = Listing(
    name="flows",
    subject=Subject.FLOW,
    source=_F,
    columns=(
        _F.c.id,
        _F.c.tag,
        _F.c.status,
        _F.c.created,
        _F.c.client_key,
        _F.c.result,
        _F.c.why,
        _F.c.in_doubt,
    ),
    key=(_F.c.id,),
    order=(_F.c.created, _F.c.id),
    visible={Reach.OWN: STARTED_BY_HER, Reach.EVERYTHING: None},
    filters={"status": _F.c.status == bindparam("filter_status")},
)
_PROGRESS = sql(
    select(_P.c.number, _P.c.at, _P.c.status, _P.c.step)
    .where(_P.c.flow == bindparam("flow"), _P.c.number > bindparam("after"))
    .order_by(_P.c.number)
    .limit(bindparam("most"))
)
_LAST_STEPS = sql(
    select(_P.c.number, _P.c.at, _P.c.status, _P.c.step)
    .where(_P.c.flow == bindparam("flow"))
    .order_by(_P.c.number.desc())
    .limit(bindparam("most"))
)
_OUTPUTS = sql(
    select(_RECORD.c.idx)
    .where(_RECORD.c.tx == bindparam("tx"))
    .order_by(_RECORD.c.idx)
    .limit(bindparam("most"))
)
STEPS_SHOWN = 50


@documented(
    "Where a flow is in its life.",
    {
        "RUNNING": "It goes on by itself: it works, or waits for somebody's answer.",
        "PAUSED": "An operator paused it.",
        "RETRYING": "Something failed; it tries again by itself.",
        "OBSERVED": "It waits for an operator, who may retry or kill it.",
        "DONE": "It has ended; `result` says with what.",
        "FAILED": "It was refused; `failure` says why. Ask again by another key.",
        "KILLED": "An operator ended it.",
    },
)
class FlowStatus(StrEnum):
    """From DONE on it has ended."""

    RUNNING = "running"
    PAUSED = "paused"
    RETRYING = "retrying"
    OBSERVED = "observed"
    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"


_STATUSES = tuple(FlowStatus)


@strawberry.type(description="A step that a flow has told of.")
class FlowStep:
    """In plain words, without patient data."""

    at: datetime = strawberry.field(description="When.")
    status: FlowStatus = strawberry.field(description="The flow's status then.")
    step: str = strawberry.field(description="What it did.")


@strawberry.type(description="A patient was enrolled.")
class EnrolledResult:
    """Both sides signed it."""

    custodian: Party = strawberry.field(description="Where.")


@strawberry.type(description="A one-time code was drawn; `showEnrolmentCode` shows it, once.")
class EnrolmentOfferResult:
    """The code itself is no part of it."""

    until: datetime = strawberry.field(description="Until when it is good.")


@strawberry.type(description="A person as an organisation names her to others.")
class Practitioner:
    """What a consent may name."""

    person: str = strawberry.field(description="The organisation's own id of her (hex).")
    shown_as: str = strawberry.field(description="The name to show.")
    role: str = strawberry.field(description="Her role there.")


@strawberry.type(description="Who is called this at an organisation.")
class PractitionersResult:
    """Exact names only."""

    practitioners: list[Practitioner] = strawberry.field(description="Those of this name.")


@strawberry.type(description="Records were published, amended or passed on.")
class PublishedResult:
    """At most 100 are listed here."""

    records: list[Record] = strawberry.field(
        description="The new versions, as far as you see them."
    )


@strawberry.type(description="A statement of a patient was recorded or ended.")
class StatedResult:
    """One of the two is there, while you may see it."""

    consent: Consent | None = strawberry.field(description="The consent, if it is one.")
    restriction: Restriction | None = strawberry.field(description="The restriction, if it is one.")


@strawberry.type(description="A request for disclosure was answered.")
class DisclosedResult:
    """How it ended."""

    outcome: str = strawberry.field(
        description="disclosed, not-released, refused or not-committed."
    )
    words: str | None = strawberry.field(
        description="The custodian's words of a refusal; null where it did not refuse."
    )
    disclosure: Disclosure | None = strawberry.field(description="The disclosure, if there is one.")


FlowResult = Annotated[
    EnrolledResult
    | EnrolmentOfferResult
    | PractitionersResult
    | PublishedResult
    | StatedResult
    | DisclosedResult,
    strawberry.union("FlowResult", description="What came of a flow."),
]
_Result = Enrolled | EnrolmentOffer | Practitioners | Published | Stated | Disclosed
_RESULT: msgspec.msgpack.Decoder[_Result] = msgspec.msgpack.Decoder(_Result)


def _result(root: "Flow", info: Info) -> FlowResult | None:
    if not isinstance(root.encoded, bytes) or not root.encoded or not root.is_own:
        return None
    try:
        found = _RESULT.decode(root.encoded)
    except (msgspec.DecodeError, MalformedBytes):
        return None  # a flow of another subject, without a result for screens
    return _shown(info.context, found)


def _shown(context: ApiContext, found: _Result) -> FlowResult:
    match found:
        case Enrolled(custodian, _):
            return EnrolledResult(custodian=party_of(context, custodian))
        case EnrolmentOffer(_, until):
            return EnrolmentOfferResult(until=instant(until))
        case Practitioners(some):
            return PractitionersResult(
                practitioners=[
                    Practitioner(person=p.person.hex(), shown_as=p.shown_as, role=p.role)
                    for p in some
                ]
            )
        case Published(tx):
            rows = context.moment.rows(_OUTPUTS, {"tx": tx, "most": RECORDS_SHOWN_MAX})
            new = [find_record(context, (tx, int(row[0] or 0))) for row in rows]
            return PublishedResult(records=[each for each in new if each is not None])
        case Stated(ref):
            key = (bytes(ref.tx), ref.index)
            return StatedResult(
                consent=find_consent(context, key), restriction=find_restriction(context, key)
            )
        case Disclosed(outcome, tx, words):
            made = None if tx is None else find_disclosure(context, (tx,))
            return DisclosedResult(outcome=outcome, words=words or None, disclosure=made)


def _failure(root: "Flow", info: Info) -> FlowFailure | None:
    return _failure_in(info.context, root.why, root.status, is_own=root.is_own)


def _steps(root: "Flow", info: Info) -> list[FlowStep]:
    parameters: dict[str, object] = {"flow": root.flow, "most": STEPS_SHOWN}
    rows = info.context.moment.rows(_LAST_STEPS, parameters)
    return [step_of(info.context, row, is_own=root.is_own) for row in reversed(rows)]


@strawberry.type(description="A conversation of this node with others, durable until it ends.")
class Flow(Node):
    """A mutation returns one at once; follow it by `flowProgress`."""

    flow: strawberry.Private[bytes]
    encoded: strawberry.Private[Cell]
    why: strawberry.Private[str]
    is_own: strawberry.Private[bool]
    kind: str = strawberry.field(description="What it does, with its version: grant-consent/1.")
    status: FlowStatus = strawberry.field(description="Where it is in its life.")
    started_at: datetime = strawberry.field(description="When it was started.")
    in_doubt: bool = strawberry.field(
        description="Whether a transaction of it may have been notarised without an answer yet."
    )
    steps: list[FlowStep] = strawberry.field(
        resolver=_steps, description="The last fifty steps, oldest first."
    )
    result: FlowResult | None = strawberry.field(
        resolver=_result, description="What came of it; only for who started it."
    )
    failure: FlowFailure | None = strawberry.field(
        resolver=_failure, description="Why it failed or waits; null otherwise."
    )


_STOPPED = {
    FlowStatus.FAILED: FailureCode.INTERNAL_SERVER_ERROR,
    FlowStatus.OBSERVED: FailureCode.OPERATOR_NEEDED,
    FlowStatus.RETRYING: FailureCode.INTERNAL_SERVER_ERROR,
    FlowStatus.KILLED: FailureCode.KILLED,
    FlowStatus.PAUSED: FailureCode.PAUSED,
}
"""The statuses of flows that do not go on, and why where no exception is named."""


def _failure_in(
    context: ApiContext, why: str, status: FlowStatus, *, is_own: bool
) -> FlowFailure | None:
    """Return what may be said of why a flow does not go on; None where it does."""
    if status not in _STOPPED:
        return None
    operates = context.viewer.may(Action.OPERATE)
    return failure_of(
        why, _STOPPED[status], partial(_name_of, context), is_own=is_own, operates=operates
    )


def _name_of(context: ApiContext, did: str) -> str:
    member = context.party(did)
    return did if member is None else member.name


def step_of(context: ApiContext, row: Row, *, is_own: bool) -> FlowStep:
    """Return a step; an exception's words, which a failed flow tells as its last step, are masked."""
    _, at, number, step = row
    status = _STATUSES[int(number or 0)]
    failure = _failure_in(context, str(step), status, is_own=is_own)
    said = str(step) if failure is None else failure.message or failure.code.name
    return FlowStep(at=instant(int(at or 0)), status=status, step=said)


def flow_of(context: ApiContext, row: Row) -> Flow:
    id_, tag, status, created, client_key, result, why, in_doubt = row
    assert isinstance(id_, bytes), "a primary key"
    return Flow(
        id=context.api.ids.seal(KIND, id_),
        flow=id_,
        encoded=result,
        why=str(why or ""),
        is_own=isinstance(client_key, str) and client_key.startswith(context.viewer.keys),
        kind=str(tag),
        status=_STATUSES[int(status or 0)],
        started_at=instant(int(created or 0)),
        in_doubt=bool(in_doubt),
    )


def find_flow(context: ApiContext, keys: tuple[SortKey, ...]) -> Flow | None:
    row = find(context, FLOWS, keys)
    return None if row is None else flow_of(context, row)


def flows(
    info: Info,
    status: Annotated[
        FlowStatus | None, strawberry.argument(description="Only those of this status.")
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Flow]:
    context = info.context
    filters: dict[str, Cell] = {}
    if status is not None:
        filters["status"] = _STATUSES.index(status)
    return page(
        context,
        FLOWS,
        PageArguments(first, after, last, before),
        lambda row: flow_of(context, row),
        filters,
    )


def last_step(context: ApiContext, flow: bytes) -> int:
    """Return the number of what a flow told last; 0 where nothing is kept."""
    rows = context.moment.rows(_LAST_STEPS, {"flow": flow, "most": 1})
    return int(rows[0][0] or 0) if rows else 0


def steps_after(context: ApiContext, flow: bytes, after: int, most: int) -> list[Row]:
    """Return what a flow told after a number, in order."""
    return context.moment.rows(_PROGRESS, {"flow": flow, "after": after, "most": most})


assert [each.name for each in Status] == [each.name for each in FlowStatus], "one list of statuses"
__all__ = ["FLOWS", "KIND", "Flow", "find_flow", "flow_of", "flows", "last_step", "steps_after"]
