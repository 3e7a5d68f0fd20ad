"""What a patient permits or denies, as the API shows it; and what consents and restrictions have in common."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache

import strawberry
from sqlalchemy import bindparam, select

from app.graphql.enums import documented
from app.graphql.schema.codes import Category
from app.graphql.schema.context import ApiContext, instant
from app.graphql.schema.moment import EXCEPTIONS, TERMS, Cell, sql
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Reach
from app.rows.tables import InForceRow
from app.storage.statements import table_of
from states.subjects.terms import Exceptions as LeftOut
from states.subjects.terms import Terms as Said

TERMS_REMEMBERED = 4_096  # few say something of their own
TERMS_BYTES_REMEMBERED = 512  # and those that say much are read each time

_IN_FORCE = table_of(InForceRow)
_TOLD = sql(
    select(_IN_FORCE.c.party, _IN_FORCE.c.at)
    .where(_IN_FORCE.c.tx == bindparam("tx"))
    .order_by(_IN_FORCE.c.party)
)


@documented(
    "Whether terms open or close.",
    {
        "PERMIT": "They open.",
        "DENY": "They close.",
    },
)
class TermsDecision(StrEnum):
    """As on the ledger."""

    PERMIT = "permit"
    DENY = "deny"


@documented(
    "What a statement is now, at this node: the first that fits.",
    {
        "CLOSED": "A signed withdrawal has come; its receipt has not. It opens nothing any more.",
        "ENDED": "It was withdrawn, lifted or replaced.",
        "EXPIRED": "Its end has passed.",
        "NOT_YET": "Its start has not come.",
        "LIVE": "It counts.",
    },
)
class StatementStatus(StrEnum):
    """The first that fits, from the top."""

    CLOSED = "closed"
    ENDED = "ended"
    EXPIRED = "expired"
    NOT_YET = "not-yet"
    LIVE = "live"


@strawberry.type(description="Who may (or may not) read what, for what purpose.")
class Terms:
    """Fields narrow together; entries of a field are alternatives."""

    decision: TermsDecision = strawberry.field(description="Permit or deny.")
    person: str | None = strawberry.field(
        description="One person, by the organisation's own id (hex); null: not one alone."
    )
    role: str | None = strawberry.field(description="One role; null: not one alone.")
    purposes: list[str] = strawberry.field(description="HL7 purposes of use; none: every one.")
    categories: list[Category] = strawberry.field(description="Categories; none: every one.")
    labels: list[str] = strawberry.field(description="Labels; none: no condition on labels.")
    parties: list[Party] = strawberry.field(
        description="Of a restriction: to whom it closes; none: to all."
    )


@strawberry.type(description="What a permit leaves out; its grantee is not shown this.")
class Exceptions:
    """Empty where nothing is left out."""

    categories: list[Category] = strawberry.field(description="Categories left out.")
    labels: list[str] = strawberry.field(description="Labels left out.")


@strawberry.type(description="A party's signed word since when it acts on a statement.")
class InForce:
    """Access opens or closes there from that moment on."""

    party: Party = strawberry.field(description="Who says so.")
    since: datetime = strawberry.field(description="Since when, by its own clock.")


_said_before = lru_cache(TERMS_REMEMBERED)(TERMS.decode)
_left_out_before = lru_cache(TERMS_REMEMBERED)(EXCEPTIONS.decode)


def _said(cell: bytes) -> Said:
    return _said_before(cell) if len(cell) <= TERMS_BYTES_REMEMBERED else TERMS.decode(cell)


def _left_out(cell: bytes) -> LeftOut:
    if len(cell) <= TERMS_BYTES_REMEMBERED:
        return _left_out_before(cell)
    return EXCEPTIONS.decode(cell)


def terms_of(context: ApiContext, cell: Cell) -> Terms:
    assert isinstance(cell, bytes), "terms are encoded"
    said = _said(cell)
    return Terms(
        decision=TermsDecision(said.decision),
        person=None if said.person is None else said.person.hex(),
        role=said.role,
        purposes=list(said.purposes),
        categories=[Category(each) for each in said.categories],
        labels=list(said.labels),
        parties=[party_of(context, each) for each in said.parties],
    )


def exceptions_of(cell: Cell) -> Exceptions | None:
    if not isinstance(cell, bytes):
        return None
    said = _left_out(cell)
    return Exceptions(
        categories=[Category(each) for each in said.categories], labels=list(said.labels)
    )


def status_of(now: int, start: Cell, end: Cell, consumed: Cell, closed: Cell) -> StatementStatus:
    """Return what a statement is at `now` (ms)."""
    if consumed is not None:
        return StatementStatus.ENDED
    if closed is not None:
        return StatementStatus.CLOSED
    if isinstance(end, int) and now >= end:
        return StatementStatus.EXPIRED
    if isinstance(start, int) and now < start:
        return StatementStatus.NOT_YET
    return StatementStatus.LIVE


def in_force(context: ApiContext, reach: Reach, tx: bytes, since: Cell) -> list[InForce]:
    """Return what parties owed the agent and sent; elsewhere, since when this node itself acts."""
    if reach is not Reach.OWN:
        own = party_of(context, context.viewer.me)
        return [InForce(party=own, since=instant(int(since or 0)))]
    rows = context.moment.rows(_TOLD, {"tx": tx})
    return [
        InForce(party=party_of(context, str(party)), since=instant(int(at or 0)))
        for party, at in rows
    ]
