"""Watches notaries' logs: keeps the newest checkpoint, demands consistency, refuses a fork (architecture §3.3).

A notary that has signed what cannot be true is believed no more, for ever. One whose log is only not proven to go on
from what it showed (its tiles may be damaged, or a smaller log be shown for a while) is not believed until it is.
"""

import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from sqlite3 import Connection
from typing import NamedTuple, TypeVar

from sqlalchemy import bindparam, delete, literal_column, select
from sqlalchemy.dialects.sqlite import insert

from app.storage.database import transaction
from app.storage.statements import sql, table_of
from app.transport.errors import NotShown
from app.vault.tables import CheckpointRow, DistrustRow
from states.checkpoint import (
    ForkedLog,
    LogKeys,
    RolledBack,
    VerifiedCheckpoint,
    advance,
    require_no_contradiction,
    signed_elsewhere,
)
from states.errors import InvalidProof, InvalidSignature, LedgerError, MalformedBytes, OverLimit
from states.identity import Party
from states.parameters import NotaryInfo
from states.tiles import TiledTree, TileName
from states.verifier import DistrustedNotary, Verifier

_log = logging.getLogger("carecord.witness")
_T = TypeVar("_T")

TILES_MAX = 512  # a consistency proof between logs of any size needs far fewer
UNFOLLOWED_MS_MAX = (
    6 * 3_600_000
)  # after which a log that could not be followed makes the node not ready
# For ever: `evidence` is signed, too.
FORKED = "forked"  # it is another checkpoint of the same log, and the hashes that show it where the sizes differ
SPENT_TWICE = "spent-twice"  # it names a nullifier and the two entries that have it, below `note`
ROLLED_BACK = "rolled-back"  # it is a checkpoint of the same log, and the later of both is smaller
# Until the notary's log is proven: `evidence` is what it showed, and empty where it showed nothing.
UNPROVEN = "unproven"
OTHER_LOG = "other-log"  # it is a checkpoint that its key has signed under a name that no parameters announce
_DOUBTS = (UNPROVEN, OTHER_LOG)

_ROW, _DISTRUST = table_of(CheckpointRow), table_of(DistrustRow)
_KEEP = sql(insert(_ROW).prefix_with("OR REPLACE"))
_GET = sql(select(_ROW.c.note).where(_ROW.c.origin == bindparam("origin")))
_IS_DOUBT = _DISTRUST.c.why.in_([literal_column(f"'{why}'") for why in _DOUBTS])
_NEW = insert(_DISTRUST)
_CONVICT = sql(
    _NEW.on_conflict_do_update(
        index_elements=[_DISTRUST.c.notary],
        set_={name: _NEW.excluded[name] for name in ("at", "why", "note", "evidence")},
        where=_IS_DOUBT,
    )
)
_DOUBT = sql(insert(_DISTRUST).prefix_with("OR IGNORE"))
_END_DOUBT = sql(delete(_DISTRUST).where(_DISTRUST.c.notary == bindparam("notary"), _IS_DOUBT))
_WHY = sql(
    select(_DISTRUST.c.why, _DISTRUST.c.note, _DISTRUST.c.evidence).where(
        _DISTRUST.c.notary == bindparam("notary")
    )
)
_DISTRUSTED = sql(select(_DISTRUST.c.notary))

ReadTile = Callable[[str], Awaitable[bytes]]
"""A tile's path → its bytes, from the notary. Raises NotShown where it says that it has none."""
AskCheckpoint = Callable[[], Awaitable[bytes]]
"""The notary's newest checkpoint, as it shows it. Raises NotShown where it says that it has none."""


class Distrust(NamedTuple):
    """Why a notary is not believed: `evidence` cannot be true, or is not proven, beside the checkpoint `note`.

    `note` is what was accepted of it; empty where nothing was.
    """

    why: str
    note: str
    evidence: str

    @property
    def is_for_ever(self) -> bool:
        return self.why not in _DOUBTS


