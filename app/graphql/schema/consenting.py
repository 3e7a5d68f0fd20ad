"""Mutations of patients: consent and restriction."""

from datetime import datetime
from typing import Annotated

import strawberry

from app.graphql.errors import ErrorCode
from app.graphql.scalars import Digest
from app.graphql.schema.codes import (
    ROLES_DESCRIPTION,
    Category,
    categories_of,
    labels_of,
    purposes_of,
    role_of,
)
from app.graphql.schema.consent import KIND as CONSENT_KIND
from app.graphql.schema.consent import find_consent
from app.graphql.schema.context import ApiContext, Info, millis
from app.graphql.schema.mutation import (
    ASKED,
    KEY_DESCRIPTION,
    FlowPayload,
    Mistake,
    named_keys,
    named_party,
    person_bytes,
    start,
)
from app.graphql.schema.policy import Action
from app.graphql.schema.restriction import KIND as RESTRICTION_KIND
from app.graphql.schema.restriction import find_restriction
from app.graphql.schema.terms import TermsDecision
from flows.subjects.consent import AmendConsent, GrantConsent, RevokeConsent
from flows.subjects.restriction import LiftRestriction, Restrict
from states.identity import Party
from states.state import StateRef, TransactionId
from states.subjects.codes import Decision
from states.subjects.consent import LENGTH_MAX_MS
from states.subjects.terms import Exceptions, Terms


@strawberry.input(description="Who, for what, which records.")
class TermsInput:
    """Fields narrow together; entries of a field are alternatives."""

    person: str | None = strawberry.field(
        default=None, description="One person, by the id that `findPractitioner` gave."
    )
    role: str | None = strawberry.field(
        default=None, description=f"One role, instead of a person: {ROLES_DESCRIPTION}."
    )
    purposes: list[str] = strawberry.field(
        default_factory=list, description="HL7 purposes of use, such as TREAT; a permit names some."
    )
    categories: list[Category] = strawberry.field(
        default_factory=list, description="Categories; none: every one."
    )
    labels: list[str] = strawberry.field(
        default_factory=list, description="Labels; none: no condition on labels."
    )


@strawberry.input(description="What a permit leaves out; its grantee is not shown this.")
class ExceptionsInput:
    """Nothing, unless you say so."""

    categories: list[Category] = strawberry.field(
        default_factory=list, description="Categories left out."
    )
    labels: list[str] = strawberry.field(default_factory=list, description="Labels left out.")


@strawberry.input(description="Let an organisation read at a custodian.")
class GrantConsentInput:
    """By a patient, at her agent."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    custodian: strawberry.ID = strawberry.field(description="Where it lets read.")
    grantee: strawberry.ID = strawberry.field(description="Whom it lets read.")
    end: datetime = strawberry.field(description="Until when, exclusive.")
    terms: TermsInput = strawberry.field(description="Who there, for what, which records.")
    start: datetime | None = strawberry.field(default=None, description="From when; now if absent.")
    decision: TermsDecision = strawberry.field(
        default=TermsDecision.PERMIT, description="Permit, or deny."
    )
    exceptions: ExceptionsInput | None = strawberry.field(
        default=None, description="What it leaves out."
    )
    notice: Digest | None = strawberry.field(
        default=None, description="The hash of what you were shown, if anything."
    )


@strawberry.input(description="Other terms, exceptions or end for a consent that lives.")
class AmendConsentInput:
    """All is said again; the parties stay."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    consent: strawberry.ID = strawberry.field(description="The consent as it is now.")
    end: datetime = strawberry.field(description="Until when, exclusive.")
    terms: TermsInput = strawberry.field(description="Who there, for what, which records.")
    decision: TermsDecision = strawberry.field(
        default=TermsDecision.PERMIT, description="Permit, or deny."
    )
    exceptions: ExceptionsInput | None = strawberry.field(
        default=None, description="What it leaves out."
    )
    notice: Digest | None = strawberry.field(
        default=None, description="The hash of what you were shown, if anything."
    )


@strawberry.input(
    description="End a consent. Access ends when this arrives, not only when it is final."
)
class RevokeConsentInput:
    """What a person has read, she has read."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    consent: strawberry.ID = strawberry.field(description="The consent.")


@strawberry.input(description="Close something at a custodian.")
class RestrictInput:
    """It binds from the custodian's signed word on."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    custodian: strawberry.ID = strawberry.field(description="Where it closes.")
    terms: TermsInput = strawberry.field(description="Which records, for what, to whom.")
    parties: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Organisations to which it closes; none: to all."
    )
    notice: Digest | None = strawberry.field(
        default=None, description="The hash of what you were shown, if anything."
    )


