"""What the ledger's flows ask of their node: each request is answered inside the step's transaction (§1.4)."""

from typing import Annotated, ClassVar

import msgspec

from flows.flow import Parts, Request
from flows.notices import Letter
from states.crypto.hashes import tagged_hash
from states.crypto.signatures import TransactionSignature
from states.identity import Party, PartyField
from states.sizes import Millis
from states.state import StateRef, TransactionId, TransactionIdField

TRANSACTION_PART = b"t"  # first byte of the ids that `transaction_part` makes
PARTIES_MAX = 16
FETCH_MAX = 64  # transactions a message brings: as many as it may have parts

Transactions = Annotated[tuple[TransactionIdField, ...], msgspec.Meta(max_length=FETCH_MAX)]


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """It was done; there is nothing to tell."""


class Moment(msgspec.Struct, frozen=True, array_like=True, tag="moment"):
    """A reading of the node's clock."""

    at: Millis


class Now(Request[Moment], frozen=True, array_like=True, tag="now"):
    """What does the node's clock show?"""

    answers: ClassVar[type[msgspec.Struct]] = Moment


class Held(msgspec.Struct, frozen=True, array_like=True, tag="held"):
    """A transaction that lies durably in the vault, not yet notarised.

    `others` are the parties whose signatures are still missing.
    """

    tx: TransactionIdField
    until: Millis
    others: tuple[PartyField, ...]


class HoldProposal(Request[Held], frozen=True, array_like=True, tag="hold-proposal"):
    """Verify a peer's proposal (a part holding signed/1), sign it for this node, and hold it.

    `purpose` names the check that the subject makes beside the contract ("disclosure", "transfer"); `context` is
    the row that says what was asked for. Raises a LedgerError where anything is not as asked.
    """

    answers: ClassVar[type[msgspec.Struct]] = Held
    peer: Party
    part: bytes
    purpose: str
    context: bytes


class Signatures(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="signatures/1"
):
    """Signatures over a held transaction; also the message by which signers exchange them."""

    tx: TransactionIdField
    signatures: Annotated[tuple[TransactionSignature, ...], msgspec.Meta(max_length=64)]


class OwnSignatures(Request[Signatures], frozen=True, array_like=True, tag="own-signatures"):
    """Which signatures, its own or collected, has this node on a held transaction?"""

    answers: ClassVar[type[msgspec.Struct]] = Signatures
    tx: TransactionId


class AddSignatures(Request[Held], frozen=True, array_like=True, tag="add-signatures"):
    """Verify a peer's signatures on a held transaction and keep them. Raises InvalidSignature."""

    answers: ClassVar[type[msgspec.Struct]] = Held
    peer: Party
    signatures: Signatures


class Recorded(msgspec.Struct, frozen=True, array_like=True, tag="recorded"):
    """A recorded transaction, the holders to whom this node brings it, and the notices that it now owes.

    No notices if it was recorded before. Of the holders, `restored` may have lost it since they had it, and were told
    all that is here before it came: they are brought it though it came from them.
    """

    tx: TransactionIdField
    deliver_to: Annotated[tuple[PartyField, ...], msgspec.Meta(max_length=PARTIES_MAX)] = ()
    letters: tuple[Letter, ...] = ()
    restored: Annotated[tuple[PartyField, ...], msgspec.Meta(max_length=PARTIES_MAX)] = ()


class Record(Request[Recorded], frozen=True, array_like=True, tag="record"):
    """Check a receipt for a held transaction and record it: outputs live, inputs consumed. Twice is once."""

    answers: ClassVar[type[msgspec.Struct]] = Recorded
    tx: TransactionId
    receipt: str


