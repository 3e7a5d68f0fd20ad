"""The end of a membership without the member's consent: an operator signs it, the member need not.

A member's own entry needs its founding key, so it cannot be used against a member that does not leave by itself.
"""

from typing import Annotated

import msgspec

from states.crypto.signatures import EvidenceSignature, Signer, sign_evidence, verify_evidence
from states.encoding import Codec, encode
from states.errors import InvalidSignature
from states.identity import PartyField
from states.parameters import Member, NetworkParameters
from states.sizes import U63, Bytes32, Millis, Text

REMOVAL_BYTES_MAX = 1 << 13


class Removal(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="removal/1"
):
    """The member's entries up to this serial number count no more from `at` on; its past signatures do."""

    network: Bytes32
    party: PartyField
    serial: U63
    at: Millis
    reason: Text


class SignedRemoval(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="signed-removal/1"
):
    """A removal as published, signed by an operator of the map."""

    body: Annotated[bytes, msgspec.Meta(max_length=REMOVAL_BYTES_MAX)]
    operator: EvidenceSignature


REMOVAL = Codec(Removal, "removal", REMOVAL_BYTES_MAX)
SIGNED_REMOVAL = Codec(SignedRemoval, "signed removal", REMOVAL_BYTES_MAX + 8_192)


def remove(member: Member, at: int, reason: str, operator: Signer) -> bytes:
    """Return a signed removal of a member from `at` (ms since 1970) on; `reason` is shown to everybody."""
    body = encode(Removal(member.network, member.party, member.serial, at, reason))
    return encode(SignedRemoval(body, sign_evidence(operator, member.network, body)))


def open_removal(signed: SignedRemoval, parameters: NetworkParameters) -> Removal:
    """Return a removal that an operator signed. Raises MalformedBytes, InvalidSignature."""
    removal = REMOVAL.decode(signed.body)
    if removal.network != parameters.network:
        raise InvalidSignature("removal", "it is of another network")
    if signed.operator.key not in parameters.operators:
        raise InvalidSignature("removal", "not signed by an operator of the map")
    verify_evidence(signed.operator, parameters.network, signed.body, parameters.relying)
    return removal
