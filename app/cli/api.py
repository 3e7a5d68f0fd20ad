"""A node's GraphQL API as commands use it: one connection, a bearer token, and patience where the node says wait."""

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from app.cli.exits import CommandFailed, Exit

ANSWER_SECONDS = 30.0
ANSWER_BYTES_MAX = 16 << 20
WAITS_MAX = 20  # times that the node may say "later" to one request
WAIT_SECONDS_MAX = 30.0

Data = TypeVar("Data", bound=msgspec.Struct)


class _Error(msgspec.Struct, frozen=True):
    message: str


class _Answer(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: tuple[_Error, ...] = ()


class _SignedIn(msgspec.Struct, frozen=True):
    token: str


class Api:
    """A node's API. Methods raise CommandFailed: UNREACHABLE where nobody answers, REFUSED where it says no."""

    def __init__(
        self, url: str, token: str = "", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
            raise CommandFailed(Exit.USAGE, f"{url} is no address like http://127.0.0.1:8100")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._url = url
        self._token = token
        self._sleep = sleep
        self._connection = kind(parts.hostname, parts.port, timeout=ANSWER_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def sign_in(self, user: str, password: str) -> None:
        """Open a session, which `sign_out` ends."""
        body = json.dumps({"user": user, "password": password}).encode()
        self._token = msgspec.json.decode(self._post("/sign-in", body), type=_SignedIn).token

    def sign_out(self) -> None:
        self._post("/sign-out", b"")

    def ask(self, kind: type[Data], document: str, variables: msgspec.Struct | None = None) -> Data:
        """Run one operation; return its data, read strictly as `kind`."""
        body = msgspec.json.encode(_Ask(document, variables))
        try:
            answer = msgspec.json.decode(self._post("/graphql", body), type=_Answer)
            if answer.errors:
                raise CommandFailed(Exit.REFUSED, answer.errors[0].message)
            return msgspec.json.decode(answer.data, type=kind)
        except msgspec.MsgspecError as failure:
            raise CommandFailed(
                Exit.REFUSED, f"{self._url} answers something else than a node would: {failure}"
            ) from failure

    def _post(self, path: str, body: bytes) -> bytes:
        for _ in range(WAITS_MAX):
            answer, data = self._once(path, body)
            if answer.status != 429:  # noqa: PLR2004
                return self._judged(answer.status, data)
            after = answer.headers.get("retry-after", "1")
            self._sleep(min(float(after) if after.isdecimal() else 1.0, WAIT_SECONDS_MAX))
        raise CommandFailed(Exit.UNREACHABLE, f"{self._url} is too busy; try again later")

    def _once(self, path: str, body: bytes) -> tuple[HTTPResponse, bytes]:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        for attempt in (1, 2):
            try:
                self._connection.request("POST", path, body, headers)
                answer = self._connection.getresponse()
                return answer, answer.read(ANSWER_BYTES_MAX)
            except (OSError, HTTPException) as failure:
                # A connection that stayed open may have been closed by the node; requests carry their own key.
                self._connection.close()
                if attempt == 2:  # noqa: PLR2004
                    raise CommandFailed(
                        Exit.UNREACHABLE, f"{self._url} does not answer: {type(failure).__name__}"
                    ) from failure
        raise AssertionError("the second attempt answers or raises")

    def _judged(self, status: int, data: bytes) -> bytes:
        if status == 401:  # noqa: PLR2004
            raise CommandFailed(Exit.REFUSED, "user and password, or the token, are not accepted")
        if status >= 500:  # noqa: PLR2004
            raise CommandFailed(Exit.UNREACHABLE, f"{self._url} answers {status}")
        if status >= 400:  # noqa: PLR2004
            raise CommandFailed(Exit.REFUSED, f"{self._url} answers {status}: {_words(data)}")
        return data


class _Ask(msgspec.Struct, frozen=True):
    query: str
    variables: msgspec.Struct | None


def _words(data: bytes) -> str:
    """Return what the API says of a refusal; its words name fields and limits, never values."""
    try:
        errors = msgspec.json.decode(data, type=_Answer).errors
    except msgspec.MsgspecError:
        return "no reason that can be read"
    return errors[0].message if errors else "no reason"
