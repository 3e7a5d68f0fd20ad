"""Scalars take exactly what they say, and their refusals do not repeat it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from graphql import GraphQLError

from app.graphql.scalars import SCALARS, Base64, Digest, LedgerSeq, RawJson, UInt53
from tests.unit.app.graphql.shell_world import SCHEMA

MOMENT = datetime(2026, 11, 22, 12, 30, 0, 5_000, tzinfo=UTC)


def parsed(scalar: object, value: object) -> object:
    parse = SCALARS[scalar].parse_value
    assert parse is not None
    return parse(value)


def shown(scalar: object, value: object) -> object:
    serialize = SCALARS[scalar].serialize
    assert serialize is not None
    return serialize(value)


@pytest.mark.parametrize(
    ("scalar", "wire", "value"),
    [
        (datetime, "2026-11-22T12:30:00.005Z", MOMENT),
        (datetime, "2026-11-22T12:30:00.000Z", MOMENT.replace(microsecond=0)),
        (UInt53, 0, 0),
        (UInt53, 2**53 - 1, 2**53 - 1),
        (LedgerSeq, 17, 17),
        (Base64, "AP8=", b"\x00\xff"),
        (Digest, "ab" * 32, b"\xab" * 32),
        (RawJson, {"resourceType": "Patient"}, {"resourceType": "Patient"}),
    ],
)
def test_a_value_goes_out_and_comes_back(scalar: object, wire: object, value: object) -> None:
    assert shown(scalar, value) == wire
    assert parsed(scalar, wire) == value


@pytest.mark.parametrize(
    ("scalar", "wire"),
    [
        (datetime, "2026-11-22T12:30:00"),
        (datetime, "2026-11-22"),
        (datetime, "2026-13-22T12:30:00Z"),
        (datetime, "0001-01-01T00:00:00+23:59"),
        (datetime, 5),
        (UInt53, -1),
        (UInt53, 2**53),
        (UInt53, True),
        (UInt53, 1.5),
        (UInt53, float("nan")),
        (UInt53, "5"),
        (Base64, "AP8"),
        (Base64, "A_8="),
        (Base64, "AA=\n="),
        (Base64, "A" * (1 << 20) + "A==="),
        (Digest, "AB" * 32),
        (Digest, "ab" * 31),
        (Digest, "٣" * 64),
    ],
)
def test_what_is_not_of_the_scalar_is_refused(scalar: object, wire: object) -> None:
    with pytest.raises(GraphQLError) as refused:
        parsed(scalar, wire)
    assert str(wire) not in refused.value.message or len(str(wire)) < 3


def test_an_offset_is_carried_to_utc() -> None:
    there = MOMENT.astimezone(timezone(timedelta(hours=2)))
    assert parsed(datetime, "2026-11-22T14:30:00.005+02:00") == MOMENT
    assert shown(datetime, there) == "2026-11-22T12:30:00.005Z"


def test_what_is_finer_than_a_millisecond_does_not_leave() -> None:
    assert parsed(datetime, "2026-11-22T12:30:00.005999Z") == MOMENT.replace(microsecond=5_999)
    assert shown(datetime, MOMENT.replace(microsecond=5_999)) == "2026-11-22T12:30:00.005Z"


@pytest.mark.parametrize(
    ("scalar", "value"),
    [(datetime, MOMENT.replace(tzinfo=None)), (UInt53, -1), (UInt53, 2**53), (Digest, b"short")],
)
def test_a_wrong_value_of_our_own_never_leaves(scalar: object, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        shown(scalar, value)


def test_the_schema_names_each_scalars_specification() -> None:
    assert "scalar UInt53\n  @specifiedBy(url:" in str(SCHEMA) or (
        'scalar UInt53 @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc7493' in str(SCHEMA)
    )
    assert all(
        definition.specified_by_url and definition.description for definition in SCALARS.values()
    )
