"""A node as its users run it, for programs that are not ours: a notary and a hospital, and a clinician who signs in."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.e2e.houses import PASSWORD, Processes

NODE, USER = "mercy", "dr-reed"


@dataclass(frozen=True, slots=True)
class Server:
    """A node that is ready, and one of its users."""

    url: str
    user: str
    password: str

    def token(self) -> str:
        """Sign in, as any client does."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=15)
        try:
            body = json.dumps({"user": self.user, "password": self.password})
            connection.request("POST", "/sign-in", body, {"content-type": "application/json"})
            token = json.loads(connection.getresponse().read())["token"]
        finally:
            connection.close()
        assert isinstance(token, str)
        return token


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`carecord notary` and `carecord node`, with keys, map and users of their own; nothing is left out or eased."""
    houses = Processes(tmp_path_factory.mktemp("audited") / "network")
    folder = str(houses.node(NODE).folder)
    staff = houses.command("practitioners", "add", folder, "--name", "Dr A. Reed", "--json")
    person = ("--person", str(staff["person"]))
    houses.command("users", "add", folder, USER, "--role", "clinician", *person)
    try:
        for key in ("notary", NODE):
            houses.start(key)
        for key in ("notary", NODE):
            houses.await_ready(key)
        yield Server(f"http://127.0.0.1:{houses.node(NODE).http_port}", USER, PASSWORD)
    finally:
        houses.end()
