"""A small schema behind the real server: what the shell's tests ask."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import strawberry
import uvicorn
from strawberry.schema.config import StrawberryConfig

from app.auth.passwords import Argon2Cost, Passwords
from app.auth.sessions import MemorySessions, Role, Session, token_hash
from app.auth.sign_in import SignIn
from app.auth.users import User
from app.graphql.connections import Connection
from app.graphql.context_protocol import Caller
from app.graphql.cost import COST
from app.graphql.engine import Engine
from app.graphql.errors import ApiError, ErrorCode, ErrorMask, Json
from app.graphql.example import ExampleQuery
from app.graphql.limits import ServiceLimits
from app.graphql.scalars import SCALARS, UInt53
from app.graphql.throttle import Throttle
from app.web.asgi import Ports, build_app
from app.web.listening import listening

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "the patient's name"
CHEAP = Argon2Cost(memory_kib=64, iterations=1, lanes=1)
PASSWORD = "correct horse battery"


class CountingEntropy:
    """Bytes that are all different and the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        seed = self._count.to_bytes(8, "big")
        return hashlib.shake_256(seed).digest(size)


@dataclass(slots=True)
class Clock:
    """Time that stands until it is moved."""

    now: datetime = NOW
    seconds: float = 0.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, by: timedelta) -> None:
        self.now += by
        self.seconds += by.total_seconds()


@dataclass(slots=True)
class Opened:
    """How many contexts were opened and closed, and how many sources were closed."""

    contexts: int = 0
    closed: int = 0
    sources_closed: threading.Event = field(default_factory=threading.Event)


OPENED = Opened()


@dataclass(frozen=True, slots=True)
class Context:
    caller: Caller
    number: int

    def extensions(self) -> Mapping[str, Json]:
        return {"consistency": {"ledgerSeq": self.number}}


@contextmanager
def context_of(caller: Caller) -> Iterator[Context]:
    OPENED.contexts += 1
    try:
        yield Context(caller, OPENED.contexts)
    finally:
        OPENED.closed += 1


def nothing() -> "list[Item]":
    return []


@strawberry.type
class Item:
    name: str = "an item"

    @staticmethod
    def more(first: int | None = None) -> "Connection[Item]":
        raise AssertionError(f"only measured, with {first}")

    items: "Connection[Item]" = strawberry.field(resolver=more)
    siblings: list["Item"] = strawberry.field(resolver=nothing)


def fail() -> str:
    raise RuntimeError(SECRET)


def refuse() -> str:
    raise ApiError(ErrorCode.FORBIDDEN, "not yours", {"hint": "ask"})


async def dawdle() -> str:
    await asyncio.sleep(30)
    return "late"


def too_large() -> int:
    return 1 << 40  # no GraphQL Int; graphql-core quotes it in its complaint


async def count_up(to: int) -> AsyncGenerator[int, None]:
    try:
        for number in range(1, to + 1):
            yield number
            await asyncio.sleep(0.02)
    finally:
        OPENED.sources_closed.set()


async def pour() -> AsyncGenerator[str, None]:
    try:
        while True:
            yield "x" * 200_000
    finally:
        OPENED.sources_closed.set()


async def say_nothing() -> AsyncGenerator[int, None]:
    await asyncio.sleep(60)
    yield 1


async def break_off(known: bool) -> AsyncGenerator[int, None]:  # noqa: FBT001
    yield 1
    if known:
        raise ApiError(ErrorCode.CONSENT_EXPIRED, "the consent has ended")
    raise RuntimeError(SECRET)


@strawberry.type
class Query:
    hello: str = strawberry.field(resolver=lambda: "hello")
    fails: str | None = strawberry.field(resolver=fail)
    refused: str | None = strawberry.field(resolver=refuse)
    slow: str | None = strawberry.field(resolver=dawdle)
    too_large: int | None = strawberry.field(resolver=too_large)
    dear: str = strawberry.field(resolver=lambda: "dear", metadata={COST: 50})
    items: Connection[Item] = strawberry.field(resolver=Item.more)
    rows: list[Item] = strawberry.field(resolver=nothing)

    @staticmethod
    def same(number: UInt53) -> UInt53:
        return number

    echo: UInt53 = strawberry.field(resolver=same)


@strawberry.type
class Mutation:
    write: str = strawberry.mutation(resolver=lambda: "written")


@strawberry.type
class Subscription:
    count: AsyncGenerator[int, None] = strawberry.subscription(resolver=count_up)
    silent: AsyncGenerator[int, None] = strawberry.subscription(resolver=say_nothing)
    flood: AsyncGenerator[str, None] = strawberry.subscription(resolver=pour)
    breaks: AsyncGenerator[int, None] = strawberry.subscription(resolver=break_off)


SCHEMA = strawberry.Schema(
    Query, Mutation, Subscription, config=StrawberryConfig(scalar_map=SCALARS)
)


def at(value: object, *path: str | int) -> object:
    """Walk into decoded JSON; fails where it has no such place."""
    for step in path:
        if isinstance(step, int):
            assert isinstance(value, list), value
            value = value[step]
        else:
            assert isinstance(value, dict), value
            value = value[step]
    return value


def a_session(user_id: str = "ana", expires: datetime = NOW + timedelta(hours=1)) -> Session:
    return Session("s1", user_id, Role.CLINICIAN, None, "O=Clinic,L=Leeds,C=GB", NOW, expires)


def a_caller(user_id: str = "ana") -> Caller:
    return Caller(a_session(user_id), "127.0.0.1", "r1")


def an_engine(limits: ServiceLimits | None = None, clock: Clock | None = None) -> Engine:
    limits = limits or ServiceLimits()
    throttle = Throttle(limits, (clock or Clock()).monotonic)
    return Engine(SCHEMA, limits, context_of, ErrorMask(CountingEntropy()), throttle)


@dataclass(frozen=True, slots=True)
class Live:
    """A server in a thread, listening on the loopback."""

    port: int
    clock: Clock
    sign_in: SignIn
    sessions: MemorySessions

    def token(self, user_id: str = "ana") -> str:
        """Open a session without a password and return its token."""
        token = f"token-of-{user_id}"
        name = token_hash(token)
        assert name is not None
        self.sessions.put(name, a_session(user_id))
        return token


@dataclass(frozen=True, slots=True)
class Anybody:
    """Users of every name, all like one."""

    like: User

    def find(self, user_id: str) -> User:
        return msgspec.structs.replace(self.like, user_id=user_id)


@contextmanager
def serving(limits: ServiceLimits | None = None) -> Iterator[Live]:
    limits = limits or ServiceLimits()
    clock, entropy, sessions = Clock(), CountingEntropy(), MemorySessions()
    passwords = Passwords(entropy, CHEAP)
    user = User("ana", passwords.hash(PASSWORD), Role.CLINICIAN, "O=Clinic,L=Leeds,C=GB")
    sign_in = SignIn(Anybody(user), sessions, passwords, clock, clock.monotonic)
    app = build_app(
        SCHEMA,
        limits,
        sign_in,
        context_of,
        Ports(entropy, clock.monotonic),
        examples=[ExampleQuery("Hello", "{ hello }")],
    )
    server = uvicorn.Server(listening(app, limits, "127.0.0.1", 0))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Live(listener.getsockname()[1], clock, sign_in, sessions)
    finally:
        server.should_exit = True
        thread.join(timeout=15)
        listener.close()
