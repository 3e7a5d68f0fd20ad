"""Answers as an event stream: graphql-sse's distinct connections mode.

One `next` for each answer, then `complete`; a comment where nothing came for a while.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.graphql.engine import Answer
from app.graphql.negotiation import MediaType

COMPLETE = b"event: complete\ndata:\n\n"
COMMENT = b":\n\n"


class EventStream(StreamingResponse):
    """A stream that ends where its client takes nothing for `send_s_max`, and closes its source."""

    def __init__(self, events: AsyncGenerator[bytes, None], send_s_max: float) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, media_type=MediaType.EVENT_STREAM.value, headers=headers)
        self._events = events
        self._send_s_max = send_s_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def timed(message: Message) -> None:
            async with asyncio.timeout(self._send_s_max):
                await send(message)

        try:
            with suppress(TimeoutError):  # then uvicorn drops the connection of the unended answer
                await super().__call__(scope, receive, timed)
        finally:
            await self._events.aclose()  # cancelled while sending, it would wait for the collector


async def one(answer: Answer) -> AsyncGenerator[Answer, None]:
    yield answer


async def events_of(answers: AsyncGenerator[Answer, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(answers):
        async for answer in answers:
            yield next_event(answer)
    yield COMPLETE


def next_event(answer: Answer) -> bytes:
    return b"event: next\ndata: " + orjson.dumps(answer.formatted()) + b"\n\n"


async def with_heartbeat(
    events: AsyncGenerator[bytes, None], beat_s: float, beat: Callable[[], tuple[bytes, bool]]
) -> AsyncGenerator[bytes, None]:
    """Pass events on, and what `beat` says where none came for `beat_s`; its flag ends the
    stream.
    """
    waiting: asyncio.Task[bytes | None] | None = None
    try:
        while True:
            waiting = waiting or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait({waiting}, timeout=beat_s)
            if not done:
                said, last = beat()
                yield said
                if last:
                    return
                continue
            event = waiting.result()
            waiting = None
            if event is None:
                return
            yield event
    finally:
        if waiting is not None:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        await events.aclose()


async def _next(events: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(events, None)
