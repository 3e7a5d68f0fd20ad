"""A WebAuthn assertion as a signature: its challenge is the digest (architecture §2.4).

The steps are those of Web Authentication Level 3 §7.2 that can be judged from the bytes alone. The
signature counter is not judged: a verifier who sees one transaction has no earlier value to compare
it with.
"""

import json
from base64 import urlsafe_b64encode
from enum import StrEnum
from hashlib import sha256

import msgspec

from states.crypto import ed25519, p256
from states.crypto.cbor_extent import require_one_map
from states.crypto.keys import SCHEME_ED25519, SCHEME_WEBAUTHN, Key
from states.encoding import Codec
from states.errors import InvalidSignature, LedgerError

ASSERTION_BYTES_MAX = 4_096
CLIENT_DATA_BYTES_MAX = 2_048
AUTHENTICATOR_DATA_BYTES_MAX = 1_024
RELYING_PARTIES_MAX = 32  # origins, and rp ids

_HEADER_SIZE = 37  # rpIdHash 32, flags 1, signCount 4
_USER_PRESENT = 0x01
_USER_VERIFIED = 0x04
_BACKUP_ELIGIBLE = 0x08
_BACKED_UP = 0x10
_ATTESTED = 0x40
_EXTENSIONS = 0x80


class AssertionCheck(StrEnum):
    """What an assertion must pass; the value is the `why` of the InvalidSignature."""

    KEY = "the key is a WebAuthn key"
    FORM = "the assertion is an encoded webauthn/1 of at most 4,096 bytes"
    CLIENT_DATA = "the client data is one strict JSON object of at most 2,048 bytes"
    TYPE = "the type is webauthn.get"
    CHALLENGE = "the challenge is the digest that was to be signed"
    ORIGIN = "the origin is one that the network allows"
    CROSS_ORIGIN = "the page was not embedded in one of another origin"
    AUTHENTICATOR_DATA = "the authenticator data has the form of an assertion"
    RP_ID = "the rp id is one that the network allows"
    USER_PRESENT = "the user was present"
    USER_VERIFIED = "the user was verified"
    BACKUP = "only a credential that may be backed up is backed up"
    SIGNATURE = "the signature verifies by the key and its algorithm"


class Assertion(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="webauthn/1"
):
    """What navigator.credentials.get() answered; its encoding is a WebAuthn key's signature."""

    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes


class RelyingParties(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where people of this network may sign: a network parameter.

    `origins` are compared as text, exactly as browsers write them ("https://agent.example");
    `rp_ids` are domains. The rp ids are for the ledger alone: a credential for sign-in belongs to
    another, so that no sign-in prompt can yield a signature of a transaction. Both may be empty,
    then no assertion is accepted. Raises ValueError for more than 32 of either, an empty one or one
    twice.
    """

    origins: tuple[str, ...]
    rp_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        for names in (self.origins, self.rp_ids):
            if len(names) > RELYING_PARTIES_MAX:
                raise ValueError(f"at most {RELYING_PARTIES_MAX} origins and as many rp ids")
            if "" in names or len(set(names)) != len(names):
                raise ValueError("an origin or rp id is empty or named twice")


class _ClientData(
    msgspec.Struct,
    frozen=True,
    rename={"kind": "type", "cross_origin": "crossOrigin", "top_origin": "topOrigin"},
):
    """The members that are judged; browsers may add others (WebAuthn §5.8.1)."""

    kind: str
    challenge: str
    origin: str
    cross_origin: bool = False
    top_origin: str | msgspec.UnsetType | None = msgspec.UNSET


assertion_codec = Codec(Assertion, "WebAuthn assertion", ASSERTION_BYTES_MAX)


def verify_assertion(key: Key, challenge: bytes, assertion: bytes, relying: RelyingParties) -> None:
    """Raise InvalidSignature, naming an AssertionCheck, unless `assertion` signs `challenge`."""
    _require(key.scheme == SCHEME_WEBAUTHN, AssertionCheck.KEY)
    try:
        parts = assertion_codec.decode(assertion)
    except LedgerError as refused:
        raise _failed(AssertionCheck.FORM) from refused
    _check_client_data(_client_data(parts.client_data_json), challenge, relying)
    _check_authenticator_data(parts.authenticator_data, relying)
    signed = parts.authenticator_data + sha256(parts.client_data_json).digest()
    _require(_verify(key, signed, parts.signature), AssertionCheck.SIGNATURE)


def _failed(check: AssertionCheck) -> InvalidSignature:
    return InvalidSignature("WebAuthn assertion", check)


def _require(holds: bool, check: AssertionCheck) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise _failed(check)


def _client_data(data: bytes) -> _ClientData:
    _require(len(data) <= CLIENT_DATA_BYTES_MAX, AssertionCheck.CLIENT_DATA)
    try:
        # Decoding first: json.loads would guess UTF-16 and UTF-32.
        members: object = json.loads(
            data.decode("utf-8"), object_pairs_hook=_members, parse_constant=_no_constant
        )
        return msgspec.convert(members, _ClientData)
    except (ValueError, RecursionError, msgspec.ValidationError) as refused:
        raise _failed(AssertionCheck.CLIENT_DATA) from refused


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _check_client_data(client: _ClientData, challenge: bytes, relying: RelyingParties) -> None:
    expected = urlsafe_b64encode(challenge).rstrip(b"=").decode("ascii")
    _require(client.kind == "webauthn.get", AssertionCheck.TYPE)
    _require(client.challenge == expected, AssertionCheck.CHALLENGE)
    _require(client.origin in relying.origins, AssertionCheck.ORIGIN)
    embedded = client.cross_origin or client.top_origin is not msgspec.UNSET
    _require(not embedded, AssertionCheck.CROSS_ORIGIN)


def _check_authenticator_data(data: bytes, relying: RelyingParties) -> None:
    _require(
        _HEADER_SIZE <= len(data) <= AUTHENTICATOR_DATA_BYTES_MAX, AssertionCheck.AUTHENTICATOR_DATA
    )
    flags = data[32]
    # An assertion carries no attested credential; that form is for registration.
    _require(not flags & _ATTESTED, AssertionCheck.AUTHENTICATOR_DATA)
    if flags & _EXTENSIONS:
        try:
            require_one_map(data[_HEADER_SIZE:])
        except ValueError as refused:
            raise _failed(AssertionCheck.AUTHENTICATOR_DATA) from refused
    else:
        _require(len(data) == _HEADER_SIZE, AssertionCheck.AUTHENTICATOR_DATA)
    allowed = {sha256(rp_id.encode()).digest() for rp_id in relying.rp_ids}
    _require(data[:32] in allowed, AssertionCheck.RP_ID)
    _require(bool(flags & _USER_PRESENT), AssertionCheck.USER_PRESENT)
    _require(bool(flags & _USER_VERIFIED), AssertionCheck.USER_VERIFIED)
    _require(bool(flags & _BACKUP_ELIGIBLE) or not flags & _BACKED_UP, AssertionCheck.BACKUP)


def _verify(key: Key, signed: bytes, signature: bytes) -> bool:
    algorithm, public = key.public_key
    if algorithm == SCHEME_ED25519:
        return ed25519.verify(public, signed, signature)
    return p256.verify_der(public, signed, signature)
