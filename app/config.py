"""A node's configuration: one TOML file, read once and refused with every reason at once; secrets are not in it.

    [node]       network (64 hex digits), kind, notary (DID)
    [folders]    keys, data, blobs, map        separate, private (0700); relative to the file
    [transport]  host, port, keep (DIDs)       between organisations
    [web]        host, port, origin            for people and machines of this organisation
    [notary]     origin, batch, queue          a notary only
    [limits]     …                             of links
    [log]        level, form

CARECORD_PASSPHRASE (or the file that CARECORD_PASSPHRASE_FILE names) opens the key store.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from app.config_reader import Finding, Table
from app.transport.limits import DoorLimits, LinkLimits
from app.transport.transport import TransportSettings
from states.crypto.did import key_of
from states.errors import LedgerError
from states.identity import Party

FILE_BYTES_MAX = 1 << 16
SECRET_BYTES_MAX = 1_024
PASSPHRASE = "CARECORD_PASSPHRASE"  # noqa: S105  # the name of the variable
KINDS = ("hospital", "laboratory", "insurer", "research", "agent", "authority", "notary")
LEVELS = ("info", "debug", "warning", "error")
FORMS = ("text", "json")

_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_HEX = "[0-9a-f]{64}"
_ORIGIN = r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?"
LOG_ORIGIN = r"[a-z0-9][a-z0-9.-]*(/[a-z0-9._-]+)*"


class ConfigRefused(Exception):
    """The configuration cannot be used; `findings` holds every reason."""

    def __init__(self, path: Path, findings: tuple[Finding, ...]) -> None:
        super().__init__(
            f"a node cannot run with {path} and this environment:\n"
            + "\n".join(f"  {each}" for each in findings)
        )
        self.path = path
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a node keeps what; no one of them lies in another, so that each has its own backup and rights."""

    keys: Path
    data: Path
    blobs: Path
    map: Path

    def named(self) -> tuple[tuple[str, Path], ...]:
        return (("keys", self.keys), ("data", self.data), ("blobs", self.blobs), ("map", self.map))


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web surfaces listen, and the origin that browsers see (behind a proxy it differs)."""

    host: str
    port: int
    origin: str


@dataclass(frozen=True, slots=True)
class NotarySettings:
    """What a notary needs besides: its log's name, transactions a batch, requests that may wait."""

    origin: str
    batch: int
    queue: int


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How much is logged, and in which form."""

    level: str
    form: str


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What the environment gives; never shown."""

    passphrase: str

    def __repr__(self) -> str:
        return "Secrets(hidden)"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """All that a node is told before it starts."""

    network: bytes
    kind: str
    preferred_notary: Party | None
    folders: Folders
    transport: TransportSettings
    keep: tuple[Party, ...]
    web: WebSettings
    notary: NotarySettings | None
    log: LogSettings
    secrets: Secrets = field(repr=False)


def load_config(path: Path, environment: Mapping[str, str]) -> NodeConfig:
    """Read a configuration file; raises ConfigRefused, and OSError where it cannot be read.

    `environment` is asked for secrets only.
    """
    findings = list[Finding]()
    root = Table("", _parse(path), findings)
    config = _read(root, path.resolve().parent, _secrets(environment, findings))
    root.end()
    _check_ports(config, findings)
    _check_folders(config.folders, findings)
    if findings:
        raise ConfigRefused(path, tuple(findings))
    return config


def usual_folders(folder: Path) -> Folders:
    """Return where a node keeps its things below its own folder, unless its file says otherwise."""
    return Folders(folder / "keys", folder / "data", folder / "blobs", folder / "map")


def make_folders(folders: Folders) -> None:
    """Make the folders that are not there, for their owner only."""
    for _, path in folders.named():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _parse(path: Path) -> Mapping[str, object]:
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ConfigRefused(
            path, (Finding("file", "a longer one", f"at most {FILE_BYTES_MAX} bytes"),)
        )
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS_WRITE:
        raise ConfigRefused(
            path, (Finding("file", "others may write it", "written by its owner only"),)
        )
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as refused:
        raise ConfigRefused(path, (Finding("file", str(refused), "TOML in UTF-8"),)) from refused


def _read(root: Table, folder: Path, secrets: Secrets) -> NodeConfig:
    node = root.table("node")
    kind = node.choice("kind", KINDS)
    network = node.text("network", _HEX, "the network's id, 64 hex digits in lower case")
    preferred = node.parsed("notary", _party, "the DID of a notary", None)
    node.end()
    transport, keep = _transport(root)
    return NodeConfig(
        network=bytes.fromhex(network),
        kind=kind,
        preferred_notary=preferred,
        folders=_folders(root, folder),
        transport=transport,
        keep=keep,
        web=_web(root),
        notary=_notary(root, kind),
        log=_log(root),
        secrets=secrets,
    )


def _folders(root: Table, folder: Path) -> Folders:
    table = root.table("folders")
    read = Folders(
        keys=table.path("keys", folder, "keys"),
        data=table.path("data", folder, "data"),
        blobs=table.path("blobs", folder, "blobs"),
        map=table.path("map", folder, "map"),
    )
    table.end()
    return read


