"""The application over HTTP, against a live server: doors, sizes, methods, event streams."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.graphql.errors import ErrorCode
from app.graphql.limits import ServiceLimits
from tests.attack.bad_input import said
from tests.unit.app.graphql.shell_world import OPENED, PASSWORD, SECRET, Live, at, serving

LIMITS = ServiceLimits(
    body_bytes_max=2_000,
    bucket_capacity=3_000,
    heartbeat_seconds=1,
    subscriptions_per_caller_max=1,
    execution_seconds_max=1,
    send_seconds_max=1,
)
JSON = "application/json"
RESPONSE = "application/graphql-response+json"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with serving(LIMITS) as server:
        yield server


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def said(self, *path: str | int) -> object:
        return at(json.loads(self.body), *path)

    def code(self) -> object:
        return self.said("errors", 0, "extensions", "code")


def ask(
    live: Live,
    method: str = "POST",
    path: str = "/graphql",
    body: object = None,
    user: str | None = "ana",
    **headers: str,
) -> Answer:
    sent = {"content-type": JSON, "accept": RESPONSE}
    if user is not None:
        sent["authorization"] = "Bearer " + live.token(user)
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    try:
        connection.request(method, path, raw, sent)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def test_without_a_token_nothing_is_told_not_even_the_schema(live: Live) -> None:
    for query in ("{ hello }", "{ __schema { types { name } } }", "{ nonsense"):
        for accept in (JSON, RESPONSE):
            answer = ask(live, body={"query": query}, user=None, accept=accept)
            assert answer.status == 401
            said("no token", ErrorCode(str(answer.code())))
            assert answer.headers["www-authenticate"] == "Bearer"
            assert b'"data"' not in answer.body


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(live: Live) -> None:
    frame = b'{"query":"{ hello } #%s"}'
    padding = b"x" * (LIMITS.body_bytes_max - len(frame % b""))
    assert ask(live, body=frame % padding).status == 200
    assert ask(live, body=frame % (padding + b"x")).status == 413


def test_queries_go_by_get_and_mutations_do_not(live: Live) -> None:
    assert ask(live, "GET", "/graphql?query=%7Bhello%7D").said("data") == {"hello": "hello"}
    answer = ask(live, "GET", "/graphql?query=mutation%7Bwrite%7D")
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert ask(live, "GET", "/graphql?query=%7Bhello%7D&variables=no").status == 400
    assert ask(live, "GET", "/graphql?query=" + "x" * 2_000).status == 414
    assert ask(live, "PUT").status == 405


@pytest.mark.parametrize(
    ("content_type", "status"), [("text/plain", 415), ("application/json; charset=latin-1", 415)]
)
def test_other_bodies_are_refused(live: Live, content_type: str, status: int) -> None:
    assert ask(live, body={"query": "{hello}"}, content_type=content_type).status == status


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"5", b"null", b'[{"query":"{hello}"}]'])
def test_what_is_no_request_is_400_and_told_so(live: Live, body: bytes) -> None:
    answer = ask(live, body=body)
    assert (answer.status, answer.code()) == (400, "BAD_USER_INPUT")


def test_what_we_do_not_speak_is_406(live: Live) -> None:
    assert ask(live, body={"query": "{hello}"}, accept="text/html").status == 406


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("{ hello", 400, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", 400, "GRAPHQL_VALIDATION_FAILED"),
        ("{ items(first: 101) { nodes { name } } }", 400, "LIMIT_EXCEEDED"),
        ("subscription { count(to: 1) }", 400, "BAD_USER_INPUT"),
        ("{ slow }", 504, "REQUEST_TIMEOUT"),
    ],
)
def test_a_failed_request_has_a_status_and_no_data(
    live: Live, query: str, status: int, code: str
) -> None:
    answer = ask(live, body={"query": query})
    assert (answer.status, answer.code()) == (status, code)
    assert b'"data"' not in answer.body
    assert ask(live, body={"query": query}, accept=JSON).status == 200


def test_a_masked_error_says_nothing_over_http_either(live: Live) -> None:
    answer = ask(live, body={"query": "{ fails }"})
    assert answer.status == 200
    assert answer.said("data") == {"fails": None}
    assert SECRET.encode() not in answer.body


def test_an_empty_bucket_is_429_and_says_when_to_come_again(live: Live) -> None:
    dear = {"query": "{" + " ".join(f"a{n}: dear" for n in range(20)) + "}"}
    answers = [ask(live, body=dear, user="greta") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].code() == "THROTTLED"
    assert int(answers[-1].headers["retry-after"]) >= 1


@contextmanager
def events_of(live: Live, query: str, user: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    headers = {
        "content-type": JSON,
        "accept": "text/event-stream",
        "authorization": "Bearer " + live.token(user),
    }
    try:
        connection.request("POST", "/graphql", json.dumps({"query": query}), headers)
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def all_events_of(live: Live, query: str, user: str) -> list[str]:
    with events_of(live, query, user) as response:
        assert response.getheader("content-type", "").startswith("text/event-stream")
        return [block for block in response.read().decode().split("\n\n") if block]


def test_a_subscription_streams_its_events_and_completes(live: Live) -> None:
    first, second, last = all_events_of(live, "subscription { count(to: 2) }", "hal")
    assert (first.splitlines()[0], last.splitlines()[0]) == ("event: next", "event: complete")
    assert at(json.loads(first.splitlines()[1][6:]), "data") == {"count": 1}
    assert at(json.loads(second.splitlines()[1][6:]), "data") == {"count": 2}


@pytest.mark.parametrize("query", ["{ hello }", "{ nothing }"])
def test_every_operation_has_one_event_where_events_are_asked_for(live: Live, query: str) -> None:
    blocks = all_events_of(live, query, "ivy")
    assert [block.splitlines()[0] for block in blocks] == ["event: next", "event: complete"]


def test_a_stream_ends_when_its_token_is_revoked_and_its_source_is_closed(live: Live) -> None:
    OPENED.sources_closed.clear()
    with events_of(live, "subscription { count(to: 100000) }", "jan") as response:
        assert response.readline() == b"event: next\n"
        over = all_events_of(live, "subscription { count(to: 1) }", "jan")
        assert "LIMIT_EXCEEDED" in over[0]
        live.sign_in.end_sessions("jan")
        text = response.read()
    assert b"UNAUTHENTICATED" in text
    assert text.endswith(b"event: complete\ndata:\n\n")
    assert OPENED.sources_closed.wait(5)


def test_a_stream_without_events_beats_and_ends_with_its_session(live: Live) -> None:
    with events_of(live, "subscription { silent }", "lea") as response:
        assert response.readline() == b":\n"
        live.sign_in.end_sessions("lea")
        assert b"UNAUTHENTICATED" in response.read()


def test_a_client_that_leaves_a_stream_ends_its_source(live: Live) -> None:
    OPENED.sources_closed.clear()
    with events_of(live, "subscription { count(to: 100000) }", "kim") as response:
        response.readline()
    assert OPENED.sources_closed.wait(5)


def test_a_client_that_takes_nothing_of_its_stream_ends_its_source(live: Live) -> None:
    OPENED.sources_closed.clear()
    with events_of(live, "subscription { flood }", "moe"):
        assert OPENED.sources_closed.wait(10)


def test_a_password_opens_a_session_that_sign_out_ends(live: Live) -> None:
    body = {"user": "ana", "password": PASSWORD}
    opened = ask(live, path="/sign-in", body=body, user=None)
    assert opened.status == 200
    assert (opened.said("user"), opened.said("role")) == ("ana", "clinician")
    bearer = f"Bearer {opened.said('token')}"
    query = {"query": "{ hello }"}
    assert ask(live, body=query, user=None, authorization=bearer).status == 200
    assert ask(live, path="/sign-out", user=None, authorization=bearer).status == 204
    assert ask(live, body=query, user=None, authorization=bearer).status == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"user": "ana", "password": "wrong"}, 401),
        ({"user": "nobody", "password": "wrong"}, 401),
        ({"user": "ana", "password": "x" * 2_000}, 401),
        ({"user": "ana"}, 400),
        (b"{", 400),
        ({"user": "ana", "password": "x" * 5_000}, 413),
    ],
)
def test_a_sign_in_that_fails_says_little(live: Live, body: object, status: int) -> None:
    assert ask(live, path="/sign-in", body=body, user=None).status == status


@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/sign-in", "/nowhere", "/static/x"])
def test_every_answer_has_the_security_headers(live: Live, path: str) -> None:
    headers = ask(live, "GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in headers


def test_graphiql_comes_whole_from_this_node(live: Live) -> None:
    page = ask(live, "GET", "/graphiql", user=None)
    assert page.status == 200
    for name in ("graphiql.min.js", "page.js", "page.css", "react.production.min.js"):
        assert f"/static/graphiql/{name}".encode() in page.body
        assert ask(live, "GET", f"/static/graphiql/{name}").status == 200
    assert page.headers["cache-control"] == "no-store"
    examples = ask(live, "GET", "/graphiql/examples.json", user=None)
    laid_out = {"title": "Hello", "query": "{\n  hello\n}", "variables": "", "role": None}
    assert examples.said() == [laid_out]


def test_a_browser_keeps_static_files_and_asks_whether_they_are_still_the_same(live: Live) -> None:
    path = "/static/graphiql/page.js"
    first = ask(live, "GET", path, user=None)
    assert first.headers["cache-control"] == "no-cache"
    again = ask(live, "GET", path, user=None, if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_static_files_do_not_lead_out_of_their_folder(live: Live) -> None:
    for path in (
        "/static/../asgi.py",
        "/static/%2e%2e/asgi.py",
        "/static/graphiql/..%2f..%2fasgi.py",
    ):
        with socket.create_connection(("127.0.0.1", live.port), timeout=5) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert raw.makefile("rb").readline().split()[1] == b"404"
