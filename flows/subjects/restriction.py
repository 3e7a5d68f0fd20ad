"""A patient's agent closes something at a custodian, and opens it again (story, step c)."""

from typing import ClassVar

import msgspec

from flows.flow import FlowContext, Request
from flows.services import Held
from flows.subjects.enrolment import PatientHandle
from flows.subjects.statement import Stated, state
from states.identity import PartyField
from states.sizes import Bytes32
from states.state import StateRef
from states.subjects.terms import Terms


class Restrict(msgspec.Struct, frozen=True, array_like=True, tag="restrict/1"):
    """Close at a custodian what the terms deny. It binds from the custodian's signed *in force since*."""

    patient: PatientHandle
    custodian: PartyField
    terms: Terms
    notice: Bytes32 | None = None

    async def call(self, flow: FlowContext) -> Stated:
        flow.progress("writing the restriction")
        recorded = await state(flow, BuildRestriction(self))
        return Stated(StateRef(recorded.tx, 0))


class LiftRestriction(msgspec.Struct, frozen=True, array_like=True, tag="lift-restriction/1"):
    """End a restriction."""

    ref: StateRef

    async def call(self, flow: FlowContext) -> Stated:
        flow.progress("lifting the restriction")
        await state(flow, BuildLifting(self))
        return Stated(self.ref)


class BuildRestriction(Request[Held], frozen=True, array_like=True, tag="build-restriction"):
    """Build the restriction for an enrolled patient, signed with her authority, and hold it."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    restriction: Restrict


class BuildLifting(Request[Held], frozen=True, array_like=True, tag="build-lifting"):
    """Build the lifting and hold it. Raises NotHeld where the restriction does not live here."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    lifting: LiftRestriction


FLOWS: tuple[type[msgspec.Struct], ...] = (Restrict, LiftRestriction)
RESPONDERS = ()
