"""A patient's agent grants, amends and revokes consent (story, steps b and f)."""

from typing import ClassVar

import msgspec

from flows.flow import AskNotary, FlowContext, Request
from flows.services import Held
from flows.subjects.enrolment import PatientHandle
from flows.subjects.liveness import KeepLiveness
from flows.subjects.statement import BindAtStart, HeedAtOnce, Stated, state
from states.identity import PartyField
from states.notarisation import LivenessAnswer
from states.sizes import Bytes32, Millis
from states.state import StateRef
from states.subjects.terms import Exceptions, Terms


class GrantConsent(msgspec.Struct, frozen=True, array_like=True, tag="grant-consent/1"):
    """Let a grantee read at a custodian in [start, end) what the terms permit, less the exceptions.

    `notice` is the hash of what the patient was shown, or None.
    """

    patient: PatientHandle
    custodian: PartyField
    grantee: PartyField
    start: Millis
    end: Millis
    terms: Terms
    exceptions: Exceptions
    notice: Bytes32 | None = None

    async def call(self, flow: FlowContext) -> Stated:
        flow.progress("writing the consent")
        recorded = await state(flow, BuildGrant(self))
        return Stated(StateRef(recorded.tx, 0))


class AmendConsent(msgspec.Struct, frozen=True, array_like=True, tag="amend-consent/1"):
    """Other terms, exceptions or end for a consent that lives."""

    ref: StateRef
    end: Millis
    terms: Terms
    exceptions: Exceptions
    notice: Bytes32 | None = None

    async def call(self, flow: FlowContext) -> Stated:
        flow.progress("rewriting the consent")
        recorded = await state(flow, BuildAmendment(self))
        return Stated(StateRef(recorded.tx, 0))


class RevokeConsent(msgspec.Struct, frozen=True, array_like=True, tag="revoke-consent/1"):
    """End a consent. The signed revocation goes to custodian and grantee at once, before the notary is asked."""

    ref: StateRef

    async def call(self, flow: FlowContext) -> Stated:
        flow.progress("writing the revocation")
        parties = await PartiesOf(self.ref)
        await state(
            flow,
            BuildRevocation(self),
            (parties.custodian, parties.grantee),
        )
        return Stated(self.ref)


class Confirmed(msgspec.Struct, frozen=True, array_like=True, tag="confirmed"):
    """How many consents a notary has said to live, and how many not."""

    live: int
    ended: int


class ConfirmConsents(msgspec.Struct, frozen=True, array_like=True, tag="confirm-consents/1"):
    """At a grantee, at a fixed beat: ask of all consents held whether they live.

    Never of one when it is used: that would tell the notary who is read (architecture §7.4).
    """

    async def call(self, flow: FlowContext) -> Confirmed:
        flow.progress("asking which consents live")
        live = ended = 0
        for questions in (await ConsentsHeld()).batches:
            answer = await AskNotary("liveness", questions)
            if isinstance(answer, LivenessAnswer):
                kept = await KeepLiveness(questions, answer)
                live, ended = live + kept.live, ended + kept.ended
        return Confirmed(live, ended)


class HeldBatches(msgspec.Struct, frozen=True, array_like=True, tag="held-batches"):
    """Rows of questions about liveness, each about states of one notary."""

    batches: tuple[bytes, ...]


class ConsentsHeld(Request[HeldBatches], frozen=True, array_like=True, tag="consents-held"):
    """The consents that live here with this node as grantee, by notary."""

    answers: ClassVar[type[msgspec.Struct]] = HeldBatches


class BuildGrant(Request[Held], frozen=True, array_like=True, tag="build-grant"):
    """Build the grant for an enrolled patient, signed with her authority at that custodian, and hold it."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    grant: GrantConsent


class BuildAmendment(Request[Held], frozen=True, array_like=True, tag="build-consent-amendment"):
    """Build the amendment and hold it. Raises NotHeld where the consent does not live here."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    amendment: AmendConsent


class BuildRevocation(Request[Held], frozen=True, array_like=True, tag="build-revocation"):
    """Build the revocation and hold it. Raises NotHeld where the consent does not live here."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    revocation: RevokeConsent


class ConsentParties(msgspec.Struct, frozen=True, array_like=True, tag="consent-parties"):
    """Whom a consent concerns beside the agent."""

    custodian: PartyField
    grantee: PartyField


class PartiesOf(Request[ConsentParties], frozen=True, array_like=True, tag="consent-parties-of"):
    """Raises NotHeld where the consent is not known here."""

    answers: ClassVar[type[msgspec.Struct]] = ConsentParties
    ref: StateRef


FLOWS: tuple[type[msgspec.Struct], ...] = (
    GrantConsent,
    AmendConsent,
    RevokeConsent,
    ConfirmConsents,
    BindAtStart,
)
RESPONDERS = (HeedAtOnce,)
