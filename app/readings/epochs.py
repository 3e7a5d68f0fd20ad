"""What an organisation's log still has of a chain after its restores, as an agent knows it: the rest is lost to it.

A restore begins an epoch after some entry, which an earlier epoch wrote: so epochs are a tree, and what the newest has
is its way back to the root. Backups need not be restored in their order, so times and numbers alone do not say it.
"""

from collections.abc import Mapping
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
