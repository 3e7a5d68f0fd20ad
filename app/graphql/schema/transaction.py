"""Transactions as this node holds them: components, signatures, receipt, and a proof that verifies offline."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

import strawberry
from sqlalchemy import and_, bindparam, exists, or_, select

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.enums import documented
from app.graphql.scalars import Base64, Digest, LedgerSeq, UInt53
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.listing import (
    After,
    Before,
    Condition,
    First,
    Last,
    Listing,
    Parameter,
    find,
    page,
)
from app.graphql.schema.moment import Row, sql
from app.graphql.schema.node import Node
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Reach, Subject
from app.rows.tables import DisclosureRow, RecordRow, StatementRow
from app.storage.statements import table_of
from app.vault.reader import SIGNATURES
from app.vault.tables import TransactionRow
from states.encoding import encode
from states.groups import Group
from states.sealed import SEALED
from states.signed import ProvenTransaction
from states.tearoff import TEAROFF, FilteredTransaction, open_tearoff
from states.verifier import NOTARY

KIND = "transaction"

_TX = table_of(TransactionRow)
_RECORD, _STATEMENT, _DISCLOSURE = (
    table_of(RecordRow),
    table_of(StatementRow),
    table_of(DisclosureRow),
)
_PERSON: Parameter = bindparam("viewer_person")


def _hers() -> list[Condition]:
    made_or_ended = [
        exists().where(
            table.c.patient == _PERSON,
            or_(table.c.tx == _TX.c.tx, table.c.consumed_seq == _TX.c.seq),
        )
        for table in (_RECORD, _STATEMENT)
    ]
    disclosed = exists().where(_DISCLOSURE.c.patient == _PERSON, _DISCLOSURE.c.tx == _TX.c.tx)
    return [*made_or_ended, disclosed]


TRANSACTIONS = Listing(
    name="transactions",
    subject=Subject.TRANSACTION,
    source=_TX,
    columns=(_TX.c.tx, _TX.c.seq, _TX.c.at, _TX.c.log_index, _TX.c.until, _TX.c.erased),
    key=(_TX.c.tx,),
    order=(_TX.c.seq,),
    visible={Reach.OWN: or_(*_hers()), Reach.EVERYTHING: None},
    at=and_(_TX.c.seq.is_not(None), _TX.c.seq <= bindparam("seq")),
)
_BODY = sql(
    select(_TX.c.tearoff, _TX.c.signatures, _TX.c.receipt).where(_TX.c.tx == bindparam("tx"))
)
_HER_OUTPUTS = sql(
    select(_RECORD.c.idx).where(
        _RECORD.c.tx == bindparam("tx"), _RECORD.c.patient == bindparam("viewer_person")
    )
)
_ANY_OUTPUT = sql(select(_RECORD.c.idx).where(_RECORD.c.tx == bindparam("tx")).limit(1))


@documented(
    "A component group of a transaction (states/README.md, 2.1).",
    {
        "INPUTS": "States that it consumes.",
        "REFERENCES": "States that it only refers to.",
        "OUTPUTS": "States that it creates.",
        "LOCKS": "For each output, who may spend it.",
        "COMMANDS": "What is done, and who must sign it.",
        "SEALED": "Values that only named readers get.",
        "ATTACHMENTS": "Hashes of further bytes.",
        "NOTARY": "Who witnesses it.",
        "WINDOW": "When it may be notarised.",
        "PARAMETERS": "The network's rules that it is made by.",
    },
)
class ComponentGroup(StrEnum):
    """As in the ledger's specification."""

    INPUTS = "inputs"
    REFERENCES = "references"
    OUTPUTS = "outputs"
    LOCKS = "locks"
    COMMANDS = "commands"
    SEALED = "sealed"
    ATTACHMENTS = "attachments"
    NOTARY = "notary"
    WINDOW = "window"
    PARAMETERS = "parameters"


@strawberry.type(description="How many components a group has, and how many are shown.")
class GroupCount:
    """Counts are in the transaction's header: nothing is missing unseen."""

    group: ComponentGroup = strawberry.field(description="Which group.")
    count: int = strawberry.field(description="Components of the group.")
    shown: int = strawberry.field(description="Of those, shown to you.")


@strawberry.type(description="One component, proven to be in the transaction.")
class Component:
    """Its canonical bytes."""

    group: ComponentGroup = strawberry.field(description="Its group.")
    index: int = strawberry.field(description="Its place in the group.")
    bytes: Base64 = strawberry.field(description="Its canonical encoding (MessagePack).")


@strawberry.type(description="A signature over the transaction.")
class Signature:
    """Who signed."""

    key: Base64 = strawberry.field(description="The signer's key, encoded.")
    party: Party | None = strawberry.field(description="Whose identity key it is; null for others.")


@strawberry.type(description="What the transaction holds, as far as you may see it.")
class TransactionBody:
    """Narrowed for the viewer: what is hidden is not in the bytes."""

    groups: list[GroupCount] = strawberry.field(description="All groups with their counts.")
    components: list[Component] = strawberry.field(description="Those that are shown, in order.")
    signatures: list[Signature] = strawberry.field(description="All signatures.")
    receipt: str = strawberry.field(description="The notary's receipt (C2SP tlog-proof).")
    proof: Base64 = strawberry.field(
        description="Tear-off, signatures and receipt in one (proven/1): it verifies offline."
    )


