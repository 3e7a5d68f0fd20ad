"""From a held transaction to one that everybody concerned has recorded (§5)."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from flows.delivery import deliver
from flows.flow import (
    AskNotary,
    CounterpartyFailed,
    FlowContext,
    FlowRefused,
    FlowSession,
    Parked,
    SessionEnded,
    SessionLost,
    Sleep,
    TimedOut,
    Untrusted,
)
from flows.services import (
    AddSignatures,
    Drop,
    Held,
    HoldProposal,
    Moment,
    Now,
    OwnSignatures,
    Record,
    Recorded,
    Signatures,
    transaction_part,
)
from states.errors import MalformedBytes
from states.identity import Party
from states.notarisation import (
    Answer,
    Committed,
    Conflict,
    Never,
    NotAllowed,
    Unknown,
    WindowClosed,
)
from states.state import TransactionId, TransactionIdField

S = TypeVar("S", bound="AboutTransaction")

NOTARY_GRACE_MS = (
    5_000  # clocks differ: ask for the fate of a draft a little after its window closed
)


class AboutTransaction(Protocol):
    """A message that names the transaction it is about."""

    @property
    def tx(self) -> TransactionId: ...


class Proposal(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="proposal/1"
):
    """Sign this transaction, please; it comes as a part (signed/1)."""

    tx: TransactionIdField


class AllSigned(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="all-signed/1"
):
    """Every signature is durably here as well: the notary may be asked."""

    tx: TransactionIdField


class Receipt(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="receipt/1"
):
    """The notary's receipt for the transaction that both sides hold."""

    tx: TransactionIdField
    receipt: str


class NotCommitted(FlowRefused):
    """The notary's final word is that the transaction is not committed; the held draft was dropped."""


class WindowLapsed(NotCommitted):
    """The window closed first: the flow may build the transaction afresh."""

    def __init__(self) -> None:
        super().__init__("window-closed", "the time-window closed before the notary was reached")


class AlreadyConsumed(NotCommitted):
    """An input or reference was consumed by another transaction."""

    def __init__(self) -> None:
        super().__init__("conflict", "a state that this refers to has been consumed meanwhile")


async def collect_signatures(
    flow: FlowContext, held: Held, sessions: tuple[FlowSession, ...]
) -> None:
    """Get the missing signatures, one session a signer; afterwards every signer holds all of them durably.

    Where one does not come, the draft goes once the notary says that it never will be committed: a signer who has all
    others' may have asked. Raises WindowLapsed then, and parks where he did.
    """
    try:
        await _collect(flow, held, sessions)
    except (TimedOut, SessionLost, SessionEnded, CounterpartyFailed, MalformedBytes) as gone:
        await _ask_for_fate(flow, held)
        raise Parked("a signer had it notarised alone, and has to bring it") from gone


async def _collect(flow: FlowContext, held: Held, sessions: tuple[FlowSession, ...]) -> None:
    flow.progress("collecting signatures")
    for session in sessions:
        session.send(Proposal(held.tx), (transaction_part(held.tx, session.counterparty),))
    for session in sessions:
        brought = await session.receive(Signatures, held.until)
        await AddSignatures(session.counterparty, brought.check(about(held.tx)))
    if len(sessions) > 1:  # with two signers, the second has had the first one's with the proposal
        every = await OwnSignatures(held.tx)
        for session in sessions:
            session.send(every)
        for session in sessions:
            (await session.receive(AllSigned, held.until)).check(about(held.tx))


async def finalise(
    flow: FlowContext, held: Held, sessions: tuple[FlowSession, ...] = ()
) -> Recorded:
    """Have a fully signed transaction notarised, record it, tell the signers, bring it to the other holders.

    Every signer holds it durably before the notary is asked (`collect_signatures`), so nothing that is notarised
    can be lost. Raises WindowLapsed or AlreadyConsumed, when the draft has been dropped; parks where the notary
    refuses what this node had checked.
    """
    flow.progress("asking the notary")
    answer = await AskNotary("notarise", held.tx)
    if not isinstance(answer, Committed):
        await _end_uncommitted(held.tx, answer)
    assert isinstance(answer, Committed)
    recorded = await Record(held.tx, answer.receipt)
    for session in sessions:
        session.send(Receipt(held.tx, answer.receipt))
    deliver(flow, recorded, but=tuple(session.counterparty for session in sessions))
    flow.progress("recorded")
    return recorded


async def sign_proposal(
    session: FlowSession, proposal: Untrusted[Proposal], purpose: str, context: bytes
) -> Held:
    """Judge a proposal, hold it with this node's signature, and send the signature."""
    tx = proposal.check(lambda said: said.tx)
    if len(proposal.parts) != 1:
        raise MalformedBytes("proposal", "it comes with one part")
    held = await HoldProposal(session.counterparty, proposal.parts[0], purpose, context)
    if held.tx != tx:
        raise MalformedBytes("proposal", "it names another transaction")
    mine = await OwnSignatures(tx)
    session.send(mine)
    if held.others:  # more signers: hold their signatures as well before the notary is asked
        every = await session.receive(Signatures, held.until)
        await AddSignatures(session.counterparty, every.check(about(tx)))
        session.send(AllSigned(tx))
    return held


async def receive_finality(flow: FlowContext, session: FlowSession, held: Held) -> Recorded:
    """Wait for the receipt of what this node signed; ask the notary itself if it does not come.

    Whoever signed may not forget: the builder may have had it notarised and died. Raises NotCommitted when the
    notary says so.
    """
    flow.progress("waiting for the receipt")
    has_it: tuple[Party, ...] = (session.counterparty,)
    try:
        brought = await session.receive(Receipt, held.until + NOTARY_GRACE_MS)
        receipt = brought.check(about(held.tx)).receipt
    except (TimedOut, SessionLost, SessionEnded, CounterpartyFailed, MalformedBytes):
        # Who did not send it may have been restored to before it signed, and have forgotten.
        receipt, has_it = await _ask_for_fate(flow, held), ()
    recorded = await Record(held.tx, receipt)
    deliver(flow, recorded, but=has_it)
    flow.progress("recorded")
    return recorded


async def _ask_for_fate(flow: FlowContext, held: Held) -> str:
    flow.progress("asking the notary what became of the transaction")
    while True:
        answer = await AskNotary("status", held.tx)
        if isinstance(answer, Committed):
            return answer.receipt
        if not isinstance(answer, Unknown):
            await _end_uncommitted(held.tx, answer)
        now: Moment = await Now()
        await Sleep(max(now.at, held.until) + NOTARY_GRACE_MS)


async def _end_uncommitted(tx: TransactionId, answer: Answer) -> None:
    """Drop a draft that the notary's answer makes impossible, and raise why; park on any other answer."""
    if isinstance(answer, WindowClosed | Never):
        await Drop(tx, "window closed")
        raise WindowLapsed
    if isinstance(answer, Conflict):
        await Drop(tx, "conflict")
        raise AlreadyConsumed
    code = answer.code if isinstance(answer, NotAllowed) else type(answer).__name__
    raise Parked(f"the notary refused a transaction that this node had checked: {code}")


def about(tx: TransactionId) -> Callable[[S], S]:
    """Return a judge that accepts what a peer said only if it is about the transaction `tx`."""

    def judge(said: S) -> S:
        if said.tx != tx:
            raise MalformedBytes(type(said).__name__, "it is about another transaction")
        return said

    return judge
