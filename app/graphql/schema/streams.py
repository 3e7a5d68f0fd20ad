"""Subscriptions: from a cursor through what is stored to what happens, without gap or double.

Each event is read from the database's numbered feed just before it is sent, under the conditions under which a query
would show it: so permission is asked for every event. A stream that is about one thing ends when its viewer may no
longer see that thing.
"""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated

import strawberry
from sqlalchemy import and_, bindparam, column, exists, func, or_, select, table

from app.graphql.cursors import Position, Scope, SortKey
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.scalars import Digest, LedgerSeq
from app.graphql.schema.consent import ADDRESSED, CONSENTS, IS_CONSENT
from app.graphql.schema.consent import KIND as CONSENT_KIND
from app.graphql.schema.context import Api, ApiContext, Info
from app.graphql.schema.disclosure import DISCLOSURES
from app.graphql.schema.disclosure import KIND as DISCLOSURE_KIND
from app.graphql.schema.flow import KIND as FLOW_KIND
from app.graphql.schema.flow import Flow, FlowStatus, FlowStep, find_flow, step_of, steps_after
from app.graphql.schema.listing import Condition, Listing, conditions
from app.graphql.schema.moment import Row, sql
from app.graphql.schema.node import Node, keys_of
from app.graphql.schema.policy import Reach, Subject, Viewer
from app.graphql.schema.record import KIND as RECORD_KIND
from app.graphql.schema.record import RECORDS
from app.graphql.schema.restriction import KIND as RESTRICTION_KIND
from app.graphql.schema.restriction import RESTRICTIONS
from app.graphql.schema.state import CONTRACT_NAMES, STATES, Change, known_contract
from app.graphql.schema.state import KIND as STATE_KIND
from app.graphql.schema.things import FINDERS
from app.rows.tables import StatementRow
from app.storage.statements import table_of
from app.vault.tables import UpdateRow

BEAT_S = 0.5
"""How often a stream about one thing looks whether it may go on, though nothing happened: a consent's end is a time."""
QUIET_BEAT_S = 15.0

_U, _S = table_of(UpdateRow), table_of(StatementRow)
_P = table("flow_progress", column("number"))
_CHANGES = (Change.CREATED, Change.CONSUMED)
_FEEDS: tuple[Listing, ...] = (RECORDS, CONSENTS, RESTRICTIONS, DISCLOSURES, STATES)
_KINDS = {
    "record": RECORD_KIND,
    "consent": CONSENT_KIND,
    "restriction": RESTRICTION_KIND,
    "disclosure": DISCLOSURE_KIND,
}
_LAST = sql(select(func.coalesce(func.max(_U.c.number), 0)))
_LAST_UPTO = sql(
    select(_U.c.number)
    .where(_U.c.seq <= bindparam("seq"))
    .order_by(_U.c.number.desc())
    .limit(bindparam("most"))
)
_FIRST_STEP = sql(select(func.coalesce(func.min(_P.c.number), 1)))

Reaches = tuple[tuple[Subject, Reach], ...]
_texts: dict[tuple[Reaches, bool, bool], str] = {}


def _reaches(viewer: Viewer) -> Reaches:
    """Return what of the feed this viewer can see at all."""
    found = [(listing.subject, listing.sees(viewer)) for listing in _FEEDS]
    return tuple((subject, reach) for subject, reach in found if reach is not None)


def _seen_by(reaches: Reaches) -> Condition:
    by_subject = {listing.subject: listing for listing in _FEEDS}
    seen: list[Condition] = []
    for subject, reach in reaches:
        listing = by_subject[subject]
        place = zip(listing.key, (_U.c.tx, _U.c.idx), strict=False)
        seen.append(exists().where(*(a == b for a, b in place), *conditions(listing, reach)))
        if (subject, reach) == (Subject.CONSENT, Reach.ADDRESSED):
            # Its end is the one thing about an ended consent that whom it was for is still told.
            ended = (_S.c.tx == _U.c.tx, _S.c.idx == _U.c.idx, IS_CONSENT, ADDRESSED)
            seen.append(and_(_U.c.kind == 1, exists().where(*ended)))
    return or_(*seen)


def _next_text(reaches: Reaches, *, contract: bool, about: bool) -> str:
    """Return the statement for the first event after `:after` that a viewer of these reaches sees."""
    key = (reaches, contract, about)
    if key not in _texts:
        where = [_U.c.number > bindparam("after"), _U.c.number <= bindparam("upto")]
        where.append(_seen_by(reaches))
        if contract:
            where.append(_U.c.contract == bindparam("contract"))
        if about:
            where += [_U.c.tx == bindparam("about_tx"), _U.c.idx == bindparam("about_idx")]
        columns = (_U.c.number, _U.c.seq, _U.c.kind, _U.c.tx, _U.c.idx, _U.c.contract)
        _texts[key] = sql(
            select(*columns).where(*where).order_by(_U.c.number).limit(bindparam("most"))
        )
    return _texts[key]


