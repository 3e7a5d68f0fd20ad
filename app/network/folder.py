"""The map as files: everything signed, each file whole or not there.

ROOT/parameters-0000000002.signed        each version, kept for ever: old transactions name it
ROOT/member-<24 hex of SHA-256(DID)>.signed     the newest entry of each member; its key history is inside
ROOT/removal-<24 hex of SHA-256(DID)>.signed
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from app.blobs.disk import Disk
from app.network.errors import MapDamaged
from states.identity import Party

FILE_BYTES_MAX = 1 << 20
PARAMETERS = "parameters"
MEMBER = "member"
REMOVAL = "removal"
_SUFFIX = ".signed"
_PART = ".part"


class MapFolder:
    """A folder of signed files. One process owns it."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self._root = root
        self._disk = disk or Disk()
        self._disk.make_folder(root)
        for left in root.glob(f"*{_PART}"):  # what a crash left: it has no name yet
            self._disk.remove(left)

    def keep_parameters(self, version: int, data: bytes) -> None:
        self._keep(f"{PARAMETERS}-{version:010d}", data)

    def keep_member(self, party: Party, data: bytes) -> None:
        self._keep(member_file(party), data)

    def keep_removal(self, party: Party, data: bytes) -> None:
        self._keep(removal_file(party), data)

    def read(self, kind: str) -> Iterator[tuple[Path, bytes]]:
        """Yield the files of a kind in order of name; raises MapDamaged for one of impossible size."""
        for path in sorted(self._root.glob(f"{kind}-*{_SUFFIX}")):
            if path.stat().st_size > FILE_BYTES_MAX:
                raise MapDamaged(path, "larger than any part of a map")
            yield path, path.read_bytes()

    def _keep(self, name: str, data: bytes) -> None:
        part = self._root / (name + _PART)
        self._disk.remove(part)
        self._disk.write_new(part, [data])
        self._disk.publish(part, self._root / (name + _SUFFIX))


def member_file(party: Party) -> str:
    """Return the name, without its suffix, of the file of a member's entry."""
    return f"{MEMBER}-{_name(party)}"


def removal_file(party: Party) -> str:
    """Return the name, without its suffix, of the file of a member's removal."""
    return f"{REMOVAL}-{_name(party)}"


def _name(party: Party) -> str:
    return sha256(party.encode("ascii")).hexdigest()[:24]
