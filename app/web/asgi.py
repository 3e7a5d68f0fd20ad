"""The node's HTTP application: GraphQL, sign-in, GraphiQL, and whatever routes others bring."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import strawberry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from app.auth.sign_in import SignIn
from app.graphql.context_protocol import Caller, MakeContext
from app.graphql.engine import Engine
from app.graphql.errors import ErrorMask
from app.graphql.example import ExampleQuery
from app.graphql.http import GraphQLHttp
from app.graphql.limits import ServiceLimits
from app.graphql.streams import Slots
from app.graphql.throttle import Throttle
from app.graphql.websocket import GraphQLWebSocket, bearer
from app.web.graphiql import graphiql_routes
from app.web.headers import SecurityHeaders
from app.web.sign_in_page import sign_in_routes

REQUEST_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Ports:
    """What the application needs of the machine."""

    entropy: Callable[[int], bytes]
    monotonic: Callable[[], float]


def build_app(  # noqa: PLR0913, PLR0917  the composition root names what it composes
    schema: strawberry.Schema,
    limits: ServiceLimits,
    sign_in: SignIn,
    make_context: MakeContext,
    ports: Ports,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    examples: Sequence[ExampleQuery] | None = None,
) -> Starlette:
    """Compose the application. GraphiQL is served where `examples` is given, if only empty."""
    mask = ErrorMask(ports.entropy)
    engine = Engine(schema, limits, make_context, mask, Throttle(limits, ports.monotonic))
    streams = Slots("streams", limits.subscriptions_per_caller_max)
    sockets = Slots("connections", limits.connections_per_caller_max)

    def caller_by(connection: HTTPConnection, token: str) -> Caller | None:
        session = sign_in.session_of(token)
        if session is None:
            return None
        address = connection.client.host if connection.client is not None else ""
        return Caller(session, address, ports.entropy(REQUEST_ID_BYTES).hex())

    def caller_of(request: Request) -> Caller | None:
        return caller_by(request, bearer(request.headers.get("authorization", "")))

    http = GraphQLHttp(engine, caller_of, streams)
    socket = GraphQLWebSocket(engine, caller_by, streams, sockets)

    async def graphql_http(request: Request) -> Response:
        return await http.respond(request)

    async def graphql_socket(websocket: WebSocket) -> None:
        await socket.serve(websocket)

    routes: list[BaseRoute] = [
        Route("/graphql", graphql_http, methods=["GET", "POST"]),  # first: most ask for it
        WebSocketRoute("/graphql", graphql_socket),
        *extra_routes,
        *sign_in_routes(sign_in),
    ]
    if examples is not None:
        routes += graphiql_routes(examples)
    return Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)], lifespan=lifespan)
