"""GraphiQL works in a real browser under the strict policy, and asks nobody but its own node."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from websockets.sync.client import ClientConnection, connect

from app.auth.sessions import Role
from app.graphql.example import ExampleQuery
from app.graphql.schema.examples import EXAMPLES

pytestmark = pytest.mark.e2e

WAIT_S = 30.0


class Served(Protocol):
    """A node that is ready, and its user."""

    url: str
    user: str
    password: str


class Browser:
    """One page, driven over the DevTools protocol; `events` keeps what the page did."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._calls = 0
        self.events: list[dict[str, object]] = []

    def call(self, method: str, **params: object) -> dict[str, object]:
        self._calls += 1
        self._connection.send(json.dumps({"id": self._calls, "method": method, "params": params}))
        while True:
            said = json.loads(self._connection.recv(timeout=WAIT_S))
            if said.get("id") == self._calls:
                assert "error" not in said, said
                result = said["result"]
                assert isinstance(result, dict)
                return result
            self.events.append(said)

    def value(self, script: str) -> object:
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        result = done["result"]
        assert isinstance(result, dict)
        return result.get("value")

    def until(self, condition: str) -> None:
        """Wait until a JavaScript expression holds."""
        held = self.value(
            "new Promise((yes) => { let left = 200; const look = () => {"
            f"  if ({condition}) yes(true); else if (left-- > 0) setTimeout(look, 100);"
            "  else yes(false); }; look(); })"
        )
        assert held is True, f"never: {condition}"

    def requested(self) -> list[str]:
        return [
            params["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
            and isinstance(params := event["params"], dict)
        ]

    def complaints(self) -> list[str]:
        """Return uncaught exceptions, errors in the log, and breaches of the security policy."""
        told = [
            (str(event.get("method")), json.dumps(event.get("params"))) for event in self.events
        ]
        return [
            params
            for method, params in told
            if method == "Runtime.exceptionThrown"
            or (method == "Log.entryAdded" and '"level": "error"' in params)
            or (method == "Audits.issueAdded" and "ContentSecurityPolicyIssue" in params)
        ]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("missing: chromium")
    process = subprocess.Popen(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1300,800",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if line.startswith("DevTools listening on "))
        address = line.split()[-1]
        with connect(address, max_size=None) as whole:
            targets = Browser(whole).call("Target.getTargets")["targetInfos"]
        assert isinstance(targets, list)
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        page_address = address.split("/devtools/")[0] + f"/devtools/page/{page}"
        with connect(page_address, max_size=None) as connection:
            yield Browser(connection)
    finally:
        process.terminate()
        process.wait(timeout=15)
        process.stderr.close()


def sign_in(page: Browser, user: str, password: str) -> None:
    page.value(f"document.getElementById('user').value = {json.dumps(user)}")
    page.value(f"document.getElementById('password').value = {json.dumps(password)}")
    page.value("document.querySelector('#password-form button').click()")


RESULT = "(document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue() ?? '')"
TABS = "document.querySelectorAll('.graphiql-tab').length"
EDITOR = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror"
OFFER = """mutation { offerEnrolment(input: {idempotencyKey: "graphiql", localName: "MH-1"}) {
  flow { id } userErrors { message } } }"""


def examples_for(role: Role | None) -> list[ExampleQuery]:
    return [each for each in EXAMPLES if each.role in {None, role}]


def run_operation(page: Browser, text: str) -> None:
    """Type an operation into the tab that is open, and execute it."""
    page.value(f"{EDITOR}.setValue({json.dumps(text)})")
    # The editor takes over what was typed only when its debounce is over.
    page.value("new Promise((done) => setTimeout(done, 1000))")
    page.value("document.querySelector('.graphiql-execute-button').click()")


def test_signs_in_runs_and_subscribes_without_a_foreign_request(
    server: Served, tmp_path: Path
) -> None:
    with browser(tmp_path / "profile") as page:
        for domain in ("Page", "Network", "Runtime", "Log", "Audits"):
            page.call(f"{domain}.enable")
        page.call("Page.navigate", url=server.url + "/graphiql")
        page.until(f"{TABS} === {len(examples_for(None))}")
        page.until(f"{RESULT}.includes('UNAUTHENTICATED')")

        sign_in(page, server.user, server.password)
        page.until("document.getElementById('who').textContent.startsWith('Signed in as')")
        page.until(f"{TABS} === {len(examples_for(Role.CLINICIAN))}")
        page.until("document.querySelector('.graphiql-execute-button') !== null")
        page.value("document.querySelector('.graphiql-execute-button').click()")
        page.until(f'{RESULT}.includes(\'"user": "{server.user}"\')')
        page.until(f"{RESULT}.includes('Mercy Hospital')")
        keep_picture(page)

        run_operation(page, OFFER)
        page.until(f"{RESULT}.includes('\"userErrors\": []')")
        flow = page.value(f"JSON.parse({RESULT}).data.offerEnrolment.flow.id")
        follow = f"subscription {{ flowProgress(flowId: {json.dumps(flow)}) {{ status step }} }}"
        run_operation(page, follow)
        page.until(f'{RESULT}.includes(\'"status": "DONE"\')')

        assert page.value("localStorage.length") == 0
        strange = [
            url
            for url in page.requested()
            if not url.startswith((server.url + "/", "data:", "about:"))
        ]
        assert strange == []
        assert page.complaints() == []


def keep_picture(page: Browser) -> None:
    """Write a screenshot where the environment names a file: for looking at, not for asserting."""
    wanted = os.environ.get("CARECORD_SCREENSHOT")
    if wanted:
        data = page.call("Page.captureScreenshot")["data"]
        assert isinstance(data, str)
        Path(wanted).write_bytes(base64.b64decode(data))
