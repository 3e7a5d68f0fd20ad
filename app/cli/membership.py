"""`carecord network …` for a member: its request, what it takes, the rotation of its keys, the map as it sees it."""

import os
import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.blobs.disk import Disk
from app.cli.exits import CommandFailed, Exit
from app.cli.founding import FOUNDING_PASSPHRASE, TRUST_FILE, opened
from app.cli.output import AsJson, say, show_json, show_table
from app.cli.places import Folder, keys_in, load, map_in, owned, party_in, passphrase_of
from app.config import KINDS, LOG_ORIGIN, PASSPHRASE, NodeConfig, make_folders, usual_folders
from app.keystore.file import FileKeyStore
from app.keystore.keys import NodeKey
from app.names import name_flaw
from app.network import bootstrap, entries
from app.network.bootstrap import FOUNDING_FILE, REQUEST_FILE, TLS_FILE, Passphrases, request_entry
from app.network.entries import Profile
from app.network.founding_key import open_founding_key
from app.network.network_map import NetworkMap
from app.node_file import NodeFile
from app.node_folder import NAME_FILE, clock
from app.transport.certificate import new_tls_key, open_tls_key, pin_of
from app.transport.dialling import PORT_MAX, parse_endpoint
from states.errors import MalformedBytes
from states.identity import Party
from states.parameters import Member
from states.trust import read_trust

NEXT_TLS_FILE = "tls.key.next"
KEY_STARTS_MS = 10 * 60_000  # from when a rotated identity key signs: time for the entry to travel


class Requested(msgspec.Struct, frozen=True):
    """A request, for an operator to countersign."""

    party: str
    request: str


class ShownMember(msgspec.Struct, frozen=True):
    """A member of the map; `member` says whether it is one now."""

    party: str
    name: str
    kind: str
    endpoints: tuple[str, ...]
    serial: int
    member: bool


class ShownMap(msgspec.Struct, frozen=True):
    """The map as a folder has it."""

    network: str
    name: str
    version: int
    from_time: int
    notaries: tuple[str, ...]
    members: tuple[ShownMember, ...]


class Which(StrEnum):
    """The keys of a node that can be rotated."""

    IDENTITY = "identity"
    READING_LOG = "reading-log"
    TLS = "tls"


def _wrong(profile: Profile, http_port: int, listen: str) -> str:
    """Return what is wrong with a request for a node, or nothing."""
    name, log, endpoint = profile.name, profile.log, _port(profile.endpoints[0])
    flaw = name_flaw(name)
    checks = (
        (profile.kind in KINDS, "--kind is one of " + ", ".join(KINDS)),
        ((profile.kind == "notary") is bool(log), "--log is given for a notary, and no other kind"),
        (not log or re.fullmatch(LOG_ORIGIN, log), "--log is a name, as in notary.example/log"),
        (not flaw, f"--name is no name: {flaw}"),
        (endpoint, f"--endpoint is host:port, the port from 1 to {PORT_MAX}"),
        (_is_address(listen), "--listen is an IP address of this machine"),
        (0 < http_port <= PORT_MAX, f"--http-port is from 1 to {PORT_MAX}"),
        (http_port != endpoint, "--http-port is not the port of --endpoint"),
    )
    return next((words for holds, words in checks if not holds), "")