def _thing(root: "VaultUpdate", info: Info) -> Node | None:
    kind = _KINDS.get(root.contract.partition("/")[0], STATE_KIND)
    tx = bytes(root.transaction_id)
    keys: tuple[SortKey, ...] = (tx,) if kind == DISCLOSURE_KIND else (tx, root.index)
    found = FINDERS.find(info.context, info.context.api.ids.seal(kind, *keys))
    if found is None:
        return FINDERS.find(info.context, info.context.api.ids.seal(STATE_KIND, tx, root.index))
    return found


@strawberry.type(description="A state was created or consumed in this node's vault.")
class VaultUpdate:
    """One event of the feed; numbered for ever."""

    cursor: str = strawberry.field(description="Resume after it with `after`.")
    ledger_seq: LedgerSeq = strawberry.field(description="The transaction's number here.")
    change: Change = strawberry.field(description="What happened.")
    contract: str = strawberry.field(description="The state's contract.")
    transaction_id: Digest = strawberry.field(description="What created the state.")
    index: int = strawberry.field(description="Its place among that transaction's outputs.")
    thing: Node | None = strawberry.field(
        resolver=_thing, description="The state, as far as you may see it now."
    )


def _flow(root: "FlowProgress", info: Info) -> Flow | None:
    return find_flow(info.context, (root.flow_id,))


@strawberry.type(description="A flow told of a step.")
class FlowProgress:
    """One event of a flow."""

    flow_id: strawberry.Private[bytes]
    cursor: str = strawberry.field(description="Resume after it with `after`.")
    at: datetime = strawberry.field(description="When.")
    status: FlowStatus = strawberry.field(description="The flow's status then.")
    step: str = strawberry.field(description="What it did.")
    flow: Flow | None = strawberry.field(resolver=_flow, description="The flow, as it is now.")


class _Stream:
    """What both subscriptions do: a fresh look at viewer and ledger for each event."""

    def __init__(self, info: Info, scope: Scope, about: str | None) -> None:
        self.api: Api = info.context.api
        self.caller = info.context.caller
        self.scope = scope
        self.about = about

    def look(self) -> ApiContext:
        """Return a context for one look: as a block, it holds its snapshot only so long."""
        return ApiContext(self.api, self.caller)

    def require(self, context: ApiContext, code: ErrorCode) -> None:
        """Raise `code` if what the stream is about can not be seen (any more)."""
        if self.about is not None and FINDERS.find(context, self.about) is None:
            words = {
                ErrorCode.NOT_FOUND: "nothing available",
                ErrorCode.CONSENT_EXPIRED: "the consent has ended",
            }
            raise ApiError(code, words.get(code, "you may not see this any more"))

    def cursor(self, seq: int, number: int) -> str:
        return self.api.cursors.seal(Position(seq, (number,)), self.scope)

    def number_of(self, after: str) -> int:
        number = self.api.cursors.open(after, self.scope).keys[0]
        assert isinstance(number, int), "only this node seals"
        return number


def _about_keys(context: ApiContext, about: str) -> tuple[str, bytes, int]:
    """Return the kind and the state that an id names; raises NOT_FOUND for all but states."""
    named = context.api.ids.open(about)
    kinds = (*_KINDS.values(), STATE_KIND)
    if named is None or named.kind not in kinds or FINDERS.find(context, about) is None:
        raise ApiError(ErrorCode.NOT_FOUND, "nothing available")
    tx, idx = (*named.keys, 0)[:2]
    assert isinstance(tx, bytes), "a state's id begins with its transaction"
    return named.kind, tx, int(idx)


After = Annotated[
    str | None, strawberry.argument(description="Begin after this event: the cursor that it had.")
]


async def vault_updates(
    info: Info,
    after: After = None,
    after_seq: Annotated[
        LedgerSeq | None,
        strawberry.argument(
            description="Begin after this ledger sequence number: that of a query's `consistency`."
        ),
    ] = None,
    contract: Annotated[
        str | None,
        strawberry.argument(description=f"Only states of this contract: {CONTRACT_NAMES}."),
    ] = None,
    about: Annotated[
        strawberry.ID | None,
        strawberry.argument(
            description="Only this record, consent, restriction, disclosure or state; the stream ends "
            "when you may not see it any more."
        ),
    ] = None,
) -> AsyncGenerator[VaultUpdate, None]:
    """Without `after` and `afterSeq`, what happens from now on."""
    scope = Scope("vaultUpdates", info.context.viewer.user_id, (contract, about))
    stream = _Stream(info, scope, about)
    parameters: dict[str, object] = {"contract": contract, "most": 1}
    ends = ErrorCode.FORBIDDEN
    with stream.api.broadcast.listen() as bell:
        with stream.look() as context:
            if not _reaches(context.viewer):
                raise ApiError(ErrorCode.FORBIDDEN, "your role does not follow the vault")
            if contract is not None:
                known_contract(contract)
            if about is not None:
                kind, tx, idx = _about_keys(context, about)
                parameters |= {"about_tx": tx, "about_idx": idx}
                ends = _code_of_end(context.viewer, kind)
            number = _begin(stream, context, after, after_seq)
        while True:
            with stream.look() as context:
                stream.require(context, ends)
                row, number = _next_update(context, parameters, number)
            if row is not None:
                yield _update(stream, row)
                continue
            await bell.heard(BEAT_S if about is not None else QUIET_BEAT_S)


