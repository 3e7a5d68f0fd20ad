"""One well-formed CBOR map and nothing more."""

import pytest

from states.crypto.cbor_extent import require_one_map


@pytest.mark.parametrize(
    "text",
    [
        "a0",
        "a1 63 666f6f f5",
        "a1 6b 686d61632d736563726574 5820" + "00" * 32,  # {"hmac-secret": 32 bytes}
        "a2 01 18ff 20 3903e7",
        "a1 01 82 01 80",
        "a1 01 a1 01 a1 01 a1 01 00",  # the innermost integer lies four deep
        "a1 01 fb 3ff199999999999a",
        "b801 01 f6",
        "a1 01 1b ffffffffffffffff",
    ],
)
def test_a_well_formed_map_is_accepted(text: str) -> None:
    require_one_map(bytes.fromhex(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a CBOR map"),
        ("80", "not a CBOR map"),
        ("f6", "not a CBOR map"),
        ("a0 00", "bytes after"),
        ("a1 01", "cut short"),
        ("a1", "cut short"),
        ("a1 01 63 6162", "cut short"),
        ("a1 01 19 01", "cut short"),
        ("a1 01 5b ffffffffffffffff", "cut short"),
        ("bb ffffffffffffffff", "cut short"),
        ("bf ff", "indefinite"),
        ("a1 01 5f 41 00 ff", "indefinite"),
        ("a1 01 ff", "indefinite"),
        ("a1 01 1c", "reserved"),
        ("a1 01 f8 ff", "reserved"),
        ("a1 01 c0 60", "a tag"),
        ("a1 01 e0", "simple value"),
        ("a1 01 a1 01 a1 01 a1 01 a1 01 00", "deep"),
        ("a1 01" + "81" * 5000 + "00", "deep"),
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        require_one_map(bytes.fromhex(text))
