"""Given the notary's whole disk: which transactions can be told to belong together?

What the notary must keep to refuse a second spend is an edge from the spender to what it spends. Nothing else that
any two of its rows have in common may tell that they are about the same patient: not a run of bytes, not a reference.
The rows are those of its log; the bytes are those of all of its files: the index, free pages and write-ahead logs
hold copies of rows that no query shows.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from app.config import usual_folders
from app.demo.network import DemoNetwork
from app.demo.story import Finding
from app.node_folder import DATABASE
from notaries.sqlite import LOG_NAME
from notaries.uniqueness import OUTPUT_BITS
from states.crypto.hashes import HASH_SIZE
from states.groups import Group
from states.state import STATE_REF
from states.tearoff import TEAROFF, open_tearoff

RUN = 12
"""The shortest run of bytes that could be a name for something; shorter ones are equal by chance."""

PAGE, WAL_HEADER, FRAME_HEADER = 4_096, 32, 24
"""SQLite's file format: a page, and what stands before all and before each in a write-ahead log, in bytes."""

BEFORE, BEHIND = 8, 48
"""How far before a transaction's id, or a nullifier of its, and behind it the bytes of the same row reach."""

RAW_RUN = 16
"""As RUN, in bytes of which nobody says what they are: two times that are equal by chance lie side by side there."""

PLAIN = 6
"""Bytes that are no name: a run has more different ones, where it is not padding or a page's header."""

Edge = tuple[bytes, bytes]


def linking(network: DemoNetwork) -> list[Finding]:
    """Compare what the notary's disk links with what the members' vaults say; all nodes are stopped."""
    data = usual_folders(network.notary.folder).data
    spends, references = edges_of_members(network)
    kept = edges_of_notary(data / LOG_NAME)
    shared = shared_runs(data / LOG_NAME) - kept
    raw = shared_bytes(_files(data), owners_in(data / LOG_NAME)) - kept
    told = {tuple(sorted(edge)) for edge in references - spends}
    linked = {tuple(sorted(edge)) for edge in kept | shared | raw}
    return [
        Finding(
            "the notary's disk has the spend edges, which it needs",
            f"{len(spends)} edges",
            f"{len(kept)} edges, {len(kept & spends)} of them those",
            kept == spends,
        ),
        Finding(
            "no two of its entries have anything else in common",
            "0 pairs",
            f"{len(shared)} pairs",
            not shared,
        ),
        Finding(
            "nor have the bytes beside them, in any of its files, free pages included",
            "0 pairs",
            f"{len(raw)} pairs",
            not raw,
        ),
        Finding(
            "which consent a disclosure rests on is not there",
            f"0 of {len(told)}",
            f"{len(told & linked)} of {len(told)}",
            bool(told) and not told & linked,
        ),
    ]


def edges_of_members(network: DemoNetwork) -> tuple[set[Edge], set[Edge]]:
    """Return all spends and all references, from the transactions that members hold whole: (later, earlier)."""
    spends, references = set[Edge](), set[Edge]()
    for node in network.members:
        for tx, tearoff in _transactions(usual_folders(node.folder).data / DATABASE):
            filtered = open_tearoff(TEAROFF.decode(tearoff))
            for group, found in ((Group.INPUTS, spends), (Group.REFERENCES, references)):
                found |= {
                    (tx, bytes(STATE_REF.decode(data).tx)) for _, data in filtered.components(group)
                }
    return spends, references


def _transactions(database: Path) -> Iterator[tuple[bytes, bytes]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        yield from db.execute("SELECT tx, tearoff FROM ledger_tx WHERE seq IS NOT NULL")


def edges_of_notary(log: Path) -> set[Edge]:
    """Return the spends on the notary's disk: (spender, creator)."""
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as db:
        return set(
            db.execute(
                "SELECT a.id, b.id FROM spend s JOIN log a ON a.n = s.at >> ?1"
                " JOIN log b ON b.n = s.k >> ?1",
                (OUTPUT_BITS,),
            )
        )


def shared_runs(log: Path) -> set[Edge]:
    """Return the pairs of transactions whose rows have a run of bytes in common."""
    owners: dict[bytes, set[bytes]] = {}
    for tx, values in _rows(log):
        for run in _runs(values):
            owners.setdefault(run, set()).add(tx)
    counted = Counter(
        (a, b)
        for owning in owners.values()
        if len(owning) > 1
        for a in owning
        for b in owning
        if a > b
    )
    return set(counted)


def owners_in(log: Path) -> dict[bytes, bytes]:
    """Return what tells whose row some bytes are of: each id and each nullifier, and the transaction it belongs to."""
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as db:
        owners = {tx: tx for (tx,) in db.execute("SELECT id FROM log")}
        spent = db.execute(
            "SELECT s.nullifier, l.id FROM spend s JOIN log l ON l.n = s.at >> ?", (OUTPUT_BITS,)
        )
        return owners | dict(spent)


def shared_bytes(files: Iterable[Path], owners: Mapping[bytes, bytes]) -> set[Edge]:
    """Return the pairs of transactions beside whose ids or nullifiers the same run of bytes lies: (a, b) with a > b.

    Wherever a file has such bytes: a row, its copy in a free page, an earlier one in a write-ahead log.
    """
    having: dict[bytes, set[bytes]] = {}
    for page in (page for path in files for page in _pages(path)):
        places = sorted(
            (at, owner) for marker, owner in owners.items() for at in _places(page, marker)
        )
        nexts = [*(at for at, _ in places[1:]), len(page) + BEFORE]
        for (at, owner), following in zip(places, nexts, strict=False):
            begin = max(0, at - BEFORE)
            end = min(following - BEFORE, at + HASH_SIZE + BEHIND)
            for first in range(begin, end - RAW_RUN + 1):
                having.setdefault(page[first : first + RAW_RUN], set()).add(owner)
    return {
        (a, b)
        for run, owning in having.items()
        if len(owning) > 1 and len(set(run)) > PLAIN
        for a in owning
        for b in owning
        if a > b
    }


def _pages(path: Path) -> Iterator[bytes]:
    """Cut a file of SQLite's into its pages: what lies in another one is beside nothing here."""
    data = path.read_bytes()
    begin, between = (WAL_HEADER, FRAME_HEADER) if path.name.endswith("-wal") else (0, 0)
    for at in range(begin, len(data), PAGE + between):
        yield data[at + between : at + between + PAGE]


def _places(data: bytes, marker: bytes) -> Iterator[int]:
    at = data.find(marker)
    while at >= 0:
        yield at
        at = data.find(marker, at + 1)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _rows(log: Path) -> Iterator[tuple[bytes, list[bytes]]]:
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as db:
        for n, tx, seal in db.execute("SELECT n, id, seal FROM log").fetchall():
            spent = db.execute(
                "SELECT nullifier, seal FROM spend WHERE at >> ? = ?", (OUTPUT_BITS, n)
            ).fetchall()
            yield tx, [tx, seal, *(value for row in spent for value in row)]


def _runs(values: Iterable[bytes]) -> Iterator[bytes]:
    for value in values:
        for at in range(len(value) - RUN + 1):
            yield value[at : at + RUN]
