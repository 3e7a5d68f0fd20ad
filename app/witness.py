"""Watches notaries' logs: keeps the newest checkpoint, demands consistency, refuses a fork (architecture §3.3)."""

import logging
from collections.abc import Awaitable, Callable
from sqlite3 import Connection
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from app.storage.database import transaction
from app.storage.statements import sql, table_of
from app.vault.tables import CheckpointRow, DistrustRow
from states.checkpoint import ForkedLog, LogKeys, RolledBack, VerifiedCheckpoint, advance
from states.errors import InvalidProof
from states.identity import Party
from states.parameters import NotaryInfo
from states.tiles import TiledTree, TileName
from states.verifier import DistrustedNotary, Verifier

_log = logging.getLogger("carecord.witness")

TILES_MAX = 512  # a consistency proof between logs of any size needs far fewer
FORKED = "forked"  # `evidence` is another signed checkpoint of the same log
SPENT_TWICE = (
    "spent-twice"  # `evidence` names a nullifier and the two entries that have it, below `note`
)
ROLLED_BACK = "rolled-back"  # the same, of a smaller log that is no beginning of the accepted one

_ROW, _DISTRUST = table_of(CheckpointRow), table_of(DistrustRow)
_KEEP = sql(insert(_ROW).prefix_with("OR REPLACE"))
_GET = sql(select(_ROW.c.note).where(_ROW.c.origin == bindparam("origin")))
_CONVICT = sql(insert(_DISTRUST).prefix_with("OR IGNORE"))
_WHY = sql(
    select(_DISTRUST.c.why, _DISTRUST.c.note, _DISTRUST.c.evidence).where(
        _DISTRUST.c.notary == bindparam("notary")
    )
)
_DISTRUSTED = sql(select(_DISTRUST.c.notary))

ReadTile = Callable[[str], Awaitable[bytes]]
"""A tile's path → its bytes, from the notary."""


class Distrust(NamedTuple):
    """What broke a notary's promise: `evidence` cannot be true beside the checkpoint `note`, which it signed."""

    why: str
    note: str
    evidence: str


class Witness:
    """One notary's log as this node has seen it. What it has accepted once, the log may only extend."""

    def __init__(
        self, db: Connection, info: NotaryInfo, verifier: Verifier, clock: Callable[[], int]
    ) -> None:
        self._db = db
        self._verifier = verifier
        self._clock = clock
        self.notary: Party = info.party
        self.keys: LogKeys = info.log_keys
        row = db.execute(_GET, {"origin": self.keys.origin}).fetchone()
        self.known: VerifiedCheckpoint | None = None if row is None else self.keys.open(row[0])

    @property
    def distrust(self) -> Distrust | None:
        """Why nothing that this notary says is believed any more; None while it is."""
        row = self._db.execute(_WHY, {"notary": self.notary}).fetchone()
        return None if row is None else Distrust(*row)

    async def see(self, note: str, read: ReadTile) -> bool:
        """Take a checkpoint that somebody showed; return whether it is newer than what was known.

        Raises InvalidSignature or MalformedBytes for one that the notary did not sign, ForkedLog or RolledBack where it
        contradicts what was accepted, DistrustedNotary from then on, InvalidProof where its tiles do not prove it.
        """
        offered = self.keys.open(note)
        if self.distrust is not None:
            raise DistrustedNotary(self.notary)
        path: list[bytes] = []
        if self.known is not None:
            old, new = sorted((self.known.checkpoint.size, offered.checkpoint.size))
            path = await consistency(old, new, read)
        try:
            newest = advance(self.known, offered, path)
        except (ForkedLog, RolledBack) as broken:
            # Also where only the path failed: the notary itself served it, over a channel that only it can write.
            why = FORKED if isinstance(broken, ForkedLog) else ROLLED_BACK
            self.convict(Distrust(why, broken.known, broken.offered))
            raise
        is_newer = newest is not self.known
        if is_newer:
            self.known = newest
            checkpoint = newest.checkpoint
            row = {"origin": checkpoint.origin, "size": checkpoint.size, "note": newest.note}
            with transaction(self._db):
                self._db.execute(_KEEP, row)
        return is_newer

    def convict(self, found: Distrust) -> None:
        """Believe this notary no more, also after a restart; the first evidence is kept.

        Inside an open transaction it is durable with that one, so whoever may be rolled back calls again.
        """
        with transaction(self._db):
            row = {"notary": self.notary, "at": self._clock(), **found._asdict()}
            if self._db.execute(_CONVICT, row).rowcount:
                _log.critical(
                    "the log %s is %s: its notary is distrusted", self.keys.origin, found.why
                )
        self._verifier.distrusted.add(self.notary)


class Witnesses:
    """The logs of all notaries as one node has seen them, and whom it believes no more."""

    def __init__(self, db: Connection, verifier: Verifier, clock: Callable[[], int]) -> None:
        """Take up what was found before: the tables are there. Says so where a notary is distrusted."""
        self._db = db
        self._verifier = verifier
        self._clock = clock
        self._known: dict[NotaryInfo, Witness] = {}
        for (notary,) in db.execute(_DISTRUSTED).fetchall():
            verifier.distrusted.add(Party(notary))
            _log.critical("the notary %s is distrusted since an earlier run", notary)
        for witness in self.all():
            # So that a receipt is held against what this node had accepted before it stopped.
            if witness.known is not None:
                verifier.seen.setdefault(witness.notary, witness.known)

    def all(self) -> list[Witness]:
        """Return a witness for each notary of the parameters in force."""
        _, parameters = self._verifier.parameters.in_force(self._clock())
        return [self._of(info) for info in parameters.notaries]

    def _of(self, info: NotaryInfo) -> Witness:
        if info not in self._known:
            self._known[info] = Witness(self._db, info, self._verifier, self._clock)
        return self._known[info]

    def trusts(self, notary: Party) -> bool:
        return notary not in self._verifier.distrusted

    def keep_forks(self) -> None:
        """Write down the forks that receipts have shown: the last thing before a turn's commit.

        A fork is found inside a step, which fails by it and is rolled back; here that has happened. Each is written
        again with every later turn, for nobody hears whether this commit came to be.
        """
        for notary, fork in self._verifier.forks.items():
            for witness in self.all():
                if witness.notary == notary:
                    witness.convict(Distrust(FORKED, fork.known, fork.offered))


async def consistency(old: int, new: int, read: ReadTile) -> list[bytes]:
    """Compute the proof between two sizes of a log from its own tiles, fetched as they are asked for.

    Empty where there is nothing to prove. Raises what `read` raises, and InvalidProof or MalformedBytes for tiles of
    which none can be made.
    """
    if old in (0, new):
        return []
    have: dict[TileName, bytes] = {}
    for _ in range(TILES_MAX):
        wanted: list[TileName] = []

        def lookup(name: TileName, wanted: list[TileName] = wanted) -> bytes:
            if name not in have:
                wanted.append(name)
                raise _Wanted
            return have[name]

        try:
            return TiledTree(new, lookup).consistency_path(old)
        except _Wanted:
            have[wanted[0]] = await read(wanted[0].path)
    raise InvalidProof("checkpoint", "its consistency takes more tiles than any log has")


class _Wanted(Exception):
    """A tile is not here yet."""
