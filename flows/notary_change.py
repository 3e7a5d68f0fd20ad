"""Moving a state to another notary: the old one spends it, the new one enters the change in its log (§5)."""

from typing import ClassVar

import msgspec

from flows.finality import finalise
from flows.flow import AskNotary, FlowContext, FlowSession, Parked, Request, Untrusted
from flows.services import Done, Held, Recorded
from states.identity import Party, PartyField
from states.notarisation import Committed
from states.signed import RECEIPT_CHARS_MAX
from states.state import StateRef, TransactionId, TransactionIdField


class Moved(msgspec.Struct, frozen=True, array_like=True, tag="moved"):
    """The state at its new notary."""

    ref: StateRef


class BuildNotaryChange(Request[Held], frozen=True, array_like=True, tag="build-notary-change"):
    """Build the change of a live state that this node owns, and hold it. Raises NotHeld, FlowRefused."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    ref: StateRef
    to: Party


class KeepEntry(Request[Recorded], frozen=True, array_like=True, tag="keep-entry"):
    """Check the new notary's receipt and keep where its log has the change. Answers whom to tell.

    `peer` is who brought it; None: the notary itself. Raises a LedgerError where it is not as it should be.
    """

    answers: ClassVar[type[msgspec.Struct]] = Recorded
    peer: Party | None
    tx: TransactionId
    receipt: str


class Entered(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="entered/1"
):
    """A letter: the new notary's receipt for a change of notary that concerns you."""

    tx: TransactionIdField
    receipt: str

    def __post_init__(self) -> None:
        if len(self.receipt) > RECEIPT_CHARS_MAX:
            raise ValueError("a receipt is not so long")


class ChangeNotary(msgspec.Struct, frozen=True, array_like=True, tag="change-notary/1"):
    """Move one state that this node owns. Two notarisations: if the second waits, the state just cannot be used yet."""

    ref: StateRef
    to: PartyField

    async def call(self, flow: FlowContext) -> Moved:
        flow.progress("writing the change of notary")
        recorded = await finalise(flow, await BuildNotaryChange(self.ref, self.to))
        flow.progress("entering it at the new notary")
        answer = await AskNotary("enter", recorded.tx)
        if not isinstance(answer, Committed):
            raise Parked(f"the new notary did not enter the change: {type(answer).__name__}")
        told = await KeepEntry(None, recorded.tx, answer.receipt)
        for party in told.deliver_to:
            flow.letter(party, NoteEntry.name, Entered(recorded.tx, answer.receipt))
        flow.progress("moved")
        return Moved(StateRef(recorded.tx, 0))


class NoteEntry:
    """Responder of `Entered`."""

    name: ClassVar[str] = "note-entry/1"
    first: ClassVar[type[msgspec.Struct]] = Entered

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[Entered]
    ) -> Done:
        flow.progress("noting where a state is now")
        entered = first.check(lambda said: said)
        await KeepEntry(session.counterparty, entered.tx, entered.receipt)
        return Done()
