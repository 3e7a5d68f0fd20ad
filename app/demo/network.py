"""Makes a whole network in one folder: a founder, a notary and four members, each with a folder and keys of its own."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.config import usual_folders
from app.keystore.sealed_file import KdfCost
from app.network.bootstrap import (
    REQUEST_FILE,
    Passphrases,
    Terms,
    admit,
    countersign,
    init_node,
    publish_first,
    read_request,
)
from app.network.entries import Profile
from app.network.folder import MapFolder
from app.network.founding_key import create_founding_key
from app.network.network_map import NetworkMap
from app.node_file import NodeFile
from app.node_folder import NAME_FILE
from app.subjects.catalogue import allowed_contracts
from states.crypto.ed25519 import Ed25519Signer
from states.identity import Party
from states.parameters import AllowedContract, network_id
from states.trust import trust_in

NAME = "carecord-demo"
ORIGIN = "notary.demo/carecord"
FOUNDER = "founder"
NOTARY = "notary"
TRUST_FILE = "network.pub"
DAY_MS = 86_400_000
DEMO_COST = KdfCost(
    memory_kib=8_192, iterations=1, lanes=1
)  # its passphrases are in the clear beside it
DEMO_PASSPHRASE = "demonstration only"  # noqa: S105 - says so

MEMBERS = (
    ("mercy", "Mercy Hospital", "hospital"),
    ("riverside", "Riverside Hospital", "hospital"),
    ("northside", "Northside Laboratory", "laboratory"),
    ("agent", "Patients' Agent", "agent"),
)


@dataclass(frozen=True, slots=True)
class DemoNode:
    """One node of the demonstration."""

    key: str
    title: str
    kind: str
    folder: Path
    party: Party
    link_port: int
    http_port: int


@dataclass(frozen=True, slots=True)
class DemoNetwork:
    """The network in its folder."""

    root: Path
    network: bytes
    trust: Path
    notary: DemoNode
    members: tuple[DemoNode, ...]

    @property
    def nodes(self) -> tuple[DemoNode, ...]:
        return (self.notary, *self.members)

    def member(self, key: str) -> DemoNode:
        return next(node for node in self.members if node.key == key)


def make_network(
    root: Path, free_port: Callable[[], int], now: int, more: tuple[AllowedContract, ...] = ()
) -> DemoNetwork:
    """Make all folders anew under `root`, which must not exist. Every private key stays in its node's folder.

    The network allows the contracts of every node, and `more`.
    """
    root.mkdir(mode=0o700, parents=True)
    founding = create_founding_key(
        root / FOUNDER / "founding.key", DEMO_PASSPHRASE, os.urandom, DEMO_COST
    )
    operator = create_founding_key(
        root / FOUNDER / "operator.key", DEMO_PASSPHRASE, os.urandom, DEMO_COST
    )
    network = network_id(founding.key, NAME)
    titles = ((NOTARY, "Notary", "notary"), *MEMBERS)
    nodes = [
        _make_node(
            DemoNode(key, title, kind, root / key, Party(""), free_port(), free_port()),
            network,
            now,
        )
        for key, title, kind in titles
    ]
    trust = root / TRUST_FILE
    trust.write_text(trust_in(NAME, founding.key).line, "utf-8")
    contracts = (*allowed_contracts(now - DAY_MS), *more)
    _publish(root, network, (founding, operator), nodes, contracts, now)
    notary, *members = nodes
    return DemoNetwork(root, network, trust, notary, tuple(members))


def _make_node(node: DemoNode, network: bytes, now: int) -> DemoNode:
    """Make a node's keys and its request for an entry; return it with the name that its founding key gives it."""
    keys = usual_folders(node.folder).keys
    node.folder.mkdir(mode=0o700)
    log = ORIGIN if node.kind == "notary" else ""
    profile = Profile(node.title, node.kind, (f"127.0.0.1:{node.link_port}",), log)
    passphrases = Passphrases(DEMO_PASSPHRASE, DEMO_PASSPHRASE, DEMO_COST)
    made = init_node(keys, network, profile, passphrases, os.urandom, now - DAY_MS)
    NodeFile(network, node.kind, node.link_port, node.http_port, log).write(node.folder)
    (keys / NAME_FILE).write_text(made.party + "\n", "ascii")
    return replace(node, party=made.party)


def _publish(
    root: Path,
    network: bytes,
    founders: tuple[Ed25519Signer, Ed25519Signer],
    nodes: list[DemoNode],
    contracts: tuple[AllowedContract, ...],
    now: int,
) -> None:
    """Sign parameters and entries, and give every node the map."""
    (founding, operator), begins = founders, now - DAY_MS
    requests = [(usual_folders(node.folder).keys / REQUEST_FILE).read_bytes() for node in nodes]
    notaries = tuple(
        info for data in requests if (info := read_request(data, network)[1]) is not None
    )
    terms = Terms(NAME, notaries, contracts, (operator.key,))
    folder = usual_folders(root / FOUNDER).map
    known = NetworkMap(network, MapFolder(folder), lambda: now)
    known.take_parameters(publish_first(founding, terms, begins))
    for data in requests:
        countersign(data, operator, known)
    files = sorted(folder.glob("*.signed"))
    for node in nodes:
        admit(NetworkMap(network, MapFolder(usual_folders(node.folder).map), lambda: now), *files)
