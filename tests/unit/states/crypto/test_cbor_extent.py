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
    "text",
    [
        "",
        "80",  # an array
        "f6",
        "a0 00",  # a byte after it
        "a1 01",  # a value is missing
        "a1",
        "a1 01 63 6162",  # text cut short
        "a1 01 19 01",  # argument cut short
        "a1 01 5b ffffffffffffffff",
        "bb ffffffffffffffff",
        "bf ff",  # indefinite
        "a1 01 5f 41 00 ff",
        "a1 01 ff",
        "a1 01 1c",  # reserved
        "a1 01 c0 60",  # a tag
        "a1 01 e0",  # an unassigned simple value
        "a1 01 f8 ff",
        "a1 01 a1 01 a1 01 a1 01 80 01",
        "a1 01 a1 01 a1 01 a1 01 a1 01 00",  # too deep
        "a1 01" + "81" * 5000 + "00",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"map|cut|tag|indefinite|simple|deep"):
        require_one_map(bytes.fromhex(text))
