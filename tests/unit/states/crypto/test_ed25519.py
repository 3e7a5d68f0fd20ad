"""Ed25519 against Wycheproof and RFC 8032."""

import gzip
from pathlib import Path

import msgspec
import pytest

from states.crypto.ed25519 import Ed25519Signer, verify
from states.crypto.keys import SCHEME_ED25519, Key

VECTORS = Path(__file__).parents[4].parent / "shared/data/vectors/wycheproof/ed25519_test.json.gz"
ORDER = 2**252 + 27742317777372353535851937790883648493


class PublicKey(msgspec.Struct):
    pk: str


class Case(msgspec.Struct, rename="camel"):
    tc_id: int
    msg: str
    sig: str
    result: str


class Group(msgspec.Struct, rename="camel"):
    public_key: PublicKey
    tests: list[Case]


class Suite(msgspec.Struct, rename="camel"):
    number_of_tests: int
    test_groups: list[Group]


def test_the_verdict_on_every_wycheproof_case_is_theirs() -> None:
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS.name} is missing")
    suite = msgspec.json.decode(gzip.decompress(VECTORS.read_bytes()), type=Suite)
    cases = [(group.public_key, case) for group in suite.test_groups for case in group.tests]
    assert len(cases) == suite.number_of_tests > 100
    assert {case.result for _, case in cases} == {"valid", "invalid"}
    wrong = [
        case.tc_id
        for public, case in cases
        if verify(bytes.fromhex(public.pk), bytes.fromhex(case.msg), bytes.fromhex(case.sig))
        != (case.result == "valid")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_a_signer_signs_as_rfc_8032_section_7_1_does(
    seed: str, public: str, message: str, signature: str
) -> None:
    signer = Ed25519Signer(bytes.fromhex(seed))
    assert signer.public.hex() == public
    assert signer.key == Key(SCHEME_ED25519, signer.public)
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    assert verify(signer.public, bytes.fromhex(message), bytes.fromhex(signature))


def test_a_signature_of_another_message_key_or_length_is_refused() -> None:
    signer, other = Ed25519Signer(bytes(32)), Ed25519Signer(b"\x01" * 32)
    signature = signer.sign(b"message")
    assert verify(signer.public, b"message", signature)
    assert not verify(signer.public, b"massage", signature)
    assert not verify(other.public, b"message", signature)
    assert not verify(signer.public, b"message", signature + b"\0")
    assert not verify(signer.public, b"message", signature[:-1])
    assert not verify(signer.public, b"message", b"")
    # Bytes may not move from the message into the signature.
    assert not verify(signer.public, b"essage", signature + b"m")


def test_a_signature_is_not_malleable_by_adding_the_group_order_to_s() -> None:
    signer = Ed25519Signer(bytes(32))
    signature = signer.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify(signer.public, b"message", signature[:32] + s.to_bytes(32, "little"))


def test_a_public_key_of_another_length_verifies_nothing() -> None:
    # A key that ends in a zero byte: libsodium would find it whole before the string's end.
    seeds = (number.to_bytes(32, "big") for number in range(10_000))
    signer = next(s for s in map(Ed25519Signer, seeds) if s.public[31] == 0)
    signature = signer.sign(b"message")
    assert verify(signer.public, b"message", signature)
    for public in (signer.public + b"\0", signer.public[:31], signer.public * 2, b""):
        assert not verify(public, b"message", signature)


def test_the_key_of_small_order_verifies_nothing() -> None:
    # The identity as key and as R with S = 0 satisfies the equation for every message.
    identity = b"\x01" + bytes(31)
    assert not verify(identity, b"message", identity + bytes(32))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Ed25519Signer(bytes(size))
