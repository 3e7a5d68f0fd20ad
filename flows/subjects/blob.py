"""Handing ciphertext and its wrapped keys from a custodian to whoever a recorded transaction entitles."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, cast

import msgspec

from flows.delivery import deliver_again
from flows.flow import (
    AskNotary,
    FlowContext,
    FlowRefused,
    FlowSession,
    Parked,
    Parts,
    Request,
    SessionLost,
)
from flows.services import Done
from flows.subjects.liveness import KeepLiveness
from states.errors import MalformedBytes
from states.identity import Party
from states.notarisation import LivenessAnswer
from states.sizes import U16, U32, Millis
from states.state import TransactionId, TransactionIdField

CHUNKS_A_MESSAGE = 3  # of 262,144 bytes: with heads they stay below an envelope's limit


class Part(msgspec.Struct, frozen=True, array_like=True, tag="part"):
    """The id of a part row that a handler has kept for this flow."""

    part: bytes


class Keys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="keys/1"):
    """The data keys of a transaction's items, wrapped for the receiver's epoch key; they come as one part."""

    tx: TransactionIdField


class NotReleased(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="not-released/1"
):
    """No key is given: what entitled the receiver has ended meanwhile, or it is too late."""

    tx: TransactionIdField


class WantChunks(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="want-chunks/1"
):
    """The next chunks of an item's ciphertext, from `first` on."""

    item: U16
    first: U32


class Chunks(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="chunks/1"
):
    """Chunks of an item in order, one part each; `last` after the end of it."""

    item: U16
    first: U32
    last: bool


class Enough(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="enough/1"
):
    """I have all that I wanted."""


class Release(msgspec.Struct, frozen=True, array_like=True, tag="release"):
    """What a custodian may do about the keys of a recorded transaction at this moment.

    `ask-liveness`: only after the notary said that the basis still lives (`row` names the question). `at` is this
    moment by the node's clock.
    """

    outcome: Literal["released", "not-released", "ask-liveness"]
    part: bytes = b""
    row: bytes = b""
    at: Millis = 0


class ReleaseKeys(Request[Release], frozen=True, array_like=True, tag="release-keys"):
    """Wrap the keys for the receiver, with the entry in the reading log, or say why not (architecture §7.3).

    `asked` is when (`Release.at`) the flow began to ask whether the basis lives, of which it has kept the answer; 0
    where it has not asked.
    """

    answers: ClassVar[type[msgspec.Struct]] = Release
    peer: Party
    tx: TransactionId
    asked: Millis = 0


class KeepKeys(Request[Done], frozen=True, array_like=True, tag="keep-keys"):
    """Check wrapped keys (a part) against the recorded transaction and keep them wrapped."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    peer: Party
    tx: TransactionId
    part: bytes


class MissingBlob(msgspec.Struct, frozen=True, array_like=True):
    """An item whose ciphertext is not in this node's store, and of how many chunks it is."""

    item: U16
    chunks: U32


class Missing(msgspec.Struct, frozen=True, array_like=True, tag="missing-blobs"):
    """Items of a transaction whose ciphertext must be fetched."""

    items: Annotated[tuple[MissingBlob, ...], msgspec.Meta(max_length=65_535)]


class MissingBlobs(Request[Missing], frozen=True, array_like=True, tag="missing-blobs-of"):
    """Which items of a recorded transaction must be fetched?"""

    answers: ClassVar[type[msgspec.Struct]] = Missing
    tx: TransactionId


class ChunksFound(msgspec.Struct, frozen=True, array_like=True, tag="chunks-found"):
    """Ids of parts that the transport reads from the blob store when it sends."""

    parts: Parts
    last: bool


class FindChunks(Request[ChunksFound], frozen=True, array_like=True, tag="find-chunks"):
    """The next chunks for a peer who holds released keys. Raises FlowRefused for anybody else."""

    answers: ClassVar[type[msgspec.Struct]] = ChunksFound
    peer: Party
    tx: TransactionId
    item: int
    first: int
    most: int


