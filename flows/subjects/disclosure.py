"""Requesting and making a disclosure (story, steps d and g)."""

from typing import Annotated, ClassVar, Literal, cast

import msgspec

from flows.finality import (
    NotCommitted,
    Proposal,
    collect_signatures,
    finalise,
    receive_finality,
    sign_proposal,
)
from flows.flow import FlowContext, FlowRefused, FlowSession, Request, Untrusted
from flows.services import Held
from flows.subjects.blob import NotReleased, fetch, release, serve, take_keys
from states.crypto.signatures import EvidenceSignature
from states.identity import Party, PartyField
from states.sizes import U32, Bytes16, Bytes32, Millis, Text
from states.state import StateRef
from states.subjects.codes import Category, Purpose
from states.subjects.disclosure import Who

DISCLOSURE = "disclosure/1"


class AskFor(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="ask-for/1"
):
    """What a recipient asks for, and for whom; evidence, so that an omission of either side can be shown.

    `number` is 16 random bytes of the recipient's. No categories: all that the consent permits.
    """

    number: Bytes16
    recipient: PartyField
    custodian: PartyField
    consent: StateRef
    who: Who
    categories: Annotated[tuple[Category, ...], msgspec.Meta(max_length=32)]
    epoch: U32
    epoch_key: Annotated[bytes, msgspec.Meta(max_length=2_048)]
    at: Millis


class Asked(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="asked/1"
):
    """A request and the recipient's identity key's evidence over its encoding."""

    request: AskFor
    signature: EvidenceSignature


class Refusal(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="refusal/1"
):
    """Nothing is disclosed. The words say more than "nothing available" only to a party of the consent."""

    number: Bytes16
    code: Literal["nothing-available", "consent-ended", "not-now"]
    words: Text


_ANSWER = cast("type[Proposal | Refusal]", Proposal | Refusal)  # a union is no `type` to mypy


class NotAsked(msgspec.Struct, frozen=True, array_like=True, tag="not-asked"):
    """The recipient's own node does not ask: the consent has ended, or nobody of that name works here."""

    code: Literal["nothing-available", "consent-ended", "nobody"]
    words: str


class Written(msgspec.Struct, frozen=True, array_like=True, tag="written"):
    """A request that is kept, or why there is none: then this node's reading log holds the refusal already."""

    asked: Asked | None
    refusal: NotAsked | None


class WriteRequest(Request[Written], frozen=True, array_like=True, tag="write-request"):
    """Write, sign and keep a request for a person who works here, or log that it was refused."""

    answers: ClassVar[type[msgspec.Struct]] = Written
    consent: StateRef
    person: bytes
    purpose: Purpose
    categories: tuple[Category, ...]


class Decided(msgspec.Struct, frozen=True, array_like=True, tag="decided"):
    """A custodian's answer to a request: a held disclosure, or a refusal that its reading log holds already."""

    held: Held | None
    refusal: Refusal | None


class DecideRequest(Request[Decided], frozen=True, array_like=True, tag="decide-request"):
    """Decide over all consents and restrictions of the patient; build what is permitted, or log the refusal."""

    answers: ClassVar[type[msgspec.Struct]] = Decided
    peer: Party
    asked: Asked


class Disclosed(msgspec.Struct, frozen=True, array_like=True, tag="disclosed"):
    """How a request ended: the disclosure and whether its keys came, or the words of the refusal."""

    outcome: Literal["disclosed", "not-released", "refused", "not-committed"]
    tx: Bytes32 | None = None
    words: str = ""


class RequestDisclosure(msgspec.Struct, frozen=True, array_like=True, tag="request-disclosure/1"):
    """At a recipient: ask the consent's custodian for what it permits, for one person and purpose."""

    consent: StateRef
    person: Bytes16
    purpose: Purpose
    categories: Annotated[tuple[Category, ...], msgspec.Meta(max_length=32)]

    async def call(self, flow: FlowContext) -> Disclosed:
        flow.progress("asking the custodian")
        written = await WriteRequest(self.consent, self.person, self.purpose, self.categories)
        if (
            written.refusal is not None
        ):  # said here and not by the handler, whose entry would be undone (§1.4)
            raise FlowRefused(written.refusal.code, written.refusal.words)
        asked = written.asked
        assert asked is not None, "what is written is one of the two"
        session = flow.initiate(Party(asked.request.custodian), MakeDisclosure.name, asked)
        brought = await session.receive(_ANSWER)
        said = brought.check(lambda message: message)
        if isinstance(said, Refusal):
            flow.progress("refused")
            return Disclosed("refused", words=said.words)
        proposal = Untrusted(said, brought.parts)
        held = await sign_proposal(session, proposal, DISCLOSURE, asked.request.number)
        try:
            recorded = await receive_finality(flow, session, held)
        except NotCommitted as ended:
            return Disclosed("not-committed", words=ended.public)
        if not await take_keys(flow, session, recorded.tx):
            return Disclosed("not-released", recorded.tx)
        await fetch(flow, session, recorded.tx)
        flow.progress("disclosed")
        return Disclosed("disclosed", recorded.tx)


class MakeDisclosure:
    """The custodian's side: decide, disclose on the ledger, release the keys, send the ciphertext."""

    name: ClassVar[str] = "make-disclosure/1"
    first: ClassVar[type[msgspec.Struct]] = Asked

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Asked]
    ) -> Disclosed:
        flow.progress("deciding")
        decided = await DecideRequest(session.counterparty, first.check(lambda said: said))
        if decided.refusal is not None:
            session.send(decided.refusal)
            return Disclosed("refused", words=decided.refusal.words)
        assert decided.held is not None, "a decision is one of the two"
        held = decided.held
        await collect_signatures(flow, held, (session,))
        try:
            recorded = await finalise(flow, held, (session,))
        except NotCommitted as ended:
            session.send(NotReleased(held.tx))
            return Disclosed("not-committed", words=ended.public)
        if not await release(flow, session, recorded.tx):
            return Disclosed("not-released", recorded.tx)
        await serve(flow, session, recorded.tx)
        flow.progress("disclosed")
        return Disclosed("disclosed", recorded.tx)


FLOWS: tuple[type[msgspec.Struct], ...] = (RequestDisclosure,)
RESPONDERS = (MakeDisclosure,)
