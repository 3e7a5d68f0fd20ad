"""The users file of a node: read anew when it changed, so that a removed user's sessions end at the next request."""

import logging
from pathlib import Path

import msgspec

from app.auth.users import LocalUsers, User, read_users, write_users
from app.blobs.disk import Disk

USERS_FILE = "users.json"
_log = logging.getLogger("carecord.users")
_Version = tuple[int, int, int]


class FileUsers:
    """Users as the file has them now. While it cannot be read there are none: nobody is let in by mistake."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: _Version | None = None
        self._users = LocalUsers(())

    def find(self, user_id: str) -> User | None:
        """Return the user of this very id."""
        version = _version(self._path)
        if version != self._version:
            self._users, self._version = self._read(), version
        return self._users.find(user_id)

    def _read(self) -> LocalUsers:
        try:
            return read_users(self._path.read_bytes())
        except FileNotFoundError:
            return LocalUsers(())
        except (OSError, ValueError, msgspec.MsgspecError) as refused:
            _log.error("the users file cannot be read: %s", type(refused).__name__)
            return LocalUsers(())


def _version(path: Path) -> _Version | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def load_users(path: Path) -> list[User]:
    """Return all users of a file, none where there is none. Raises ValueError for what is no users file."""
    try:
        users = msgspec.json.decode(path.read_bytes(), type=list[User])
    except FileNotFoundError:
        return []
    LocalUsers(users)
    return users


def save_users(path: Path, users: list[User]) -> None:
    """Replace the file; a crash leaves the old one whole, or the new one."""
    LocalUsers(users)
    disk, part = Disk(), path.with_name(path.name + ".part")
    disk.remove(part)
    disk.write_new(part, [write_users(users)])
    disk.publish(part, path)
