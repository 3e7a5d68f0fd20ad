"""What somebody brings in the place of a proof bundle, told by its first bytes: so that one knows what to bring."""

import base64
import binascii
import re

import msgspec

from states.bundle_format import Bundle
from states.reading import ReportedReading
from states.signed import ProvenTransaction


def _tag_of(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


_BUNDLE = _tag_of(Bundle)
_PROVEN, _REPORTED = _tag_of(ProvenTransaction), _tag_of(ReportedReading)

WANTED = (
    f"Wanted is the file of a proof bundle ({_BUNDLE}), in bytes: `bundle` of `whoLooked` has it as Base64, which "
    "`base64 -d` turns into the file."
)
_TAG_AT = 2  # after the markers of the array and of the text
_TAG = re.compile(rb"[a-z-]+/\d+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_\s-]+={0,2}\s*")
_HEAD = 1_024  # bytes that are looked at; a multiple of four
_KNOWN = {
    _BUNDLE.encode(): "a proof bundle that was cut or altered",
    _PROVEN.encode(): f"a transaction with its receipt ({_PROVEN}, `proof` of a transaction), a part of a bundle",
    _REPORTED.encode(): f"an entry of a reading log ({_REPORTED}, `evidence` of a look), a part of a bundle",
    b"signed-params/1": "parameters of a network",
    b"signed-member/1": "an entry of a network's map",
}


def told(data: bytes) -> str:
    """Return what bytes are that do not decode as a bundle, as far as their beginning says, and what is wanted."""
    return f"It is {_kind(data)}. {WANTED}"


def _kind(data: bytes) -> str:
    tag = _tag(data)
    if not data:
        return "an empty file"
    if tag in _KNOWN:
        return _KNOWN[tag]
    head = data.lstrip()[:_HEAD]
    if head[:1] in {b"{", b"["}:
        return "JSON text, such as an answer of the API"
    if _BASE64.fullmatch(head):
        return _of_base64(head)
    if b"\0" not in head and _is_text(head):
        return "some other text"
    return "of another format" if tag is None else f"{tag.decode()}, another value of this network"


def _of_base64(head: bytes) -> str:
    packed = b"".join(head.split()).translate(bytes.maketrans(b"-_", b"+/"))
    try:
        inner = _tag(base64.b64decode(packed[: len(packed) // 4 * 4]))
    except (binascii.Error, ValueError):
        inner = None
    if inner == _BUNDLE.encode():
        return "a proof bundle as Base64 text"
    if inner in _KNOWN:
        return f"Base64 text of {_KNOWN[inner]}"
    return "text, perhaps Base64 of something else"


def _tag(data: bytes) -> bytes | None:
    found = _TAG.match(data[_TAG_AT : _TAG_AT + 64])
    return None if found is None else found[0]


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as refused:
        return refused.start >= len(head) - 3  # a letter that was cut
    return True
