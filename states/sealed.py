"""Sealed components: fields that only named roles may read (specification §2.5)."""

from typing import Annotated

import msgspec

from states.encoding import Codec
from states.sizes import U8, U16

SEALED_BYTES_MAX = 1 << 16
READERS_MAX = 8

Role = Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=r"^[a-z-]+\Z")]


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True):
    """A component's place: its group and its index there."""

    group: U8
    index: U16


class Sealed(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="sealed/1"
):
    """A sensitive value, the roles that may read it, and the component that it is about.

    Readers are roles ("custodian", "agent", "grantee", "recipient"), not parties: the transaction's states say who
    plays them. Its leaf has a random nonce of its own, so that nobody who may not read it can test guesses.
    """

    readers: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1, max_length=READERS_MAX)]
    about: Place
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=SEALED_BYTES_MAX)]

    def __post_init__(self) -> None:
        if any(a >= b for a, b in zip(self.readers, self.readers[1:], strict=False)):
            raise ValueError("readers are sorted and none is named twice")


SEALED = Codec(Sealed, "sealed component", SEALED_BYTES_MAX)
