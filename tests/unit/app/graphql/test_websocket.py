"""graphql-transport-ws against a live server: who may speak, what ends what, and what is bounded."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from app.graphql.limits import ServiceLimits
from tests.unit.app.graphql.shell_world import OPENED, Live, at, serving

LIMITS = ServiceLimits(
    body_bytes_max=20_000,
    subscriptions_per_connection_max=2,
    subscriptions_per_caller_max=3,
    connections_per_caller_max=3,
    connection_init_seconds_max=1,
    heartbeat_seconds=1,
    send_seconds_max=1,
)
FOREVER = "subscription { count(to: 100000) }"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with serving(LIMITS) as server:
        yield server


@contextmanager
def opened(live: Live, origin: str | None = None) -> Iterator[ClientConnection]:
    with connect(
        f"ws://127.0.0.1:{live.port}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        origin=None if origin is None else Origin(origin),
        close_timeout=2,
    ) as socket:
        yield socket


def say(socket: ClientConnection, **message: object) -> None:
    socket.send(json.dumps(message))


def hear(socket: ClientConnection) -> dict[str, object]:
    """Return the next message but the server's pings."""
    while True:
        text = socket.recv(timeout=5)
        assert isinstance(text, str), "frames are text"
        message = json.loads(text)
        assert isinstance(message, dict)
        if message["type"] != "ping":
            return message


@contextmanager
def initialised(live: Live, user_id: str = "ana") -> Iterator[ClientConnection]:
    with opened(live) as socket:
        bearer = "Bearer " + live.token(user_id)
        say(socket, type="connection_init", payload={"authorization": bearer})
        assert hear(socket) == {"type": "connection_ack"}
        yield socket


def subscribe(socket: ClientConnection, operation_id: str, query: object) -> None:
    say(socket, type="subscribe", id=operation_id, payload={"query": query})


def closed_with(socket: ClientConnection) -> int:
    """Hear the socket out and return the code that closed it."""
    try:
        while True:
            socket.recv(timeout=5)
    except ConnectionClosed as closed:
        return -1 if closed.rcvd is None else int(closed.rcvd.code)


def error_code(message: dict[str, object]) -> object:
    assert message["type"] == "error", message
    return at(message, "payload", 0, "extensions", "code")


def test_nobody_subscribes_before_connection_init(live: Live) -> None:
    with opened(live) as socket:
        subscribe(socket, "1", "{ hello }")
        assert closed_with(socket) == 4401


@pytest.mark.parametrize(
    "payload", [None, {}, {"authorization": "Bearer wrong"}, {"authorization": 5}, "Bearer x"]
)
def test_nobody_comes_in_without_a_live_token(live: Live, payload: object) -> None:
    with opened(live) as socket:
        say(socket, type="connection_init", payload=payload)
        assert closed_with(socket) == 4403


def test_a_client_that_says_nothing_is_closed_in_time(live: Live) -> None:
    with opened(live) as socket:
        assert closed_with(socket) == 4408


def test_initialising_twice_closes(live: Live) -> None:
    with initialised(live) as socket:
        say(socket, type="connection_init")
        assert closed_with(socket) == 4429


@pytest.mark.parametrize(
    "text", ["not json", "[]", "{}", '{"type":5}', '{"type":"strange"}', '{"type":"subscribe"}']
)
def test_a_breach_of_the_protocol_closes(live: Live, text: str) -> None:
    with initialised(live) as socket:
        socket.send(text)
        assert closed_with(socket) == 4400


def test_binary_frames_close(live: Live) -> None:
    with initialised(live) as socket:
        socket.send(b"{}")
        assert closed_with(socket) == 4400


def test_an_id_in_use_closes(live: Live) -> None:
    with initialised(live) as socket:
        subscribe(socket, "1", FOREVER)
        subscribe(socket, "1", FOREVER)
        assert closed_with(socket) == 4409


def test_another_subprotocol_closes(live: Live) -> None:
    with connect(
        f"ws://127.0.0.1:{live.port}/graphql", subprotocols=None, close_timeout=2
    ) as socket:
        assert closed_with(socket) == 4406


def test_a_page_of_another_origin_gets_no_socket(live: Live) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(live, "https://elsewhere.example"):
        pass
    assert refused.value.response.status_code == 403
    with opened(live, f"http://127.0.0.1:{live.port}") as socket:
        assert socket.subprotocol == "graphql-transport-ws"


