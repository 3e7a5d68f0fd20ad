"""What is no strict JSON object is refused, and no message has anything of it."""

from decimal import Decimal

import pytest

from app.fhir.errors import DocumentTooLarge, JsonRefused
from app.fhir.json_document import DEPTH_MAX, read_json

SECRET = b"Quillfeather"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not valid JSON"),
        (b'{"a": "' + SECRET, "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b'["' + SECRET + b'"]', "not a JSON object"),
        (b'{"Quillfeather": 1, "Quillfeather": 1}', "an object has a name twice"),
        (b'{"a": [{"b": 1, "\\u0062": 2}]}', "an object has a name twice"),
        (b'{"a": 1e-9999999999999999999}', "a number has too many digits"),
    ],
)
def test_what_breaks_a_rule_of_json_is_refused_for_that_rule(data: bytes, why: str) -> None:
    with pytest.raises(JsonRefused) as refusal:
        read_json(data)
    assert refusal.value.why == why
    assert SECRET.decode() not in repr(refusal.value)
    assert refusal.value.__cause__ is None


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_the_deepest_document_is_read_and_one_level_more_is_not() -> None:
    read_json(nested(DEPTH_MAX))
    for levels in (DEPTH_MAX + 1, 100_000):
        with pytest.raises(JsonRefused):
            read_json(nested(levels))


def test_a_document_at_the_limit_is_read_and_a_longer_one_is_not() -> None:
    assert read_json(b'{"a":1}', bytes_max=7) == {"a": 1}
    with pytest.raises(DocumentTooLarge) as refusal:
        read_json(b'{"a":12}', bytes_max=7)
    assert refusal.value.limit == 7


def test_decimals_keep_their_digits() -> None:
    read = read_json(b'{"a": 1.50, "b": 0.12345678901234567890}')
    assert str(read["a"]) == "1.50"
    assert read["b"] == Decimal("0.12345678901234567890")
