"""A client of a node's GraphQL API, as anybody could write one: HTTP, WebSocket, a bearer token, and patience.

Every mutation of the demonstration carries an idempotency key, so that a request whose answer was lost (its node was
killed) is sent again as it was.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

ANSWER_BYTES_MAX = 16 << 20
ANSWER_SECONDS = 30.0
AGAIN_SECONDS = 0.1
FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.02, 1.0
PATIENCE_SECONDS = 60.0
HOST = "127.0.0.1"

Variables = dict[str, object]
Data = TypeVar("Data", bound=msgspec.Struct)


class NoAnswer(Exception):
    """A node did not answer in the time that the demonstration has."""


class ApiRefused(Exception):
    """The API answered with an error; `code` is its `extensions.code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class _Extensions(msgspec.Struct, frozen=True, rename="camel"):
    code: str = ""
    retry_after_seconds: float = 0.0


class _Error(msgspec.Struct, frozen=True):
    message: str
    extensions: _Extensions = _Extensions()


class _Answer(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: tuple[_Error, ...] = ()


class _Message(msgspec.Struct, frozen=True):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class SignedIn(msgspec.Struct, frozen=True):
    """What POST /sign-in answers, as far as it is used here."""

    token: str


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status and a body."""

    status: int
    body: bytes


async def request(
    port: int, method: str, path: str, body: bytes = b"", token: str = ""
) -> HttpAnswer:
    """Ask a node on this machine once. Raises OSError, EOFError or TimeoutError where it does not answer."""
    async with asyncio.timeout(ANSWER_SECONDS):
        reader, writer = await asyncio.open_connection(HOST, port, limit=ANSWER_BYTES_MAX)
        try:
            writer.write(_head(port, method, path, len(body), token) + body)
            await writer.drain()
            return await _read_answer(reader)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _head(port: int, method: str, path: str, length: int, token: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"host: {HOST}:{port}",
        "content-type: application/json",
        "accept: application/json",
        f"content-length: {length}",
        "connection: close",
    ]
    if token:
        lines.append(f"authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _read_answer(reader: asyncio.StreamReader) -> HttpAnswer:
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (each.partition(":") for each in lines)
    }
    status = int(status_line.split(" ", 2)[1])
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return HttpAnswer(status, await _read_chunks(reader))
    length = fields.get("content-length")
    body = await (reader.readexactly(int(length)) if length is not None else reader.read(-1))
    return HttpAnswer(status, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:size]
        if len(body) > ANSWER_BYTES_MAX:
            raise EOFError("the answer is longer than any that is expected")
    return body


_UNANSWERED = (OSError, EOFError, TimeoutError)


async def sign_in(port: int, user: str, password: str) -> str:
    """Return a bearer token; as patient as `Client.ask`. Raises ApiRefused, NoAnswer."""
    body = msgspec.json.encode({"user": user, "password": password})
    until = monotonic() + PATIENCE_SECONDS
    while monotonic() < until:
        with suppress(*_UNANSWERED):
            answer = await request(port, "POST", "/sign-in", body)
            if answer.status == 200:  # noqa: PLR2004
                return msgspec.json.decode(answer.body, type=SignedIn).token
            raise ApiRefused(str(answer.status), f"{user} cannot sign in")
        await asyncio.sleep(AGAIN_SECONDS)
    raise NoAnswer(f"port {port} does not answer /sign-in")


@dataclass(frozen=True, slots=True)
class Client:
    """One signed-in user at one node."""

    port: int
    token: str

    async def ask(self, document: str, variables: Variables, kind: type[Data]) -> Data:
        """Return the operation's `data`; asks again while the node is away. Raises ApiRefused, NoAnswer."""
        body = msgspec.json.encode({"query": document, "variables": variables})
        until = monotonic() + PATIENCE_SECONDS
        while monotonic() < until:
            wait = AGAIN_SECONDS
            with suppress(*_UNANSWERED):
                answer = await request(self.port, "POST", "/graphql", body, self.token)
                found = msgspec.json.decode(answer.body, type=_Answer)
                if not found.errors:
                    return msgspec.json.decode(found.data, type=kind)
                wait = _again_after(found.errors[0])
            await asyncio.sleep(wait)
        raise NoAnswer(f"port {self.port} does not answer a query")

    async def until(
        self, document: str, variables: Variables, kind: type[Data], holds: Callable[[Data], bool]
    ) -> Data:
        """Ask until the answer is as wanted. Raises ApiRefused, and NoAnswer when patience ends."""
        until, wait = monotonic() + PATIENCE_SECONDS, FIRST_LOOK_SECONDS
        while monotonic() < until:
            found = await self.ask(document, variables, kind)
            if holds(found):
                return found
            await asyncio.sleep(wait)
            wait = min(
                wait * 1.5, LAST_LOOK_SECONDS
            )  # looking has a price, of which the node keeps account
        raise NoAnswer(
            f"port {self.port} does not come to what was waited for: {document.split('(', maxsplit=1)[0]}"
        )

    async def subscribe(
        self, document: str, variables: Variables, kind: type[Data], opened: asyncio.Event
    ) -> AsyncGenerator[Data, None]:
        """Yield events until the stream completes; `opened` is set once it is open. Raises ApiRefused, OSError.

        A stream that the process's death ends raises OSError: whoever follows resumes.
        """
        try:
            async with (
                connect(
                    f"ws://{HOST}:{self.port}/graphql",
                    subprotocols=[Subprotocol("graphql-transport-ws")],
                    compression=None,
                    proxy=None,
                ) as socket,
                aclosing(self._events(socket, document, variables, kind, opened)) as events,
            ):
                async for event in events:
                    yield event
        except WebSocketException as gone:
            raise ConnectionResetError("the subscription's socket is gone") from gone

    async def _events(
        self,
        socket: ClientConnection,
        document: str,
        variables: Variables,
        kind: type[Data],
        opened: asyncio.Event,
    ) -> AsyncGenerator[Data, None]:
        hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}}
        await socket.send(msgspec.json.encode(hello).decode())
        subscribe = {
            "type": "subscribe",
            "id": "1",
            "payload": {"query": document, "variables": variables},
        }
        async for text in socket:
            message = msgspec.json.decode(text, type=_Message)
            match message.type:
                case "connection_ack":
                    await socket.send(msgspec.json.encode(subscribe).decode())
                    opened.set()
                case "ping":
                    await socket.send('{"type":"pong"}')
                case "next":
                    found = msgspec.json.decode(message.payload, type=_Answer)
                    _raise_first(found.errors)
                    yield msgspec.json.decode(found.data, type=kind)
                case "error":
                    _raise_first(msgspec.json.decode(message.payload, type=tuple[_Error, ...]))
                case "complete":
                    return
                case _:
                    continue
        raise ConnectionResetError("the subscription's socket was closed")


def _again_after(error: _Error) -> float:
    """Return for how many seconds to wait before the same is asked again; raises ApiRefused for all but throttling."""
    if error.extensions.code not in {"THROTTLED", "REQUEST_TIMEOUT"}:
        _raise_first((error,))
    return max(error.extensions.retry_after_seconds, AGAIN_SECONDS)


def _raise_first(errors: tuple[_Error, ...]) -> None:
    for error in errors:
        raise ApiRefused(error.extensions.code, error.message)
