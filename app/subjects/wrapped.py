"""Wrapped keys and chunks as they travel beside a handover's messages."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from app.keystore.keys import KeyStore
from states.encoding import Codec
from states.errors import MalformedBytes
from states.sizes import U32

BLOB_PART = b"b"  # first byte of the ids that `chunk_part` makes


class WrappedKeys(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="wrapped-keys/1"
):
    """The part of a `Keys` message: each item's data key, wrapped for the receiver's epoch key, in order."""

    epoch: U32
    keys: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=65_535)]


WRAPPED_KEYS = Codec(WrappedKeys, "wrapped keys")


def epoch_of(now: int) -> int:
    """Return the id of the epoch that `now` (ms) lies in: months since year 0."""
    moment = datetime.fromtimestamp(now / 1_000, UTC)
    return moment.year * 12 + moment.month - 1


def epoch_key(keys: KeyStore, now: int) -> tuple[int, bytes]:
    """Return the epoch of `now` (ms), and this node's public key of it, which is drawn when it is first asked for."""
    epoch = epoch_of(now)
    if epoch not in keys.epochs():
        keys.new_epoch(epoch)
    return epoch, keys.epoch_public(epoch)


def check_epoch(keys: KeyStore, epoch: int) -> None:
    """Refuse what a peer says is wrapped for an epoch key that this node has not got: a lie, and no fault of ours.

    Raises MalformedBytes.
    """
    if epoch not in keys.epochs():
        raise MalformedBytes("wrapped keys", "for an epoch key that this node has not got")


def chunk_part(blob: str, index: int) -> bytes:
    """Return the part id of a chunk: the text of a CID is 59 characters, so that ids stay within 64 bytes."""
    return BLOB_PART + blob.encode("ascii") + index.to_bytes(4, "big")
