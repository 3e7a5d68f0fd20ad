"""States on the ledger and how they are named (specification §2.3)."""

from typing import Annotated, NewType

import msgspec

from states.encoding import Codec
from states.identity import PartyField, require_did
from states.sizes import U16

TransactionId = NewType("TransactionId", bytes)
"""The 32-byte root of a transaction's Merkle tree."""

TransactionIdField = Annotated[TransactionId, msgspec.Meta(min_length=32, max_length=32)]

STATE_BYTES_MAX = 1 << 16  # one component: a policy of 64 keys and a handful of ids are far below

ContractName = Annotated[
    str, msgspec.Meta(max_length=64, pattern=r"^[a-z][a-z-]*/[1-9][0-9]{0,3}\Z")
]


class StateRef(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True
):
    """An output: the id of the transaction that created it, and its index there."""

    tx: TransactionIdField
    index: U16


class TransactionState(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="state/1"
):
    """A state as an output carries it: its contract, its notary, and the subject's own encoding.

    `data` is bytes and not an embedded value, so that a node which does not know a subject still reads the
    envelope strictly; the contract that `contract` names decodes it, and nothing else does.
    """

    contract: ContractName
    notary: PartyField
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=STATE_BYTES_MAX)]

    def __post_init__(self) -> None:
        require_did(self.notary)


STATE_REF = Codec(StateRef, "state reference")
TRANSACTION_STATE = Codec(TransactionState, "state", STATE_BYTES_MAX)
