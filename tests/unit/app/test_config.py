"""Claims about configurations: what a good one means, and in which words a bad one is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import (
    FILE_BYTES_MAX,
    PASSPHRASE,
    ConfigRefused,
    NodeConfig,
    load_config,
    make_folders,
)
from app.transport.limits import DoorLimits, LinkLimits
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.identity import Party
from tests.attack.bad_input import said

DID = Party(did_of(Ed25519Signer(b"\1" * 32).key))
NETWORK = "ab" * 32
LEAST = f'[node]\nkind = "hospital"\nnetwork = "{NETWORK}"\n'
FULL = f"""
[node]
kind = "notary"
network = "{NETWORK}"
notary = "{DID}"
[folders]
keys = "secret/keys"
data = "/var/lib/carecord-test/data"
blobs = "b"
map = "m"
[transport]
host = "0.0.0.0"
port = 7001
keep = ["{DID}"]
[web]
host = "::1"
port = 8001
origin = "https://mercy.example:8443"
[notary]
origin = "notary.example/log"
batch = 32
queue = 100
[limits]
beat_seconds = 5
silence_seconds = 12.5
strangers = 7
[log]
level = "debug"
form = "json"
"""
ENVIRONMENT = {PASSPHRASE: "correct horse"}


def _load(folder: Path, text: str, environment: dict[str, str] | None = None) -> NodeConfig:
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load_config(path, ENVIRONMENT if environment is None else environment)


def _findings(
    folder: Path, text: str, environment: dict[str, str] | None = None
) -> dict[str, tuple[str, str]]:
    with pytest.raises(ConfigRefused) as refused:
        _load(folder, text, environment)
    return {each.field: (each.found, each.allowed) for each in refused.value.findings}


def test_the_least_configuration_listens_on_loopback_and_keeps_all_beside_its_file(
    tmp_path: Path,
) -> None:
    config = _load(tmp_path, LEAST)
    assert config.network == bytes.fromhex(NETWORK)
    assert (config.kind, config.preferred_notary, config.notary) == ("hospital", None, None)
    assert (config.transport.host, config.web.host) == ("127.0.0.1", "127.0.0.1")
    assert (config.transport.port, config.web.port) == (7100, 8100)
    assert config.web.origin == "http://127.0.0.1:8100"
    assert dict(config.folders.named()) == {
        name: tmp_path / name for name in ("keys", "data", "blobs", "map")
    }
    assert (config.transport.link, config.transport.door) == (LinkLimits(), DoorLimits())
    assert (config.log.level, config.log.form, config.keep) == ("info", "text", ())
    assert config.secrets.passphrase == "correct horse"


def test_every_field_is_read(tmp_path: Path) -> None:
    config = _load(tmp_path, FULL)
    assert (config.kind, config.preferred_notary, config.keep) == ("notary", DID, (DID,))
    assert config.folders.keys == tmp_path / "secret" / "keys"
    assert config.folders.data == Path("/var/lib/carecord-test/data")
    assert (config.transport.host, config.transport.port) == ("0.0.0.0", 7001)
    assert (config.web.host, config.web.port) == ("::1", 8001)
    assert config.web.origin == "https://mercy.example:8443"
    assert config.notary is not None
    assert (config.notary.origin, config.notary.batch, config.notary.queue) == (
        "notary.example/log",
        32,
        100,
    )
    link = config.transport.link
    assert (link.beat_seconds, link.silence_seconds) == (5, 12.5)
    assert config.transport.door.strangers == 7
    assert (config.log.level, config.log.form) == ("debug", "json")


Refusal = tuple[str, str, str, str]
"""What is put in the place of what, the field that is named, and words of what is allowed."""

BAD: dict[str, Refusal] = {
    "no kind": ('kind = "notary"', "", "node.kind", "one of hospital"),
    "an unknown kind": ('kind = "notary"', 'kind = "spa"', "node.kind", "one of hospital"),
    "no network": (f'network = "{NETWORK}"', "", "node.network", "64 hex digits"),
    "a short network": (NETWORK, "abcd", "node.network", "64 hex digits"),
    "a notary that is no DID": (f'notary = "{DID}"', 'notary = "x"', "node.notary", "the DID"),
    "a port as text": ("port = 7001", 'port = "7001"', "transport.port", "1 to 65535"),
    "port 0": ("port = 7001", "port = 0", "transport.port", "1 to 65535"),
    "a port too far": ("port = 7001", "port = 65536", "transport.port", "1 to 65535"),
    "a port that is true": ("port = 7001", "port = true", "transport.port", "1 to 65535"),
    "a port that is broken": ("port = 7001", "port = 7001.5", "transport.port", "1 to 65535"),
    "one port twice": ("port = 8001", "port = 7001", "web.port", "a port of its own"),
    "a host by name": ('host = "0.0.0.0"', 'host = "all"', "transport.host", "an IP address"),
    "a host that is a number": ('host = "::1"', "host = 1", "web.host", "an IP address"),
    "an origin with a path": (
        "mercy.example:8443",
        "mercy.example/x",
        "web.origin",
        "https://host",
    ),
    "a peer that is no DID": (f'keep = ["{DID}"]', 'keep = ["x"]', "transport.keep[0]", "the DID"),
    "peers that are no list": (f'keep = ["{DID}"]', 'keep = "x"', "transport.keep", "a list"),
    "a log without a name": ('origin = "notary.example/log"', "", "notary.origin", "the name of"),
    "an empty batch": ("batch = 32", "batch = 0", "notary.batch", "from 1 to 4096"),
    "silence before a beat": (
        "silence_seconds = 12.5",
        "silence_seconds = 4",
        "limits.silence_seconds",
        "more than beat_seconds, 5",
    ),
    "a beat that is no number": (
        "beat_seconds = 5",
        'beat_seconds = "5"',
        "limits.beat_seconds",
        "seconds from 1 to 300",
    ),
    "endless strangers": ("strangers = 7", "strangers = 99999", "limits.strangers", "to 10000"),
    "an unknown level": ('level = "debug"', 'level = "loud"', "log.level", "one of info"),
    "a slip of the pen": ("batch = 32", "bacth = 32", "notary.bacth", "one of batch"),
    "an unknown table": ("[log]", "[logs]", "logs", "one of folders"),
    "a table that is none": ("[limits]", "log = 3\n[limits]", "notary.log", "one of batch"),
    "a folder that is a number": ('blobs = "b"', "blobs = 3", "folders.blobs", "a path"),
    "one folder twice": ('blobs = "b"', 'blobs = "m"', "folders.map", "none lies in another"),
    "a folder in another": ('map = "m"', 'map = "b/m"', "folders.map", "none lies in another"),
    "a folder around another": ('blobs = "b"', 'blobs = "."', "folders.blobs", "none lies in"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_field_is_named_with_what_is_allowed(tmp_path: Path, what: str) -> None:
    good, bad, field, words = BAD[what]
    assert good in FULL
    findings = _findings(tmp_path, FULL.replace(good, bad))
    assert field in findings
    assert words in findings[field][1]
    assert findings[field][0]


def test_every_reason_is_told_at_once(tmp_path: Path) -> None:
    text = LEAST.replace("hospital", "spa") + (
        '[transport]\nport = -1\n[web]\nhost = "here"\n[log]\nlevel = 3\nloud = true\n'
    )
    findings = _findings(tmp_path, text, {})
    assert set(findings) == {
        "node.kind",
        "transport.port",
        "web.host",
        "log.level",
        "log.loud",
        "environment",
    }
    with pytest.raises(ConfigRefused) as refused:
        _load(tmp_path, text, {})
    for field in findings:
        assert field in str(refused.value)
    said("configuration", refused.value)


def test_only_a_notary_has_a_notarys_table(tmp_path: Path) -> None:
    findings = _findings(tmp_path, LEAST + '[notary]\norigin = "x"\n')
    assert list(findings) == ["notary"]


# -- folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o707])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    keys.chmod(mode)
    findings = _findings(tmp_path, LEAST)
    assert list(findings) == ["folders.keys"]
    assert f"{mode:04o}" in findings["folders.keys"][0]


def test_a_file_in_a_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "no folder" in _findings(tmp_path, LEAST)["folders.data"][0]


def test_a_link_to_another_folder_does_not_hide_that_they_are_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "blobs").symlink_to(tmp_path / "data")
    assert list(_findings(tmp_path, LEAST)) == ["folders.blobs"]


def test_folders_are_made_private_and_are_then_accepted(tmp_path: Path) -> None:
    config = _load(tmp_path, LEAST)
    make_folders(config.folders)
    make_folders(config.folders)
    for _, path in config.folders.named():
        assert path.stat().st_mode & 0o777 == 0o700
    assert _load(tmp_path, LEAST) == config


# -- secrets ---------------------------------------------------------------------------------------


def test_a_passphrase_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("from a file\n")
    config = _load(tmp_path, LEAST, {PASSPHRASE + "_FILE": str(tmp_path / "words")})
    assert config.secrets.passphrase == "from a file"


def test_a_passphrase_is_needed_once(tmp_path: Path) -> None:
    both = {PASSPHRASE: "a", PASSPHRASE + "_FILE": str(tmp_path / "words")}
    assert _findings(tmp_path, LEAST, {})["environment"][0] == "nothing"
    assert _findings(tmp_path, LEAST, both)["environment"][0] == "both"


@pytest.mark.parametrize("words", ["", "x" * 1_025])
def test_an_empty_or_endless_passphrase_is_refused(tmp_path: Path, words: str) -> None:
    findings = _findings(tmp_path, LEAST, {PASSPHRASE: words})
    assert list(findings) == [PASSPHRASE]
    assert "characters" in findings[PASSPHRASE][0]


def test_a_passphrase_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = {PASSPHRASE + "_FILE": str(tmp_path / "nowhere")}
    found, _ = _findings(tmp_path, LEAST, missing)[PASSPHRASE + "_FILE"]
    assert found == "FileNotFoundError"


def test_no_secret_is_shown_by_a_value_or_by_a_refusal(tmp_path: Path) -> None:
    config = _load(tmp_path, LEAST)
    assert "horse" not in repr(config) + repr(config.secrets) + str(config)
    with pytest.raises(ConfigRefused) as refused:
        _load(tmp_path, LEAST + 'passphrase = "battery staple"\n')
    assert "staple" not in str(refused.value)
    assert "horse" not in str(refused.value)


def test_a_secret_in_the_environment_changes_nothing_else(tmp_path: Path) -> None:
    others = {"CARECORD_PORT": "1", "CARECORD_WEB_HOST": "0.0.0.0"}
    assert _load(tmp_path, LEAST, ENVIRONMENT | others) == _load(tmp_path, LEAST)


# -- the file --------------------------------------------------------------------------------------

Spoil = Callable[[Path], object]

SPOILT: dict[str, tuple[Spoil, str]] = {
    "it is no TOML": (lambda path: path.write_text("node = ["), "TOML"),
    "it is no text": (lambda path: path.write_bytes(b"\xff\xfe"), "UTF-8"),
    "it is too long": (lambda path: path.write_text("#" * (FILE_BYTES_MAX + 1)), "at most"),
    "others may write it": (lambda path: path.chmod(0o666), "its owner only"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_file_is_refused_as_a_whole(tmp_path: Path, what: str) -> None:
    spoil, words = SPOILT[what]
    path = tmp_path / "node.toml"
    path.write_text(LEAST)
    spoil(path)
    with pytest.raises(ConfigRefused) as refused:
        load_config(path, ENVIRONMENT)
    (finding,) = refused.value.findings
    assert (finding.field, words in finding.allowed) == ("file", True)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_config(tmp_path / "node.toml", ENVIRONMENT)
