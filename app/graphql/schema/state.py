"""States of the vault, and the feed of what changed."""

from enum import StrEnum
from typing import Annotated

import strawberry
from sqlalchemy import and_, bindparam, exists, or_

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.enums import documented
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.scalars import Base64, Digest, LedgerSeq
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.listing import After, Before, First, Last, Listing, Parameter, find, page
from app.graphql.schema.moment import Cell, Row
from app.graphql.schema.node import Node
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Reach, Subject
from app.graphql.schema.record import Life, LifeFilter
from app.graphql.schema.transaction import AsOf, Transaction, creating, find_transaction
from app.rows.tables import DisclosureRow, RecordRow, StatementRow
from app.storage.statements import table_of
from app.subjects.catalogue import CONTRACTS
from app.vault.tables import StateRow
from states.state import TRANSACTION_STATE

KIND = "state"
CONTRACT_NAMES = ", ".join(sorted(CONTRACTS.by_name))

_T = table_of(StateRow)
_PERSON: Parameter = bindparam("viewer_person")
_SEQ: Parameter = bindparam("seq")
_R, _S, _D = table_of(RecordRow), table_of(StatementRow), table_of(DisclosureRow)
_HERS = or_(
    *[
        exists().where(t.c.patient == _PERSON, t.c.tx == _T.c.tx, t.c.idx == _T.c.idx)
        for t in (_R, _S)
    ],
    exists().where(_D.c.patient == _PERSON, _D.c.tx == _T.c.tx),
)
STATES = Listing(
    name="states",
    subject=Subject.STATE,
    source=_T,
    columns=(
        _T.c.tx,
        _T.c.idx,
        _T.c.contract,
        _T.c.state,
        _T.c.created_seq,
        _T.c.consumed_seq,
        _T.c.consumed_by,
    ),
    key=(_T.c.tx, _T.c.idx),
    order=(_T.c.created_seq, _T.c.idx),
    visible={Reach.OWN: _HERS, Reach.EVERYTHING: None},
    at=_T.c.created_seq <= _SEQ,
    filters={
        "contract": _T.c.contract == bindparam("filter_contract"),
        "live": and_(
            or_(_T.c.consumed_seq.is_(None), _T.c.consumed_seq > _SEQ),
            bindparam("filter_live") == 1,
        ),
        "past": and_(_T.c.consumed_seq <= _SEQ, bindparam("filter_past") == 1),
    },
)


@documented(
    "What happened to a state.",
    {
        "CREATED": "A transaction that is recorded here created it.",
        "CONSUMED": "One has consumed it.",
    },
)
class Change(StrEnum):
    """One event of the vault's feed."""

    CREATED = "created"
    CONSUMED = "consumed"


def _consuming(root: "State", info: Info) -> Transaction | None:
    by = root.consumed_by_id
    return None if by is None else find_transaction(info.context, (bytes(by),))


@strawberry.type(description="An output of a transaction, as this node's vault has it.")
class State(Node):
    """Its sealed components are not part of it."""

    transaction_id: Digest = strawberry.field(description="The transaction that created it.")
    index: int = strawberry.field(description="Its place among that transaction's outputs.")
    contract: str = strawberry.field(description="The contract that judges it.")
    notary: Party = strawberry.field(description="Who witnesses what consumes it.")
    data: Base64 = strawberry.field(description="Its canonical encoding (MessagePack).")
    live: bool = strawberry.field(description="Whether nothing has consumed it, as of today.")
    created_seq: LedgerSeq = strawberry.field(description="Since when it is here.")
    consumed_seq: LedgerSeq | None = strawberry.field(
        description="Since when it is consumed; null while it lives."
    )
    consumed_by_id: Digest | None = strawberry.field(
        description="The id of what consumed it; null while it lives."
    )
    transaction: Transaction | None = strawberry.field(
        resolver=creating, description="What created it; null where you may not see it."
    )
    consumed_by: Transaction | None = strawberry.field(
        resolver=_consuming, description="What consumed it; null where you may not see it."
    )


def state_of(context: ApiContext, row: Row) -> State:
    tx, idx, contract, encoded, made, consumed, by = row
    assert isinstance(tx, bytes), "a primary key"
    assert isinstance(encoded, bytes), "a state is encoded"
    said = TRANSACTION_STATE.decode(encoded)
    return State(
        id=context.api.ids.seal(KIND, tx, int(idx or 0)),
        transaction_id=Digest(tx),
        index=int(idx or 0),
        contract=str(contract),
        notary=party_of(context, said.notary),
        data=Base64(said.data),
        live=consumed is None,
        created_seq=LedgerSeq(int(made or 0)),
        consumed_seq=None if consumed is None else LedgerSeq(int(consumed)),
        consumed_by_id=Digest(by) if isinstance(by, bytes) else None,
    )


def known_contract(name: str) -> str:
    """Return the name of a contract that this node knows. Raises BAD_USER_INPUT."""
    if name not in CONTRACTS.by_name:
        words = f"contract: none is called that; there are {CONTRACT_NAMES}"
        raise ApiError(ErrorCode.BAD_USER_INPUT, words, {"argument": "contract"})
    return name


def find_state(context: ApiContext, keys: tuple[SortKey, ...]) -> State | None:
    row = find(context, STATES, keys)
    return None if row is None else state_of(context, row)


def states(  # noqa: PLR0913, PLR0917  filters, and a Relay connection's four arguments
    info: Info,
    contract: Annotated[
        str | None,
        strawberry.argument(description=f"Only those of this contract: {CONTRACT_NAMES}."),
    ] = None,
    status: LifeFilter = Life.LIVE,
    as_of: AsOf = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[State]:
    context = info.context
    filters: dict[str, Cell] = {}
    if contract is not None:
        filters["contract"] = known_contract(contract)
    if status is not Life.ALL:
        filters[status.value] = 1
    return page(
        context,
        STATES,
        PageArguments(first, after, last, before),
        lambda row: state_of(context, row),
        filters,
        as_of,
    )
