"""What consents and restrictions share: her agent builds a patient's statement; a withdrawal closes at once."""

from typing import ClassVar

import msgspec

from flows.finality import WindowLapsed, finalise
from flows.flow import FlowContext, FlowSession, Request, Sleep, Untrusted
from flows.notices import Letter, post
from flows.services import Done, Found, Held, Recorded, transaction_part
from states.errors import MalformedBytes
from states.identity import Party
from states.sizes import Millis
from states.state import StateRef, TransactionIdField

TRIES = 3  # a window of ten minutes that lapses three times is no accident of the moment


class Stated(msgspec.Struct, frozen=True, array_like=True, tag="stated"):
    """A recorded statement of a patient: its state, or what was withdrawn."""

    ref: StateRef


class Heed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="heed/1"):
    """A letter: a signed withdrawal or closing, before the notary has seen it; it comes as a part (signed/1)."""

    tx: TransactionIdField


class Heeded(msgspec.Struct, frozen=True, array_like=True, tag="heeded"):
    """Access is closed from this commit on; the *in force since* that is owed for it."""

    letters: tuple[Letter, ...]


class HeedSigned(Request[Heeded], frozen=True, array_like=True, tag="heed-signed"):
    """Verify a signed withdrawal and close what it ends, now; its receipt will make it final."""

    answers: ClassVar[type[msgspec.Struct]] = Heeded
    peer: Party
    part: bytes


class FindUnnotarised(Request[Found], frozen=True, array_like=True, tag="find-unnotarised"):
    """At an agent: the next withdrawals, after this one, that a peer had to heed and no notary has seen yet."""

    answers: ClassVar[type[msgspec.Struct]] = Found
    peer: Party
    after: bytes


class Bind(Request[Heeded], frozen=True, array_like=True, tag="bind"):
    """At a custodian: withdraw what a statement that begins now closes; nothing where it has ended meanwhile."""

    answers: ClassVar[type[msgspec.Struct]] = Heeded
    ref: StateRef


class BindAtStart(msgspec.Struct, frozen=True, array_like=True, tag="bind-at-start/1"):
    """At a custodian: a denial that begins later than it was recorded closes then what was disclosed before."""

    ref: StateRef
    start: Millis

    async def call(self, flow: FlowContext) -> Done:
        flow.progress("waiting until a denial begins")
        await Sleep(self.start)
        bound = await Bind(self.ref)
        post(flow, bound.letters)
        return Done()


async def withdraw_again(flow: FlowContext, peer: Party) -> None:
    """Tell a restored peer again what it had to heed at once: no transaction is there yet that would bring it back."""
    after = b""
    while found := (await FindUnnotarised(peer, after)).transactions:
        for tx in found:
            flow.letter(peer, HeedAtOnce.name, Heed(tx), (transaction_part(tx, peer),))
        after = found[-1]


async def state(
    flow: FlowContext, build: Request[Held], tell_at_once: tuple[Party, ...] = ()
) -> Recorded:
    """Build, notarise and deliver a patient's statement, afresh if the window lapsed.

    `tell_at_once` names those who get the signed transaction before the notary is asked.
    """
    for _ in range(TRIES - 1):
        try:
            return await _once(flow, await build, tell_at_once)
        except WindowLapsed:
            flow.progress("the time-window lapsed: building afresh")
    return await _once(flow, await build, tell_at_once)


async def _once(flow: FlowContext, held: Held, tell_at_once: tuple[Party, ...]) -> Recorded:
    for party in tell_at_once:
        flow.letter(party, HeedAtOnce.name, Heed(held.tx), (transaction_part(held.tx, party),))
    return await finalise(flow, held)


class HeedAtOnce:
    """Responder of `Heed`: access ends when a signed withdrawal arrives, also while the notary is down."""

    name: ClassVar[str] = "heed-at-once/1"
    first: ClassVar[type[msgspec.Struct]] = Heed

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Heed]) -> Done:
        flow.progress("closing what a patient withdrew")
        if len(first.parts) != 1:
            raise MalformedBytes("withdrawal", "it comes with one part")
        heeded = await HeedSigned(session.counterparty, first.parts[0])
        post(flow, heeded.letters)
        return Done()
