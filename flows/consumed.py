"""Showing what a transaction consumed to a holder of it that holds nothing of that: a record's new custodian (§5)."""

from typing import ClassVar

import msgspec

from flows.flow import FlowContext, FlowSession, Parts, Request, Untrusted
from flows.services import Done, Found, Transactions
from states.identity import Party


class Consumed(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="consumed/1"
):
    """Show me the records that these transfers consume, by which I took custody."""

    transactions: Transactions


class Shown(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="shown/1"
):
    """What created them, torn off to these states and their locks, one part (proven/1) each."""


class StatesFound(msgspec.Struct, frozen=True, array_like=True, tag="states-found"):
    """Part rows with the proofs of consumed states."""

    parts: Parts


class FindConsumed(Request[StatesFound], frozen=True, array_like=True, tag="find-consumed"):
    """Proofs of the records that these transfers consume, as far as they are to the peer."""

    answers: ClassVar[type[msgspec.Struct]] = StatesFound
    peer: Party
    transactions: Transactions


class FindUnresolved(Request[Found], frozen=True, array_like=True, tag="find-unresolved"):
    """The next transfers to this node that this peer brought and that were put aside for want of what they consume."""

    answers: ClassVar[type[msgspec.Struct]] = Found
    peer: Party
    after: bytes


class SeeConsumed(Request[Done], frozen=True, array_like=True, tag="see-consumed"):
    """Verify proofs (parts holding proven/1) and keep the records that transfers to this node consume.

    Which transfers: put aside, or `delivered` (parts). Raises a LedgerError for what is no proof, and for a transfer
    that this node never signed; what they do not consume is left out.
    """

    answers: ClassVar[type[msgspec.Struct]] = Done
    parts: Parts
    transactions: Transactions
    delivered: Parts = ()


async def see_consumed(flow: FlowContext, peer: Party) -> None:
    """Let a peer show what the transactions consume that it brought and that had to be put aside for that."""
    after = b""
    while True:
        found = await FindUnresolved(peer, after)
        if not found.transactions:
            return
        await ask_what_was_consumed(flow, peer, found.transactions)
        after = found.transactions[-1]


async def ask_what_was_consumed(
    flow: FlowContext, peer: Party, transactions: Transactions, delivered: Parts = ()
) -> bool:
    """Let a peer show what transfers to this node consumed; False if it shows nothing."""
    flow.progress("asking what a transaction consumed")
    session = flow.initiate(peer, ShowConsumed.name, Consumed(transactions))
    shown = await session.receive(Shown)
    shown.check(lambda _: None)
    if shown.parts:
        await SeeConsumed(shown.parts, transactions, delivered)
    return bool(shown.parts)


class ShowConsumed:
    """Responder of `Consumed`: the new custodian of a record may know what it took over, and nothing sealed."""

    name: ClassVar[str] = "show-consumed/1"
    first: ClassVar[type[msgspec.Struct]] = Consumed

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Consumed]
    ) -> Done:
        flow.progress("showing what a transaction consumed")
        wanted = first.check(lambda said: said.transactions)
        found = await FindConsumed(session.counterparty, wanted)
        session.send(Shown(), found.parts)
        return Done()