def _shown_positions(context: ApiContext, filtered: FilteredTransaction) -> list[int]:
    """Positions that the viewer may see: sealed components are a patient's own, and nobody else's here."""
    layout = filtered.layout
    sealed = set(layout.positions(Group.SEALED))
    shown = [at for at in filtered.tearoff.positions if at not in sealed]
    if context.viewer.reach(Subject.TRANSACTION) is not Reach.OWN:
        return shown
    key: dict[str, object] = {"tx": filtered.id, "viewer_person": context.viewer.person}
    outputs = {row[0] for row in context.moment.rows(_HER_OUTPUTS, key)}
    of_records = context.moment.row(_ANY_OUTPUT, key) is not None
    for index, component in filtered.components(Group.SEALED):
        # A publication may be of several patients: of records, what is about her own outputs.
        about = SEALED.decode(component).about
        if not of_records or (about.group == Group.OUTPUTS and about.index in outputs):
            shown.append(layout.position(Group.SEALED, index))
    return shown


def _body(root: "Transaction", info: Info) -> TransactionBody:
    context = info.context
    row = context.moment.row(_BODY, {"tx": bytes(root.transaction_id)})
    assert row is not None, "a transaction is never dropped once it is recorded"
    tearoff, signed, receipt = row
    assert isinstance(tearoff, bytes), "a row of the vault"
    assert isinstance(signed, bytes), "a row of the vault"
    whole = open_tearoff(TEAROFF.decode(tearoff))
    narrow = whole.narrowed(_shown_positions(context, whole))
    filtered = open_tearoff(narrow)
    signatures = SIGNATURES.decode(signed)
    party_of_key = context.api.assembly.given.party_of
    groups = list(ComponentGroup)
    shown = {group: filtered.components(group) for group in Group}
    return TransactionBody(
        groups=[
            GroupCount(group=groups[group], count=filtered.counts[group], shown=len(shown[group]))
            for group in Group
        ],
        components=[
            Component(group=groups[group], index=index, bytes=Base64(data))
            for group in Group
            for index, data in shown[group]
        ],
        signatures=[
            Signature(
                key=Base64(encode(each.key)),
                party=None if (who := party_of_key(each.key)) is None else party_of(context, who),
            )
            for each in signatures
        ],
        receipt=str(receipt),
        proof=Base64(encode(ProvenTransaction(narrow, signatures, str(receipt)))),
    )


def _notary(root: "Transaction", info: Info) -> Party | None:
    context = info.context
    row = context.moment.row(_BODY, {"tx": bytes(root.transaction_id)})
    if row is None or not isinstance(row[0], bytes):
        return None
    named = open_tearoff(TEAROFF.decode(row[0])).component(Group.NOTARY, 0)
    return None if named is None else party_of(context, NOTARY.decode(named))


@strawberry.type(description="A transaction that this node has recorded.")
class Transaction(Node):
    """Notarised: its place in the notary's log is final."""

    transaction_id: Digest = strawberry.field(description="The root over its components.")
    seq: LedgerSeq = strawberry.field(description="Its number at this node.")
    at: datetime = strawberry.field(description="The notary's time.")
    log_index: UInt53 = strawberry.field(description="Its index in the notary's log.")
    window_ends: datetime = strawberry.field(description="Until when it could be notarised.")
    erased: bool = strawberry.field(description="Whether sensitive components were erased here.")
    notary: Party | None = strawberry.field(resolver=_notary, description="Who notarised it.")
    body: TransactionBody = strawberry.field(
        resolver=_body,
        description="Components, signatures, receipt and proof.",
        metadata={"cost": 10},
    )


def transaction_of(context: ApiContext, row: Row) -> Transaction:
    tx, seq, at, log_index, until, erased = row
    assert isinstance(tx, bytes), "a primary key"
    return Transaction(
        id=context.api.ids.seal(KIND, tx),
        transaction_id=Digest(tx),
        seq=LedgerSeq(int(seq or 0)),
        at=instant(int(at or 0)),
        log_index=UInt53(int(log_index or 0)),
        window_ends=instant(int(until or 0)),
        erased=bool(erased),
    )


def find_transaction(context: ApiContext, keys: tuple[SortKey, ...]) -> Transaction | None:
    row = find(context, TRANSACTIONS, keys)
    return None if row is None else transaction_of(context, row)


class Created(Protocol):
    """What a transaction has created."""

    transaction_id: Digest


def creating(root: Created, info: Info) -> Transaction | None:
    """Resolve what has created something, if the viewer sees it."""
    return find_transaction(info.context, (bytes(root.transaction_id),))


AsOf = Annotated[
    LedgerSeq | None,
    strawberry.argument(
        description="Read the ledger as it was at this sequence number. What has no place in the ledger is of now: "
        "who may see it, and when keys came, an item was withdrawn or access was closed."
    ),
]


def transactions(
    info: Info,
    as_of: AsOf = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Transaction]:
    context = info.context
    return page(
        context,
        TRANSACTIONS,
        PageArguments(first, after, last, before),
        lambda row: transaction_of(context, row),
        as_of=as_of,
    )
