"""Local users: who they are to this node and the password hash that lets them in."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from app.auth.sessions import Role

USERS_MAX = 100_000
USER_ID_CHARS_MAX = 128


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A local user, as in the users file. `password_hash` is a PHC string; never logged, never
    shown.
    """

    user_id: str
    password_hash: str
    role: Role
    organisation: str
    person_id: str | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.user_id) <= USER_ID_CHARS_MAX:
            raise ValueError(f"a user id has 1 to {USER_ID_CHARS_MAX} characters")
        if not self.password_hash.startswith("$argon2id$"):
            raise ValueError("a password is kept as Argon2id in PHC form")

    def __repr__(self) -> str:
        return f"User({self.user_id!r}, {self.role.value!r})"


class Users(Protocol):
    """Where local users are kept."""

    def find(self, user_id: str) -> User | None:
        """Return the user of this very id (case matters)."""


class LocalUsers:
    """Users in memory, made from a file's bytes or a list."""

    def __init__(self, users: Iterable[User]) -> None:
        users = tuple(users)
        self._users = {user.user_id: user for user in users}
        if len(self._users) != len(users):
            raise ValueError("two users share one id")
        if len(users) > USERS_MAX:
            raise ValueError(f"more than {USERS_MAX} users")

    def find(self, user_id: str) -> User | None:
        return self._users.get(user_id)


def read_users(file: bytes) -> LocalUsers:
    """Parse a users file: a JSON list of users. Raise msgspec.ValidationError or ValueError, naming
    the place.
    """
    return LocalUsers(msgspec.json.decode(file, type=list[User]))


def write_users(users: Iterable[User]) -> bytes:
    """Return the file that `read_users` reads."""
    return msgspec.json.format(msgspec.json.encode(list(users)), indent=2)
