"""The entries of a Bundle, found in its bytes without building the document: where each begins and ends.

A file may be large and its entries many, and a resource is to be kept as it was written. So the file is checked as a
whole once (a truncated one is refused before anything of it is used), then walked bracket by bracket.
"""

import re
from collections.abc import Iterator

import msgspec

from app.fhir.errors import FhirRefused, JsonRefused

ENTRIES_MAX = 250_000
"""Entries of one bundle; at a kilobyte each, as many as fit the file's limit (app.fhir.files)."""

BUNDLE_TYPES = ("batch", "collection", "searchset", "transaction")

_BEGINS = b"{["
_BRACE_END, _LIST_BEGIN, _LIST_END = b"}[]"

_GAP = re.compile(rb"[\s,:]*+")
_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^\s,\[\]{}"]++', re.DOTALL)
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)


class BundleRefused(FhirRefused):
    """The file is no bundle whose entries are taken; `why` says so in terms of FHIR."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    type: str = ""


def entries_of(file: bytes) -> Iterator[memoryview]:
    """Yield the bytes of each entry of the bundle that `file` is. JsonRefused, BundleRefused before the first."""
    try:
        bundle = msgspec.json.decode(file, type=_Bundle)
    except msgspec.ValidationError:
        raise BundleRefused("not a Bundle of FHIR") from None
    except (msgspec.DecodeError, RecursionError):
        raise JsonRefused("truncated, or not JSON") from None
    if bundle.resource_type != "Bundle":
        raise BundleRefused("not a Bundle")
    if bundle.type not in BUNDLE_TYPES:
        raise BundleRefused(f"not a Bundle of type {', '.join(BUNDLE_TYPES)}")
    text = memoryview(file)
    return _elements(text, _entry_list(text))


def _entry_list(text: memoryview) -> int:
    """Return where the list `Bundle.entry` begins, -1 where there is none; a member that is there twice is refused."""
    members: dict[str, int] = {}
    at = _end(_GAP, text, _end(_GAP, text, 0) + 1)
    while text[at] != _BRACE_END:
        name_end = _end(_SCALAR, text, at)
        name = msgspec.json.decode(text[at:name_end], type=str)
        if name in members:
            raise JsonRefused("an object has a name twice")
        members[name] = _end(_GAP, text, name_end)
        at = _end(_GAP, text, _value_end(text, members[name]))
    begin = members.get("entry", -1)
    if begin >= 0 and text[begin] != _LIST_BEGIN:
        raise BundleRefused("Bundle.entry is no list")
    return begin


def _elements(text: memoryview, begin: int) -> Iterator[memoryview]:
    """Yield the elements of the JSON array that begins there, known to be well-formed; none where it is -1."""
    at = _end(_GAP, text, begin + 1)
    count = 0
    while begin >= 0 and text[at] != _LIST_END:
        count += 1
        if count > ENTRIES_MAX:
            raise BundleRefused(f"more than {ENTRIES_MAX:,} entries")
        end = _value_end(text, at)
        yield text[at:end]
        at = _end(_GAP, text, end)


def _value_end(text: memoryview, at: int) -> int:
    if text[at] not in _BEGINS:
        return _end(_SCALAR, text, at)
    depth = 0
    while True:
        depth += 1 if text[at] in _BEGINS else -1
        if depth == 0:
            return at + 1
        at = _end(_TO_BRACKET, text, at + 1)


def _end(pattern: re.Pattern[bytes], text: memoryview, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None, "well-formed JSON goes on with what may follow"
    return found.end()
