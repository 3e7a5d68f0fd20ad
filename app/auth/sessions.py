"""Who is signed in: roles, sessions, and the store that finds a session by its bearer token.

A token is 256 random bits. The store sees only its SHA-256: who reads the table can not sign in
with it. (No salt or slow hash is needed, since there is nothing to guess.)
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

TOKEN_BYTES = 32
TOKEN_CHARS_MAX = 128  # what is longer is no token of ours and is not even hashed
SESSIONS_PER_USER_MAX = 20  # the oldest ends when a user signs in once more


class Role(StrEnum):
    """What a user may be to this node."""

    PATIENT = "patient"
    CLINICIAN = "clinician"
    PRIVACY_OFFICER = "privacy officer"
    OPERATOR = "operator"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user, until `expires`.

    `person_id` names the person in the domain's own terms (a patient's or a practitioner's
    identifier) where the user is one; `organisation` the member for which the user acts.
    """

    session_id: str
    user_id: str
    role: Role
    person_id: str | None
    organisation: str
    issued: datetime
    expires: datetime

    def __post_init__(self) -> None:
        if self.issued.tzinfo is None or self.expires.tzinfo is None:
            raise ValueError("a session's times carry their time zone")
        if self.issued >= self.expires:
            raise ValueError("a session begins before it ends")


class SessionStore(Protocol):
    """Sessions by the SHA-256 of their token. Every method is atomic; `put` is durable on return if
    the store is.
    """

    def put(self, token_hash: bytes, session: Session) -> None:
        """Keep a session, and end the user's oldest beyond SESSIONS_PER_USER_MAX."""

    def get(self, token_hash: bytes) -> Session | None:
        """Return the session whether or not it has expired; its reader compares `expires`."""

    def revoke(self, token_hash: bytes) -> None:
        """End one session; unknown ones are ignored."""

    def revoke_user(self, user_id: str) -> None:
        """End every session of a user."""

    def sweep(self, now: datetime) -> None:
        """Forget sessions that expired before `now`."""


def token_hash(token: str) -> bytes | None:
    """Return the name under which a token's session is stored; None for what can not be a token."""
    if not token or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return None
    return hashlib.sha256(token.encode()).digest()


class MemorySessions:
    """Sessions that end with the process."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, Session] = {}

    def put(self, token_hash: bytes, session: Session) -> None:
        self._sessions[token_hash] = session
        mine = [
            (kept.issued, name)
            for name, kept in self._sessions.items()
            if kept.user_id == session.user_id
        ]
        for _, name in sorted(mine)[:-SESSIONS_PER_USER_MAX]:
            del self._sessions[name]

    def get(self, token_hash: bytes) -> Session | None:
        return self._sessions.get(token_hash)

    def revoke(self, token_hash: bytes) -> None:
        self._sessions.pop(token_hash, None)

    def revoke_user(self, user_id: str) -> None:
        self._sessions = {
            name: kept for name, kept in self._sessions.items() if kept.user_id != user_id
        }

    def sweep(self, now: datetime) -> None:
        self._sessions = {name: kept for name, kept in self._sessions.items() if kept.expires > now}
