"""Mutation of recipients: asking a custodian for what a consent permits."""

from typing import Annotated

import strawberry

from app.graphql.cursors import SortKey
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.schema.codes import Category, UnknownCode, categories_of, purposes_of
from app.graphql.schema.consent import KIND as CONSENT_KIND
from app.graphql.schema.consent import find_consent
from app.graphql.schema.content import until_answerable
from app.graphql.schema.context import Info
from app.graphql.schema.mutation import (
    ASKED,
    KEY_DESCRIPTION,
    FlowPayload,
    named_keys,
    start,
)
from app.graphql.schema.node import keys_of
from app.graphql.schema.policy import Action
from flows.subjects.disclosure import RequestDisclosure
from states.state import StateRef, TransactionId


@strawberry.input(description="Ask a custodian for the records that a consent permits.")
class RequestDisclosureInput:
    """By a clinician, for herself."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    consent: strawberry.ID = strawberry.field(description="The consent, which is for you.")
    purpose: str = strawberry.field(description="HL7 purpose of use, such as TREAT.")
    categories: list[Category] = strawberry.field(
        default_factory=list, description="What of it; none: all that is permitted."
    )


async def request_disclosure(
    info: Info,
    input: Annotated[RequestDisclosureInput, ASKED],  # noqa: A002  its name in the API
) -> FlowPayload:
    context = info.context

    def make() -> RequestDisclosure:
        # First what is a mistake whatever it names: so that a refusal for what it names has a purpose to be logged.
        (purpose,) = purposes_of("purpose", [input.purpose])
        keys = named_keys(context, input.consent, CONSENT_KIND, find_consent, "consent")
        person = context.viewer.person_bytes
        return RequestDisclosure(_ref(keys), person, purpose, categories_of(input.categories))

    try:
        payload = start(info, Action.REQUEST_DISCLOSURE, input.idempotency_key, input, make)
    except ApiError as forbidden:
        if forbidden.code is ErrorCode.FORBIDDEN:
            await _refused(info, input)
        raise
    if any(error.code is ErrorCode.NOT_FOUND for error in payload.user_errors):
        await _refused(info, input)
    return payload


async def _refused(info: Info, asked: RequestDisclosureInput) -> None:
    """Keep in the reading log that somebody asked in vain, so that the patient hears of it; tell the caller nothing."""
    context = info.context
    try:
        (purpose,) = purposes_of("purpose", [asked.purpose])
    except UnknownCode:
        return  # no request for anything
    keys = keys_of(context, asked.consent, CONSENT_KIND)
    consent = None if keys is None else _ref(keys)
    refused = context.api.gate.refuse_request(context.caller.session, consent, purpose)
    await until_answerable(context, refused)
    context.renew()


def _ref(keys: tuple[SortKey, ...]) -> StateRef:
    """Return the consent that an id of this node names."""
    tx, index = keys
    assert isinstance(tx, bytes), "a primary key"
    return StateRef(TransactionId(tx), int(index))
