"""Permits of transfer: what a patient lets pass from one custodian to another, and her mutations of it."""

from datetime import datetime
from typing import Annotated

import msgspec
import strawberry
from sqlalchemy import bindparam

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.errors import ErrorCode, UserError
from app.graphql.schema.context import ApiContext, Info, instant, millis
from app.graphql.schema.listing import After, Before, First, Last, Listing, find, page
from app.graphql.schema.moment import Row
from app.graphql.schema.mutation import (
    ASKED,
    KEY_DESCRIPTION,
    Mistake,
    named_keys,
    named_party,
    once,
)
from app.graphql.schema.node import Node
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Action, Reach, Subject
from app.rows.tables import TransferPermitRow
from app.storage.statements import table_of
from app.subjects.transfer_permit import NotPermissible
from states.encoding import encode
from states.identity import Party as PartyId

KIND = "transfer permit"

_P = table_of(TransferPermitRow)
PERMITS = Listing(
    name="transferPermits",
    subject=Subject.TRANSFER_PERMIT,
    source=_P,
    columns=(_P.c.patient, _P.c.custodian, _P.c.to, _P.c.until),
    key=(_P.c.patient, _P.c.custodian, _P.c.to),
    order=(_P.c.custodian, _P.c.to),
    visible={Reach.OWN: _P.c.patient == bindparam("viewer_person")},
    at=_P.c.until > bindparam("now"),
    newest_first=False,
)
_KEY: msgspec.msgpack.Decoder[tuple[str, str, str]] = msgspec.msgpack.Decoder(tuple[str, str, str])


@strawberry.type(description="What you let pass from one custodian to another, until then.")
class TransferPermit(Node):
    """For any number of records. One that has ended or was withdrawn is not there."""

    custodian: Party = strawberry.field(description="Who may pass your records on.")
    to: Party = strawberry.field(description="To whom.")
    until: datetime = strawberry.field(description="Until when, exclusive.")


@strawberry.input(description="Let a custodian pass records of yours to another one.")
class PermitTransferInput:
    """By a patient, at her agent. Without it her agent introduces no two custodians."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    custodian: strawberry.ID = strawberry.field(description="Who may pass your records on.")
    to: strawberry.ID = strawberry.field(
        description="To whom. You are enrolled at both; permitted again, only the end is another."
    )
    until: datetime = strawberry.field(
        description="Until when, exclusive; within thirty days from now."
    )


@strawberry.input(description="Let pass no more what you permitted.")
class WithdrawTransferPermitInput:
    """By a patient, at her agent. What has passed stays where it is."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    permit: strawberry.ID = strawberry.field(description="The permit.")


@strawberry.type(description="What you permit now.")
class TransferPermitPayload:
    """At once: no flow is needed for it."""

    permit: TransferPermit | None = strawberry.field(
        description="Null where it was refused or withdrawn, or has ended since."
    )
    user_errors: list[UserError] = strawberry.field(description="Why it was refused.")


def permit_of(context: ApiContext, row: Row) -> TransferPermit:
    patient, custodian, to, until = row
    return TransferPermit(
        id=context.api.ids.seal(KIND, str(patient), str(custodian), str(to)),
        custodian=party_of(context, str(custodian)),
        to=party_of(context, str(to)),
        until=instant(int(until or 0)),
    )


def find_permit(context: ApiContext, keys: tuple[SortKey, ...]) -> TransferPermit | None:
    row = find(context, PERMITS, keys)
    return None if row is None else permit_of(context, row)


def transfer_permits(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[TransferPermit]:
    context = info.context
    return page(
        context,
        PERMITS,
        PageArguments(first, after, last, before),
        lambda row: permit_of(context, row),
    )


def permit_transfer(
    info: Info,
    input: Annotated[PermitTransferInput, ASKED],  # noqa: A002  its name in the API
) -> TransferPermitPayload:
    context = info.context
    assembly = context.api.assembly

    def make() -> bytes:
        custodian = named_party(context, input.custodian, "custodian")
        to = named_party(context, input.to, "to")
        patient, until = context.viewer.person, millis(input.until)
        permits = assembly.transfer_permits
        try:
            permits.permit(assembly.db, context.moment.now, patient, custodian, to, until)
        except NotPermissible as refused:
            raise Mistake(ErrorCode.BAD_USER_INPUT, str(refused), refused.field) from refused
        return encode((patient, custodian, to))

    made = once(info, Action.PERMIT_TRANSFER, input.idempotency_key, ("permit", input), make)
    if isinstance(made, UserError):
        return TransferPermitPayload(permit=None, user_errors=[made])
    return TransferPermitPayload(permit=find_permit(context, _KEY.decode(made)), user_errors=[])


def withdraw_transfer_permit(
    info: Info,
    input: Annotated[WithdrawTransferPermitInput, ASKED],  # noqa: A002
) -> TransferPermitPayload:
    context = info.context
    assembly = context.api.assembly

    def make() -> bytes:
        keys = named_keys(context, input.permit, KIND, find_permit, "permit")
        patient, custodian, to = map(str, keys)
        assembly.transfer_permits.withdraw(assembly.db, patient, PartyId(custodian), PartyId(to))
        return encode((patient, custodian, to))

    made = once(info, Action.PERMIT_TRANSFER, input.idempotency_key, ("withdraw", input), make)
    refused = [made] if isinstance(made, UserError) else []
    return TransferPermitPayload(permit=None, user_errors=refused)