def _transport(root: Table) -> tuple[TransportSettings, tuple[Party, ...]]:
    table = root.table("transport")
    link, door = _limits(root)
    settings = TransportSettings(
        host=table.host("host"), port=table.whole("port", 7100, 1, 65_535), link=link, door=door
    )
    keep = table.several("keep", _party, "the DID of a member", 256)
    table.end()
    return settings, keep


def _limits(root: Table) -> tuple[LinkLimits, DoorLimits]:
    table = root.table("limits")
    usual, usual_door = LinkLimits(), DoorLimits()
    beat = table.seconds("beat_seconds", usual.beat_seconds, 1, 300)
    silence = table.seconds("silence_seconds", usual.silence_seconds, 2, 3_600)
    if silence <= beat:
        table.refuse("silence_seconds", f"{silence:g}", f"more than beat_seconds, {beat:g}")
        beat, silence = usual.beat_seconds, usual.silence_seconds
    link = LinkLimits(
        beat_seconds=beat,
        silence_seconds=silence,
        handshake_seconds=table.seconds("handshake_seconds", usual.handshake_seconds, 1, 60),
        frame_seconds=table.seconds("frame_seconds", usual.frame_seconds, 1, 300),
        stall_seconds=table.seconds("stall_seconds", usual.stall_seconds, 1, 3_600),
        idle_seconds=table.seconds("idle_seconds", usual.idle_seconds, 10, 86_400),
        queue_bytes=table.whole("queue_bytes", usual.queue_bytes, 1 << 20, 1 << 30),
        questions_served=table.whole("questions_served", usual.questions_served, 1, 1_024),
    )
    door = DoorLimits(
        strangers=table.whole("strangers", usual_door.strangers, 1, 10_000),
        strangers_an_address=table.whole(
            "strangers_an_address", usual_door.strangers_an_address, 1, 10_000
        ),
    )
    table.end()
    return link, door


def _web(root: Table) -> WebSettings:
    table = root.table("web")
    host, port = table.host("host"), table.whole("port", 8100, 1, 65_535)
    shown_host = f"[{host}]" if ":" in host else host
    origin = table.text(
        "origin", _ORIGIN, "https://host or https://host:port", f"http://{shown_host}:{port}"
    )
    table.end()
    return WebSettings(host, port, origin)


def _notary(root: Table, kind: str) -> NotarySettings | None:
    if kind != "notary":
        if root.has("notary"):
            root.refuse("notary", f"a table in a node of kind {kind}", "it in a notary only")
        root.table("notary")
        return None
    table = root.table("notary")
    settings = NotarySettings(
        origin=table.text("origin", LOG_ORIGIN, "the name of the log, as in notary.example/log"),
        batch=table.whole("batch", 64, 1, 4_096),
        queue=table.whole("queue", 4_096, 1, 100_000),
    )
    table.end()
    return settings


def _log(root: Table) -> LogSettings:
    table = root.table("log")
    settings = LogSettings(
        table.choice("level", LEVELS, LEVELS[0]), table.choice("form", FORMS, FORMS[0])
    )
    table.end()
    return settings


def _party(text: str) -> Party:
    try:
        key_of(text)
    except LedgerError as refused:
        raise ValueError(str(refused)) from refused
    return Party(text)


def _secrets(environment: Mapping[str, str], findings: list[Finding]) -> Secrets:
    given, file = environment.get(PASSPHRASE), environment.get(PASSPHRASE + "_FILE")
    allowed = (
        f"{PASSPHRASE}, or {PASSPHRASE}_FILE with the path of a file, 1 to {SECRET_BYTES_MAX} bytes"
    )
    if (given is None) == (file is None):
        found = "nothing" if given is None else "both"
        findings.append(Finding("environment", found, allowed))
        return Secrets("")
    if file is not None:
        try:
            with Path(file).open("rb") as opened:
                given = opened.read(SECRET_BYTES_MAX + 2).decode("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as refused:
            findings.append(Finding(f"{PASSPHRASE}_FILE", type(refused).__name__, allowed))
            return Secrets("")
    assert given is not None, "one of the two"
    if not 0 < len(given.encode("utf-8", "surrogateescape")) <= SECRET_BYTES_MAX:
        findings.append(Finding(PASSPHRASE, f"{len(given)} characters", allowed))
    return Secrets(given)


def _check_ports(config: NodeConfig, findings: list[Finding]) -> None:
    if config.transport.port == config.web.port:
        found = f"{config.web.port}, as transport.port"
        findings.append(Finding("web.port", found, "a port of its own"))


def _check_folders(folders: Folders, findings: list[Finding]) -> None:
    for (name, path), (other, second) in combinations(folders.named(), 2):
        if path == second or path in second.parents or second in path.parents:
            findings.append(
                Finding(
                    f"folders.{other}",
                    f"{second}, together with folders.{name} at {path}",
                    "folders of which none lies in another",
                )
            )
    for name, path in folders.named():
        found = _exposed(path)
        if found:
            findings.append(
                Finding(f"folders.{name}", f"{path}, {found}", "a folder of this user, mode 0700")
            )


def _exposed(path: Path) -> str:
    """Return what is wrong with a folder, or nothing; one that is not there will be made private."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ""
    except OSError as refused:
        return type(refused).__name__
    if not stat.S_ISDIR(status.st_mode):
        return "which is no folder"
    if status.st_uid != os.geteuid():
        return "which belongs to another user"
    if status.st_mode & _OTHERS:
        return f"which others may enter (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""
