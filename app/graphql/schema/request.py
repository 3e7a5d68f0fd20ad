"""Requests for disclosure, answered and refused: the privacy officer's accounting."""

from datetime import datetime

import strawberry
from sqlalchemy import bindparam

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.schema.codes import Category
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.disclosure import Disclosure, Reader, find_disclosure
from app.graphql.schema.listing import After, Before, First, Last, Listing, find, page
from app.graphql.schema.moment import Cell, Row
from app.graphql.schema.node import Node
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Reach, Subject
from app.rows.tables import AskedRow
from app.storage.statements import table_of
from app.subjects.disclosure import ASKED

KIND = "disclosure-request"

_A = table_of(AskedRow)
REQUESTS = Listing(
    name="disclosure requests",
    subject=Subject.REQUEST,
    source=_A,
    columns=(_A.c.number, _A.c.asked, _A.c.at, _A.c.tx, _A.c.outcome),
    key=(_A.c.number,),
    order=(_A.c.at, _A.c.number),
    visible={Reach.EVERYTHING: None},
    at=_A.c.at <= bindparam("now"),
)


def _disclosure(root: "DisclosureRequest", info: Info) -> Disclosure | None:
    tx = root.made
    return find_disclosure(info.context, (tx,)) if isinstance(tx, bytes) else None


@strawberry.type(description="A request for disclosure, made by this organisation or to it.")
class DisclosureRequest(Node):
    """Signed by who asked, so that neither side can leave it out."""

    made: strawberry.Private[Cell]
    asked_by: Party = strawberry.field(description="Who asked.")
    asked_of: Party = strawberry.field(description="Who answers.")
    reader: Reader = strawberry.field(description="For whom there, and why.")
    categories: list[Category] = strawberry.field(
        description="What was asked for; none: all that the consent permits."
    )
    asked_at: datetime = strawberry.field(description="When, by this node's clock.")
    outcome: str | None = strawberry.field(
        description="disclosed, or the code of the refusal; null where this node only asked."
    )
    disclosure: Disclosure | None = strawberry.field(
        resolver=_disclosure,
        description="What came of it; null where nothing did, or you may not see it.",
    )


def request_of(context: ApiContext, row: Row) -> DisclosureRequest:
    number, asked, at, tx, outcome = row
    assert isinstance(number, bytes), "a primary key"
    assert isinstance(asked, bytes), "a request is encoded"
    said = ASKED.decode(asked).request
    return DisclosureRequest(
        id=context.api.ids.seal(KIND, number),
        made=tx,
        asked_by=party_of(context, said.recipient),
        asked_of=party_of(context, said.custodian),
        reader=Reader(
            person=said.who.person.hex(),
            shown_as=said.who.shown_as,
            role=said.who.role,
            purpose=said.who.purpose,
        ),
        categories=[Category(each) for each in said.categories],
        asked_at=instant(int(at or 0)),
        outcome=None if outcome is None else str(outcome),
    )


def find_request(context: ApiContext, keys: tuple[SortKey, ...]) -> DisclosureRequest | None:
    row = find(context, REQUESTS, keys)
    return None if row is None else request_of(context, row)


def disclosure_requests(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[DisclosureRequest]:
    context = info.context
    return page(
        context,
        REQUESTS,
        PageArguments(first, after, last, before),
        lambda row: request_of(context, row),
    )
