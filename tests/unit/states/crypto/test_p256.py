"""ECDSA over P-256 against Wycheproof and RFC 6979; strict DER."""

import gzip
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from states.crypto.keys import SCHEME_P256, Key
from states.crypto.p256 import P256Signer, verify, verify_der

VECTORS = (
    Path(__file__).parents[4].parent
    / "shared/data/vectors/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json.gz"
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
RFC6979_SCALAR = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")


class PublicKey(msgspec.Struct):
    uncompressed: str

    def compressed(self) -> bytes:
        point = bytes.fromhex(self.uncompressed)
        return bytes([2 + (point[64] & 1)]) + point[1:33]


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


def wycheproof() -> list[tuple[bytes, Case]]:
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS.name} is missing")
    suite = msgspec.json.decode(gzip.decompress(VECTORS.read_bytes()), type=Suite)
    cases = [
        (group.public_key.compressed(), case) for group in suite.test_groups for case in group.tests
    ]
    assert len(cases) == suite.number_of_tests > 200
    assert {case.result for _, case in cases} == {"valid", "invalid"}
    return cases


def der(fixed: bytes) -> bytes:
    return encode_dss_signature(
        int.from_bytes(fixed[:32], "big"), int.from_bytes(fixed[32:], "big")
    )


def test_the_verdict_on_every_wycheproof_case_is_theirs() -> None:
    wrong = [
        case.tc_id
        for public, case in wycheproof()
        if verify(public, bytes.fromhex(case.msg), bytes.fromhex(case.sig))
        != (case.result == "valid")
    ]
    assert wrong == []


def test_the_verdict_is_the_same_for_the_cases_in_der() -> None:
    cases = [(public, case) for public, case in wycheproof() if len(case.sig) == 128]
    assert len(cases) > 200
    wrong = [
        case.tc_id
        for public, case in cases
        if verify_der(public, bytes.fromhex(case.msg), der(bytes.fromhex(case.sig)))
        != (case.result == "valid")
    ]
    assert wrong == []


def test_a_signer_draws_its_nonces_as_rfc_6979_appendix_a_2_5_does() -> None:
    signer = P256Signer(RFC6979_SCALAR)
    x = "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    assert signer.key == Key(SCHEME_P256, bytes.fromhex("03" + x))
    assert signer.sign(b"sample").hex().upper() == (
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )
    assert verify(signer.public, b"sample", signer.sign(b"sample"))
    assert verify_der(signer.public, b"sample", signer.sign_der(b"sample"))


def test_both_forms_of_a_malleable_signature_verify_for_the_one_key() -> None:
    signer = P256Signer(RFC6979_SCALAR)
    signature = signer.sign(b"sample")
    s = ORDER - int.from_bytes(signature[32:], "big")
    twin = signature[:32] + s.to_bytes(32, "big")
    assert twin != signature
    assert verify(signer.public, b"sample", twin)


def test_a_signature_of_another_message_key_or_length_is_refused() -> None:
    signer, other = P256Signer(RFC6979_SCALAR), P256Signer(bytes(range(32)))
    signature = signer.sign(b"message")
    assert not verify(signer.public, b"massage", signature)
    assert not verify(other.public, b"message", signature)
    assert not verify(signer.public, b"message", signature + b"\0")
    assert not verify(signer.public, b"message", signature[1:])
    assert not verify(signer.public, b"message", signature[:32] + b"\0" + signature[32:])
    assert not verify(signer.public, b"message", signer.sign_der(b"message"))
    assert not verify_der(signer.public, b"message", signature)


def test_der_has_one_form() -> None:
    signer = P256Signer(RFC6979_SCALAR)
    good = signer.sign_der(b"sample")
    r, s = good[4 : 4 + good[3]], good[6 + good[3] :]
    body = good[2:]
    assert verify_der(signer.public, b"sample", good)
    assert good[4] == 0, "r of this vector has a padding byte, which the second case takes away"
    forms = {
        "long length": b"\x30\x81" + bytes([len(body)]) + body,
        "negative r": b"\x30" + bytes([len(body) - 1, 2, len(r) - 1]) + r[1:] + good[4 + len(r) :],
        "padded r": b"\x30" + bytes([len(body) + 1, 2, len(r) + 1]) + b"\0" + good[4:],
        "indefinite": b"\x30\x80" + body + b"\0\0",
        "trailing": good + b"\0",
        "third integer": b"\x30" + bytes([len(body) + 3]) + body + b"\x02\x01\x00",
        "r alone": b"\x30" + bytes([2 + len(r), 2, len(r)]) + r,
        "cut": good[:-1],
        "set": b"\x31" + good[1:],
        "empty": b"",
        "vast r": b"\x30\x82\x10\x08\x02\x82\x10\x00" + b"\x7f" * 4096 + b"\x02\x02" + s[:2],
    }
    assert [
        name for name, form in forms.items() if verify_der(signer.public, b"sample", form)
    ] == []


@pytest.mark.parametrize(
    "public",
    [
        b"",
        b"\x02" + bytes(31),
        b"\x02" + b"\xff" * 32,  # x is no element of the field
        b"\x05" + bytes(32),
        # x = 1: x³ - 3x + b is no square, so it is no point of the curve
        b"\x02" + bytes(31) + b"\x01",
    ],
)
def test_what_is_no_point_of_the_curve_verifies_nothing(public: bytes) -> None:
    assert not verify(public, b"message", P256Signer(RFC6979_SCALAR).sign(b"message"))


def test_a_point_that_is_not_compressed_verifies_nothing() -> None:
    signer = P256Signer(RFC6979_SCALAR)
    y = "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
    uncompressed = b"\x04" + signer.public[1:] + bytes.fromhex(y)
    assert not verify(uncompressed, b"message", signer.sign(b"message"))


@pytest.mark.parametrize(
    "scalar", [b"", bytes(31), bytes(32), ORDER.to_bytes(32, "big"), b"\x01" * 33]
)
def test_a_scalar_out_of_range_is_refused(scalar: bytes) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|private_value|range|[Ii]nvalid"):
        P256Signer(scalar)
