"""Publishing and amending records, and passing them to another custodian (story, steps a, h and i)."""

from typing import Annotated, ClassVar

import msgspec

from flows.finality import (
    Proposal,
    WindowLapsed,
    collect_signatures,
    finalise,
    receive_finality,
    sign_proposal,
)
from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.services import Done, Held, Recorded
from flows.subjects.blob import fetch, release, serve, take_keys
from flows.subjects.patient_access import WithheldReason
from states.errors import MalformedBytes
from states.identity import Party, PartyField, PatientIdField
from states.lock import SpendLock
from states.sizes import U32, Bytes16, Bytes32, Millis
from states.state import StateRef

TRIES = 3
RECORD = "record/1"


class Published(msgspec.Struct, frozen=True, array_like=True, tag="published"):
    """The transaction whose outputs are the records, in the order of the batch."""

    tx: Bytes32


class PublishRecords(msgspec.Struct, frozen=True, array_like=True, tag="publish-records/1"):
    """At a custodian: publish a batch that intake has sealed and staged. The batch's rows hold all that matters."""

    batch: Bytes16

    async def call(self, flow: FlowContext) -> Published:
        flow.progress("writing the publication")
        return Published((await _settle(flow, BuildPublication(self.batch))).tx)


class AmendRecord(msgspec.Struct, frozen=True, array_like=True, tag="amend-record/1"):
    """At a custodian: a staged batch of one takes the place of a record."""

    ref: StateRef
    batch: Bytes16

    async def call(self, flow: FlowContext) -> Published:
        flow.progress("writing the amendment")
        return Published((await _settle(flow, BuildNextVersion(self.ref, self.batch))).tx)


class BuildPublication(Request[Held], frozen=True, array_like=True, tag="build-publication"):
    """Build the publication of a staged batch and hold it."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    batch: bytes


class BuildNextVersion(Request[Held], frozen=True, array_like=True, tag="build-next-version"):
    """Build the amendment of a live record and hold it. Raises NotHeld where it does not live here."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    ref: StateRef
    batch: bytes


async def _settle(flow: FlowContext, build: Request[Held]) -> Recorded:
    for _ in range(TRIES - 1):
        try:
            return await finalise(flow, await build)
        except WindowLapsed:
            flow.progress("the time-window lapsed: building afresh")
    return await finalise(flow, await build)


# -- transfer of custody: the two have no common name of the patient, so her agent introduces them -------


class Introduce(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="introduce/1"
):
    """To the agent: does your patient let this record pass to that custodian?"""

    record: StateRef
    to: PartyField


class Introduced(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="introduced/1"
):
    """From the agent: the token by which the new custodian will know you."""

    token: Bytes16


class Introduction(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="introduction/1"
):
    """A letter to the new custodian: who comes with this token before `until` brings this record of your patient."""

    token: Bytes16
    patient: PatientIdField
    comes: PartyField
    record: StateRef
    until: Millis


class MakeIntroduction(
    Request[Introduction], frozen=True, array_like=True, tag="make-introduction"
):
    """Draw a token if the patient has permitted that this record passes. Raises FlowRefused otherwise, always alike."""

    answers: ClassVar[type[msgspec.Struct]] = Introduction
    custodian: Party
    record: StateRef
    to: Party


class KeepIntroduction(Request[Done], frozen=True, array_like=True, tag="keep-introduction"):
    """Remember whom an agent announced. Raises FlowRefused for a patient who is not enrolled by it."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    agent: Party
    introduction: Introduction


class AnswerIntroduce:
    """The agent's side: a token to both, the pairwise id to the new custodian only."""

    name: ClassVar[str] = "answer-introduce/1"
    first: ClassVar[type[msgspec.Struct]] = Introduce

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Introduce]
    ) -> Done:
        flow.progress("introducing two custodians")
        asked = first.check(lambda said: said)
        made = await MakeIntroduction(session.counterparty, asked.record, asked.to)
        flow.letter(asked.to, NoteIntroduction.name, made)
        session.send(Introduced(made.token))
        return Done()


