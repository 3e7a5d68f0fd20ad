"""Key: what it refuses, its order and its encoding."""

import pytest

from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import (
    SCHEME_ED25519,
    SCHEME_P256,
    SCHEME_WEBAUTHN,
    WEBAUTHN_EDDSA,
    WEBAUTHN_ES256,
    Key,
)
from states.crypto.p256 import P256Signer
from states.encoding import Codec, encode
from states.errors import MalformedBytes

ED25519 = Ed25519Signer(bytes(range(32))).key
P256 = P256Signer(bytes(range(1, 33))).key
EDDSA_CREDENTIAL = Key(SCHEME_WEBAUTHN, bytes([WEBAUTHN_EDDSA]) + ED25519.raw)
ES256_CREDENTIAL = Key(SCHEME_WEBAUTHN, bytes([WEBAUTHN_ES256]) + P256.raw)

codec = Codec(Key, "key")


@pytest.mark.parametrize(
    ("scheme", "raw"),
    [
        (SCHEME_ED25519, bytes(31)),
        (SCHEME_ED25519, bytes(33)),
        (SCHEME_P256, b"\x02" + bytes(31)),
        (SCHEME_P256, b"\x02" + bytes(33)),
        (SCHEME_P256, b"\x04" + bytes(32)),
        (SCHEME_P256, b"\x04" + bytes(64)),
        (SCHEME_P256, b""),
        (SCHEME_WEBAUTHN, b""),
        (SCHEME_WEBAUTHN, bytes([WEBAUTHN_EDDSA])),
        (SCHEME_WEBAUTHN, bytes([WEBAUTHN_EDDSA]) + bytes(33)),
        (SCHEME_WEBAUTHN, bytes([WEBAUTHN_ES256]) + bytes(33)),
        (SCHEME_WEBAUTHN, bytes([WEBAUTHN_ES256]) + b"\x02" + bytes(31)),
        (SCHEME_WEBAUTHN, b"\x03" + bytes(32)),
        (0, bytes(32)),
        (4, bytes(32)),
        (255, bytes(32)),
        (-1, bytes(32)),
    ],
)
def test_a_key_of_unknown_scheme_or_wrong_form_is_refused_made_and_read(
    scheme: int, raw: bytes
) -> None:
    with pytest.raises(ValueError, match=r"key|scheme|algorithm"):
        Key(scheme, raw)
    with pytest.raises(MalformedBytes):
        codec.decode(encode((scheme, raw)))


@pytest.mark.parametrize("key", [ED25519, P256, EDDSA_CREDENTIAL, ES256_CREDENTIAL])
def test_a_key_survives_its_encoding(key: Key) -> None:
    assert codec.decode(encode(key)) == key


def test_an_ed25519_key_is_36_bytes_on_the_wire() -> None:
    assert encode(ED25519) == b"\x92\x01\xc4\x20" + ED25519.raw


def test_a_surplus_field_is_refused() -> None:
    with pytest.raises(MalformedBytes):
        codec.decode(encode((1, ED25519.raw, 0)))


def test_keys_are_ordered_by_scheme_then_raw() -> None:
    low, high = Key(SCHEME_ED25519, bytes(32)), Key(SCHEME_ED25519, b"\xff" * 32)
    assert sorted([EDDSA_CREDENTIAL, P256, high, low]) == [low, high, P256, EDDSA_CREDENTIAL]


def test_equal_keys_count_once_in_a_set() -> None:
    assert len({ED25519, Key(SCHEME_ED25519, bytes(bytearray(ED25519.raw))), P256}) == 2


def test_a_key_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ED25519.scheme = 2  # type: ignore[misc]


def test_a_credential_has_the_public_key_of_the_plain_key_behind_it() -> None:
    assert EDDSA_CREDENTIAL.public_key == ED25519.public_key == (SCHEME_ED25519, ED25519.raw)
    assert ES256_CREDENTIAL.public_key == P256.public_key == (SCHEME_P256, P256.raw)