def distrust_of(vault: Connection, notary: Party) -> Distrust | None:
    """Return why a node does not believe a notary, as its vault has it; None if it does."""
    row = vault.execute(_WHY, {"notary": notary}).fetchone()
    return None if row is None else Distrust(*row)


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
        self._followed_at = clock()

    @property
    def distrust(self) -> Distrust | None:
        """Why nothing that this notary says is believed; None while it is."""
        return distrust_of(self._db, self.notary)

    @property
    def is_followed(self) -> bool:
        """Whether the log was found consistent not long ago, or this node has not run for long."""
        return self._clock() - self._followed_at < UNFOLLOWED_MS_MAX

    async def watch(self, ask: AskCheckpoint, read: ReadTile) -> None:
        """Hold what the notary shows now, and what its receipts have shown, against what was accepted.

        Where that does not prove the log, its notary is not believed until it does; where it contradicts itself, never
        again. Raises what `see` does, NotShown, and what else `ask` and `read` raise.
        """
        shown = ""
        try:
            shown = (await ask()).decode("utf-8", "replace")
            await self._follow(shown, read)
            for shown in self._unproven():
                await self.see(shown, read)
        except (InvalidProof, InvalidSignature, MalformedBytes, NotShown) as refused:
            self._doubt(shown, refused)
            raise
        self._followed_at = self._clock()
        self._believe_again()

    async def _follow(self, note: str, read: ReadTile) -> None:
        """Take the checkpoint that the notary itself shows as its newest; raises what `see` does."""
        known = self.known
        try:
            offered = self.keys.open(note)
        except OverLimit as refused:
            raise MalformedBytes("checkpoint", "longer than any") from refused
        await self.see(note, read)
        if known is not None and offered.checkpoint.size < known.checkpoint.size:
            raise InvalidProof("checkpoint", "its notary shows fewer entries than it had")

    async def see(self, note: str, read: ReadTile) -> bool:
        """Take a checkpoint that somebody showed; return whether it is newer than what was known.

        Raises InvalidSignature or MalformedBytes for one that the notary did not sign, ForkedLog or RolledBack where it
        cannot be true beside what was accepted, DistrustedNotary from then on, InvalidProof or MalformedBytes where
        the notary's tiles do not prove it.
        """
        offered = self.keys.open(note)
        found = self.distrust
        if found is not None and found.is_for_ever:
            raise DistrustedNotary(self.notary)
        hashes: list[bytes] = []
        try:
            if self.known is not None:
                require_no_contradiction(
                    self.known, offered
                )  # what its notes alone say, no tile need show
                old, new = sorted((self.known.checkpoint.size, offered.checkpoint.size))
                if 0 < old < new:
                    hashes = await by_tiles(new, read, lambda tree: tree.prefix_hashes(old))
            newest = advance(self.known, offered, hashes)
        except (ForkedLog, RolledBack) as broken:
            self.convict(shown_by(broken))
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
        if self._keep(_CONVICT, found):
            _log.critical("the log %s is %s: its notary is distrusted", self.keys.origin, found.why)

    def _unproven(self) -> list[str]:
        """Return what the notary has signed and shown elsewhere, or before: it is to be proven as well."""
        notes = []
        seen, found = self._verifier.seen.get(self.notary), self.distrust
        if seen is not None and seen.checkpoint.origin == self.keys.origin:
            notes.append(seen.note)
        if found is not None:
            with suppress(LedgerError):  # it may have been no checkpoint of this log
                notes.append(self.keys.open(found.evidence).note)
        return notes

    def _doubt(self, shown: str, refused: LedgerError) -> None:
        """Believe this notary nothing until its log is proven again, also after a restart."""
        why = UNPROVEN
        with suppress(MalformedBytes, OverLimit):
            if signed_elsewhere(shown, self.keys.log_key) is not None:
                why = OTHER_LOG
        known = "" if self.known is None else self.known.note
        if self._keep(_DOUBT, Distrust(why, known, shown)):
            _log.critical(
                "the log %s is %s: its notary is not believed until it is proven (%s)",
                self.keys.origin, why, refused,
            )  # fmt: skip

    def _keep(self, statement: str, found: Distrust) -> bool:
        row = {"notary": self.notary, "at": self._clock(), **found._asdict()}
        with transaction(self._db):
            is_new = self._db.execute(statement, row).rowcount > 0
        self._verifier.distrusted.add(self.notary)
        return is_new

    def _believe_again(self) -> None:
        """End a doubt; whoever has contradicted itself stays distrusted."""
        with transaction(self._db):
            ended = self._db.execute(_END_DOUBT, {"notary": self.notary}).rowcount
        if ended and self.notary not in self._verifier.broken:
            self._verifier.distrusted.discard(self.notary)
            _log.warning("the log %s is proven: its notary is believed again", self.keys.origin)


def shown_by(broken: ForkedLog | RolledBack) -> Distrust:
    """Return what convicts a notary, as it is kept."""
    if isinstance(broken, RolledBack):
        return Distrust(ROLLED_BACK, broken.known, broken.offered)
    lines = [b64encode(each).decode("ascii") for each in broken.hashes]
    return Distrust(FORKED, broken.known, "\n".join([broken.offered, *lines]))


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

    def follows(self, notary: Party) -> bool:
        """Whether this notary is believed, and shows a log that goes on from what it showed."""
        return self.trusts(notary) and all(
            each.is_followed for each in self.all() if each.notary == notary
        )

    def keep_forks(self) -> None:
        """Write down the contradictions that receipts have shown: the last thing before a turn's commit.

        One is found inside a step, which fails by it and is rolled back; here that has happened. Each is written
        again with every later turn, for nobody hears whether this commit came to be.
        """
        for notary, broken in self._verifier.broken.items():
            for witness in self.all():
                if witness.notary == notary:
                    witness.convict(shown_by(broken))


async def consistency(old: int, new: int, read: ReadTile) -> list[bytes]:
    """Compute the proof between two sizes of a log from its own tiles, fetched as they are asked for.

    Empty where there is nothing to prove. Raises what `by_tiles` raises.
    """
    if old in (0, new):
        return []
    return await by_tiles(new, read, lambda tree: tree.consistency_path(old))


async def by_tiles(size: int, read: ReadTile, compute: Callable[[TiledTree], _T]) -> _T:
    """Return what follows from a log's tiles, fetched as they are asked for.

    Raises what `read` raises, and InvalidProof or MalformedBytes for tiles of which nothing can be made.
    """
    have: dict[TileName, bytes] = {}
    for _ in range(TILES_MAX):
        wanted: list[TileName] = []

        def lookup(name: TileName, wanted: list[TileName] = wanted) -> bytes:
            if name not in have:
                wanted.append(name)
                raise _Wanted
            return have[name]

        try:
            return compute(TiledTree(size, lookup))
        except _Wanted:
            have[wanted[0]] = await read(wanted[0].path)
    raise InvalidProof("checkpoint", "its consistency takes more tiles than any log has")


class _Wanted(Exception):
    """A tile is not here yet."""
