"""A recipient restored from a backup asks each custodian what of its disclosures may not be read any more.

A withdrawal is told once, and an older image does not know that it was: until the custodian has said it again, the
recipient opens nothing of it. It asks about what it holds, so neither side can make the other's work longer than that.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec

from flows.flow import FlowContext, FlowRefused, FlowSession, Request, Untrusted
from flows.notices import Superseded, Withdrawn
from flows.retrying import until_answered
from flows.services import Done, Found, Transactions
from states.errors import MalformedBytes
from states.identity import Party, PartyField
from states.sizes import U16

SAID_MAX = 16_384  # notices of one answer: at least as many as an envelope has room for


class WhatIsWithdrawn(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="what-is-withdrawn/1",
):
    """What of these disclosures, of which I am the recipient, may I not read any more, and of what is there newer?"""

    disclosures: Transactions


class SaidAgain(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="said-again/1"
):
    """All that was ever to be told of the first `answered` disclosures that were asked about: at least of one.

    Of those in `lost` the custodian has nothing, so it cannot say that nothing was withdrawn: they are closed.
    """

    answered: U16
    notices: Annotated[tuple[Withdrawn | Superseded, ...], msgspec.Meta(max_length=SAID_MAX)]
    lost: Transactions = ()


class FindDisclosures(Request[Found], frozen=True, array_like=True, tag="find-disclosures"):
    """At a recipient: the next disclosures of a custodian after this one, also those that are only signed yet."""

    answers: ClassVar[type[msgspec.Struct]] = Found
    custodian: Party
    after: bytes


class SayAgain(Request[SaidAgain], frozen=True, array_like=True, tag="say-again"):
    """At a custodian: what the recipient of these disclosures was, or should have been, told of them.

    Raises FlowRefused as long as this node, restored itself, may not know all that its patients have closed.
    """

    answers: ClassVar[type[msgspec.Struct]] = SaidAgain
    peer: Party
    disclosures: Transactions


class HeedAgain(Request[Done], frozen=True, array_like=True, tag="heed-again"):
    """At a recipient: act on what a custodian has said again. Raises MalformedBytes, FlowRefused."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    custodian: Party
    notices: tuple[Withdrawn | Superseded, ...]
    lost: Transactions


class EndConfirmation(Request[Done], frozen=True, array_like=True, tag="end-confirmation"):
    """At a recipient: the custodian has answered for all that is here; its disclosures are opened again."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    custodian: Party


class ConfirmDisclosures(msgspec.Struct, frozen=True, array_like=True, tag="confirm-disclosures/1"):
    """Ask a custodian about all of its disclosures that are here. Twice is once."""

    custodian: PartyField

    async def call(self, flow: FlowContext) -> Done:
        await until_answered(flow, lambda: self._ask(flow))
        return await EndConfirmation(Party(self.custodian))

    async def _ask(self, flow: FlowContext) -> None:
        flow.progress("asking a custodian what may still be read")
        custodian, after = Party(self.custodian), b""
        while asked := (await FindDisclosures(custodian, after)).transactions:
            session = flow.initiate(custodian, TellAgain.name, WhatIsWithdrawn(asked))
            said = (await session.receive(SaidAgain)).check(_about(asked))
            await HeedAgain(custodian, said.notices, said.lost)
            after = asked[said.answered - 1]


class TellAgain:
    """Responder of `WhatIsWithdrawn`."""

    name: ClassVar[str] = "tell-again/1"
    first: ClassVar[type[msgspec.Struct]] = WhatIsWithdrawn

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[WhatIsWithdrawn]
    ) -> Done:
        flow.progress("telling a restored recipient what it may not read any more")
        session.send(await SayAgain(session.counterparty, first.check(_asked)))
        return Done()


def _asked(said: WhatIsWithdrawn) -> Transactions:
    if not said.disclosures:
        raise FlowRefused("nothing-asked", "name the disclosures to be told of")
    return said.disclosures


def _about(asked: Transactions) -> Callable[[SaidAgain], SaidAgain]:
    """Return a judge of an answer: it goes on, and says nothing of what was not asked."""

    def judge(said: SaidAgain) -> SaidAgain:
        known = dict.fromkeys(asked[: said.answered])
        if not 0 < said.answered <= len(asked):
            raise MalformedBytes("what was said again", "of none, or of more than was asked")
        named = [notice.disclosure for notice in said.notices]
        if any(tx not in known for tx in (*named, *said.lost)):
            raise MalformedBytes("what was said again", "of another disclosure")
        return said

    return judge


FLOWS: tuple[type[msgspec.Struct], ...] = (ConfirmDisclosures,)
RESPONDERS = (TellAgain,)
