"""A notary's signed word whether a state was unconsumed at a place of its log (specification §6.4)."""

from typing import Annotated

import msgspec

from states.crypto import ed25519
from states.crypto.hashes import tagged_hash
from states.crypto.signatures import Signer
from states.encoding import Codec, encode
from states.errors import InvalidSignature
from states.identity import PartyField, require_did
from states.parameters import NetworkParameters
from states.sizes import U63, Bytes32, Bytes64, Millis


class Liveness(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="liveness/1"
):
    """At log size `size` with this root, at `at` by the notary's clock, the state was live or not."""

    network: Bytes32
    notary: PartyField
    nullifier: Bytes32
    size: U63
    root: Bytes32
    at: Millis
    live: bool

    def __post_init__(self) -> None:
        require_did(self.notary)


class SignedLiveness(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="is-live/1"
):
    """The statement's bytes and the notary's log key over H("liveness", bytes)."""

    body: Annotated[bytes, msgspec.Meta(max_length=512)]
    raw: Bytes64


LIVENESS = Codec(Liveness, "liveness statement", 512)
SIGNED_LIVENESS = Codec(SignedLiveness, "signed liveness statement", 640)


def sign_liveness(signer: Signer, statement: Liveness) -> bytes:
    """Return the encoded SignedLiveness."""
    body = encode(statement)
    return encode(SignedLiveness(body, signer.sign(tagged_hash("liveness", body))))


def open_liveness(data: bytes, parameters: NetworkParameters) -> Liveness:
    """Return the statement if a notary of these parameters signed it for this network.

    Raises MalformedBytes, InvalidSignature.
    """
    signed = SIGNED_LIVENESS.decode(data)
    statement = LIVENESS.decode(signed.body)
    notary = parameters.notary(statement.notary)
    if statement.network != parameters.network or notary is None:
        raise InvalidSignature("liveness statement", "of another network or an unknown notary")
    if not ed25519.verify(notary.log_key, tagged_hash("liveness", signed.body), signed.raw):
        raise InvalidSignature("liveness statement", "the notary's signature does not verify")
    return statement
