"""A node that was restored from an old backup gets back what it had: from its peers, by flow (§5)."""

from typing import ClassVar

import msgspec

from flows.consumed import see_consumed
from flows.delivery import Bring, brought_in, deliver, take_aside
from flows.enrolment_recall import recall_enrolments
from flows.flow import FlowContext, FlowSession, Untrusted
from flows.reading_recall import AskForReadings, AskReadings, OfferReadings
from flows.retrying import until_answered
from flows.services import (
    BeginRecovery,
    Done,
    EndRecovery,
    FindSince,
    TakeRemembered,
    transaction_part,
)
from flows.subjects.statement import withdraw_again
from states.errors import MalformedBytes
from states.identity import Party, PartyField
from states.sizes import Millis
from states.state import TransactionId


class Recall(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="recall/1"
):
    """Bring me all that you recorded since then and of which I am a holder."""

    since: Millis


class Recover(msgspec.Struct, frozen=True, array_like=True, tag="recover/1"):
    """Ask one peer for everything since a moment before the backup; twice is once, by id.

    Once for each peer is enough, in any order: what one brings waits for what it rests on until another brings that.
    """

    peer: PartyField
    since: Millis

    async def call(self, flow: FlowContext) -> Done:
        await BeginRecovery(Party(self.peer), self.since)
        await until_answered(flow, lambda: self._recall(flow))
        await EndRecovery()
        # Last, for a line is matched to what it is about: a reading of a disclosure comes behind the disclosure.
        await AskForReadings(Party(self.peer))
        flow.letter(Party(self.peer), AskReadings.name, OfferReadings())
        return Done()

    async def _recall(self, flow: FlowContext) -> None:
        await recall_enrolments(flow, Party(self.peer))  # transactions are believed by them
        await take_aside(flow)
        flow.progress("asking a peer for what this node has lost")
        session = flow.initiate(Party(self.peer), Remind.name, Recall(self.since))
        seen: dict[TransactionId, None] = {}
        while True:
            brought = await session.receive(Bring)
            page = await brought_in(brought)
            if not page:
                await see_consumed(flow, session.counterparty)
                return await take_aside(flow)
            if any(tx in seen for tx in page):
                raise MalformedBytes("earlier transactions", "one is brought twice")
            seen |= dict.fromkeys(page)
            remembered = await TakeRemembered(session.counterparty, brought.parts)
            for recorded in remembered.recorded:
                deliver(flow, recorded, but=(session.counterparty,))
            if remembered.ready:
                await take_aside(flow)


class Remind:
    """Responder of `Recall`: page through what the restored peer holds too, and say again what it had to heed.

    That comes before the last page, so before the peer takes itself for recovered; and after all that it rests on.
    """

    name: ClassVar[str] = "remind/1"
    first: ClassVar[type[msgspec.Struct]] = Recall

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Recall]) -> Done:
        flow.progress("reminding a restored peer")
        since, after = first.check(lambda said: said.since), b""
        while True:
            found = await FindSince(session.counterparty, since, after)
            peer = session.counterparty
            parts = tuple(transaction_part(tx, peer) for tx in found.transactions)
            if not found.transactions:
                await withdraw_again(flow, peer)
            session.send(Bring(found.transactions), parts)
            if not found.transactions:
                return Done()
            after = found.transactions[-1]
