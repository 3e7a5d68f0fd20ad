"""A transaction with its signatures, before and after the notary (specification §3.3)."""

from typing import Annotated, cast

import msgspec

from states.crypto.signatures import TransactionSignature
from states.encoding import Codec
from states.tearoff import Tearoff

SIGNATURES_MAX = 64
RECEIPT_CHARS_MAX = (
    16_384  # 2,048 inputs at most would be 88 kB of nullifiers; 240 fit, no flow needs ten
)

Signatures = Annotated[tuple[TransactionSignature, ...], msgspec.Meta(max_length=SIGNATURES_MAX)]


class SignedTransaction(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="signed/1"
):
    """What a signer holds durably before the notary is asked."""

    tearoff: Tearoff
    signatures: Signatures


class ProvenTransaction(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="proven/1"
):
    """A notarised transaction as a holder keeps and delivers it: tear-off, signatures, receipt.

    Every stored transaction is a tear-off, possibly of everything; erasing one is replacing it by a narrower one.
    """

    tearoff: Tearoff
    signatures: Signatures
    receipt: Annotated[str, msgspec.Meta(max_length=RECEIPT_CHARS_MAX)]


SIGNED_TRANSACTION = Codec(SignedTransaction, "signed transaction")
PROVEN_TRANSACTION = Codec(ProvenTransaction, "proven transaction")
_EITHER = SignedTransaction | ProvenTransaction
HELD_OR_PROVEN: Codec[SignedTransaction | ProvenTransaction] = Codec(
    cast("type[SignedTransaction | ProvenTransaction]", _EITHER), "transaction"
)