def _code_of_end(viewer: Viewer, kind: str) -> ErrorCode:
    subject = Subject.DISCLOSURE if kind == DISCLOSURE_KIND else Subject.CONSENT
    by_consent = kind in {CONSENT_KIND, DISCLOSURE_KIND}
    if by_consent and viewer.reach(subject) is Reach.ADDRESSED:
        return ErrorCode.CONSENT_EXPIRED
    return ErrorCode.FORBIDDEN


def _begin(stream: _Stream, context: ApiContext, after: str | None, after_seq: int | None) -> int:
    """Return after which number of the feed to begin. Raises BAD_USER_INPUT for what no answer of this node said."""
    if after is not None and after_seq is not None:
        words = "begin either after a cursor or after a ledger sequence number"
        raise ApiError(ErrorCode.BAD_USER_INPUT, words, {"argument": "afterSeq"})
    if after is not None:
        return stream.number_of(after)
    moment = context.moment
    if after_seq is not None and after_seq > moment.seq:
        words = "afterSeq lies in the future of this node's ledger"
        raise ApiError(ErrorCode.BAD_USER_INPUT, words, {"argument": "afterSeq"})
    text = _LAST if after_seq is None else _LAST_UPTO
    row = moment.row(text, {} if after_seq is None else {"seq": after_seq, "most": 1})
    return 0 if row is None else int(row[0] or 0)


def _next_update(
    context: ApiContext, parameters: dict[str, object], number: int
) -> tuple[Row | None, int]:
    """Return the next event that is seen, and up to which number the feed was looked through."""
    moment, viewer = context.moment, context.viewer
    reaches = _reaches(viewer)
    if not reaches:
        raise ApiError(ErrorCode.FORBIDDEN, "you may not see this any more")
    newest = moment.row(_LAST, {})
    upto = 0 if newest is None else int(newest[0] or 0)
    if upto <= number:
        return None, number
    text = _next_text(
        reaches, contract=parameters["contract"] is not None, about="about_tx" in parameters
    )
    asked = viewer.parameters() | parameters | moment.times() | {"seq": moment.seq}
    row = moment.row(text, asked | {"after": number, "upto": upto})
    return (None, upto) if row is None else (row, int(row[0] or 0))


def _update(stream: _Stream, row: Row) -> VaultUpdate:
    number, seq, kind, tx, idx, contract = row
    assert isinstance(tx, bytes), "a row of the feed"
    return VaultUpdate(
        cursor=stream.cursor(int(seq or 0), int(number or 0)),
        ledger_seq=LedgerSeq(int(seq or 0)),
        change=_CHANGES[int(kind or 0)],
        contract=str(contract),
        transaction_id=Digest(tx),
        index=int(idx or 0),
    )


async def flow_progress(
    info: Info,
    flow_id: Annotated[strawberry.ID, strawberry.argument(description="The flow.")],
    after: After = None,
) -> AsyncGenerator[FlowProgress, None]:
    """From the flow's first step, or after a cursor, to its end; then the stream completes."""
    scope = Scope("flowProgress", info.context.viewer.user_id, (flow_id,))
    stream = _Stream(info, scope, flow_id)
    number, ends = 0, ErrorCode.NOT_FOUND
    with stream.api.broadcast.listen() as bell:
        while True:
            with stream.look() as context:
                stream.require(context, ends)
                if ends is ErrorCode.NOT_FOUND:
                    number, ends = _begin_flow(stream, context, after), ErrorCode.FORBIDDEN
                keys = keys_of(context, flow_id, FLOW_KIND)
                found = None if keys is None else find_flow(context, keys)
                if found is None:
                    raise ApiError(ErrorCode.NOT_FOUND, "nothing available")
                rows = steps_after(context, found.flow, number, most=1)
                steps = [step_of(context, row, is_own=found.is_own) for row in rows]
            if rows:
                number = int(rows[0][0] or 0)
                yield _progress(stream, found, steps[0], number)
            elif found.status in _ENDED:
                return
            else:
                await bell.heard(QUIET_BEAT_S)


_ENDED = (FlowStatus.DONE, FlowStatus.FAILED, FlowStatus.KILLED)


def _begin_flow(stream: _Stream, context: ApiContext, after: str | None) -> int:
    if after is None:
        return 0
    number = stream.number_of(after)
    row = context.moment.row(_FIRST_STEP, {})
    oldest = 1 if row is None else int(row[0] or 1)
    if number + 1 < oldest:
        raise ApiError(
            ErrorCode.RESUME_REQUIRED,
            "steps after this cursor are not kept any more: ask for the flow, then go on from here",
            {"cursor": stream.cursor(0, oldest - 1)},
        )
    return number


def _progress(stream: _Stream, found: Flow, step: FlowStep, number: int) -> FlowProgress:
    return FlowProgress(
        flow_id=found.flow,
        cursor=stream.cursor(0, number),
        at=step.at,
        status=step.status,
        step=step.step,
    )


__all__ = ["FlowProgress", "VaultUpdate", "flow_progress", "vault_updates"]