@strawberry.input(description="End a restriction.")
class LiftRestrictionInput:
    """What it closed is open again, as far as consents say."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    restriction: strawberry.ID = strawberry.field(description="The restriction.")


def grant_consent(info: Info, input: Annotated[GrantConsentInput, ASKED]) -> FlowPayload:  # noqa: A002  its name in the API
    context = info.context

    def make() -> GrantConsent:
        custodian = named_party(context, input.custodian, "custodian")
        grantee = named_party(context, input.grantee, "grantee")
        if grantee in (custodian, context.api.assembly.me):
            words = "custodian, grantee and your agent are three organisations"
            raise Mistake(ErrorCode.BAD_USER_INPUT, words, "grantee")
        now = context.moment.now
        begin = now if input.start is None else millis(input.start)
        _check_end(begin, millis(input.end), now)
        return GrantConsent(
            context.viewer.person_bytes,
            custodian,
            grantee,
            begin,
            millis(input.end),
            _terms(input.terms, input.decision),
            _exceptions(input.exceptions),
            input.notice,
        )

    return start(info, Action.STATE, input.idempotency_key, input, make)


def amend_consent(info: Info, input: Annotated[AmendConsentInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> AmendConsent:
        ref = _consent(context, input.consent)
        _check_end(0, millis(input.end), context.moment.now)
        terms = _terms(input.terms, input.decision)
        exceptions = _exceptions(input.exceptions)
        return AmendConsent(ref, millis(input.end), terms, exceptions, input.notice)

    return start(info, Action.STATE, input.idempotency_key, input, make)


def revoke_consent(info: Info, input: Annotated[RevokeConsentInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context
    return start(
        info,
        Action.STATE,
        input.idempotency_key,
        input,
        lambda: RevokeConsent(_consent(context, input.consent)),
    )


def restrict(info: Info, input: Annotated[RestrictInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> Restrict:
        custodian = named_party(context, input.custodian, "custodian")
        parties = {named_party(context, each, "parties") for each in input.parties}
        terms = _terms(input.terms, TermsDecision.DENY, tuple(sorted(parties)))
        return Restrict(context.viewer.person_bytes, custodian, terms, input.notice)

    return start(info, Action.STATE, input.idempotency_key, input, make)


def lift_restriction(info: Info, input: Annotated[LiftRestrictionInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> LiftRestriction:
        keys = named_keys(
            context, input.restriction, RESTRICTION_KIND, find_restriction, "restriction"
        )
        found = find_restriction(context, keys)
        assert found is not None, "it was found"
        if found.consumed_seq is not None:
            raise Mistake(ErrorCode.CONFLICT, "the restriction has ended", "restriction")
        return LiftRestriction(StateRef(TransactionId(bytes(found.transaction_id)), found.index))

    return start(info, Action.STATE, input.idempotency_key, input, make)


def _consent(context: ApiContext, id_: str) -> StateRef:
    """Return a consent of hers that lives; raises Mistake."""
    keys = named_keys(context, id_, CONSENT_KIND, find_consent, "consent")
    found = find_consent(context, keys)
    assert found is not None, "it was found"
    if found.consumed_seq is not None:
        raise Mistake(ErrorCode.CONFLICT, "the consent has ended", "consent")
    return StateRef(TransactionId(bytes(found.transaction_id)), found.index)


def _check_end(begin: int, end: int, now: int) -> None:
    if end <= max(begin, now):
        words = "it must end after it starts, and after now"
        raise Mistake(ErrorCode.BAD_USER_INPUT, words, "end")
    if end > now + LENGTH_MAX_MS:
        raise Mistake(ErrorCode.BAD_USER_INPUT, "it must end within ten years", "end")


def _terms(asked: TermsInput, decision: TermsDecision, parties: tuple[Party, ...] = ()) -> Terms:
    said: Decision = "permit" if decision is TermsDecision.PERMIT else "deny"
    person = person_bytes(asked.person, "terms", "person")
    if person is not None and asked.role is not None:
        raise Mistake(ErrorCode.BAD_USER_INPUT, "a person or a role, not both", "terms", "role")
    role = None if asked.role is None else role_of("terms.role", asked.role)
    purposes = purposes_of("terms.purposes", asked.purposes)
    if said == "permit" and not purposes:
        raise Mistake(ErrorCode.BAD_USER_INPUT, "a permit names its purposes", "terms", "purposes")
    categories = categories_of(asked.categories)
    labels = labels_of("terms.labels", asked.labels)
    return Terms(said, person, role, purposes, categories, labels, parties)


def _exceptions(asked: ExceptionsInput | None) -> Exceptions:
    if asked is None:
        return Exceptions((), ())
    labels = labels_of("exceptions.labels", asked.labels)
    return Exceptions(categories_of(asked.categories), labels)
