"""The server's process, and a way into a real browser."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up, and the credentials of its one user."""

    url: str
    user: str
    password: str

    def token(self) -> str:
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
def server() -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Server(**json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(timeout=15)
        process.stdout.close()