def test_a_query_a_mutation_and_a_subscription_run_and_complete(live: Live) -> None:
    with initialised(live) as socket:
        subscribe(socket, "q", "{ hello }")
        message = hear(socket)
        assert at(message, "payload", "data") == {"hello": "hello"}
        assert at(message, "payload", "extensions", "cost", "requested") == 1
        assert hear(socket) == {"type": "complete", "id": "q"}
        subscribe(socket, "s", "subscription { count(to: 2) }")
        assert at(hear(socket), "payload", "data") == {"count": 1}
        assert at(hear(socket), "payload", "data") == {"count": 2}
        assert hear(socket) == {"type": "complete", "id": "s"}
        subscribe(socket, "m", "mutation { write }")
        assert at(hear(socket), "payload", "data") == {"write": "written"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ " + "a: hello " * 31 + "}", "LIMIT_EXCEEDED"),
        ("{ hello " + "@skip(if: false) " * 51 + "}", "LIMIT_EXCEEDED"),
        ("{ " + "hello " * 2000 + "}", "LIMIT_EXCEEDED"),
        ("{ items(first: 101) { nodes { name } } }", "LIMIT_EXCEEDED"),
        (None, "BAD_USER_INPUT"),
        (5, "BAD_USER_INPUT"),
    ],
)
def test_a_wrong_operation_ends_alone_and_the_others_live(
    live: Live, query: object, code: str
) -> None:
    with initialised(live) as socket:
        subscribe(socket, "good", FOREVER)
        assert hear(socket)["id"] == "good"
        subscribe(socket, "bad", query)
        heard = [hear(socket) for _ in range(4)]
        (error,) = [message for message in heard if message["id"] == "bad"]
        assert error_code(error) == code
        assert any(message["type"] == "next" for message in heard)


def test_a_source_that_refuses_ends_in_an_error_with_its_code(live: Live) -> None:
    with initialised(live) as socket:
        subscribe(socket, "1", "subscription { breaks(known: true) }")
        assert hear(socket)["type"] == "next"
        assert error_code(hear(socket)) == "CONSENT_EXPIRED"
        subscribe(socket, "1", "{ hello }")  # the id is free again
        assert hear(socket)["type"] == "next"


def test_complete_ends_the_source_and_frees_the_id(live: Live) -> None:
    with initialised(live) as socket:
        OPENED.sources_closed.clear()
        subscribe(socket, "1", FOREVER)
        hear(socket)
        say(socket, type="complete", id="1")
        assert OPENED.sources_closed.wait(5)
        subscribe(socket, "1", "subscription { count(to: 1) }")
        while hear(socket).get("type") != "complete":
            pass


def test_a_client_that_goes_away_ends_its_sources(live: Live) -> None:
    OPENED.sources_closed.clear()
    with initialised(live) as socket:
        subscribe(socket, "1", FOREVER)
        hear(socket)
    assert OPENED.sources_closed.wait(5)


def refusal_of(socket: ClientConnection, operation_id: str) -> object:
    while True:
        message = hear(socket)
        if message["id"] == operation_id and message["type"] != "next":
            return error_code(message)


def test_a_connection_and_a_user_have_so_many_streams_and_no_more(live: Live) -> None:
    with initialised(live, "cas") as one, initialised(live, "cas") as two:
        subscribe(one, "1", FOREVER)
        subscribe(one, "2", FOREVER)
        subscribe(one, "3", FOREVER)  # the connection's third
        assert refusal_of(one, "3") == "LIMIT_EXCEEDED"
        subscribe(two, "1", FOREVER)
        assert hear(two)["type"] == "next"
        subscribe(two, "2", FOREVER)  # the user's fourth
        assert refusal_of(two, "2") == "LIMIT_EXCEEDED"


def test_a_user_has_so_many_sockets_and_no_more(live: Live) -> None:
    with initialised(live, "dan"), initialised(live, "dan"), initialised(live, "dan") as third:
        with opened(live) as fourth:
            say(
                fourth,
                type="connection_init",
                payload={"authorization": "Bearer " + live.token("dan")},
            )
            assert closed_with(fourth) == 4429
        third.close()
        time.sleep(0.2)
        with initialised(live, "dan"):
            pass


def test_a_message_over_the_limit_closes(live: Live) -> None:
    with initialised(live) as socket:
        subscribe(socket, "1", "#" + "x" * LIMITS.body_bytes_max)
        assert closed_with(socket) == 1009


def test_a_revoked_token_ends_its_streams_at_the_next_event(live: Live) -> None:
    with initialised(live, "eve") as socket:
        subscribe(socket, "1", FOREVER)
        hear(socket)
        live.sign_in.end_sessions("eve")
        assert refusal_of(socket, "1") == "UNAUTHENTICATED"
        assert closed_with(socket) == 4403  # at the next beat


def test_a_socket_that_idles_is_closed_when_its_session_expires(live: Live) -> None:
    with initialised(live, "fay") as socket:
        live.clock.advance(timedelta(hours=2))
        try:
            assert closed_with(socket) == 4403
        finally:
            live.clock.advance(timedelta(hours=-2))


def test_the_server_pings_and_answers_pings(live: Live) -> None:
    with initialised(live) as socket:
        say(socket, type="ping")
        assert json.loads(socket.recv(timeout=5)) == {"type": "pong"}
        assert json.loads(socket.recv(timeout=5)) == {"type": "ping"}
        say(socket, type="pong")


def test_a_client_that_takes_nothing_is_closed_and_its_source_ends(live: Live) -> None:
    with initialised(live, "gus") as socket:
        OPENED.sources_closed.clear()
        subscribe(socket, "1", "subscription { flood }")
        assert OPENED.sources_closed.wait(10)  # and not one message was read
        assert closed_with(socket) in {1008, -1}  # where no close frame fits, the connection drops
