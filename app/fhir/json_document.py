"""JSON read strictly: one object, no name twice, no depth without end, decimals as they are written."""

import json
from decimal import Decimal, InvalidOperation

import orjson

from app.fhir.errors import DocumentTooLarge, JsonRefused

RESOURCE_BYTES_MAX = 16 << 20
"""Bytes of one resource; a larger file is kept as a blob of its own beside its DocumentReference."""

DEPTH_MAX = 64  # objects and lists within each other; the deepest of FHIR's own examples has 21

Json = str | int | Decimal | bool | list["Json"] | dict[str, "Json"] | None
JsonObject = dict[str, Json]


def read_json(data: bytes, bytes_max: int = RESOURCE_BYTES_MAX) -> JsonObject:
    """Return the one JSON object that `data` is. DocumentTooLarge, JsonRefused.

    Two parsers: orjson refuses what is not RFC 8259 (bad UTF-8, NaN, lone surrogates) and bounds the recursion; it
    keeps the last of two equal names and rounds decimals, so the standard library's then reads names and numbers.
    """
    if len(data) > bytes_max:
        raise DocumentTooLarge(bytes_max)
    try:
        parsed: Json = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise JsonRefused("not valid JSON") from None  # orjson's error carries the whole document
    if not isinstance(parsed, dict):
        raise JsonRefused("not a JSON object")
    _require_shallow(parsed)
    try:
        exact: JsonObject = json.loads(
            data, object_pairs_hook=_object_of, parse_float=Decimal, parse_constant=_no_constant
        )
    except (ValueError, InvalidOperation):
        raise JsonRefused("a number has too many digits") from None
    return exact


def _require_shallow(document: Json) -> None:
    level = [document]
    for _ in range(DEPTH_MAX):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise JsonRefused(f"deeper than {DEPTH_MAX} levels")


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    if isinstance(value, list):
        return [inner for inner in value if isinstance(inner, dict | list)]
    return []


def _object_of(pairs: list[tuple[str, Json]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRefused("an object has a name twice")
    return members


def _no_constant(_: str) -> Json:
    raise JsonRefused("NaN and Infinity are not JSON")
