"""Claims about `carecord …`: what commands print, and the exit codes that scripts go by."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from app.cli.application import main
from app.demo.network import DEMO_PASSPHRASE, DemoNetwork, make_network
from app.node_folder import Opening, clock
from app.notary_node import NotaryNode
from app.storage.database import LogDamaged
from states.encoding import encode
from tests.attack.bad_input import said
from tests.ports import free_port
from tests.unit.states.proof_world import TRUST, Story

ROOT = Path(__file__).parents[4]
PASSWORD = "a password for one test"


class Run(Protocol):
    """Runs a command in this process; returns exit code, standard output, standard error."""

    def __call__(self, *arguments: object) -> tuple[int, str, str]: ...


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> DemoNetwork:
    return make_network(tmp_path_factory.mktemp("cli") / "network", free_port, clock())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return exit code, standard output, standard error."""
    monkeypatch.setenv("CARECORD_PASSPHRASE", DEMO_PASSPHRASE)
    monkeypatch.setenv("CARECORD_FOUNDING_PASSPHRASE", DEMO_PASSPHRASE)
    monkeypatch.setenv("CARECORD_OPERATOR_PASSPHRASE", DEMO_PASSPHRASE)
    monkeypatch.setenv("CARECORD_PASSWORD", PASSWORD)

    def run_it(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run_it


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("demo", ("--bundles", "--check", "--kill", "--kill-at", "--seed", "--keep", "--json")),
        ("bench", ("--full", "--only", "--dbos", "--json")),
    ],
)
def test_the_help_of_what_shows_the_network_is_that_of_every_command(
    run: Run, command: str, options: tuple[str, ...]
) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage:" in out
    for option in options:
        assert option in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--json",), "--json goes with --check or --kill"),
        (("--kill-at", "revoke:nobody"), "revoke:nobody is no step and process"),
        (("--bundles", "nowhere"), "nowhere"),
        (("--quickly",), "--quickly"),
    ],
)
def test_a_demonstration_that_cannot_be_meant_is_not_begun(
    run: Run, arguments: tuple[str, ...], words: str
) -> None:
    code, out, told = run("demo", *arguments)
    assert (code, out) == (2, "")
    assert words in " ".join(told.replace("\u2502", " ").split())


def test_the_help_loads_neither_the_demonstration_nor_the_benchmarks() -> None:
    script = (
        "import sys; from app.cli.application import main; main(['demo', '--help']);"
        "print([m for m in sys.modules if m.startswith(('app.demo', 'app.bench.', 'app.graphql'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command_and_the_exit_codes(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name in (
        "node", "notary", "network", "ingest", "verify", "backup", "restore", "schema", "users",
        "practitioners", "patients", "audit", "audit-log", "health", "demo", "bench", "Exit codes",
    ):  # fmt: skip
        assert name in out


def test_an_unknown_command_and_a_missing_argument_are_usage_errors(run: Run) -> None:
    assert run("nonsense")[0] == 2
    assert run("backup")[0] == 2


