"""A node as it is run passes every audit of graphql-http: its schema, with gate, limits and sign-in on."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
AUDIT_IDS = ROOT.parent / "shared" / "data" / "vectors" / "graphql-http" / "audit-ids.json"
AUDITS = 61

pytestmark = pytest.mark.e2e


class Served(Protocol):
    """A node that is ready."""

    url: str

    def token(self) -> str: ...


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the audits outside the repository, exactly as locked."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("missing: node and npm")
    project = tmp_path_factory.mktemp("audits")
    for name in ("package.json", "package-lock.json", ".npmrc", "audit.js"):
        shutil.copy(HERE / name, project / name)
    installed = subprocess.run(
        ["npm", "ci"], cwd=project, capture_output=True, text=True, timeout=180, check=False
    )
    if installed.returncode != 0:
        pytest.skip(f"missing: the npm package graphql-http ({installed.stderr.strip()[-200:]})")
    return project


def expected_audits() -> set[str]:
    if not AUDIT_IDS.exists():
        pytest.skip("missing: data/vectors/graphql-http/audit-ids.json")
    return {audit["id"] for audit in json.loads(AUDIT_IDS.read_bytes())}


def test_every_audit_is_ok(node_modules: Path, server: Served) -> None:
    expected = expected_audits()
    ran = subprocess.run(
        ["node", "audit.js", server.url + "/graphql"],
        cwd=node_modules,
        env={**os.environ, "CARECORD_TOKEN": server.token()},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results = json.loads(ran.stdout)
    assert [result for result in results if result["status"] != "ok"] == []
    assert {result["id"] for result in results} == expected
    assert len(results) == AUDITS
