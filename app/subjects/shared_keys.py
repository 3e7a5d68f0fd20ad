"""Data keys of one transaction that travel together: under a shared key, which is wrapped once for who asked.

So custodian and agent give each other keys, in either direction; a thousand records cost one X25519.
"""

from typing import Annotated

import msgspec

from app.blobs.wrap import (
    SHARED_ITEM,
    SHARED_WRAPPED_SIZE,
    SharedWrap,
    WrapContext,
    check_epoch_public,
    wrap_data_key,
)
from app.keystore.keys import KeyStore
from app.subjects.wrapped import check_epoch
from app.vault.ground import Ground
from app.vault.ledger_handlers import part_of
from app.vault.subject import Step
from flows.subjects.blob import Part
from flows.subjects.key_return import WantKeysBack
from flows.subjects.patient_access import WantPatientKeys, WithheldReason
from states.encoding import Codec, encode
from states.sizes import U16, U32
from states.state import TransactionId


class PatientKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A record's data key under the shared key, or the reason why it is withheld: one of the two."""

    index: U16
    key: (
        Annotated[
            bytes, msgspec.Meta(min_length=SHARED_WRAPPED_SIZE, max_length=SHARED_WRAPPED_SIZE)
        ]
        | None
    )
    withheld: WithheldReason | None


class PatientKeyPart(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="patient-key-part/1",
):
    """The part of a `PatientKeys` message: the shared key, wrapped for the epoch key, and the records in order."""

    epoch: U32
    wrapped: Annotated[bytes, msgspec.Meta(max_length=2_048)]
    items: Annotated[tuple[PatientKey, ...], msgspec.Meta(min_length=1, max_length=65_535)]


PART: Codec[PatientKeyPart] = Codec(PatientKeyPart, "patient's keys")


Wanted = WantPatientKeys | WantKeysBack
"""What an asker names: a transaction, and its epoch key of now."""


class Sending:
    """Keys on their way to who `wanted` them. Raises WrapRefused for an epoch key that is none."""

    def __init__(self, ground: Ground, wanted: Wanted) -> None:
        check_epoch_public(wanted.epoch_key)
        self._ground = ground
        self._wanted = wanted
        self._shared_key = ground.keys.new_data_key()
        self._shared = SharedWrap(self._shared_key, wanted.tx)
        self._items: list[PatientKey] = []

    def give(self, index: int, data_key: bytes, commitment: bytes) -> None:
        self._items.append(PatientKey(index, self._shared.wrap(index, data_key, commitment), None))

    def withhold(self, index: int, reason: WithheldReason) -> None:
        self._items.append(PatientKey(index, None, reason))

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._items)

    def part(self, step: Step) -> Part:
        """Keep what is to be sent, as a part of a message."""
        wanted = self._wanted
        context = WrapContext(wanted.tx, SHARED_ITEM, wanted.epoch)
        wrapped = wrap_data_key(self._shared_key, wanted.epoch_key, context, self._ground.entropy)
        return Part(
            step.put_part(encode(PatientKeyPart(wanted.epoch, wrapped, tuple(self._items))))
        )


def received(
    step: Step, keys: KeyStore, part: bytes, tx: TransactionId
) -> tuple[PatientKeyPart, SharedWrap]:
    """Return what came in a part, and what opens its keys. Raises MalformedBytes, WrapRefused."""
    came = PART.decode(part_of(step, part))
    check_epoch(keys, came.epoch)
    context = WrapContext(tx, SHARED_ITEM, came.epoch)
    return came, SharedWrap(keys.open_epoch(came.epoch, came.wrapped, context), tx)
