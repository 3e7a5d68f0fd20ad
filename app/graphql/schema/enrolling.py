"""Mutations: enrolling a patient, finding whom she may name, keeping the staff directory."""

import re
from datetime import datetime
from typing import Annotated

import msgspec
import strawberry

from app.graphql.errors import ErrorCode, UserError
from app.graphql.schema.codes import ROLES_DESCRIPTION, role_of
from app.graphql.schema.context import Info, instant
from app.graphql.schema.flow import KIND as FLOW_KIND
from app.graphql.schema.flow import Practitioner, find_flow
from app.graphql.schema.mutation import (
    ASKED,
    KEY_DESCRIPTION,
    FlowPayload,
    Mistake,
    named_keys,
    named_party,
    once,
    require,
    require_name,
    start,
)
from app.graphql.schema.policy import Action
from flows.subjects.enrolment import (
    EnrolmentOffer,
    EnrolPatient,
    FindPractitioner,
    OfferEnrolment,
)
from flows.subjects.enrolment import Practitioner as Named

PERSON_SIZE = 16
NAME_CHARS_MIN = 2  # as an organisation's directory takes it (WhoIs)
CODE = re.compile(r"[0-9A-F]{32}\Z")
_OFFER: msgspec.msgpack.Decoder[EnrolmentOffer] = msgspec.msgpack.Decoder(EnrolmentOffer)


@strawberry.input(description="Draw a one-time code for the patient at the desk.")
class OfferEnrolmentInput:
    """By a clinician of the custodian."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    local_name: str = strawberry.field(description="Your patient number for her.")


@strawberry.input(description="Show the code of an offer that you made, once.")
class ShowEnrolmentCodeInput:
    """Good for fifteen minutes from the offer on."""

    flow: strawberry.ID = strawberry.field(description="The flow that `offerEnrolment` started.")


@strawberry.type(description="A one-time code, which is shown this once.")
class EnrolmentCodePayload:
    """Give it to the patient at the desk, and to nobody else."""

    code: str | None = strawberry.field(description="32 hexadecimal digits in groups of four.")
    until: datetime | None = strawberry.field(description="Until when it is good.")
    user_errors: list[UserError] = strawberry.field(description="Why there is none.")


@strawberry.input(description="Enrol yourself with a code that you got at a custodian's desk.")
class EnrolPatientInput:
    """By a patient, at her agent."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    custodian: strawberry.ID = strawberry.field(description="The organisation at whose desk.")
    code: str = strawberry.field(description="32 hexadecimal digits; blanks and hyphens may be in.")


@strawberry.input(description="Find the person at an organisation whom a consent shall name.")
class FindPractitionerInput:
    """By a patient, at her agent."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    organisation: strawberry.ID = strawberry.field(description="Where she works.")
    name: str = strawberry.field(description="Her name, exactly as the organisation shows it.")


@strawberry.input(description="Enter somebody into this organisation's staff directory.")
class AddPractitionerInput:
    """By an operator."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    shown_as: str = strawberry.field(description="The name to show, such as Dr A. Reed.")
    role: str = strawberry.field(description=f"Her role: {ROLES_DESCRIPTION}.")


@strawberry.type(description="Who was entered.")
class PractitionerPayload:
    """Her id is new, and the organisation's own."""

    practitioner: Practitioner | None = strawberry.field(description="Null where it was refused.")
    user_errors: list[UserError] = strawberry.field(description="Why it was refused.")


def offer_enrolment(info: Info, input: Annotated[OfferEnrolmentInput, ASKED]) -> FlowPayload:  # noqa: A002  its name in the API
    return start(
        info,
        Action.OFFER_ENROLMENT,
        input.idempotency_key,
        input,
        lambda: OfferEnrolment(require_name(input.local_name, "localName")),
    )


def show_enrolment_code(
    info: Info,
    input: Annotated[ShowEnrolmentCodeInput, ASKED],  # noqa: A002
) -> EnrolmentCodePayload:
    require(info, Action.OFFER_ENROLMENT)
    context = info.context
    try:
        keys = named_keys(context, input.flow, FLOW_KIND, find_flow, "flow")
        flow = bytes(keys[0]) if isinstance(keys[0], bytes) else b""
        row = context.api.assembly.engine.flow(flow)
        assert row is not None, "it was found"
        offer = _OFFER.decode(row.result) if row.result else None
    except (Mistake, msgspec.DecodeError):
        offer, flow = None, b""
    if offer is None or not context.api.requests.show_once(flow):
        words = "no code of yours that is ready and was not shown before"
        refused = UserError(code=ErrorCode.NOT_FOUND, field=["input", "flow"], message=words)
        return EnrolmentCodePayload(code=None, until=None, user_errors=[refused])
    digits = context.api.assembly.enrolments.open_offer(offer).hex().upper()
    groups = "-".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    return EnrolmentCodePayload(code=groups, until=instant(offer.until), user_errors=[])


def enrol_patient(info: Info, input: Annotated[EnrolPatientInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> EnrolPatient:
        custodian = named_party(context, input.custodian, "custodian")
        digits = re.sub(r"[\s-]", "", input.code).upper()
        if not CODE.match(digits):
            raise Mistake(ErrorCode.BAD_USER_INPUT, "a code is 32 hexadecimal digits", "code")
        return EnrolPatient(context.viewer.person_bytes, custodian, bytes.fromhex(digits))

    return start(info, Action.ENROL, input.idempotency_key, input, make)


def find_practitioner(info: Info, input: Annotated[FindPractitionerInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> FindPractitioner:
        organisation = named_party(context, input.organisation, "organisation")
        return FindPractitioner(organisation, require_name(input.name, "name", NAME_CHARS_MIN))

    return start(info, Action.FIND_PRACTITIONER, input.idempotency_key, input, make)


def add_practitioner(
    info: Info,
    input: Annotated[AddPractitionerInput, ASKED],  # noqa: A002
) -> PractitionerPayload:
    assembly = info.context.api.assembly

    def make() -> bytes:
        shown_as, role = require_name(input.shown_as, "shownAs"), role_of("role", input.role)
        named = Named(assembly.given.entropy(PERSON_SIZE), shown_as, role)
        assembly.enrolments.add_practitioner(assembly.db, named)
        return named.person

    person = once(info, Action.KEEP_STAFF, input.idempotency_key, (input,), make)
    if isinstance(person, UserError):
        return PractitionerPayload(practitioner=None, user_errors=[person])
    shown = Practitioner(person=person.hex(), shown_as=input.shown_as, role=input.role)
    return PractitionerPayload(practitioner=shown, user_errors=[])