class NoteIntroduction:
    """The new custodian's side of an introduction."""

    name: ClassVar[str] = "note-introduction/1"
    first: ClassVar[type[msgspec.Struct]] = Introduction

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Introduction]
    ) -> Done:
        flow.progress("noting an introduction")
        return await KeepIntroduction(session.counterparty, first.check(lambda said: said))


class Offer(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="offer/1"
):
    """To the new custodian: this record, of the patient that the token announces; it comes as a part (proven/1).

    `withheld`: why its content is withheld from her, as it shall be on.
    """

    token: Bytes16
    record: StateRef
    withheld: WithheldReason | None


class Acceptance(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="acceptance/1"
):
    """The new custodian's own lock, the leaf hash of its own sealed name of the patient, its epoch key."""

    lock: SpendLock
    leaf: Bytes32
    epoch: U32
    epoch_key: Annotated[bytes, msgspec.Meta(max_length=2_048)]


class Offered(msgspec.Struct, frozen=True, array_like=True, tag="offered"):
    """The part that shows the record, and why its content is withheld from the patient."""

    part: bytes
    withheld: WithheldReason | None


class MakeOffer(Request[Offered], frozen=True, array_like=True, tag="make-offer"):
    """Keep, as a part of this flow, the record's transaction without what it says of the patient."""

    answers: ClassVar[type[msgspec.Struct]] = Offered
    record: StateRef


class AcceptOffer(Request[Acceptance], frozen=True, array_like=True, tag="accept-offer"):
    """Check an offer against its introduction; make lock and seal.

    Raises FlowRefused where the peer, the record or the moment is not the one that was announced.
    """

    answers: ClassVar[type[msgspec.Struct]] = Acceptance
    peer: Party
    offer: Offer
    part: bytes


class BuildTransfer(Request[Held], frozen=True, array_like=True, tag="build-transfer"):
    """Build the transfer with the new custodian's lock and hidden seal, and hold it."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    record: StateRef
    to: Party
    acceptance: Acceptance


class TransferCustody(msgspec.Struct, frozen=True, array_like=True, tag="transfer-custody/1"):
    """At the old custodian: pass a record, as it is, to another one."""

    record: StateRef
    agent: PartyField
    to: PartyField

    async def call(self, flow: FlowContext) -> Published:
        flow.progress("asking the patient's agent for an introduction")
        asking = flow.initiate(self.agent, AnswerIntroduce.name, Introduce(self.record, self.to))
        token = (await asking.receive(Introduced)).check(lambda said: said.token)
        flow.progress("offering the record")
        offered = await MakeOffer(self.record)
        offer = Offer(token, self.record, offered.withheld)
        session = flow.initiate(self.to, TakeCustody.name, offer, (offered.part,))
        acceptance = (await session.receive(Acceptance)).check(lambda said: said)
        held = await BuildTransfer(self.record, self.to, acceptance)
        await collect_signatures(flow, held, (session,))
        recorded = await finalise(flow, held, (session,))
        if await release(flow, session, recorded.tx):
            await serve(flow, session, recorded.tx)
        return Published(recorded.tx)


class TakeCustody:
    """The new custodian's side."""

    name: ClassVar[str] = "take-custody/1"
    first: ClassVar[type[msgspec.Struct]] = Offer

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Offer]
    ) -> Published:
        flow.progress("checking an offered record")
        if len(first.parts) != 1:
            raise MalformedBytes("offer", "it comes with one part")
        offer = first.check(lambda said: said)
        accepted = await AcceptOffer(session.counterparty, offer, first.parts[0])
        session.send(accepted)
        proposal = await session.receive(Proposal)
        held = await sign_proposal(session, proposal, RECORD, offer.token)
        recorded = await receive_finality(flow, session, held)
        if await take_keys(flow, session, recorded.tx):
            await fetch(flow, session, recorded.tx)
        return Published(recorded.tx)


FLOWS: tuple[type[msgspec.Struct], ...] = (PublishRecords, AmendRecord, TransferCustody)
RESPONDERS = (AnswerIntroduce, NoteIntroduction, TakeCustody)
