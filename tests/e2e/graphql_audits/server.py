"""A node's GraphQL server as in production, with a schema of one greeting: sign-in and limits on.

Run as a process: prints `{"url", "user", "password"}` as one line of JSON, then serves until SIGTERM.
"""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import strawberry
import uvicorn

from app.auth.passwords import Passwords
from app.auth.sessions import MemorySessions, Role
from app.auth.sign_in import SignIn
from app.auth.users import LocalUsers, User
from app.graphql.context_protocol import Caller
from app.graphql.errors import Json
from app.graphql.limits import ServiceLimits
from app.web.asgi import Ports, build_app
from app.graphql.example import ExampleQuery
from app.web.listening import listening

USER, PASSWORD = "auditor", "a password of the audit run"
LIMITS = ServiceLimits()
EXAMPLES = (
    ExampleQuery(
        "Who am I, and what may I ask for?",
        "query WhoAmI {\n  greeting\n  serviceLimits {\n    depthMax\n    costMax\n  }\n}\n",
    ),
    ExampleQuery(
        "Count, as a subscription",
        "subscription Count($to: Int!) {\n  count(to: $to)\n}\n",
        '{"to": 5}',
    ),
)


@dataclass(frozen=True, slots=True)
class Context:
    caller: Caller

    def extensions(self) -> Mapping[str, Json]:
        return {}


async def greet(info: strawberry.Info[Context, None]) -> str:
    return f"Hello, {info.context.caller.session.user_id}"


def repeat(text: str) -> str:
    return text


async def count_up(to: int) -> AsyncGenerator[int, None]:
    for number in range(1, min(to, 1_000) + 1):
        yield number
        await asyncio.sleep(0.1)


@strawberry.type(description="What may be asked.")
class Query:
    greeting: str = strawberry.field(resolver=greet, description="A greeting to who asks.")
    service_limits: ServiceLimits = strawberry.field(
        resolver=lambda: LIMITS, description="The limits of this server."
    )


@strawberry.type(description="What may be done.")
class Mutation:
    echo: str = strawberry.mutation(resolver=repeat, description="Returns its input.")


@strawberry.type(description="What may be followed.")
class Subscription:
    count: AsyncGenerator[int, None] = strawberry.subscription(
        resolver=count_up, description="Counts from one, ten a second."
    )


@asynccontextmanager
async def context_of(caller: Caller) -> AsyncIterator[Context]:
    yield Context(caller)


def main() -> None:
    passwords = Passwords(os.urandom)
    user = User(USER, passwords.hash(PASSWORD), Role.AUDITOR, "O=Audit,L=Leeds,C=GB")
    sign_in = SignIn(
        LocalUsers([user]), MemorySessions(), passwords, lambda: datetime.now(UTC), time.monotonic
    )
    app = build_app(
        strawberry.Schema(Query, Mutation, Subscription),
        LIMITS,
        sign_in,
        context_of,
        Ports(os.urandom, time.monotonic),
        examples=EXAMPLES,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sys.stdout.write(json.dumps({"url": url, "user": USER, "password": PASSWORD}) + "\n")
        sys.stdout.flush()
        uvicorn.Server(listening(app, LIMITS, "127.0.0.1", 0)).run(sockets=[listener])


if __name__ == "__main__":
    main()
