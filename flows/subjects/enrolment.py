"""Enrolling a patient at a custodian through her agent, and finding whom she may name (story, step 0)."""

from typing import Annotated, ClassVar

import msgspec

from flows.enrolment_recall import RemindEnrolments, recall_enrolments
from flows.flow import FlowContext, FlowRefused, FlowSession, Request, SessionLost, Untrusted
from flows.retrying import until_answered
from flows.services import Done
from states.crypto.policy import Policy
from states.crypto.signatures import EvidenceSignature
from states.enrolment import Enrolment, SignedEnrolment
from states.identity import Party, PartyField, PatientId, PatientIdField
from states.sizes import Bytes16, Millis, Name, Text
from states.subjects.codes import RoleCode

KEEPSAKE_MAX = 1_024

PatientHandle = bytes
"""An agent's own name of a patient; it never leaves the agent."""


class EnrolmentOffer(msgspec.Struct, frozen=True, array_like=True, tag="enrolment-offer"):
    """A one-time code for a patient at the desk: wrapped at rest, shown by the node only to its own staff."""

    wrapped: bytes
    until: Millis


class MakeOffer(Request[EnrolmentOffer], frozen=True, array_like=True, tag="make-enrolment-offer"):
    """Draw a one-time code for a local patient; only its hash is kept beside."""

    answers: ClassVar[type[msgspec.Struct]] = EnrolmentOffer
    local: str


class OfferEnrolment(msgspec.Struct, frozen=True, array_like=True, tag="offer-enrolment/1"):
    """At a custodian's desk: a code, valid for fifteen minutes, for the patient who stands there."""

    local: Name

    async def call(self, flow: FlowContext) -> EnrolmentOffer:
        flow.progress("drawing a one-time code")
        return await MakeOffer(self.local)


class Application(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="enrol/1"
):
    """Enrol me, who has this code: my name between us two, my authority, my agent (the sender)."""

    code: Bytes16
    patient: PatientIdField
    authority: Policy


class CustodianSigned(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="enrolled/1"
):
    """The enrolment as the custodian signs it."""

    enrolment: Enrolment
    custodian: EvidenceSignature


class Apply(Request[Application], frozen=True, array_like=True, tag="apply"):
    """Make a patient's pairwise id and authority for a custodian, or give again those made before."""

    answers: ClassVar[type[msgspec.Struct]] = Application
    patient: PatientHandle
    custodian: Party
    code: bytes


class JudgeApplication(
    Request[CustodianSigned], frozen=True, array_like=True, tag="judge-application"
):
    """Check the code, use it up, sign. Raises FlowRefused for a wrong, used or late code."""

    answers: ClassVar[type[msgspec.Struct]] = CustodianSigned
    agent: Party
    application: Application


class AcceptEnrolment(
    Request[SignedEnrolment], frozen=True, array_like=True, tag="accept-enrolment"
):
    """Check that the custodian signed what was applied for, sign with the patient's authority, keep it."""

    answers: ClassVar[type[msgspec.Struct]] = SignedEnrolment
    patient: PatientHandle
    application: Application
    signed: CustodianSigned


class Kept(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="kept/1"):
    """The enrolment lives at the custodian.

    The keepsake is the custodian's own name of the patient, sealed for itself: brought back with the enrolment, it
    proves to a custodian that has lost its books that it kept this one, and tells it of whom.
    """

    keepsake: Annotated[bytes, msgspec.Meta(min_length=1, max_length=KEEPSAKE_MAX)]


class KeepEnrolment(Request[Kept], frozen=True, array_like=True, tag="keep-enrolment"):
    """Check both signatures and let the enrolment live."""

    answers: ClassVar[type[msgspec.Struct]] = Kept
    agent: Party
    signed: SignedEnrolment


class NoteKept(Request[Done], frozen=True, array_like=True, tag="note-kept"):
    """The custodian has kept it: from now on the patient may speak by it."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    patient: PatientHandle
    signed: SignedEnrolment
    kept: Kept


class ConfirmKept(Request[Done], frozen=True, array_like=True, tag="confirm-kept"):
    """Is it known that the custodian has kept it? Raises FlowRefused where it is not."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    custodian: Party
    patient: PatientId


