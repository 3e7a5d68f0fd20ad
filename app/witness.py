"""Watches a notary's log: keeps the newest checkpoint, demands consistency, refuses a fork (architecture §3.3)."""

import logging
from collections.abc import Awaitable, Callable
from sqlite3 import Connection

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from app.storage.database import transaction
from app.storage.statements import sql, table_of
from app.vault.tables import CheckpointRow
from states.checkpoint import ForkedLog, LogKeys, VerifiedCheckpoint, advance
from states.errors import InvalidProof
from states.tiles import TiledTree, TileName

_log = logging.getLogger("carecord.witness")

TILES_MAX = 512  # a consistency proof between logs of any size needs far fewer

_ROW = table_of(CheckpointRow)
_KEEP = sql(insert(_ROW).prefix_with("OR REPLACE"))
_GET = sql(select(_ROW.c.note, _ROW.c.forked).where(_ROW.c.origin == bindparam("origin")))

ReadTile = Callable[[str], Awaitable[bytes]]
"""A tile's path → its bytes, from the notary."""


class Witness:
    """One notary's log as this node has seen it. What it has accepted once, the log may only extend."""

    def __init__(self, db: Connection, keys: LogKeys) -> None:
        self._db = db
        self._keys = keys
        row = db.execute(_GET, {"origin": keys.origin}).fetchone()
        self.known: VerifiedCheckpoint | None = None if row is None else keys.open(row[0])
        self.fork: str | None = None if row is None else row[1]
        """The note that contradicts `known`: evidence to show, and the reason to trust neither."""

    async def see(self, note: str, read: ReadTile) -> bool:
        """Take a checkpoint that somebody showed; return whether it is newer than what was known.

        Raises InvalidSignature or MalformedBytes for one that the notary did not sign, ForkedLog (from then on at
        every call) where it contradicts what was accepted, InvalidProof where its tiles do not prove it.
        """
        offered = self._keys.open(note)
        if self.fork is not None:
            assert self.known is not None, "a fork contradicts something"
            raise ForkedLog(self._keys.origin, self.known.note, self.fork, proven=True)
        if self.known is None or offered.checkpoint.size == self.known.checkpoint.size:
            path: list[bytes] = []
        else:
            path = await self._consistency(self.known, offered, read)
        try:
            newest = advance(self.known, offered, path)
        except ForkedLog as fork:
            # Also where only the path failed: the notary itself served it, over a channel that only it can write.
            self._keep(fork.known, fork.offered)
            self.fork = fork.offered
            _log.critical("the log %s is forked", fork.origin)
            raise
        is_newer = newest is not self.known
        if is_newer:
            self.known = newest
            self._keep(newest.note, None)
        return is_newer

    def _keep(self, note: str, forked: str | None) -> None:
        checkpoint = self._keys.open(note).checkpoint
        row = {"origin": checkpoint.origin, "size": checkpoint.size, "note": note, "forked": forked}
        with transaction(self._db):
            self._db.execute(_KEEP, row)

    @staticmethod
    async def _consistency(
        known: VerifiedCheckpoint, offered: VerifiedCheckpoint, read: ReadTile
    ) -> list[bytes]:
        """Compute the proof from the log's own tiles, fetched as they are asked for."""
        old, new = sorted((known.checkpoint.size, offered.checkpoint.size))
        if old == 0:
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
