"""GraphQL over HTTP: queries by GET and POST, mutations by POST, subscriptions as an event stream.

Follows the GraphQL-over-HTTP draft for both of its media types, and graphql-sse's distinct
connections mode for `Accept: text/event-stream`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import orjson
from graphql import OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.graphql.context_protocol import Caller
from app.graphql.engine import Answer, Ask, Engine, Prepared, Refused
from app.graphql.errors import ApiError, ErrorCode, Json
from app.graphql.event_stream import (
    COMMENT,
    COMPLETE,
    EventStream,
    events_of,
    next_event,
    one,
    with_heartbeat,
)
from app.graphql.negotiation import MediaType, accepted, is_json
from app.graphql.requests import BadRequest, ask_of_body, ask_of_query_string
from app.graphql.streams import Slots

_STATUS_OF = {
    ErrorCode.THROTTLED: 429,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.REQUEST_TIMEOUT: 504,
    ErrorCode.INTERNAL_SERVER_ERROR: 500,
}
_ALSO_FOR_JSON = frozenset({401, 429, 500})  # the others are 200 where only JSON is understood


@dataclass(frozen=True, slots=True)
class GraphQLHttp:
    """Answers HTTP requests. `caller_of` finds who asks by the bearer token, now."""

    engine: Engine
    caller_of: Callable[[Request], Caller | None]
    streams: Slots

    async def respond(self, request: Request) -> Response:
        """Answer one request, whatever it is."""
        media = accepted(",".join(request.headers.getlist("accept")))
        if media is None:
            return _told(MediaType.JSON, BadRequest(406, "Accept names nothing that we speak"))
        caller = self.caller_of(request)
        if caller is None:
            unknown = ApiError(ErrorCode.UNAUTHENTICATED, "sign in and send a bearer token")
            return _json(_plain(media), self.engine.refusal(unknown))
        try:
            prepared = self.engine.prepare(await self._ask(request), caller)
            self._check_method(request, prepared)
        except BadRequest as refused:
            return _told(_plain(media), refused)
        except Refused as refused:
            if media is MediaType.EVENT_STREAM:
                return self._events(events_of(one(refused.answer)))
            return _json(media, refused.answer)
        return await self._run(request, media, prepared, caller)

    async def _run(
        self, request: Request, media: MediaType, prepared: Prepared, caller: Caller
    ) -> Response:
        if media is MediaType.EVENT_STREAM:
            return self._stream(request, prepared, caller)
        if prepared.kind is OperationType.SUBSCRIPTION:
            wrong = ApiError(
                ErrorCode.BAD_USER_INPUT, "subscribe by text/event-stream or WebSocket"
            )
            return _json(media, self.engine.refusal(wrong, prepared.extensions))
        return _json(media, await self.engine.run(prepared, caller))

    async def _ask(self, request: Request) -> Ask:
        if request.method == "GET":
            if len(request.scope["query_string"]) > self.engine.limits.body_bytes_max:
                raise BadRequest(414, "the query string is over the limit of a body")
            return ask_of_query_string(request.query_params)
        if not is_json(request.headers.get("content-type", "")):
            raise BadRequest(415, "the body must be application/json in UTF-8")
        return ask_of_body(await self._body(request))

    async def _body(self, request: Request) -> bytes:
        # Here and not by a middleware, whose refusal would come after the response had begun.
        body = bytearray()
        limits = self.engine.limits
        allowed, seconds = limits.body_bytes_max, limits.body_seconds_max
        try:
            async with asyncio.timeout(seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > allowed:
                        raise BadRequest(413, f"the body is over the limit of {allowed} bytes")
        except TimeoutError as refused:
            raise BadRequest(408, f"the body took longer than {seconds} s") from refused
        except ClientDisconnect as gone:
            raise BadRequest(400, "the body ended early") from gone
        return bytes(body)

    def _check_method(self, request: Request, prepared: Prepared) -> None:
        if request.method == "GET" and prepared.kind is OperationType.MUTATION:
            raise BadRequest(405, "mutations are sent by POST")

    def _stream(self, request: Request, prepared: Prepared, caller: Caller) -> Response:
        answers = self._answers(prepared, caller, lambda: self.caller_of(request))
        ended = ApiError(ErrorCode.UNAUTHENTICATED, "the session has ended")
        last_words = next_event(self.engine.refusal(ended, prepared.extensions)) + COMPLETE

        def beat() -> tuple[bytes, bool]:
            if self.caller_of(request) is None:
                return last_words, True
            return COMMENT, False

        beat_s = self.engine.limits.heartbeat_seconds
        return self._events(with_heartbeat(events_of(answers), beat_s, beat))

    def _events(self, events: AsyncGenerator[bytes, None]) -> Response:
        return EventStream(events, self.engine.limits.send_seconds_max)

    async def _answers(
        self, prepared: Prepared, caller: Caller, caller_now: Callable[[], Caller | None]
    ) -> AsyncGenerator[Answer, None]:
        try:
            with self.streams.one(caller.session.user_id):
                if prepared.kind is not OperationType.SUBSCRIPTION:
                    yield await self.engine.run(prepared, caller)
                    return
                async with aclosing(self.engine.stream(prepared, caller_now)) as stream:
                    async for answer in stream:
                        yield answer
        except ApiError as refused:
            yield self.engine.refusal(refused, prepared.extensions)


def _plain(media: MediaType) -> MediaType:
    return MediaType.JSON if media is MediaType.EVENT_STREAM else media


def _json(media: MediaType, answer: Answer) -> Response:
    status = _status(media, answer)
    response = Response(
        orjson.dumps(answer.formatted()), status, media_type=f"{media.value}; charset=utf-8"
    )
    if status == 401:  # noqa: PLR2004
        response.headers["www-authenticate"] = "Bearer"
    if answer.code is ErrorCode.THROTTLED:
        response.headers["retry-after"] = str(_retry_after_s(answer))
    return response


def _status(media: MediaType, answer: Answer) -> int:
    if answer.executed:
        return 200
    status = _STATUS_OF.get(answer.code, 400) if answer.code is not None else 400
    if media is MediaType.JSON and status not in _ALSO_FOR_JSON:
        return 200
    return status


def _retry_after_s(answer: Answer) -> int:
    extensions = answer.errors[0].get("extensions")
    wait = extensions.get("retryAfterSeconds") if isinstance(extensions, dict) else None
    return int(wait) + 1 if isinstance(wait, int | float) else 1


def _told(media: MediaType, refused: BadRequest) -> Response:
    body: dict[str, Json] = {
        "errors": [
            {
                "message": refused.message,
                "extensions": {"code": ErrorCode.BAD_USER_INPUT.value},
            }
        ]
    }
    response = Response(
        orjson.dumps(body), refused.status, media_type=f"{media.value}; charset=utf-8"
    )
    if refused.status == 405:  # noqa: PLR2004
        response.headers["allow"] = "POST"
    return response
