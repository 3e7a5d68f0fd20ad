"""A client that dawdles over its headers, or never ends them, is cut off."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import Receive, Scope, Send

from app.graphql.limits import ServiceLimits
from app.web.listening import PatientOnlySoLong, listening, patient

WAIT_S = 0.3


LIMITS = ServiceLimits()


class Impatient(PatientOnlySoLong):
    header_s_max = WAIT_S
    header_bytes_max = LIMITS.header_bytes_max


def test_what_is_published_to_clients_is_what_rules() -> None:
    limits = ServiceLimits(connections_max=7, header_seconds_max=3, header_bytes_max=5)
    config = listening(greet, limits, "127.0.0.1", 0)
    assert config.limit_concurrency == 7
    protocol = patient(limits)
    assert (protocol.header_s_max, protocol.header_bytes_max) == (3, 5)


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = listening(greet, ServiceLimits(), "127.0.0.1", 0)
    config.http = Impatient
    config.lifespan = "off"
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionError:
        return True


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_silence_and_a_byte_now_and_then_are_cut_off_alike() -> None:
    async def dawdle(*, speak: bool) -> float:
        async with connected() as (reader, writer):
            begun = time.monotonic()
            drip = asyncio.create_task(dripping(writer) if speak else asyncio.sleep(0))
            assert await ended(reader)
            drip.cancel()
            return time.monotonic() - begun

    for speak in (False, True):
        assert WAIT_S * 0.8 <= asyncio.run(dawdle(speak=speak)) < 3


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\n")
    for number in range(100):
        writer.write(f"X-{number}: y\r\n".encode())
        await asyncio.sleep(0.05)


def test_a_request_in_time_is_answered_and_its_connection_may_rest() -> None:
    async def two_requests() -> None:
        async with connected() as (reader, writer):
            for _ in range(2):
                writer.write(REQUEST)
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                assert answer.startswith(b"HTTP/1.1 204")
                await asyncio.sleep(WAIT_S * 2)  # longer than headers may take

    asyncio.run(two_requests())


def test_a_body_that_is_slow_is_not_the_headers_fault() -> None:
    async def slow_body() -> None:
        async with connected() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            await asyncio.sleep(WAIT_S * 2)
            writer.write(b"b")
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert answer.startswith(b"HTTP/1.1 204")

    asyncio.run(slow_body())


def test_headers_without_end_are_cut_off_by_size() -> None:
    async def flood() -> None:
        async with connected() as (reader, writer):
            begun = time.monotonic()
            writer.write(b"GET / HTTP/1.1\r\nX: " + b"y" * (LIMITS.header_bytes_max + 1))
            assert await ended(reader)
            assert time.monotonic() - begun < WAIT_S

    asyncio.run(flood())
