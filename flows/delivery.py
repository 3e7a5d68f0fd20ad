"""Bringing recorded transactions to those whom they concern, and fetching what one of them rests on (§5)."""

from functools import partial
from typing import ClassVar

import msgspec

from flows.consumed import ask_what_was_consumed
from flows.enrolment_recall import recall_enrolments
from flows.flow import (
    FlowContext,
    FlowRefused,
    FlowSession,
    Parked,
    Parts,
    Untrusted,
)
from flows.notices import post
from flows.retrying import GONE, until_answered
from flows.services import (
    FETCH_MAX,
    Done,
    FindHeldBy,
    IdsOf,
    Recorded,
    TakeAside,
    Taken,
    TakeTransactions,
    Transactions,
    transaction_part,
)
from states.errors import MalformedBytes
from states.identity import Party
from states.state import TransactionId, TransactionIdField

ROUNDS_MAX = (
    256  # a participant lacks a few versions of its own chain, never an unbounded backchain
)


_UNKNOWN = "a delivered transaction consumes a state that its bringer does not hold"


class Deliver(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="deliver/1"
):
    """A letter: a notarised transaction that concerns you; it comes as a part (proven/1)."""

    tx: TransactionIdField


class Fetch(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="fetch/1"
):
    """Bring me these transactions, of which I am a holder."""

    transactions: Transactions


class Bring(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="bring/1"
):
    """Transactions in order of record, one part (proven/1) each; those that you may not have are left out."""

    transactions: Transactions


def deliver(flow: FlowContext, recorded: Recorded, but: tuple[Party, ...] = ()) -> None:
    """Bring a recorded transaction to its other holders, and send the notices that it calls for.

    By letters, which outlive the flow and never expire. `but`: who has it, unless it was restored since.
    """
    post(flow, recorded.letters)
    for party in recorded.deliver_to:
        if party not in but or party in recorded.restored:
            flow.letter(
                party,
                TakeDelivery.name,
                Deliver(recorded.tx),
                (transaction_part(recorded.tx, party),),
            )


def deliver_again(flow: FlowContext, tx: TransactionId, party: Party) -> None:
    """Bring a recorded transaction, by letter, to one whose session was lost: its receipt may not have come."""
    flow.letter(party, TakeDelivery.name, Deliver(tx), (transaction_part(tx, party),))


async def take_aside(flow: FlowContext) -> None:
    """Record what had been put aside and lacks nothing any more, and bring it to its other holders."""
    ready = True
    while ready:
        remembered = await TakeAside()
        for recorded in remembered.recorded:
            deliver(flow, recorded)
        ready = remembered.ready


async def _take(flow: FlowContext, peer: Party, parts: Parts) -> Taken:
    """Take what `peer` brought; where this node has forgotten the patient's enrolment, get that back from it first."""
    taken = await TakeTransactions(peer, parts)
    if not taken.unenrolled:
        return taken
    try:
        await until_answered(flow, lambda: recall_enrolments(flow, peer))
    except GONE as gone:
        raise Parked("the bringer of a delivered transaction cannot say whose it is") from gone
    return await TakeTransactions(peer, parts, recalled=True)


async def resolve_transactions(flow: FlowContext, peer: Party, parts: Parts, taken: Taken) -> Taken:
    """Fetch from `peer` what the transactions in `parts` consume, as far as this node is a holder, and take all.

    Raises Parked where the peer does not have it: another holder may bring it later.
    """
    flow.progress("fetching earlier transactions")
    waiting: Parts = parts
    shown: Transactions = ()
    for _ in range(ROUNDS_MAX):
        wanted = tuple(sorted({ref.tx for ref in taken.missing}))[:FETCH_MAX]
        try:
            brought = await until_answered(flow, partial(_fetch, flow, peer, wanted))
            if not brought.parts:
                # Of what this node consumes as a record's new custodian it is no holder, but may know it.
                every, before, shown = (await IdsOf(waiting)).transactions, shown, wanted
                asking = partial(ask_what_was_consumed, flow, peer, every, waiting)
                if wanted == before or not await until_answered(flow, asking):
                    raise Parked(_UNKNOWN)
        except GONE as gone:
            raise Parked(
                "the bringer of a delivered transaction cannot say what it rests on"
            ) from gone
        if not all(tx in wanted for tx in await brought_in(brought)):
            raise MalformedBytes("earlier transactions", "others than those that were asked for")
        waiting = brought.parts + waiting
        taken = await _take(flow, peer, waiting)
        if not taken.missing:
            return taken
    raise Parked("a delivered transaction rests on too many that are missing here")


async def _fetch(flow: FlowContext, peer: Party, wanted: Transactions) -> Untrusted[Bring]:
    session = flow.initiate(peer, GiveTransactions.name, Fetch(wanted))
    return await session.receive(Bring)


async def brought_in(brought: Untrusted[Bring]) -> Transactions:
    """Return the transactions that came; raises MalformedBytes where a part is another than the message says."""
    said = brought.check(lambda message: message.transactions)
    if said != (await IdsOf(brought.parts)).transactions:
        raise MalformedBytes("brought transactions", "the parts are not those that are named")
    return said


class TakeDelivery:
    """Responder of the letter `Deliver`: verify what a holder brought, fetch what is missing, record."""

    name: ClassVar[str] = "take-delivery/1"
    first: ClassVar[type[msgspec.Struct]] = Deliver

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Deliver]
    ) -> Done:
        flow.progress("checking a delivered transaction")
        if len(first.parts) != 1:
            raise MalformedBytes("delivery", "it comes with one part")
        taken = await _take(flow, session.counterparty, first.parts)
        if taken.missing:
            taken = await resolve_transactions(flow, session.counterparty, first.parts, taken)
        post(flow, taken.letters)
        for recorded in taken.recorded:
            deliver(flow, recorded)
        if taken.ready:
            await take_aside(flow)
        flow.progress("recorded")
        return Done()


class GiveTransactions:
    """Responder of `Fetch`: give a holder its own transactions again."""

    name: ClassVar[str] = "give-transactions/1"
    first: ClassVar[type[msgspec.Struct]] = Fetch

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Fetch]) -> Done:
        flow.progress("bringing earlier transactions")
        wanted = first.check(_asked)
        found = await FindHeldBy(session.counterparty, wanted)
        parts = tuple(transaction_part(tx, session.counterparty) for tx in found.transactions)
        session.send(Bring(found.transactions), parts)
        return Done()


def _asked(said: Fetch) -> Transactions:
    if not said.transactions:
        raise FlowRefused("nothing-asked", "name the transactions to bring")
    return said.transactions
