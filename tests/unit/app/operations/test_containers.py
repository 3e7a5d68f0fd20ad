"""Claims about docker/: the files agree with each other, with the configuration's rules and with the source."""

import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from app.cli.application import main
from app.config import load_config

ROOT = Path(__file__).parents[4]
DOCKER = ROOT / "docker"
NODES = ("notary", "mercy", "riverside", "northside", "agent")
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE = (DOCKER / "compose.yaml").read_text()


def _copied() -> list[str]:
    lines = [line for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    named = [line.split()[1:-1] for line in lines if "--from=" not in line]
    return [source for sources in named for source in sources]


def test_every_path_that_is_copied_into_the_image_is_there_and_let_in() -> None:
    let_in = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert len(_copied()) >= 9
    for source in _copied():
        assert (ROOT / source).exists(), source
        assert f"!{source}" in let_in


def test_the_image_runs_as_nobody_special_and_holds_no_secret() -> None:
    assert "USER 10001:10001" in DOCKERFILE
    assert not re.search(r"(?i)passphrase|password|secret_", DOCKERFILE)
    assert 'ENTRYPOINT ["carecord"]' in DOCKERFILE
    assert 'CMD ["carecord", "health", "http://127.0.0.1:8100"]' in DOCKERFILE


@pytest.mark.parametrize("node", NODES)
def test_a_nodes_configuration_is_accepted_and_fits_compose(node: str, tmp_path: Path) -> None:
    place = tmp_path / "node.toml"
    place.write_bytes((DOCKER / "network" / f"{node}.toml").read_bytes())
    place.chmod(0o600)
    config = load_config(place, {"CARECORD_PASSPHRASE": "only read"})
    assert (config.kind == "notary") is (node == "notary")
    assert (config.transport.port, config.web.port) == (7100, 8100)
    section = COMPOSE.split(f"\n  {node}:\n", 2)[1].split("\n\n")[0]
    published = re.search(r'"127\.0\.0\.1:(\d+):8100"', section)
    assert published is not None
    assert config.web.origin == f"http://127.0.0.1:{published[1]}"
    assert f'volumes: ["{node}:/node"]' in section
    assert (('["notary", "/node"]') in section) is (node == "notary")


def test_compose_gives_each_node_as_little_as_it_needs() -> None:
    shared = COMPOSE.split("services:")[0]
    for setting in (
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
        "tmpfs:",
        "CARECORD_PASSPHRASE_FILE: /run/secrets/key_store",
    ):
        assert setting in shared
    published = re.findall(r"ports: \[\"([^\"]+)\"\]", COMPOSE)
    assert len(published) == len(set(published)) == len(NODES)
    assert all(each.startswith("127.0.0.1:") for each in published)


def test_the_image_gets_what_runs_with_its_hashes_and_nothing_of_development() -> None:
    part_of = cast(
        "Callable[[str, str], str]", runpy.run_path(str(DOCKER / "runtime_lock.py"))["part_of"]
    )
    lock = (ROOT / "requirements.lock").read_text()
    text = part_of((ROOT / "pyproject.toml").read_text(), lock)
    names = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    assert {"cryptography", "cffi", "pydantic-core", "strawberry-graphql", "uvloop"} <= names
    assert not names & {"pytest", "mypy", "hypothesis", "ruff", "import-linter", "setuptools"}
    assert text.count("--hash=sha256:") >= len(names)


def test_the_network_of_compose_is_founded_by_the_commands_of_its_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script as the shell reads it; `carecord` is told to write its arguments, which then are run here."""
    shim = tmp_path / "bin" / "carecord"
    shim.parent.mkdir()
    shim.write_text(
        '#!/bin/sh\nfor each; do printf "%s\\037" "$each"; done >>"$ASKED"; echo >>"$ASKED"\n'
    )
    shim.chmod(0o700)
    nodes, asked = tmp_path / "nodes", tmp_path / "asked"
    for node in ("founder", *NODES):
        (nodes / node).mkdir(parents=True, mode=0o700)
    (nodes / "founder" / "network.pub").write_text(f"carecord-compose {'0' * 64} did:key:z\n")
    subprocess.run(
        ["sh", str(DOCKER / "found.sh"), str(nodes), str(DOCKER / "network")],
        env={"PATH": f"{shim.parent}:/usr/bin:/bin", "ASKED": str(asked)},
        check=True,
        capture_output=True,
    )
    for node in NODES:
        (nodes / node / "node.toml").unlink()
    for name in ("PASSPHRASE", "FOUNDING_PASSPHRASE", "OPERATOR_PASSPHRASE"):
        monkeypatch.setenv(f"CARECORD_{name}", "for a test only")
    for line in asked.read_text().splitlines():
        assert main(line.split("\x1f")[:-1]) == 0, (line, capsys.readouterr().err)
    capsys.readouterr()
    for node in NODES:
        assert main(["network", "show", str(nodes / node), "--json"]) == 0
        assert capsys.readouterr().out.count('"member": true') == len(NODES)