def _port(endpoint: str) -> int:
    """Return the endpoint's port; 0 where it is no endpoint."""
    try:
        return parse_endpoint(endpoint).port
    except MalformedBytes:
        return 0


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def request(  # noqa: PLR0913, PLR0917 - a node has as many sides
    folder: Annotated[Path, typer.Argument(help="The new node's folder.", show_default=False)],
    trust: Annotated[Path, typer.Option(help="The network's trust file, network.pub.")],
    name: Annotated[str, typer.Option(help="The organisation's name, as all members see it.")],
    kind: Annotated[str, typer.Option(help="One of: " + ", ".join(KINDS) + ".")],
    endpoint: Annotated[str, typer.Option(help="Where members reach the node, as host:port.")],
    http_port: Annotated[int, typer.Option(help="Where its web side listens.")] = 8100,
    listen: Annotated[
        str, typer.Option(help="The address of this machine on which both sides listen.")
    ] = "127.0.0.1",
    log: Annotated[str, typer.Option(help="Of a notary, its log's name: notary.example/log.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Make a node: its keys, node.toml, and the request that an operator countersigns.

    Passphrases: CARECORD_PASSPHRASE for its key store, CARECORD_FOUNDING_PASSPHRASE for the founding key. Then move
    keys/founding.key to a medium that is not in the machine: it is the organisation's name for ever.
    """
    pinned = read_trust(trust.read_text("utf-8"))
    if wrong := _wrong(Profile(name, kind, (endpoint,), log), http_port, listen):
        raise CommandFailed(Exit.USAGE, wrong)  # before a key is drawn, which nothing replaces
    port = parse_endpoint(endpoint).port
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folders = usual_folders(folder)
    make_folders(folders)
    words = Passphrases(
        passphrase_of(PASSPHRASE, "key store"),
        passphrase_of(FOUNDING_PASSPHRASE, "founding key"),
    )
    profile = Profile(name, kind, (endpoint,), log)
    made = bootstrap.init_node(folders.keys, pinned.network, profile, words, os.urandom, clock())
    (folders.keys / NAME_FILE).write_text(made.party + "\n", "ascii")
    NodeFile(pinned.network, kind, port, http_port, log, listen).write(folder)
    _requested(made.party, folders.keys / REQUEST_FILE, as_json=as_json)


def admit(
    folder: Folder,
    files: Annotated[list[Path], typer.Argument(help="Signed files, or folders of them.")],
) -> None:
    """Take signed files into a node's map: parameters, entries, removals. Stop the node first."""
    config = load(folder)
    found = [
        each
        for path in files
        for each in (sorted(path.glob("*.signed")) if path.is_dir() else [path])
    ]
    if not found:
        places = ", ".join(map(str, files))
        raise CommandFailed(Exit.USAGE, f"no file of a map (*.signed) lies in {places}")
    with owned(config):
        count = bootstrap.admit(map_in(config), *found)
    say(f"{count} new of {len(found)} files")


def rotate(
    folder: Folder,
    which: Annotated[Which, typer.Argument(help="Which key.")],
    founding: Annotated[
        Path | None, typer.Option(help="founding.key, where it is not in the node's folder.")
    ] = None,
    *,
    switch: Annotated[
        bool, typer.Option("--switch", help="Second step: use the key that the map has by now.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rotate a key in two steps, while the node is stopped: announce the next one, and use it once the map has it.

    The first step writes a request for an operator; the second (--switch) destroys the former key.
    """
    config = load(folder)
    with owned(config):
        member = map_in(config).latest(party_in(config))
        if member is None:
            raise CommandFailed(Exit.USAGE, "the map has no entry of this node yet")
        if switch:
            _switch(config, member, which)
            say(f"{which.value}: the next key is in use")
            return
        changed = _announced(config, member, which)
        signer = open_founding_key(
            founding or config.folders.keys / FOUNDING_FILE,
            passphrase_of(FOUNDING_PASSPHRASE, "founding key"),
        )
        path = config.folders.keys / f"{which.value}.request"
        disk = Disk()
        disk.remove(path)
        disk.write_new(path, [request_entry(changed, signer)])
    _requested(party_in(config), path, as_json=as_json)


def _announced(config: NodeConfig, member: Member, which: Which) -> Member:
    keys = keys_in(config)
    if which is Which.IDENTITY:
        starts = clock() + KEY_STARTS_MS
        return entries.rotate_identity(member, keys.prepare(NodeKey.IDENTITY), starts)
    if which is Which.READING_LOG:
        following = keys.prepare(NodeKey.READING_LOG).raw
        return entries.rotate_reading_log(member, following, clock() + KEY_STARTS_MS)
    tls = new_tls_key(keys, os.urandom)
    disk, path = Disk(), config.folders.keys / NEXT_TLS_FILE
    disk.remove(path)
    disk.write_new(path, [tls.sealed])
    return entries.rotate_tls(member, tls.pin)


def _switch(config: NodeConfig, member: Member, which: Which) -> None:
    keys = keys_in(config)
    if which is Which.TLS:
        _switch_tls(config, member, keys)
        return
    handle = NodeKey.IDENTITY if which is Which.IDENTITY else NodeKey.READING_LOG
    following = keys.prepare(handle)
    announced = (
        (member.identity[-1].key.raw, member.identity[-1].from_time)
        if which is Which.IDENTITY
        else (member.reading_log[-1].raw, member.reading_log[-1].from_time)
    )
    if announced[0] != following.raw or announced[1] > clock():
        raise CommandFailed(
            Exit.REFUSED, "the map does not have the next key yet, or it does not sign yet"
        )
    keys.switch(handle)


def _switch_tls(config: NodeConfig, member: Member, keys: FileKeyStore) -> None:
    path = config.folders.keys / NEXT_TLS_FILE
    if pin_of(open_tls_key(keys, path.read_bytes()).public_key()) != member.tls_key:
        raise CommandFailed(Exit.REFUSED, "the map does not have the next TLS key yet")
    Disk().publish(path, config.folders.keys / TLS_FILE)


def show(
    folder: Annotated[Path, typer.Argument(help="A node's, a founder's or an operator's folder.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show the map as a folder has it: parameters, notaries, members of now and of the past."""
    known = opened(folder)[1] if (folder / TRUST_FILE).exists() else map_in(load(folder))
    shown = _shown(known)
    if as_json:
        show_json(shown)
        return
    rows = [
        (
            m.name,
            m.kind,
            ", ".join(m.endpoints),
            str(m.serial),
            "yes" if m.member else "no",
            m.party,
        )
        for m in shown.members
    ]
    title = f"{shown.name}, parameters {shown.version}, network {shown.network}"
    heading = ("name", "kind", "reached at", "serial", "member", "DID")
    show_table(title, [heading, *rows], wraps=False)  # a DID is there to be copied


def _shown(known: NetworkMap) -> ShownMap:
    parameters = known.parameters()
    parties = sorted(known.entries())
    members = [each for party in parties if (each := known.latest(party)) is not None]
    return ShownMap(
        known.network.hex(),
        parameters.name,
        parameters.version,
        parameters.from_time,
        tuple(info.party for info in parameters.notaries),
        tuple(_shown_member(known, each) for each in members),
    )


def _shown_member(known: NetworkMap, member: Member) -> ShownMember:
    party = Party(member.party)
    return ShownMember(
        party, member.name, member.kind, member.endpoints, member.serial, known.is_member(party)
    )


def _requested(party: str, path: Path, *, as_json: bool) -> None:
    if as_json:
        show_json(Requested(party, str(path)))
    else:
        say(f"{party}\n{path}\nTell an operator this DID by phone, and bring the request.")
