"""Enrolments that one side lost come back from the other: each is proven by what both signed, and by the keepsake."""

from typing import ClassVar

import msgspec

from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.services import Done
from states.errors import MalformedBytes
from states.identity import Party


class RecallEnrolments(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="recall-enrolments/1",
):
    """Bring me the enrolments between us two, whichever of us is the custodian."""


class BringEnrolments(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="bring-enrolments/1",
):
    """Enrolments by ascending name of the patient, in one part; without a part there are no more."""


class FoundEnrolments(msgspec.Struct, frozen=True, array_like=True, tag="found-enrolments"):
    """A part row with as many enrolments as a message holds, and the last patient in it; empty after the last."""

    part: bytes = b""
    last: bytes = b""


class FindEnrolments(Request[FoundEnrolments], frozen=True, array_like=True, tag="find-enrolments"):
    """The next enrolments between this node and a peer that both sides know to live, after this patient."""

    answers: ClassVar[type[msgspec.Struct]] = FoundEnrolments
    peer: Party
    after: bytes


class TakeEnrolments(Request[FoundEnrolments], frozen=True, array_like=True, tag="take-enrolments"):
    """Take back what a peer brought and this node has not got; answer the last patient.

    What this node never kept, or what contradicts what it keeps, is left out. Raises MalformedBytes where patients do
    not ascend or an enrolment is between others, InvalidSignature for one that the two did not both sign.
    """

    answers: ClassVar[type[msgspec.Struct]] = FoundEnrolments
    peer: Party
    part: bytes
    after: bytes


async def recall_enrolments(flow: FlowContext, peer: Party) -> None:
    """Get back from a peer the enrolments between it and this node. Twice is once."""
    flow.progress("asking a peer for enrolments")
    session = flow.initiate(peer, RemindEnrolments.name, RecallEnrolments())
    after = b""
    while True:
        brought = await session.receive(BringEnrolments)
        brought.check(lambda _: None)
        if not brought.parts:
            return
        if len(brought.parts) > 1:
            raise MalformedBytes("enrolments", "they come as one part")
        after = (await TakeEnrolments(peer, brought.parts[0], after)).last


class RemindEnrolments:
    """Responder of `RecallEnrolments`."""

    name: ClassVar[str] = "remind-enrolments/1"
    first: ClassVar[type[msgspec.Struct]] = RecallEnrolments

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[RecallEnrolments]
    ) -> Done:
        flow.progress("reminding a peer of enrolments")
        first.check(lambda _: None)
        after = b""
        while True:
            found = await FindEnrolments(session.counterparty, after)
            session.send(BringEnrolments(), (found.part,) if found.part else ())
            if not found.part:
                return Done()
            after = found.last
