"""did:key text against the vectors of the W3C Credentials Community Group."""

from base64 import urlsafe_b64decode
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from states.crypto.did import did_of, key_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.keys import SCHEME_ED25519, SCHEME_P256, SCHEME_WEBAUTHN, Key
from states.errors import MalformedBytes

VECTORS = Path(__file__).parents[4].parent / "shared/data/vectors/did-key"
DID = "did:key:z6Mkk7yqnGF3YwTrLpqrW6PGsKci7dNqh1CjnvMbzrMerSeL"


class Jwk(msgspec.Struct):
    crv: str
    x: str
    y: str = ""

    def key(self) -> Key:
        x = urlsafe_b64decode(self.x + "=")
        if self.crv == "Ed25519":
            return Key(SCHEME_ED25519, x)
        return Key(SCHEME_P256, bytes([2 + (urlsafe_b64decode(self.y + "=")[-1] & 1)]) + x)


class Method(msgspec.Struct, rename={"jwk": "publicKeyJwk"}):
    jwk: Jwk


class Document(msgspec.Struct, rename={"methods": "verificationMethod"}):
    id: str
    methods: list[Method]


class Resolution(msgspec.Struct, rename={"document": "didDocument"}):
    document: Document


class Vector(msgspec.Struct, rename={"resolution": "application/did+json"}):
    seed: str
    resolution: Resolution


def vectors(kind: str) -> list[Vector]:
    found = sorted((VECTORS / kind).glob("*.json"))
    if not found:
        pytest.skip(f"did-key/{kind} is missing")
    return [msgspec.json.decode(path.read_bytes(), type=Vector) for path in found]


@pytest.mark.parametrize("kind", ["ed25519", "secp256r1"])
def test_the_vectors_keys_and_texts_belong_together(kind: str) -> None:
    documents = [vector.resolution.document for vector in vectors(kind)]
    assert len(documents) == 2
    for document in documents:
        key = document.methods[0].jwk.key()
        assert did_of(key) == document.id
        assert key_of(document.id) == key


def test_the_vectors_seeds_make_the_vectors_texts() -> None:
    for vector in vectors("ed25519"):
        signer = Ed25519Signer(bytes.fromhex(vector.seed))
        assert did_of(signer.key) == vector.resolution.document.id


@pytest.mark.parametrize("kind", ["secp256k1", "secp384r1", "secp521r1", "x25519"])
def test_a_text_of_another_algorithm_is_refused(kind: str) -> None:
    for vector in vectors(kind):
        with pytest.raises(MalformedBytes):
            key_of(vector.resolution.document.id)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([b"", b"\x02", b"\x03"]))
@settings(max_examples=50, deadline=None, database=None)
def test_every_key_comes_back_from_its_text(raw: bytes, sign: bytes) -> None:
    key = Key(SCHEME_P256 if sign else SCHEME_ED25519, sign + raw)
    assert key_of(did_of(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        DID[:-1],
        DID + "1",
        DID + "#" + DID[8:],
        " " + DID,
        DID + "\n",
        DID.upper(),
        "did:key:" + DID[9:],
        DID.replace("did:key:z", "did:key:m"),
        DID.replace("did:key:z", "did:key:z1"),
        DID.replace("did:key:", "did:web:"),
        DID.replace("M", "0"),
        DID.replace("M", "l"),
        DID.replace("M", "é"),
        "did:key:z",
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    assert did_of(key_of(DID)) == DID
    with pytest.raises(MalformedBytes):
        key_of(text)


def test_a_long_text_is_refused_before_it_is_counted_out() -> None:
    with pytest.raises(MalformedBytes, match="longer than 64"):
        key_of("did:key:z" + "6" * 1_000)


def test_a_multicodec_prefix_that_is_not_minimal_is_refused() -> None:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, digits = int.from_bytes(b"\xed\x81\x00" + bytes(32), "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = alphabet[digit] + digits
    with pytest.raises(MalformedBytes):
        key_of("did:key:z" + digits)


def test_a_webauthn_key_has_no_text() -> None:
    with pytest.raises(ValueError, match="no did:key"):
        did_of(Key(SCHEME_WEBAUTHN, b"\x01" + bytes(32)))
