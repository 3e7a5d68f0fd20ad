"""A restored agent gets its list of who looked back: every organisation brings its readings again, from the start.

So does an organisation that was itself restored: what its backup counts as reported, the agent may have lost since.
Each peer is asked by a flow of its own, and by another where that fails, until it has brought all.
"""

from functools import partial
from typing import Annotated, ClassVar

import msgspec

from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.retrying import until_answered
from flows.services import Done
from flows.subjects.reading import KeepReadings, MatchReadings
from states.errors import MalformedBytes, OverLimit
from states.identity import Party, PartyField
from states.sizes import U63

PAGES_MAX = 65_536  # of one organisation: some million readings


class RecallReadings(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="recall-readings/1",
):
    """Bring me the next of your readings of my patients, by their places in your log, from this one on.

    Asked once for each page: so no more is on its way than one page, however long the log is.
    """

    start: U63


class BringReadings(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="bring-readings/1"
):
    """A page, as one part (reading-batch/1), and where the next begins; without a part there are no more."""

    next: U63


class FoundReadings(msgspec.Struct, frozen=True, array_like=True, tag="found-readings"):
    """A part row with as many readings as a message holds, and where the next page begins; empty after the last."""

    part: bytes = b""
    next: Annotated[int, msgspec.Meta(ge=0)] = 0


class FindReadings(Request[FoundReadings], frozen=True, array_like=True, tag="find-readings"):
    """The next readings of which a peer is the agent to tell, from a place in this node's log on."""

    answers: ClassVar[type[msgspec.Struct]] = FoundReadings
    peer: Party
    start: int


class AskForReadings(Request[Done], frozen=True, array_like=True, tag="ask-for-readings"):
    """Let a flow of its own ask this peer for its readings, and another where that fails; one at a time."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    peer: Party


class RegainReadings(msgspec.Struct, frozen=True, array_like=True, tag="regain-readings/1"):
    """At an agent: ask one peer for its readings; twice is once.

    Started by `AskForReadings`, and where there was no room here for what an organisation reported.
    """

    peer: PartyField

    async def call(self, flow: FlowContext) -> Done:
        await until_answered(flow, lambda: recall_readings(flow, Party(self.peer)))
        return Done()


async def recall_readings(flow: FlowContext, peer: Party) -> None:
    """Get back what a peer's log has of readings of this node's patients. Twice is once: a line is known by its digest.

    Raises MalformedBytes for pages that do not go on, OverLimit for more than PAGES_MAX.
    """
    flow.progress("asking a peer for its readings")
    session = flow.initiate(peer, RemindReadings.name, RecallReadings(0))
    start = 0
    for _ in range(PAGES_MAX):
        brought = await session.receive(BringReadings)
        if not brought.parts:
            brought.check(lambda _: None)
            # What these readings are about may have come from another peer, before them or after.
            await MatchReadings()
            return
        if len(brought.parts) > 1:
            raise MalformedBytes("readings", "they come as one part")
        start = brought.check(partial(_further, start))
        await KeepReadings(peer, brought.parts[0])
        session.send(RecallReadings(start))
    raise OverLimit("pages of readings", PAGES_MAX + 1, PAGES_MAX)


def _further(start: int, said: BringReadings) -> int:
    if said.next <= start:
        raise MalformedBytes("readings", "their pages do not go on")
    return said.next


def _asked_on(least: int, said: RecallReadings) -> int:
    if said.start < least:
        raise MalformedBytes("question for readings", "it asks again for a page that came")
    return said.start


class OfferReadings(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="offer-readings/1"
):
    """A letter: my reading log is what a backup had. Ask me for it, for you may have been restored yourself meanwhile.

    What the backup counts as reported was told to whom you were then.
    """


class AskReadings:
    """Responder of the letter `OfferReadings`."""

    name: ClassVar[str] = "ask-readings/1"
    first: ClassVar[type[msgspec.Struct]] = OfferReadings

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[OfferReadings]
    ) -> Done:
        flow.progress("a peer offers its readings")
        first.check(lambda _: None)
        return await AskForReadings(session.counterparty)


class RemindReadings:
    """Responder of `RecallReadings`: each question is for a later page, of which one session is brought PAGES_MAX."""

    name: ClassVar[str] = "remind-readings/1"
    first: ClassVar[type[msgspec.Struct]] = RecallReadings

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[RecallReadings]
    ) -> Done:
        flow.progress("reminding an agent of readings")
        asked, least = first, 0
        for _ in range(PAGES_MAX):
            start = asked.check(partial(_asked_on, least))
            found = await FindReadings(session.counterparty, start)
            session.send(BringReadings(found.next), (found.part,) if found.part else ())
            if not found.part:
                return Done()
            asked, least = await session.receive(RecallReadings), start + 1
        raise OverLimit("pages of readings", PAGES_MAX + 1, PAGES_MAX)
