"""GraphQL over WebSocket: the graphql-transport-ws protocol, and no older one.

A fault of one operation ends that operation alone; only a breach of the protocol closes the socket.
Close codes are the protocol's: 4400 malformed, 4401 not initialised, 4403 not signed in, 4406 no
such subprotocol, 4408 too late, 4409 id in use, 4429 initialised twice or too many sockets.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import orjson
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.graphql.context_protocol import Caller
from app.graphql.engine import Answer, Engine, Prepared, Refused
from app.graphql.errors import ApiError, ErrorCode, Json
from app.graphql.limits import OPERATION_ID_CHARS_MAX
from app.graphql.requests import BadRequest, ask_of
from app.graphql.streams import Slots

SUBPROTOCOL = "graphql-transport-ws"
CLOSE_SECONDS_MAX = 2


class Closed(Exception):
    """The socket is to be closed under `code`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class GraphQLWebSocket:
    """Serves sockets. `caller_of` finds who speaks by the token in connection_init's payload,
    now.
    """

    engine: Engine
    caller_of: Callable[[WebSocket, str], Caller | None]
    streams: Slots
    sockets: Slots

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket until either side ends it."""
        if not _same_origin(websocket):
            await websocket.close(1008)  # before accept: the handshake is answered with 403
            return
        if SUBPROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(4406, "Subprotocol not acceptable")
            return
        await websocket.accept(SUBPROTOCOL)
        await _Connection(self, websocket).run()


@dataclass(slots=True)
class _Connection:
    server: GraphQLWebSocket
    websocket: WebSocket
    token: str = ""
    operations: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        try:
            caller = await self._initialised()
            with self._socket_slot(caller):
                await self._send({"type": "connection_ack"})
                await self._serve()
        except Closed as closed:
            await self._end_operations()
            # It may be gone already; and one that takes nothing takes no close frame either.
            with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    await self.websocket.close(closed.code, closed.reason)
        except WebSocketDisconnect:
            pass
        finally:
            await self._end_operations()

    def caller(self) -> Caller | None:
        return self.server.caller_of(self.websocket, self.token)

    async def _initialised(self) -> Caller:
        try:
            async with asyncio.timeout(self.server.engine.limits.connection_init_seconds_max):
                message = await self._receive()
                while message["type"] in {"ping", "pong"}:
                    await self._ping(message)
                    message = await self._receive()
        except TimeoutError as late:
            raise Closed(4408, "Connection initialisation timeout") from late
        if message["type"] != "connection_init":
            raise Closed(4401, "Unauthorized")
        self.token = _token(message.get("payload"))
        caller = self.caller()
        if caller is None:
            raise Closed(4403, "Forbidden")
        return caller

    def _socket_slot(self, caller: Caller) -> "_SocketSlot":
        return _SocketSlot(self.server.sockets, caller.session.user_id)

    async def _serve(self) -> None:
        """Read until the client goes or breaks the protocol, and look after the sign-in
        meanwhile.
        """
        tasks = [
            asyncio.create_task(watch) for watch in (self._read(), self._beat(), self._failure())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _failure(self) -> None:
        await self.failed.wait()
        raise Closed(1008, "Client reads too slowly")

    async def _read(self) -> None:
        while True:
            await self._handle(await self._receive())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.server.engine.limits.heartbeat_seconds)
            if self.caller() is None:
                raise Closed(4403, "Forbidden")
            await self._send({"type": "ping"})

    async def _handle(self, message: dict[str, object]) -> None:
        match message["type"]:
            case "ping" | "pong":
                await self._ping(message)
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                operation = self.operations.pop(_operation_id(message), None)
                if operation is not None:
                    operation.cancel()
            case "connection_init":
                raise Closed(4429, "Too many initialisation requests")
            case _:
                raise Closed(4400, "Unknown message type")

    async def _ping(self, message: dict[str, object]) -> None:
        if message["type"] == "ping":
            await self._send({"type": "pong"})

    async def _subscribe(self, message: dict[str, object]) -> None:
        operation_id = _operation_id(message)
        if operation_id in self.operations:
            raise Closed(4409, f"Subscriber for {operation_id} already exists")
        caller = self.caller()
        if caller is None:
            raise Closed(4403, "Forbidden")
        engine = self.server.engine
        try:
            self._check_count()
            prepared = engine.prepare(ask_of(message.get("payload")), caller)
        except BadRequest as refused:
            wrong = ApiError(ErrorCode.BAD_USER_INPUT, refused.message)
            await self._error(operation_id, engine.refusal(wrong))
            return
        except ApiError as refused:
            await self._error(operation_id, engine.refusal(refused))
            return
        except Refused as refused:
            await self._error(operation_id, refused.answer)
            return
        task = asyncio.create_task(self._operate(operation_id, prepared, caller))
        self.operations[operation_id] = task

    def _check_count(self) -> None:
        allowed = self.server.engine.limits.subscriptions_per_connection_max
        if len(self.operations) >= allowed:
            raise ApiError(
                ErrorCode.LIMIT_EXCEEDED,
                f"operations of a connection: no more than {allowed} at once",
                {"limit": "operations of a connection", "allowed": allowed},
            )

    async def _operate(self, operation_id: str, prepared: Prepared, caller: Caller) -> None:
        # Ended by `complete` (cancelled), by the socket's end (cancelled), or here.
        try:
            with self.server.streams.one(caller.session.user_id):
                ended = await self._answers(operation_id, prepared, caller)
        except ApiError as refused:
            ended = False
            refusal = self.server.engine.refusal(refused, prepared.extensions)
            await self._error(operation_id, refusal)
        except Closed:
            self.failed.set()
            return
        except (WebSocketDisconnect, RuntimeError):
            return  # the reader sees the same end and tidies up
        finally:
            if self.operations.get(operation_id) is asyncio.current_task():
                del self.operations[operation_id]
        if ended:
            with suppress(Closed, WebSocketDisconnect, RuntimeError):
                await self._send({"type": "complete", "id": operation_id})

    async def _answers(self, operation_id: str, prepared: Prepared, caller: Caller) -> bool:
        """Send every answer; say whether `complete` is still due (an `error` ends by itself)."""
        engine = self.server.engine
        if prepared.kind is not OperationType.SUBSCRIPTION:
            return await self._answer(operation_id, await engine.run(prepared, caller))
        async with aclosing(engine.stream(prepared, self.caller)) as stream:
            async for answer in stream:
                if not await self._answer(operation_id, answer):
                    return False
        return True

    async def _answer(self, operation_id: str, answer: Answer) -> bool:
        if not answer.executed:
            await self._error(operation_id, answer)
            return False
        await self._send({"type": "next", "id": operation_id, "payload": answer.formatted()})
        return True

    async def _error(self, operation_id: str, answer: Answer) -> None:
        await self._send({"type": "error", "id": operation_id, "payload": list(answer.errors)})

    async def _receive(self) -> dict[str, object]:
        received = await self.websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1006))
        text = received.get("text")
        if text is None:
            raise Closed(4400, "Messages are text")
        if len(text) > self.server.engine.limits.body_bytes_max:
            raise Closed(1009, "Message too large")
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as refused:
            raise Closed(4400, "Messages are JSON") from refused
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closed(4400, "Messages are objects with a type")
        return message

    async def _send(self, message: dict[str, Json]) -> None:
        # A client that takes nothing must not hold its streams' memory for ever.
        text = orjson.dumps(message).decode()
        try:
            async with asyncio.timeout(self.server.engine.limits.send_seconds_max), self.sending:
                await self.websocket.send_text(text)
        except TimeoutError as slow:
            raise Closed(1008, "Client reads too slowly") from slow

    async def _end_operations(self) -> None:
        tasks = list(self.operations.values())
        self.operations.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _SocketSlot:
    """A slot whose refusal closes the socket rather than ending an operation."""

    def __init__(self, sockets: Slots, user_id: str) -> None:
        self._slot = sockets.one(user_id)

    def __enter__(self) -> None:
        try:
            self._slot.__enter__()
        except ApiError as refused:
            raise Closed(4429, "Too many connections") from refused

    def __exit__(self, *raised: object) -> None:
        self._slot.__exit__(None, None, None)


def _token(payload: object) -> str:
    """Read the token from connection_init: `{"authorization": "Bearer …"}`, or nothing."""
    if not isinstance(payload, dict):
        return ""
    value = payload.get("authorization", payload.get("Authorization"))
    return bearer(value) if isinstance(value, str) else ""


def bearer(authorization: str) -> str:
    """Return the token of an Authorization header; empty where it is of another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _operation_id(message: dict[str, object]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= OPERATION_ID_CHARS_MAX:
        raise Closed(4400, "An operation has an id")
    return operation_id


def _same_origin(websocket: WebSocket) -> bool:
    """Say whether the page that opened the socket is ours; programs, which send no Origin, may."""
    origin = websocket.headers.get("origin")
    if origin is None:
        return True
    _, _, authority = origin.partition("://")
    return authority.lower() == websocket.headers.get("host", "").lower()