class Enrolled(msgspec.Struct, frozen=True, array_like=True, tag="enrolled"):
    """The patient's name at that custodian."""

    custodian: PartyField
    patient: PatientIdField


class EnrolPatient(msgspec.Struct, frozen=True, array_like=True, tag="enrol-patient/1"):
    """At an agent: enrol one of its patients with the code that she got at a custodian's desk."""

    patient: PatientHandle
    custodian: PartyField
    code: Bytes16

    async def call(self, flow: FlowContext) -> Enrolled:
        flow.progress("applying at the custodian")
        application = await Apply(self.patient, self.custodian, self.code)
        session = flow.initiate(self.custodian, AnswerApplication.name, application)
        answer = await session.receive(CustodianSigned)
        signed = await AcceptEnrolment(self.patient, application, answer.check(lambda said: said))
        session.send(signed)
        patient = PatientId(application.patient)
        try:
            kept = await session.receive(Kept)
            await NoteKept(self.patient, signed, kept.check(lambda said: said))
        except SessionLost:
            # The custodian was restored: to before it kept it, or to after, with its answer lost.
            await until_answered(flow, lambda: recall_enrolments(flow, self.custodian))
            await ConfirmKept(self.custodian, patient)
        flow.progress("enrolled")
        return Enrolled(self.custodian, patient)


class AnswerApplication:
    """The custodian's side of EnrolPatient."""

    name: ClassVar[str] = "answer-application/1"
    first: ClassVar[type[msgspec.Struct]] = Application

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Application]
    ) -> Kept:
        flow.progress("checking a one-time code")
        application = first.check(lambda said: said)
        session.send(await JudgeApplication(session.counterparty, application))
        signed = await session.receive(SignedEnrolment)
        kept = await KeepEnrolment(session.counterparty, signed.check(lambda said: said))
        session.send(kept)
        flow.progress("enrolled")
        return kept


class Practitioner(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="practitioner/1"
):
    """A person as the organisation names her to others."""

    person: Bytes16
    shown_as: Text
    role: RoleCode


class WhoIs(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="who-is/1"
):
    """Which of your practitioners is called this?"""

    name: Annotated[str, msgspec.Meta(min_length=2, max_length=128)]


class Practitioners(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="practitioners/1"
):
    """Those of exactly this name."""

    found: Annotated[tuple[Practitioner, ...], msgspec.Meta(max_length=16)]


class LookUp(Request[Practitioners], frozen=True, array_like=True, tag="look-up-practitioner"):
    """Look a name up in the staff directory: exact, so that nobody lists the staff by guessing beginnings."""

    answers: ClassVar[type[msgspec.Struct]] = Practitioners
    name: str


class FindPractitioner(msgspec.Struct, frozen=True, array_like=True, tag="find-practitioner/1"):
    """At an agent: find the person at an organisation whom a patient wants to name."""

    organisation: PartyField
    name: Name

    async def call(self, flow: FlowContext) -> Practitioners:
        flow.progress("asking the organisation's directory")
        session = flow.initiate(self.organisation, AnswerWhoIs.name, WhoIs(self.name))
        answer = await session.receive(Practitioners)
        return answer.check(_someone)


class AnswerWhoIs:
    """The organisation's side of FindPractitioner."""

    name: ClassVar[str] = "answer-who-is/1"
    first: ClassVar[type[msgspec.Struct]] = WhoIs

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[WhoIs]) -> Done:
        flow.progress("looking a practitioner up")
        session.send(await LookUp(first.check(lambda said: said.name)))
        return Done()


def _someone(said: Practitioners) -> Practitioners:
    if not said.found:
        raise FlowRefused("nobody", "the organisation names nobody like that")
    return said


FLOWS: tuple[type[msgspec.Struct], ...] = (OfferEnrolment, EnrolPatient, FindPractitioner)
RESPONDERS = (AnswerApplication, AnswerWhoIs, RemindEnrolments)
