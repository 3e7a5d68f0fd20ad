"""Mutation of recipients: asking a custodian for what a consent permits."""

from typing import Annotated

import strawberry

from app.graphql.errors import ErrorCode
from app.graphql.schema.codes import Category, categories_of, purposes_of
from app.graphql.schema.consent import KIND as CONSENT_KIND
from app.graphql.schema.consent import find_consent
from app.graphql.schema.context import Info
from app.graphql.schema.mutation import (
    ASKED,
    KEY_DESCRIPTION,
    FlowPayload,
    Mistake,
    named_keys,
    start,
)
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


def request_disclosure(info: Info, input: Annotated[RequestDisclosureInput, ASKED]) -> FlowPayload:  # noqa: A002  its name in the API
    context = info.context

    def make() -> RequestDisclosure:
        keys = named_keys(context, input.consent, CONSENT_KIND, find_consent, "consent")
        (purpose,) = purposes_of("purpose", [input.purpose])
        found = find_consent(context, keys)
        if found is None:
            raise Mistake(ErrorCode.NOT_FOUND, "no such consent", "consent")
        ref = StateRef(TransactionId(bytes(found.transaction_id)), found.index)
        person = context.viewer.person_bytes
        return RequestDisclosure(ref, person, purpose, categories_of(input.categories))

    return start(info, Action.REQUEST_DISCLOSURE, input.idempotency_key, input, make)
