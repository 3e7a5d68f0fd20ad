"""Which media type answers an Accept header (RFC 9110 §12.5.1), and which body a Content-Type
names.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

HEADER_CHARS_MAX = 2_000
ENTRIES_MAX = 50
HEADERS_REMEMBERED = 64
BY_NAME, BY_KIND, ANY, NOT_AT_ALL = 3, 2, 1, 0  # how closely a range names a media type


class MediaType(StrEnum):
    """What the server can answer with, in the order of its own preference."""

    JSON = "application/json"
    GRAPHQL_RESPONSE = "application/graphql-response+json"
    EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class _Range:
    kind: str
    subkind: str
    quality: float

    def closeness(self, media: MediaType) -> int:
        """Return how exactly this range names `media`."""
        kind, _, subkind = media.value.partition("/")
        if (self.kind, self.subkind) == (kind, subkind):
            return BY_NAME
        if (self.kind, self.subkind) == (kind, "*"):
            return BY_KIND
        return ANY if (self.kind, self.subkind) == ("*", "*") else NOT_AT_ALL


def accepted(header: str) -> MediaType | None:
    """Return the media type to answer with; None where nothing that we speak is accepted.

    The highest quality wins, then the more exact range, then application/json. An event stream
    must be asked for by name: nobody wants one who says `*/*`.
    """
    return _accepted(header[:HEADER_CHARS_MAX])


@lru_cache(HEADERS_REMEMBERED)
def _accepted(header: str) -> MediaType | None:
    if not header.strip():
        return MediaType.JSON
    ranges = _ranges(header)
    best: tuple[float, int, int] | None = None
    chosen = None
    for preference, media in enumerate(MediaType):
        closeness, quality = max(
            ((one.closeness(media), one.quality) for one in ranges), default=(NOT_AT_ALL, 0.0)
        )
        asked_for = BY_NAME if media is MediaType.EVENT_STREAM else ANY
        if closeness < asked_for or quality <= 0:
            continue
        rank = (quality, closeness, -preference)
        if best is None or rank > best:
            best, chosen = rank, media
    return chosen


def is_json(content_type: str) -> bool:
    """Say whether a request's body is JSON in UTF-8, which is also what a missing charset means."""
    name, _, rest = content_type[:HEADER_CHARS_MAX].partition(";")
    if name.strip().lower() != MediaType.JSON.value:
        return False
    charsets = [
        value.strip().strip('"').lower()
        for key, _, value in (part.partition("=") for part in rest.split(";"))
        if key.strip().lower() == "charset"
    ]
    return all(charset in {"utf-8", "utf8"} for charset in charsets)


def _ranges(header: str) -> list[_Range]:
    ranges = []
    for entry in header.split(",")[:ENTRIES_MAX]:
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        kind, _, subkind = name.partition("/")
        if kind and subkind:
            ranges.append(_Range(kind, subkind, _quality(parameters)))
    return ranges


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0.0 <= quality <= 1.0 else 0.0
    return 1.0
