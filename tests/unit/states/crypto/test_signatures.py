"""Signatures of transactions and of evidence, by every scheme."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest

from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import (
    SCHEME_ED25519,
    SCHEME_P256,
    SCHEME_WEBAUTHN,
    WEBAUTHN_ES256,
    Key,
)
from states.crypto.p256 import P256Signer
from states.crypto.signatures import (
    RAW_BYTES_MAX,
    EvidenceSignature,
    SignatureMeta,
    Signer,
    TransactionSignature,
    evidence_digest,
    evidence_signature_codec,
    sign_evidence,
    sign_transaction,
    signing_digest,
    transaction_signature_codec,
    verify_evidence,
    verify_signature,
)
from states.crypto.webauthn import Assertion, RelyingParties
from states.encoding import encode
from states.errors import InvalidSignature, MalformedBytes

NETWORK, OTHER_NETWORK = sha256(b"network").digest(), sha256(b"other network").digest()
TRANSACTION, OTHER = sha256(b"transaction").digest(), sha256(b"other transaction").digest()
RELYING = RelyingParties(("https://agent.example",), ("ledger.example",))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Passkey:
    """An authenticator and a browser in one: ES256, always touched and unlocked."""

    def __init__(self, scalar: bytes) -> None:
        self._signer = P256Signer(scalar)
        self.key = Key(SCHEME_WEBAUTHN, bytes([WEBAUTHN_ES256]) + self._signer.public)

    def sign(self, message: bytes) -> bytes:
        challenge = urlsafe_b64encode(message).rstrip(b"=").decode()
        client = {
            "type": "webauthn.get",
            "challenge": challenge,
            "origin": "https://agent.example",
        }
        data = json.dumps(client).encode()
        authenticator = sha256(b"ledger.example").digest() + b"\x05" + bytes(4)
        signature = self._signer.sign_der(authenticator + sha256(data).digest())
        return encode(Assertion(authenticator, data, signature))


ED25519 = Ed25519Signer(bytes(range(32)))
P256 = P256Signer(bytes(range(1, 33)))
PASSKEY = Passkey(bytes(range(2, 34)))
SIGNERS = [ED25519, P256, PASSKEY]


@pytest.mark.parametrize("signer", SIGNERS)
def test_what_a_signer_signs_verifies_and_survives_its_encoding(signer: Signer) -> None:
    signature = sign_transaction(signer, NETWORK, TRANSACTION, platform=65_535)
    read = transaction_signature_codec.decode(encode(signature))
    assert read == signature
    assert read.key == signer.key
    assert read.meta == SignatureMeta(signer.key.scheme, 65_535)
    verify_signature(read, NETWORK, TRANSACTION, RELYING)


@pytest.mark.parametrize("signer", SIGNERS)
def test_a_signature_is_for_one_network_transaction_key_and_meta(signer: Signer) -> None:
    good = sign_transaction(signer, NETWORK, TRANSACTION)
    other_key = {
        SCHEME_ED25519: Ed25519Signer(b"\x07" * 32).key,
        SCHEME_P256: P256Signer(b"\x07" * 32).key,
        SCHEME_WEBAUTHN: Passkey(b"\x07" * 32).key,
    }[signer.key.scheme]
    refused = [
        (good, OTHER_NETWORK, TRANSACTION),
        (good, NETWORK, OTHER),
        (good, TRANSACTION, NETWORK),
        (TransactionSignature(other_key, good.meta, good.raw), NETWORK, TRANSACTION),
        (
            TransactionSignature(good.key, SignatureMeta(good.key.scheme, 2), good.raw),
            NETWORK,
            TRANSACTION,
        ),
        (TransactionSignature(good.key, good.meta, good.raw[:-1]), NETWORK, TRANSACTION),
        (TransactionSignature(good.key, good.meta, good.raw + b"\0"), NETWORK, TRANSACTION),
        (TransactionSignature(good.key, good.meta, b""), NETWORK, TRANSACTION),
    ]
    for signature, network, transaction in refused:
        with pytest.raises(InvalidSignature):
            verify_signature(signature, network, transaction, RELYING)


def test_the_scheme_of_the_meta_is_the_keys() -> None:
    meta = SignatureMeta(SCHEME_P256, 1)
    raw = ED25519.sign(signing_digest(NETWORK, TRANSACTION, meta))
    with pytest.raises(InvalidSignature) as refused:
        verify_signature(
            TransactionSignature(ED25519.key, meta, raw), NETWORK, TRANSACTION, RELYING
        )
    assert refused.value.why == "the scheme is not that of the key"


def test_a_passkey_is_refused_by_a_network_that_allows_no_origin() -> None:
    signature = sign_transaction(PASSKEY, NETWORK, TRANSACTION)
    with pytest.raises(InvalidSignature, match="origin"):
        verify_signature(signature, NETWORK, TRANSACTION, RelyingParties((), ()))


def test_the_p256_key_of_a_passkey_does_not_sign_as_the_passkey() -> None:
    meta = SignatureMeta(SCHEME_WEBAUTHN, 1)
    bare = P256Signer(bytes(range(2, 34)))
    raw = bare.sign_der(signing_digest(NETWORK, TRANSACTION, meta))
    with pytest.raises(InvalidSignature):
        verify_signature(
            TransactionSignature(PASSKEY.key, meta, raw), NETWORK, TRANSACTION, RELYING
        )


def test_two_byte_strings_by_one_key_are_one_signer() -> None:
    good = sign_transaction(P256, NETWORK, TRANSACTION)
    s = P256_ORDER - int.from_bytes(good.raw[32:], "big")
    twin = TransactionSignature(good.key, good.meta, good.raw[:32] + s.to_bytes(32, "big"))
    verify_signature(twin, NETWORK, TRANSACTION, RELYING)
    assert twin != good
    assert len({twin.key, good.key}) == 1


def test_the_digest_is_over_the_tagged_parts_in_order() -> None:
    meta = SignatureMeta(1, 258)
    expected = sha256(
        b"carecord/signature/1\0" + NETWORK + TRANSACTION + b"\x93\xa6meta/1\x01\xcd\x01\x02"
    ).digest()
    assert signing_digest(NETWORK, TRANSACTION, meta) == expected
    body = b"in force since"
    assert (
        evidence_digest(NETWORK, body) == sha256(b"carecord/evidence/1\0" + NETWORK + body).digest()
    )


@pytest.mark.parametrize(("network", "transaction"), [(31, 33), (33, 31), (0, 64), (32, 31)])
def test_parts_of_other_lengths_are_our_own_mistake(network: int, transaction: int) -> None:
    with pytest.raises(AssertionError):
        signing_digest(bytes(network), bytes(transaction), SignatureMeta(1, 1))


@pytest.mark.parametrize("signer", SIGNERS)
def test_evidence_verifies_for_its_body_network_and_key_only(signer: Signer) -> None:
    good = sign_evidence(signer, NETWORK, b"body")
    read = evidence_signature_codec.decode(encode(good))
    assert read == good
    verify_evidence(read, NETWORK, b"body", RELYING)
    for signature, network, body in [
        (good, NETWORK, b"bodY"),
        (good, NETWORK, b"body\0"),
        (good, OTHER_NETWORK, b"body"),
        (EvidenceSignature(good.key, good.raw[:-1]), NETWORK, b"body"),
    ]:
        with pytest.raises(InvalidSignature):
            verify_evidence(signature, network, body, RELYING)


def test_evidence_is_no_signature_of_a_transaction() -> None:
    meta = SignatureMeta(SCHEME_ED25519, 1)
    evidence = sign_evidence(ED25519, NETWORK, TRANSACTION + encode(meta))
    signature = TransactionSignature(ED25519.key, meta, evidence.raw)
    with pytest.raises(InvalidSignature) as refused:
        verify_signature(signature, NETWORK, TRANSACTION, RELYING)
    assert refused.value.what == "transaction signature"
    with pytest.raises(MalformedBytes):
        transaction_signature_codec.decode(encode(evidence))


def test_a_raw_signature_is_bounded() -> None:
    meta, longest = SignatureMeta(SCHEME_ED25519, 1), bytes(RAW_BYTES_MAX)
    longest_signature = TransactionSignature(ED25519.key, meta, longest)
    assert transaction_signature_codec.decode(encode(longest_signature)) == longest_signature
    longest_evidence = EvidenceSignature(ED25519.key, longest)
    assert evidence_signature_codec.decode(encode(longest_evidence)) == longest_evidence
    with pytest.raises(ValueError, match="at most"):
        TransactionSignature(ED25519.key, meta, longest + b"\0")
    with pytest.raises(ValueError, match="at most"):
        EvidenceSignature(ED25519.key, longest + b"\0")


@pytest.mark.parametrize(("scheme", "platform"), [(-1, 0), (256, 0), (0, -1), (0, 65_536)])
def test_a_meta_out_of_range_is_refused(scheme: int, platform: int) -> None:
    with pytest.raises(ValueError, match="u8"):
        SignatureMeta(scheme, platform)
    with pytest.raises(MalformedBytes):
        transaction_signature_codec.decode(
            encode(("signature/1", ED25519.key, ("meta/1", scheme, platform), bytes(64)))
        )
