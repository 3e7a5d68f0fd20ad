"""Claims about `carecord network …`: a network founded, a member admitted, a key rotated, a member removed."""

import io
import json
from pathlib import Path
from typing import Protocol

import pytest

from app.cli import founding, membership
from app.cli.application import main
from app.cli.exits import code_of
from app.network.errors import MapIncomplete
from app.node_folder import OpenFolder, Opening
from states.trust import read_trust


class Run(Protocol):
    """Runs a command in this process; returns exit code, standard output, standard error."""

    def __call__(self, *arguments: object) -> tuple[int, str, str]: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in ("PASSPHRASE", "FOUNDING_PASSPHRASE", "OPERATOR_PASSPHRASE"):
        monkeypatch.setenv(f"CARECORD_{name}", "for a test only")

    def run_it(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run_it


def _request(run: Run, root: Path, name: str, kind: str, port: int) -> Path:
    log = ("--log", "notary.test/log") if kind == "notary" else ()
    code, out, err = run(
        "network", "request", root / name, "--trust", root / "founder" / "network.pub",
        "--name", name, "--kind", kind, "--endpoint", f"127.0.0.1:{port}", "--json", *log,
    )  # fmt: skip
    assert code == 0, err
    return Path(json.loads(out)["request"])


def _map(run: Run, folder: Path) -> dict[str, dict[str, object]]:
    shown = json.loads(run("network", "show", folder, "--json")[1])
    return {each["name"]: each for each in shown["members"]}


def test_from_founding_to_removal_by_commands_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    founder, mercy = tmp_path / "founder", tmp_path / "mercy"
    assert run("network", "init", founder, "--name", "a test")[0] == 0
    assert run("network", "init", founder, "--name", "a test")[0] == 2  # nothing is replaced
    assert read_trust((founder / "network.pub").read_text()).name == "a test"
    notary = _request(run, tmp_path, "notary", "notary", 7100)
    asked = _request(run, tmp_path, "mercy", "hospital", 7101)
    assert run("network", "parameters", founder, "--notary", asked)[0] == 2  # it is no notary
    assert run("network", "parameters", founder, "--notary", notary)[0] == 0
    for request in (notary, asked):
        assert run("network", "countersign", founder, request, "--yes")[0] == 0
    for folder in (mercy, tmp_path / "notary"):
        assert run("network", "admit", folder, founder / "map")[0] == 0
    assert _map(run, mercy) == _map(run, founder)
    assert {name: each["member"] for name, each in _map(run, mercy).items()} == {
        "notary": True,
        "mercy": True,
    }

    _rotate(run, founder, mercy, monkeypatch)

    party = str(_map(run, founder)["mercy"]["party"])
    assert run("network", "remove", founder, party, "--reason", "it closed")[0] == 0
    assert run("network", "remove", founder, party, "--reason", "it closed")[0] == 4
    assert _map(run, founder)["mercy"]["member"] is False


def _rotate(run: Run, founder: Path, mercy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is announced, and used only once the map has it."""
    monkeypatch.setattr(membership, "KEY_STARTS_MS", 1)
    for serial, which in enumerate(("identity", "reading-log", "tls"), 2):
        tls = (mercy / "keys" / "tls.key").read_bytes()
        code, out, err = run("network", "rotate", mercy, which, "--json")
        assert code == 0, err
        assert run("network", "rotate", mercy, which, "--switch")[0] == 4  # not in the map yet
        request = json.loads(out)["request"]
        assert run("network", "countersign", founder, request, "--yes")[0] == 0
        assert run("network", "admit", mercy, founder / "map")[0] == 0
        assert run("network", "rotate", mercy, which, "--switch")[0] == 0
        assert _map(run, mercy)["mercy"]["serial"] == serial
        assert ((mercy / "keys" / "tls.key").read_bytes() != tls) is (which == "tls")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"--endpoint": "127.0.0.1:70000"}, "--endpoint"),
        ({"--endpoint": "mercy"}, "--endpoint"),
        ({"--http-port": "0"}, "--http-port"),
        ({"--http-port": "7101"}, "--http-port"),
        ({"--listen": "mercy.example"}, "--listen"),
        ({"--name": " "}, "--name"),
        ({"--kind": "shop"}, "--kind"),
        ({"--kind": "notary"}, "--log"),
        ({"--kind": "notary", "--log": "No Log"}, "--log"),
        ({"--log": "notary.test/log"}, "--log"),
    ],
)
def test_a_request_that_no_node_could_run_with_draws_no_key(
    run: Run, tmp_path: Path, options: dict[str, str], told: str
) -> None:
    founder, folder = tmp_path / "founder", tmp_path / "mercy"
    assert run("network", "init", founder, "--name", "a test")[0] == 0
    asked = {"--name": "mercy", "--kind": "hospital", "--endpoint": "127.0.0.1:7101"} | options
    words = [each for option in asked.items() for each in option]
    code, _, err = run("network", "request", folder, "--trust", founder / "network.pub", *words)
    assert code == 2
    assert told in err
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 300])
def test_a_network_whose_trust_file_nobody_could_read_is_not_founded(
    run: Run, tmp_path: Path, name: str
) -> None:
    code, _, err = run("network", "init", tmp_path / "founder", "--name", name)
    assert code == 2
    assert "--name" in err
    assert not (tmp_path / "founder").exists()


def test_a_node_whose_map_lacks_something_says_what(run: Run, tmp_path: Path) -> None:
    founder, mercy = tmp_path / "founder", tmp_path / "mercy"
    assert run("network", "init", founder, "--name", "a test")[0] == 0
    notary = _request(run, tmp_path, "notary", "notary", 7100)
    asked = _request(run, tmp_path, "mercy", "hospital", 7101)
    assert run("network", "parameters", founder, "--notary", notary)[0] == 0
    files = [*(founder / "map").iterdir()]
    for request in (notary, asked):
        code, out, err = run("network", "countersign", founder, request, "--yes", "--json")
        assert code == 0, err
        files.append(Path(json.loads(out)["file"]))
    network = read_trust((founder / "network.pub").read_text()).network
    opening = Opening(mercy, network, "for a test only")
    for file, lacking in zip(files, ("parameters", "a notary", "own entry"), strict=True):
        with pytest.raises(MapIncomplete, match=f"{lacking}.*carecord network admit") as refused:
            OpenFolder(opening)
        assert code_of(refused.value) == 2
        assert run("network", "admit", mercy, file)[0] == 0
    OpenFolder(opening)


def test_later_parameters_keep_what_was_and_are_announced(run: Run, tmp_path: Path) -> None:
    founder = tmp_path / "founder"
    assert run("network", "init", founder, "--name", "a test")[0] == 0
    assert run("network", "parameters", founder)[0] == 0
    first = founding.opened(founder)[1].history.newest
    assert run("network", "parameters", founder)[0] == 0
    second = founding.opened(founder)[1].history.newest
    assert first is not None
    assert second is not None
    assert second.version == 2
    assert second.contracts == first.contracts
    assert second.from_time > first.from_time + founding.DAY_MS


def test_an_operator_who_says_no_countersigns_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    founder = tmp_path / "founder"
    run("network", "init", founder, "--name", "a test")
    run("network", "parameters", founder)
    request = _request(run, tmp_path, "mercy", "hospital", 7101)
    assert run("network", "countersign", founder, request)[0] == 1
    assert _map(run, founder) == {}


def test_a_wrong_file_is_named_and_a_folder_without_any_is_told(run: Run, tmp_path: Path) -> None:
    founder, mercy = tmp_path / "founder", tmp_path / "mercy"
    run("network", "init", founder, "--name", "a test")
    run("network", "parameters", founder)
    request = _request(run, tmp_path, "mercy", "hospital", 7101)
    code, _, err = run("network", "admit", mercy, request)
    assert code == 4
    assert f"{request}: part of a map: neither parameters nor an entry nor a removal" in err
    code, _, err = run("network", "admit", mercy, tmp_path)
    assert code == 2
    assert f"no file of a map (*.signed) lies in {tmp_path}" in err
    trust = founder / "network.pub"
    code, _, err = run("network", "countersign", founder, trust, "--yes")
    assert code == 4
    assert f"{trust}: " in err


def test_a_did_is_shown_on_one_line_however_narrow_the_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    founder = tmp_path / "founder"
    run("network", "init", founder, "--name", "a test")
    run("network", "parameters", founder)
    request = _request(run, tmp_path, "mercy", "hospital", 7101)
    assert run("network", "countersign", founder, request, "--yes")[0] == 0
    monkeypatch.setenv("COLUMNS", "40")
    party = str(_map(run, founder)["mercy"]["party"])
    network = json.loads(run("network", "show", founder, "--json")[1])["network"]
    shown = run("network", "show", founder)[1]
    assert party in shown
    assert network in shown
