"""Nodes of the village that lose their disk and get an older image of it."""

from collections.abc import Iterable
from dataclasses import replace
from sqlite3 import Connection

from app.assembly import Assembly
from app.operations.restore import begin_anew
from app.storage.database import open_database
from tests.simulation.village import Village


def image_of(village: Village, name: str) -> Connection:
    """Return what is on a resident's disk now, as a backup."""
    image = open_database(":memory:")
    village.nodes[name].db.backup(image)
    return image


def put_back(village: Village, name: str, image: Connection, asks: Iterable[str]) -> Assembly:
    """Restore a resident as `carecord restore` does; it will ask these others, when they are greeted."""
    given = replace(village.nodes[name].given, db=image)
    peers = [village.party(other) for other in asks]
    node = begin_anew(image, lambda: Assembly(given), village.entropy, peers, 0)
    village.nodes[name] = village._by_party[node.me] = node
    return node


def greet(village: Village, name: str) -> None:
    """Connect a resident with all others anew."""
    node = village.nodes[name]
    for other in village.nodes.values():
        if other is not node:
            other.engine.disconnected(node.me)
            here, there = node.engine.connected(other.me), other.engine.connected(node.me)
            node.engine.hello(other.me, there)
            other.engine.hello(node.me, here)


def until(village: Village, statement: str, name: str) -> None:
    """Let agent and Mercy take turns, one by one, until a row is there: the moment to cut something in half."""
    for _ in range(50):
        for each in ("Agent", "Mercy"):
            village._turn(village.nodes[each])
            if village.nodes[name].db.execute(statement).fetchone() is not None:
                return
    raise AssertionError("it does not happen")
