"""What an organisation's log still has of a chain after its restores, as an agent knows it: the rest is lost to it.

A restore begins an epoch after some entry, which an earlier epoch wrote: so epochs are a tree, and what the newest has
is its way back to the root. Backups need not be restored in their order, so times and numbers alone do not say it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sqlite3 import Connection

from app.readings import looks_statements as text
from states.identity import Party

_ALL = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class _Epoch:
    epoch: bytes
    began: int
    kept: int
    branch: bytes  # digest of the entry after which it goes on; empty where nobody has named it


def present(db: Connection, peer: Party, chain: bytes, epoch: bytes, span: tuple[int, int]) -> int:
    """Return how many numbers of a span (first, last) an epoch has lines of: its own, and those that it goes on after.

    Who claims another restore may number any others anew: they are of its own way, and fill no gap of this one.
    """
    key: dict[str, object] = {"organisation": peer, "chain": chain}
    first, last = span
    count = 0
    for each, limit in _way_back(db, key, epoch):
        seen = {"epoch": each, "first": first, "last": min(last, limit)}
        count += db.execute(text.PRESENT, key | seen).fetchone()[0]
    return count


def _way_back(db: Connection, key: dict[str, object], epoch: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield an epoch and those before it, as far as they are known, each with its last number that counts."""
    known = {row[0]: _Epoch(*row) for row in db.execute(text.EPOCHS, key)}
    last, begun = _ALL, set[bytes]()
    while epoch not in begun:
        yield epoch, last
        begun.add(epoch)
        at = known.get(epoch)
        if at is None or not at.kept:
            return
        branch = at.branch
        if not branch:  # the first that was heard of this epoch did not name it
            behind = key | {"epoch": epoch, "number": at.kept + 1}
            (branch,) = db.execute(text.NAMED_BEFORE, behind).fetchone() or (b"",)
        row = db.execute(text.WRITTEN_IN, key | {"number": at.kept, "digest": branch}).fetchone()
        if row is None:
            return
        epoch, last = row[0], min(last, at.kept)


def reach(db: Connection, peer: Party, chain: bytes) -> Mapping[bytes, int]:
    """Return for each epoch that is known of a chain up to which of its numbers the newest one has them."""
    key = {"organisation": peer, "chain": chain}
    known = {row[0]: _Epoch(*row) for row in db.execute(text.EPOCHS, key)}
    limits = dict.fromkeys(known, 0)
    at = max(known.values(), key=lambda each: each.began, default=None)
    last = _ALL
    while at is not None and not limits[at.epoch]:
        limits[at.epoch], last = last, min(last, at.kept)
        if not last:
            break
        line = {"number": at.kept, "digest": at.branch}
        row = db.execute(text.WRITTEN_IN, key | line).fetchone()
        if row is None:  # the entry has not come: it may be of any
            return {epoch: limit or last for epoch, limit in limits.items()}
        at = known.get(row[0])
    return limits


def mark_lost(db: Connection, peer: Party, chain: bytes) -> None:
    """Mark the lines that the newest epoch has not, and no others; those that contradict others stay marked so."""
    whose: dict[str, object] = {"who": peer, "which": chain}
    db.execute(text.UNMARK_LOST, whose)
    for epoch, last in reach(db, peer, chain).items():
        db.execute(text.MARK_LOST, whose | {"of": epoch, "kept": last})
