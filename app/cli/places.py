"""A node's folder as commands get it: its configuration, and the passphrase, asked for where nobody gave it."""

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import CommandFailed, Exit
from app.config import PASSPHRASE, NodeConfig, load_config, make_folders
from app.keystore.file import FileKeyStore, open_key_store
from app.network.bootstrap import KEY_FILE
from app.network.folder import MapFolder
from app.network.network_map import NetworkMap
from app.node_file import NODE_FILE
from app.node_folder import NAME_FILE, Opening, clock
from app.operations.ownership import owning
from states.identity import Party

Folder = Annotated[
    Path, typer.Argument(help="The node's folder, in which node.toml lies.", show_default=False)
]

_OTHERS = 0o077


def load(folder: Path) -> NodeConfig:
    """Read a node's configuration; raises ConfigRefused, CommandFailed for a folder that others may enter."""
    require_private(folder)
    config = load_config(folder / NODE_FILE, with_passphrase(os.environ, PASSPHRASE, "key store"))
    make_folders(config.folders)
    return config


def unlocked(folder: Path) -> NodeConfig:
    """Read a node's configuration for who has the passphrase of its keys; raises what `load` does, and WrongPassphrase.

    For what needs no key: who may sign in is decided by who could run the node.
    """
    config = load(folder)
    keys_in(config)
    return config


def require_private(folder: Path) -> None:
    """Raise CommandFailed unless the folder is there and its owner's alone."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except FileNotFoundError:
        raise CommandFailed(Exit.USAGE, f"there is no folder {folder}") from None
    if mode & _OTHERS:
        raise CommandFailed(
            Exit.USAGE, f"others may enter {folder} (mode {mode:04o}); run: chmod 700 {folder}"
        )


def with_passphrase(environment: Mapping[str, str], name: str, what: str) -> dict[str, str]:
    """Return the environment with a passphrase in it, asked for at a terminal where neither variable is set."""
    known = dict(environment)
    if name not in known and f"{name}_FILE" not in known and sys.stdin.isatty():
        known[name] = typer.prompt(f"Passphrase of the {what}", hide_input=True, err=True)
    return known


def passphrase_of(name: str, what: str) -> str:
    """Return a passphrase from the variable, from the file that NAME_FILE names, or asked for."""
    known = with_passphrase(os.environ, name, what)
    if name in known:
        return known[name]
    if f"{name}_FILE" not in known:
        raise CommandFailed(
            Exit.USAGE, f"set {name}, or {name}_FILE to the path of a file, for the {what}"
        )
    return Path(known[f"{name}_FILE"]).read_text("utf-8").rstrip("\r\n")


def opening_of(folder: Path, config: NodeConfig) -> Opening:
    """Return what it takes to open the node."""
    return Opening(
        folder=folder,
        network=config.network,
        passphrase=config.secrets.passphrase,
        transport=config.transport,
        folders=config.folders,
    )


def party_in(config: NodeConfig) -> Party:
    return Party((config.folders.keys / NAME_FILE).read_text("ascii").strip())


def map_in(config: NodeConfig) -> NetworkMap:
    return NetworkMap(config.network, MapFolder(config.folders.map), clock)


def keys_in(config: NodeConfig) -> FileKeyStore:
    """Open the key store; who changes it must own the folder (`owned`)."""
    return open_key_store(config.folders.keys / KEY_FILE, config.secrets.passphrase, os.urandom)


@contextmanager
def owned(config: NodeConfig) -> Iterator[None]:
    """Own the node's folder while the block runs; raises FolderOwned where the node runs."""
    with owning(config.folders.keys):
        yield
