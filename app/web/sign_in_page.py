"""POST /sign-in and POST /sign-out: a password for a bearer token, and the end of one."""

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.auth.attempts import TooManyAttempts
from app.auth.sign_in import SignIn, SignInRefused
from app.graphql.errors import ErrorCode
from app.graphql.negotiation import is_json
from app.graphql.scalars import show_datetime
from app.graphql.websocket import bearer

BODY_BYTES_MAX = 4_096
BODY_SECONDS_MAX = 10


class Credentials(msgspec.Struct, frozen=True):
    """The body of POST /sign-in."""

    user: str
    password: str


class Opened(msgspec.Struct, frozen=True, rename="camel"):
    """The answer: the token is shown this once."""

    token: str
    user: str
    role: str
    organisation: str
    person_id: str | None
    expires: str


class Told(msgspec.Struct, frozen=True):
    """A refusal."""

    code: str
    message: str


def sign_in_routes(sign_in: SignIn) -> Sequence[BaseRoute]:
    """Return the two routes."""

    async def open_session(request: Request) -> Response:
        if not is_json(request.headers.get("content-type", "")):
            return _told(415, ErrorCode.BAD_USER_INPUT, "the body must be application/json")
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                body = await request.body()
            credentials = msgspec.json.decode(body, type=Credentials)
            opened = await sign_in.sign_in(
                credentials.user, credentials.password, client_address(request)
            )
        except (TimeoutError, ClientDisconnect):
            return _told(408, ErrorCode.BAD_USER_INPUT, "the body did not come")
        except msgspec.DecodeError:
            return _told(400, ErrorCode.BAD_USER_INPUT, "the body is {user, password}")
        except SignInRefused:
            return _told(401, ErrorCode.UNAUTHENTICATED, "user and password do not fit together")
        except TooManyAttempts as refused:
            response = _told(429, ErrorCode.THROTTLED, "too many attempts; wait and try again")
            response.headers["retry-after"] = str(int(refused.retry_after_s) + 1)
            return response
        session = opened.session
        return _json(
            200,
            Opened(
                token=opened.token,
                user=session.user_id,
                role=session.role.value,
                organisation=session.organisation,
                person_id=session.person_id,
                expires=show_datetime(session.expires),
            ),
        )

    async def end_session(request: Request) -> Response:
        sign_in.sign_out(bearer(request.headers.get("authorization", "")))
        return Response(status_code=204)

    return (
        Route("/sign-in", open_session, methods=["POST"], max_body_size=BODY_BYTES_MAX),
        Route("/sign-out", end_session, methods=["POST"], max_body_size=BODY_BYTES_MAX),
    )


def client_address(request: Request) -> str:
    """Return the peer's address; behind a proxy, the one that uvicorn took from its headers."""
    return request.client.host if request.client is not None else ""


def _json(status: int, body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _told(status: int, code: ErrorCode, message: str) -> Response:
    return _json(status, Told(code.value, message))