class Drop(Request[Done], frozen=True, array_like=True, tag="drop"):
    """Forget a held transaction of which the notary's answer says that it is not and never will be committed."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    tx: TransactionId
    why: str


class Taken(msgspec.Struct, frozen=True, array_like=True, tag="taken"):
    """What became of transactions that somebody brought.

    Recorded if `missing` is empty; else nothing was recorded, because these states are not held here. `letters` are
    notices that this node now owes others (an *in force since*, a withdrawal). `ready`: something that was put aside
    can be tried again (`TakeAside`). `unenrolled`: nothing was recorded, because no enrolment is known here of the
    patient; its bringer may know it. `recorded`: of these, what this node brings to others, and to whom.
    """

    missing: tuple[StateRef, ...] = ()
    letters: tuple[Letter, ...] = ()
    ready: bool = False
    unenrolled: bool = False
    recorded: tuple[Recorded, ...] = ()


class TakeTransactions(Request[Taken], frozen=True, array_like=True, tag="take-transactions"):
    """Verify notarised transactions that a holder brought (parts holding proven/1) and record them, in order.

    Raises a LedgerError for one that is refused; while this node recovers, and some time after, one is put aside that
    lacks what may still come. Twice is once, by id. `recalled`: the bringer has said which enrolments there are, and a
    patient without one is refused as well.
    """

    answers: ClassVar[type[msgspec.Struct]] = Taken
    peer: Party
    parts: Parts
    recalled: bool = False


class Remembered(msgspec.Struct, frozen=True, array_like=True, tag="remembered"):
    """What a restored node has back, each with the holders to whom it may not have brought it before it was lost."""

    recorded: Annotated[tuple[Recorded, ...], msgspec.Meta(max_length=FETCH_MAX)]
    ready: bool = False
    """Something that was put aside can be tried again."""


class TakeRemembered(Request[Remembered], frozen=True, array_like=True, tag="take-remembered"):
    """Record what a peer brought to this node, which was restored.

    What lacks something that another peer may bring is put aside until then; what else is refused is left for another
    to bring. One peer may see less of a transaction than this node does, which must not keep it from all the others.
    """

    answers: ClassVar[type[msgspec.Struct]] = Remembered
    peer: Party
    parts: Parts


class TakeAside(Request[Remembered], frozen=True, array_like=True, tag="take-aside"):
    """Try again what was put aside and has been waiting for what came since: as much as one answer holds."""

    answers: ClassVar[type[msgspec.Struct]] = Remembered


class BeginRecovery(Request[Done], frozen=True, array_like=True, tag="begin-recovery"):
    """The asking flow is about to ask its peer for all: at least until it has, what comes too early is put aside."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    peer: Party
    since: Millis


class EndRecovery(Request[Done], frozen=True, array_like=True, tag="end-recovery"):
    """The asking flow has asked its peer for all."""

    answers: ClassVar[type[msgspec.Struct]] = Done


class Found(msgspec.Struct, frozen=True, array_like=True, tag="found"):
    """Recorded transactions that the peer may have, in order of record."""

    transactions: Transactions


class FindHeldBy(Request[Found], frozen=True, array_like=True, tag="find-held-by"):
    """Which of these transactions are recorded here with the peer as a holder? Others are as if unknown."""

    answers: ClassVar[type[msgspec.Struct]] = Found
    peer: Party
    transactions: Transactions


class FindSince(Request[Found], frozen=True, array_like=True, tag="find-since"):
    """The next transactions, in order of record after `after`, of which the peer, which was restored, is a holder.

    When there are no more, the peer has been told all: from then on it is owed what comes here late.
    """

    answers: ClassVar[type[msgspec.Struct]] = Found
    peer: Party
    since: int
    after: bytes


class IdsOf(Request[Found], frozen=True, array_like=True, tag="ids-of"):
    """Which transactions did a peer bring in these parts (proven/1), of one message? Raises MalformedBytes."""

    answers: ClassVar[type[msgspec.Struct]] = Found
    parts: Parts


def transaction_part(tx: bytes, party: Party) -> bytes:
    """Return the part id of a transaction of the vault, for `party`: torn off, when it is sent, to what it may read.

    The receiver is in the id, so that no row of an outbox can bring it to anybody else.
    """
    return TRANSACTION_PART + tx + reader_hash(party)


def reader_hash(party: Party) -> bytes:
    return tagged_hash("part-reader", party.encode())[:16]