def test_a_folder_that_others_may_enter_is_refused_with_the_remedy(
    run: Run, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    code, _, err = run("node", tmp_path)
    assert code == 2
    assert "chmod 700" in err


def test_a_configuration_is_refused_with_every_reason(run: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "node.toml").write_text('[node]\nnetwork = "x"\nkind = "shop"\n')
    (tmp_path / "node.toml").chmod(0o600)
    code, _, err = run("node", tmp_path)
    assert code == 2
    assert "node.network" in err
    assert "node.kind" in err


def test_a_wrong_passphrase_is_told_and_is_no_crash(
    run: Run, network: DemoNetwork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CARECORD_PASSPHRASE", "another")
    folder = network.member("mercy").folder
    for command in (
        ("backup", folder, tmp_path / "backup"),
        ("users", "list", folder),
        ("users", "add", folder, "reed", "--role", "operator"),
        ("users", "remove", folder, "reed"),
    ):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert "passphrase" in err


def test_a_member_is_not_run_as_a_notary(run: Run, network: DemoNetwork) -> None:
    code, _, err = run("notary", network.member("mercy").folder)
    assert code == 2
    assert "carecord node" in err


def test_a_node_that_does_not_answer_is_told_apart(run: Run) -> None:
    assert run("health", f"http://127.0.0.1:{free_port()}")[0] == 3
    assert run("health", "ftp://127.0.0.1")[0] == 2


def test_users_are_added_listed_and_removed(run: Run, network: DemoNetwork) -> None:
    folder = network.member("riverside").folder
    reed = json.loads(run("practitioners", "add", folder, "--name", "Dr A. Reed", "--json")[1])
    person = ("--person", reed["person"])
    assert run("users", "add", folder, "reed", "--role", "clinician", *person)[0] == 0
    assert run("users", "add", folder, "reed", "--role", "clinician", *person)[0] == 2
    again = run("users", "add", folder, "reed", "--role", "operator", "--replace")
    assert again[0] == 0
    assert run("users", "add", folder, "hale", "--role", "clinician")[0] == 2  # who would it be?
    code, out, _ = run("users", "list", folder, "--json")
    assert (code, json.loads(out)) == (0, [{"user": "reed", "role": "operator", "person": None}])
    kept = (folder / "data" / "users.json").read_text()
    assert "$argon2id$" in kept
    assert PASSWORD not in kept
    assert (folder / "data" / "users.json").stat().st_mode & 0o077 == 0
    assert run("users", "remove", folder, "reed")[0] == 0
    assert run("users", "remove", folder, "reed")[0] == 2
    assert run("users", "list", folder, "--json")[1].strip() == "[]"


def test_a_user_is_a_person_by_an_id_and_a_patient_at_an_agent_only(
    run: Run, network: DemoNetwork
) -> None:
    mercy, agent = network.member("mercy").folder, network.member("agent").folder
    for folder, role, person in (
        (mercy, "clinician", "zz"),
        (mercy, "patient", "ab" * 16),
        (agent, "patient", "ada"),
    ):
        assert run("users", "add", folder, "p", "--role", role, "--person", person)[0] == 2
    assert run("users", "add", agent, "p", "--role", "patient", "--person", "AB" * 16)[0] == 0
    listed = json.loads(run("users", "list", agent, "--json")[1])
    assert [user["person"] for user in listed if user["user"] == "p"] == ["ab" * 16]


def test_a_short_password_is_refused(
    run: Run, network: DemoNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECORD_PASSWORD", "short")
    code, _, err = run("users", "add", network.member("agent").folder, "x", "--role", "auditor")
    assert code == 2
    assert "12 characters" in err


def test_only_an_agent_has_patients_with_keys(run: Run, network: DemoNetwork) -> None:
    code, out, _ = run("patients", "add", network.member("agent").folder, "--json")
    assert code == 0
    assert len(json.loads(out)["handle"]) == 32
    assert run("patients", "add", network.member("mercy").folder)[0] == 2


def test_a_practitioner_with_a_malformed_id_or_role_is_refused(
    run: Run, network: DemoNetwork
) -> None:
    folder = network.member("mercy").folder
    assert run("practitioners", "add", folder, "--name", "Dr B", "--person", "12")[0] == 2
    for role in ("no such role!", "wizard"):
        code, _, err = run("practitioners", "add", folder, "--name", "Dr B", "--role", role)
        assert code == 2
        assert "--role is one of: clinician" in err
    for name in ("", " ", "Dr\x1b[2J", "Dr\nB"):
        assert run("practitioners", "add", folder, "--name", name)[0] == 2


@pytest.mark.parametrize("name", ["reed\n", "re\x00ed", "\x1b[2J"])
def test_a_user_has_a_name_that_can_be_shown(run: Run, network: DemoNetwork, name: str) -> None:
    folder = network.member("mercy").folder
    code, _, err = run("users", "add", folder, name, "--role", "operator")
    assert code == 2
    assert "control character" in err


def test_the_schema_is_printed(run: Run) -> None:
    code, out, _ = run("schema")
    assert code == 0
    assert "type Query" in out
    assert "publishRecords" in out


def test_what_is_no_bundle_does_not_verify(run: Run, network: DemoNetwork, tmp_path: Path) -> None:
    (tmp_path / "proof").write_bytes(b"\x90")
    code, out, _ = run("verify", tmp_path / "proof", "--trust", network.trust, "--json")
    assert code == 1
    report = json.loads(out)
    assert report["verified"] is False
    assert "step 1" in report["refused"]
    code, _, err = run("verify", tmp_path / "proof", "--trust", network.trust)
    assert code == 1
    assert "does not verify" in err


BUNDLE = encode(Story().bundle())


@pytest.mark.parametrize(
    ("brought", "told"),
    [
        (b"", "It is an empty file."),
        (base64.b64encode(BUNDLE), "It is a proof bundle as Base64 text."),
        (base64.encodebytes(BUNDLE), "It is a proof bundle as Base64 text."),
        (BUNDLE[:-1], "It is a proof bundle that was cut or altered."),
        (encode(Story().reported()), "It is an entry of a reading log (reported/1"),
        (
            base64.b64encode(encode(Story().proven()[0])),
            "It is Base64 text of a transaction with its receipt (proven/1",
        ),
        (b'{"data": {"whoLooked": null}}', "It is JSON text"),
        (b"who looked?\n", "It is some other text."),
        (b"hello", "It is text, perhaps Base64 of something else."),
        (b"\xff\xd8\xff\xe0\x00", "It is of another format."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_brought_in_the_place_of_a_bundle_is_told(
    run: Run, tmp_path: Path, brought: bytes, told: str
) -> None:
    trust, proof = tmp_path / "network.pub", tmp_path / "proof"
    trust.write_text(TRUST.line)
    proof.write_bytes(brought)
    code, out, err = run("verify", proof, "--trust", trust)
    assert (code, out) == (1, "")
    assert told in err
    assert "Wanted is the file of a proof bundle" in err


def test_a_proof_bundle_is_told_in_plain_words_and_one_that_was_altered_is_not_believed(
    run: Run, tmp_path: Path
) -> None:
    trust, proof = tmp_path / "network.pub", tmp_path / "proof"
    trust.write_text(TRUST.line)
    bundle = encode(Story().bundle())
    proof.write_bytes(bundle)
    code, out, _ = run("verify", proof, "--trust", trust)
    assert code == 0
    assert "Dr A. Reed" in out
    assert "What it cannot prove" in out
    code, out, _ = run("verify", proof, "--trust", trust, "--json")
    assert (code, json.loads(out)["verified"]) == (0, True)
    altered = bytearray(bundle)
    altered[len(altered) // 2] ^= 1
    proof.write_bytes(altered)
    assert run("verify", proof, "--trust", trust)[0] == 1


def test_a_trust_file_that_was_altered_is_refused(
    run: Run, network: DemoNetwork, tmp_path: Path
) -> None:
    (tmp_path / "network.pub").write_text(network.trust.read_text().replace("demo", "other"))
    (tmp_path / "proof").write_bytes(b"\x90")
    code, _, err = run("verify", tmp_path / "proof", "--trust", tmp_path / "network.pub")
    assert code == 2
    assert f"{tmp_path / 'network.pub'} is no trust file" in err
    code, _, err = run("verify", tmp_path / "proof", "--trust", tmp_path / "missing")
    assert code == 2
    assert "missing: No such file" in err
    assert "Errno" not in err


def test_only_a_notary_is_audited(run: Run, network: DemoNetwork) -> None:
    assert run("audit", network.member("mercy").folder)[0] == 2
    assert run("audit", network.notary.folder)[0] == 2  # it never ran: there is no log


def test_ingest_without_a_node_or_a_token_says_so(
    run: Run, network: DemoNetwork, tmp_path: Path
) -> None:
    (tmp_path / "map.json").write_text("{}")
    place = (network.member("mercy").folder, tmp_path, "--patient-map", tmp_path / "map.json")
    assert run("ingest", *place)[0] == 2
    assert run("ingest", *place, "--user", "reed")[0] == 3
    (tmp_path / "map.json").write_text("[1]")
    assert run("ingest", *place, "--user", "reed")[0] == 2


@pytest.mark.parametrize("data", [bytes(4_096), b"SQLite format 3\0" + bytes(500), b""])
def test_a_node_whose_vault_is_damaged_names_the_file_and_what_to_do(
    run: Run, network: DemoNetwork, tmp_path: Path, data: bytes
) -> None:
    folder = tmp_path / "mercy"
    shutil.copytree(network.member("mercy").folder, folder)
    vault = folder / "data" / "node.db"
    vault.parent.mkdir(mode=0o700, exist_ok=True)
    vault.write_bytes(data)
    code, _, told = run("node", folder)
    assert code == 2
    assert str(vault) in told
    assert "carecord restore" in told
    assert vault.read_bytes() == data


def test_a_notary_whose_log_is_damaged_names_the_file_and_what_to_do(
    run: Run, network: DemoNetwork, tmp_path: Path
) -> None:
    folder = tmp_path / "notary"
    shutil.copytree(network.notary.folder, folder)
    log = folder / "data" / "log.db"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    log.write_bytes(bytes(4_096))
    code, _, told = run("notary", folder)
    assert code == 2
    assert str(log) in told
    assert "carecord audit" in told
    with pytest.raises(LogDamaged) as refused:
        NotaryNode(Opening(folder, network.network, DEMO_PASSPHRASE))
    said("altered log", refused.value)
