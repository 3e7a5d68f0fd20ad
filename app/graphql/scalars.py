"""Scalars of the API; each names its specification in the schema (@specifiedBy).

Use them by `StrawberryConfig(scalar_map=SCALARS)`. A value that is not of its scalar is refused
with a message that does not repeat it.
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

UINT53_MAX = (1 << 53) - 1
BASE64_CHARS_MAX = 1 << 20
DIGEST_BYTES = 32

UInt53 = NewType("UInt53", int)
LedgerSeq = NewType("LedgerSeq", int)
Base64 = NewType("Base64", bytes)
Digest = NewType("Digest", bytes)
RawJson = NewType("RawJson", object)

_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)


def _parse_datetime(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise GraphQLError("a DateTime is written as in RFC 3339, with its offset")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as refused:
        raise GraphQLError("a DateTime names a moment of the calendar") from refused


def show_datetime(value: datetime) -> str:
    """Return the one form in which every moment leaves: UTC, to the millisecond, with Z."""
    if value.tzinfo is None:
        raise ValueError("a moment without a time zone is none")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parse_uint53(value: object) -> int:
    # A number that arrives as JSON may be 5.0; a literal arrives as int. True is an int to Python.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= UINT53_MAX:
        raise GraphQLError("expected an integer from 0 to 2^53 - 1")
    return value


def _show_uint53(value: int) -> int:
    if not 0 <= value <= UINT53_MAX:
        raise ValueError("not an integer from 0 to 2^53 - 1")
    return int(value)


def _parse_base64(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > BASE64_CHARS_MAX:
        raise GraphQLError(f"Base64 is a string of at most {BASE64_CHARS_MAX} characters")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as refused:
        raise GraphQLError("Base64 is written in the standard alphabet, padded") from refused


def _show_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _parse_digest(value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value, re.ASCII):
        raise GraphQLError("a Digest is 64 hexadecimal digits in lower case")
    return bytes.fromhex(value)


def _show_digest(value: bytes) -> str:
    if len(value) != DIGEST_BYTES:
        raise ValueError(f"a digest has {DIGEST_BYTES} bytes")
    return value.hex()


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment as in RFC 3339. Answers have it in UTC, to the millisecond: 2026-11-22T17:19:00.479Z.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=show_datetime,
        parse_value=_parse_datetime,
    ),
    UInt53: strawberry.scalar(
        name="UInt53",
        description="An integer from 0 to 2^53 - 1, which every JSON reader keeps exactly.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc7493#section-2.2",
        serialize=_show_uint53,
        parse_value=_parse_uint53,
    ),
    LedgerSeq: strawberry.scalar(
        name="LedgerSeq",
        description="A ledger sequence number of this node: what was known when it was current.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc7493#section-2.2",
        serialize=_show_uint53,
        parse_value=_parse_uint53,
    ),
    Base64: strawberry.scalar(
        name="Base64",
        description="Bytes in Base64, standard alphabet, padded.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc4648#section-4",
        serialize=_show_base64,
        parse_value=_parse_base64,
    ),
    Digest: strawberry.scalar(
        name="Digest",
        description="32 bytes, a SHA-256 digest or a key: 64 hexadecimal digits in lower case.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc4648#section-8",
        serialize=_show_digest,
        parse_value=_parse_digest,
    ),
    RawJson: strawberry.scalar(
        name="JSON",
        description="A JSON value as it stands: a FHIR resource.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
}
"""By Python type: `datetime`, and the new types of this module."""
