"""Sign-in of local users, and the way from a bearer token to its session."""

import asyncio
import base64
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.auth.attempts import BackOff, TooManyAttempts
from app.auth.passwords import Passwords
from app.auth.sessions import TOKEN_BYTES, Role, Session, SessionStore, token_hash
from app.auth.users import USER_ID_CHARS_MAX, User, Users

SESSION_LASTS = timedelta(hours=8)
FAILURES_FREE = 5  # of one user from one address
ADDRESS_FAILURES_FREE = 50  # of all users from one address
WAITING_MAX = 32  # sign-ins that wait for their turn to hash


class SignInRefused(Exception):
    """User and password do not fit together. Whether the user exists is not said."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session and its token, which is shown this once and kept nowhere."""

    token: str
    session: Session

    def __repr__(self) -> str:
        return f"SignedIn({self.session!r})"


class SignIn:
    """Checks passwords, opens sessions, finds and ends them."""

    def __init__(
        self,
        users: Users,
        sessions: SessionStore,
        passwords: Passwords,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._clock = clock
        # Verified where a user is unknown, so that both answers take one hash's time.
        self._nobody = passwords.hash(base64.b64encode(passwords.entropy(TOKEN_BYTES)).decode())
        self._by_user = BackOff(FAILURES_FREE, monotonic)
        self._by_address = BackOff(ADDRESS_FAILURES_FREE, monotonic)
        self._waiting = 0

    async def sign_in(self, user_id: str, password: str, address: str) -> SignedIn:
        """Open a session. Raise SignInRefused, or TooManyAttempts where guesses came too fast."""
        user_id = unicodedata.normalize("NFC", user_id)[: USER_ID_CHARS_MAX + 1]
        if self._waiting >= WAITING_MAX:
            raise TooManyAttempts(1.0)
        name = f"{address}\0{user_id}"
        self._by_user.begin(name)
        self._by_address.begin(address)
        user = self._users.find(user_id)
        kept = user.password_hash if user is not None else self._nobody
        self._waiting += 1
        try:
            fits = await asyncio.to_thread(self._passwords.verify, password, kept)
        except ValueError as refused:  # too long, or no text
            raise SignInRefused from refused
        finally:
            self._waiting -= 1
        if user is None or not fits:
            raise SignInRefused
        self._by_user.forgive(name)
        self._by_address.forgive(address)
        return self._open(user)

    def session_of(self, token: str) -> Session | None:
        """Return the live session behind a token; None for an unknown, ended or expired one.

        A session also ends with what it was opened on: a user who is gone or has another role.
        """
        name = token_hash(token)
        session = self._sessions.get(name) if name is not None else None
        if session is None or session.expires <= self._clock():
            return None
        user = self._users.find(session.user_id)
        return session if user is not None and _acts_as(user) == _acts_as(session) else None

    def sign_out(self, token: str) -> None:
        """End the token's session, if it has one."""
        name = token_hash(token)
        if name is not None:
            self._sessions.revoke(name)

    def end_sessions(self, user_id: str) -> None:
        """End every session of a user: a changed role, a lost device."""
        self._sessions.revoke_user(user_id)

    def _open(self, user: User) -> SignedIn:
        now = self._clock()
        self._sessions.sweep(now)
        token = _text(self._passwords.entropy(TOKEN_BYTES))
        session = Session(
            session_id=self._passwords.entropy(16).hex(),
            user_id=user.user_id,
            role=user.role,
            person_id=user.person_id,
            organisation=user.organisation,
            issued=now,
            expires=now + SESSION_LASTS,
        )
        name = token_hash(token)
        assert name is not None, "our own token is well formed"
        self._sessions.put(name, session)
        return SignedIn(token, session)


def _acts_as(who: User | Session) -> tuple[str, Role, str | None, str]:
    return who.user_id, who.role, who.person_id, who.organisation


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
