"""Bundle files: `.json` and `.json.gz`, in a folder or named one by one, none longer than a limit once unpacked."""

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

from app.fhir.errors import DocumentTooLarge, FhirRefused

BUNDLE_BYTES_MAX = 256 << 20
"""Bytes of one bundle, unpacked; also where an archive that unpacks without end is stopped."""

SUFFIXES = (".json", ".json.gz")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class FileUnreadable(FhirRefused):
    """The file is not there, not ours to read, or no gzip archive where its name says so."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def bundle_files(places: Path | Iterable[Path]) -> list[Path]:
    """Return the files named, and for a folder those directly in it that have a bundle's suffix, by name."""
    found: list[Path] = []
    for place in (places,) if isinstance(places, Path) else places:
        if place.is_dir():
            found += sorted(path for path in place.iterdir() if path.name.endswith(SUFFIXES))
        else:
            found.append(place)
    return found


def read_file(path: Path, bytes_max: int = BUNDLE_BYTES_MAX) -> bytes:
    """Return the file's bytes, unpacked. DocumentTooLarge, FileUnreadable."""
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path, "rb") as unpacked:
                content = unpacked.read(bytes_max + 1)
        else:
            with path.open("rb") as plain:
                content = plain.read(bytes_max + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise FileUnreadable("no whole gzip archive") from None
    except OSError as error:
        raise FileUnreadable(error.strerror or "not readable") from None
    if len(content) > bytes_max:
        raise DocumentTooLarge(bytes_max)
    return content.removeprefix(_BYTE_ORDER_MARK)