class KeepBlob(Request[Done], frozen=True, array_like=True, tag="keep-blob"):
    """Put chunks (parts) into the blob store; raises a LedgerError unless they have the item's CID."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    tx: TransactionId
    item: int
    parts: tuple[bytes, ...]


# A union is no `type` to mypy, but it is what a session's codec decodes.
_WISH = cast("type[WantChunks | Enough]", WantChunks | Enough)
_KEYS = cast("type[Keys | NotReleased]", Keys | NotReleased)


async def release(flow: FlowContext, session: FlowSession, tx: TransactionId) -> bool:
    """Release the keys of a recorded transaction to the session's peer, or say that they are not. True if released.

    An answer of the notary that was long on its way says nothing of this moment: then it is asked again, which ends
    when it is too late to release anything.
    """
    flow.progress("releasing the keys")
    found = await ReleaseKeys(session.counterparty, tx)
    while found.outcome == "ask-liveness":
        answer = await AskNotary("liveness", found.row)
        if not isinstance(answer, LivenessAnswer):
            raise Parked(f"the notary answered {type(answer).__name__} to a question of liveness")
        await KeepLiveness(found.row, answer)
        found = await ReleaseKeys(session.counterparty, tx, found.at)
    if found.outcome != "released":
        session.send(NotReleased(tx))
        # A restored side has forgotten what it signed, and nothing more is awaited that would say so (`serve`).
        deliver_again(flow, tx, session.counterparty)
        return False
    session.send(Keys(tx), (found.part,))
    return True


async def serve(flow: FlowContext, session: FlowSession, tx: TransactionId) -> None:
    """Give the peer the chunks that it asks for until it has enough; each once and in order, so that it ends."""
    flow.progress("sending ciphertext")
    before = (-1, 0)
    while True:
        try:
            wish = (await session.receive(_WISH)).check(lambda said: said)
        except SessionLost:
            # A restored side has forgotten what it signed, and perhaps never read the receipt.
            deliver_again(flow, tx, session.counterparty)
            return
        if isinstance(wish, Enough):
            return
        if (wish.item, wish.first) <= before:
            raise FlowRefused("asked-before", "chunks are asked for once, in their order")
        before = (wish.item, wish.first)
        found = await FindChunks(session.counterparty, tx, wish.item, wish.first, CHUNKS_A_MESSAGE)
        session.send(Chunks(wish.item, wish.first, found.last), found.parts)


async def take_keys(flow: FlowContext, session: FlowSession, tx: TransactionId) -> bool:
    """Wait for the keys of a recorded transaction; False if the custodian does not release them."""
    flow.progress("waiting for the keys")
    brought = await session.receive(_KEYS)
    said = brought.check(lambda message: message)
    if said.tx != tx or (isinstance(said, Keys) and len(brought.parts) != 1):
        raise MalformedBytes("keys", "of another transaction, or not one part")
    if isinstance(said, NotReleased):
        return False
    await KeepKeys(session.counterparty, tx, brought.parts[0])
    return True


async def fetch(flow: FlowContext, session: FlowSession, tx: TransactionId) -> None:
    """Fetch the ciphertext of every item that is not here yet; each is verified by its CID before it is kept."""
    flow.progress("fetching ciphertext")
    for missing in (await MissingBlobs(tx)).items:
        await fetch_item(session, tx, missing)
    session.send(Enough())


async def fetch_item(session: FlowSession, tx: TransactionId, missing: MissingBlob) -> None:
    """Fetch the ciphertext of one item from a peer who serves chunks (`serve`)."""
    parts: tuple[bytes, ...] = ()
    while len(parts) < missing.chunks:
        session.send(WantChunks(missing.item, len(parts)))
        brought = await session.receive(Chunks)
        brought.check(_next_of(missing, len(parts), len(brought.parts)))
        parts += brought.parts
    await KeepBlob(tx, missing.item, parts)


def _next_of(missing: MissingBlob, first: int, count: int) -> Callable[[Chunks], Chunks]:
    def judge(said: Chunks) -> Chunks:
        end = first + count
        right = (missing.item, first, end == missing.chunks)
        fits = 0 < count <= CHUNKS_A_MESSAGE and end <= missing.chunks
        if (said.item, said.first, said.last) != right or not fits:
            raise MalformedBytes("chunks", "not those that were asked for")
        return said

    return judge
