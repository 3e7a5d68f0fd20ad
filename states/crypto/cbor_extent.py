"""Where a CBOR item ends (RFC 8949, in the canonical form of CTAP2 §8).

WebAuthn's extension outputs are CBOR maps. Nothing in them is judged here; what matters is that
they are well formed and end where the signed bytes end.
"""

DEPTH_MAX = 4  # CTAP2 §8

_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
_ONE_BYTE_ARGUMENT, _EIGHT_BYTE_ARGUMENT = 24, 27
_FALSE, _UNDEFINED = 20, 23


def require_one_map(data: bytes) -> None:
    """Raise ValueError unless `data` is one map of definite length, and nothing after it."""
    if not data or data[0] >> 5 != _MAP:
        raise ValueError("not a CBOR map")
    if _end(data, 0, 0) != len(data):
        raise ValueError("bytes after the map")


def _end(data: bytes, start: int, depth: int) -> int:
    """Return the index after the item at `start`."""
    if depth > DEPTH_MAX:
        raise ValueError("nested too deeply")
    kind, argument, at = _head(data, start)
    if kind in (_BYTES, _TEXT):
        at += argument
        if at > len(data):
            raise ValueError("cut short")
    elif kind in (_ARRAY, _MAP):
        for _ in range(argument * (2 if kind == _MAP else 1)):  # each item takes a byte or raises
            at = _end(data, at, depth + 1)
    elif kind == _TAG:
        raise ValueError("a tag")
    return at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return an item's major type, its argument and the index after both."""
    if at >= len(data):
        raise ValueError("cut short")
    kind, info = data[at] >> 5, data[at] & 31
    if info < _ONE_BYTE_ARGUMENT:
        if kind == _SIMPLE and not _FALSE <= info <= _UNDEFINED:
            raise ValueError("an unassigned simple value")
        return kind, info, at + 1
    if info > _EIGHT_BYTE_ARGUMENT or (kind == _SIMPLE and info == _ONE_BYTE_ARGUMENT):
        raise ValueError("an indefinite length, or a reserved form")
    end = at + 1 + (1 << (info - _ONE_BYTE_ARGUMENT))
    if end > len(data):
        raise ValueError("cut short")
    return kind, int.from_bytes(data[at + 1 : end], "big"), end
