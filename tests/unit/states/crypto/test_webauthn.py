"""Assertions made by hand: accepted with both algorithms, refused when one thing is wrong."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest

from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import SCHEME_WEBAUTHN, WEBAUTHN_EDDSA, WEBAUTHN_ES256, Key
from states.crypto.p256 import P256Signer
from states.crypto.webauthn import (
    ASSERTION_BYTES_MAX,
    CLIENT_DATA_BYTES_MAX,
    Assertion,
    AssertionCheck,
    RelyingParties,
    verify_assertion,
)
from states.encoding import encode
from states.errors import InvalidSignature

CHALLENGE = sha256(b"what is signed").digest()
CHALLENGE_TEXT = urlsafe_b64encode(CHALLENGE).rstrip(b"=").decode()
ORIGIN = "https://agent.example"
RP_ID = "ledger.agent.example"
RELYING = RelyingParties(("https://other.example", ORIGIN), ("ledger.other.example", RP_ID))

EDDSA = Ed25519Signer(bytes(range(32)))
ES256 = P256Signer(bytes(range(1, 33)))
EDDSA_KEY = Key(SCHEME_WEBAUTHN, bytes([WEBAUTHN_EDDSA]) + EDDSA.public)
ES256_KEY = Key(SCHEME_WEBAUTHN, bytes([WEBAUTHN_ES256]) + ES256.public)

PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED, EXTENSIONS = 1, 4, 8, 16, 64, 128


def client(**members: str | bool | None) -> bytes:
    """Client data as Chromium writes it, with members replaced or added; None takes one away."""
    usual: dict[str, str | bool | None] = {
        "type": "webauthn.get",
        "challenge": CHALLENGE_TEXT,
        "origin": ORIGIN,
        "crossOrigin": False,
    }
    told = {name: value for name, value in (usual | members).items() if value is not None}
    return json.dumps(told, separators=(",", ":")).encode()


def authenticator(
    flags: int = PRESENT | VERIFIED, rp_id: str = RP_ID, rest: bytes = b"", count: int = 7
) -> bytes:
    return sha256(rp_id.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big") + rest


def signed(client_data: bytes, authenticator_data: bytes, *, es256: bool = False) -> bytes:
    message = authenticator_data + sha256(client_data).digest()
    signature = ES256.sign_der(message) if es256 else EDDSA.sign(message)
    return encode(Assertion(authenticator_data, client_data, signature))


def refusal(assertion: bytes, key: Key = EDDSA_KEY, relying: RelyingParties = RELYING) -> str:
    with pytest.raises(InvalidSignature) as refused:
        verify_assertion(key, CHALLENGE, assertion, relying)
    assert refused.value.what == "WebAuthn assertion"
    return refused.value.why


def test_an_assertion_with_either_algorithm_is_accepted() -> None:
    verify_assertion(EDDSA_KEY, CHALLENGE, signed(client(), authenticator()), RELYING)
    verify_assertion(ES256_KEY, CHALLENGE, signed(client(), authenticator(), es256=True), RELYING)


@pytest.mark.parametrize(
    ("client_data", "authenticator_data"),
    [
        (client(crossOrigin=None), authenticator()),
        (client(other_keys_can_be_added_here="do not compare"), authenticator()),
        (client(origin="https://other.example"), authenticator(rp_id="ledger.other.example")),
        (client(), authenticator(PRESENT | VERIFIED | ELIGIBLE)),
        (client(), authenticator(PRESENT | VERIFIED | ELIGIBLE | BACKED_UP)),
        (client(), authenticator(PRESENT | VERIFIED | EXTENSIONS, rest=b"\xa1\x61x\xf5")),
        (client(), authenticator(count=0)),
    ],
)
def test_what_authenticators_and_browsers_may_vary_is_accepted(
    client_data: bytes, authenticator_data: bytes
) -> None:
    verify_assertion(EDDSA_KEY, CHALLENGE, signed(client_data, authenticator_data), RELYING)


@pytest.mark.parametrize(
    ("client_data", "check"),
    [
        (client(type="webauthn.create"), AssertionCheck.TYPE),
        (client(type="webauthn.get "), AssertionCheck.TYPE),
        (client(type=None), AssertionCheck.CLIENT_DATA),
        (client(challenge=CHALLENGE_TEXT + "="), AssertionCheck.CHALLENGE),
        (client(challenge=CHALLENGE_TEXT[:-1]), AssertionCheck.CHALLENGE),
        (client(challenge=CHALLENGE.hex()), AssertionCheck.CHALLENGE),
        (client(challenge=""), AssertionCheck.CHALLENGE),
        (client(challenge=None), AssertionCheck.CLIENT_DATA),
        (client(origin="http://agent.example"), AssertionCheck.ORIGIN),
        (client(origin=ORIGIN + "/"), AssertionCheck.ORIGIN),
        (client(origin=ORIGIN + ".evil.example"), AssertionCheck.ORIGIN),
        (client(origin="https://AGENT.example"), AssertionCheck.ORIGIN),
        (client(origin="null"), AssertionCheck.ORIGIN),
        (client(origin=None), AssertionCheck.CLIENT_DATA),
        (client(crossOrigin=True), AssertionCheck.CROSS_ORIGIN),
        (client(topOrigin=ORIGIN), AssertionCheck.CROSS_ORIGIN),
        (client(crossOrigin="false"), AssertionCheck.CLIENT_DATA),
        (client()[:-1] + b',"topOrigin":null}', AssertionCheck.CROSS_ORIGIN),
        (client().replace(b"false", b"0"), AssertionCheck.CLIENT_DATA),
        (client().replace(b"false", b"null"), AssertionCheck.CLIENT_DATA),
        (client()[:-1] + b',"type":"webauthn.get"}', AssertionCheck.CLIENT_DATA),
        (b'{"type":"webauthn.create",' + client()[1:], AssertionCheck.CLIENT_DATA),
        (client()[:-1] + b',"x":{"a":1,"a":1}}', AssertionCheck.CLIENT_DATA),
        (client()[:-1] + b',"x":NaN}', AssertionCheck.CLIENT_DATA),
        (client()[:-1] + b',"x":' + b"[" * 1500 + b"]" * 1, AssertionCheck.CLIENT_DATA),
        (client()[:-1] + b',"x":"\xff"}', AssertionCheck.CLIENT_DATA),
        (client()[:-1], AssertionCheck.CLIENT_DATA),
        (client() + b"x", AssertionCheck.CLIENT_DATA),
        (b"\xef\xbb\xbf" + client(), AssertionCheck.CLIENT_DATA),
        (client().decode().encode("utf-16"), AssertionCheck.CLIENT_DATA),
        (b"[" + client() + b"]", AssertionCheck.CLIENT_DATA),
        (b"", AssertionCheck.CLIENT_DATA),
        (client() + b" " * CLIENT_DATA_BYTES_MAX, AssertionCheck.CLIENT_DATA),
    ],
)
def test_client_data_with_one_thing_wrong_is_refused_for_it(
    client_data: bytes, check: AssertionCheck
) -> None:
    assert refusal(signed(client_data, authenticator())) == check


@pytest.mark.parametrize(
    ("authenticator_data", "check"),
    [
        (authenticator(rp_id="agent.example"), AssertionCheck.RP_ID),
        (authenticator(VERIFIED), AssertionCheck.USER_PRESENT),
        (authenticator(PRESENT), AssertionCheck.USER_VERIFIED),
        (authenticator(0), AssertionCheck.USER_PRESENT),
        (authenticator(PRESENT | VERIFIED | BACKED_UP), AssertionCheck.BACKUP),
        (authenticator(PRESENT | VERIFIED | ATTESTED), AssertionCheck.AUTHENTICATOR_DATA),
        (authenticator(rest=b"\xa0"), AssertionCheck.AUTHENTICATOR_DATA),
        (authenticator(PRESENT | VERIFIED | EXTENSIONS), AssertionCheck.AUTHENTICATOR_DATA),
        (
            authenticator(PRESENT | VERIFIED | EXTENSIONS, rest=b"\xa0\x00"),
            AssertionCheck.AUTHENTICATOR_DATA,
        ),
        (
            authenticator(PRESENT | VERIFIED | EXTENSIONS, rest=b"\x80"),
            AssertionCheck.AUTHENTICATOR_DATA,
        ),
        (
            authenticator(
                PRESENT | VERIFIED | EXTENSIONS, rest=b"\xa1\x00\x59\x04\x00" + bytes(1024)
            ),
            AssertionCheck.AUTHENTICATOR_DATA,
        ),
        (authenticator()[:-1], AssertionCheck.AUTHENTICATOR_DATA),
        (b"", AssertionCheck.AUTHENTICATOR_DATA),
    ],
)
def test_authenticator_data_with_one_thing_wrong_is_refused_for_it(
    authenticator_data: bytes, check: AssertionCheck
) -> None:
    assert refusal(signed(client(), authenticator_data)) == check


def test_the_challenge_of_another_digest_is_refused() -> None:
    assertion = signed(client(), authenticator())
    with pytest.raises(InvalidSignature, match=AssertionCheck.CHALLENGE):
        verify_assertion(EDDSA_KEY, sha256(b"another").digest(), assertion, RELYING)


def test_a_network_that_allows_nowhere_refuses_every_assertion() -> None:
    assertion = signed(client(), authenticator())
    assert refusal(assertion, relying=RelyingParties((), (RP_ID,))) == AssertionCheck.ORIGIN
    assert refusal(assertion, relying=RelyingParties((ORIGIN,), ())) == AssertionCheck.RP_ID


def test_a_signature_by_another_key_or_over_other_bytes_is_refused() -> None:
    stranger = Ed25519Signer(b"\x05" * 32)
    message = authenticator() + sha256(client()).digest()
    by_stranger = encode(Assertion(authenticator(), client(), stranger.sign(message)))
    assert refusal(by_stranger) == AssertionCheck.SIGNATURE
    of_data_alone = encode(Assertion(authenticator(), client(), EDDSA.sign(authenticator())))
    assert refusal(of_data_alone) == AssertionCheck.SIGNATURE
    later = encode(Assertion(authenticator(count=8), client(), EDDSA.sign(message)))
    assert refusal(later) == AssertionCheck.SIGNATURE
    reworded = encode(Assertion(authenticator(), client(extra="x"), EDDSA.sign(message)))
    assert refusal(reworded) == AssertionCheck.SIGNATURE


def test_the_algorithm_is_the_keys() -> None:
    eddsa, es256 = (signed(client(), authenticator(), es256=es256) for es256 in (False, True))
    assert refusal(eddsa, ES256_KEY) == AssertionCheck.SIGNATURE
    assert refusal(es256, EDDSA_KEY) == AssertionCheck.SIGNATURE


def test_an_es256_signature_is_in_der_only() -> None:
    message = authenticator() + sha256(client()).digest()
    fixed = encode(Assertion(authenticator(), client(), ES256.sign(message)))
    assert refusal(fixed, ES256_KEY) == AssertionCheck.SIGNATURE


def test_a_key_that_is_no_credential_signs_no_assertion() -> None:
    assert refusal(signed(client(), authenticator()), EDDSA.key) == AssertionCheck.KEY


def test_an_assertion_of_another_form_is_refused() -> None:
    good = signed(client(), authenticator())
    assert refusal(b"") == AssertionCheck.FORM
    assert refusal(good + b"\0") == AssertionCheck.FORM
    assert refusal(good[:-1]) == AssertionCheck.FORM
    assert refusal(good.replace(b"webauthn/1", b"webauthn/2", 1)) == AssertionCheck.FORM
    long = encode(Assertion(authenticator(), client(), bytes(ASSERTION_BYTES_MAX)))
    assert refusal(long) == AssertionCheck.FORM


@pytest.mark.parametrize(
    ("origins", "rp_ids"),
    [
        (("",), ()),
        ((), ("",)),
        ((ORIGIN, ORIGIN), ()),
        ((), (RP_ID, RP_ID)),
        (tuple(f"https://{n}.example" for n in range(33)), ()),
    ],
)
def test_relying_parties_that_make_no_sense_are_refused(
    origins: tuple[str, ...], rp_ids: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"origin"):
        RelyingParties(origins, rp_ids)
