"""A member's node as a process: its folder opened, its links up, its pump turning."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from app.assembly import Assembly, Surroundings
from app.beats import Beat, every
from app.blobs.folder import FolderBlobStore
from app.log_audit.auditor import LogAuditor
from app.log_audit.copied_log import FILE_NAME, open_copies
from app.network.exchange import map_handler, refresh
from app.node_folder import (
    DATABASE,
    NAME_FILE,
    OpenFolder,
    Opening,
    clock,
    open_own_database,
)
from app.pump import Meter, Pump, Watcher, unmetered
from app.storage.database import naming_damage
from app.transport.errors import NotShown, RequestRefused, RequestTimedOut, Unreachable
from app.transport.kinds import CHECKPOINT, MAP, TILE, Handler
from app.transport.serving import BUSY, FAILED, SLOW
from app.transport.transport import Transport
from flows.store import Status
from flows.subjects.consent import ConfirmConsents
from states.errors import LedgerError
from states.identity import Party

__all__ = ["DATABASE", "NAME_FILE", "MemberNode", "OpenFolder", "Opening", "clock"]

_log = logging.getLogger("carecord.node")

MAP_SECONDS = 60.0  # how often peers are asked for news of the map
WATCH_SECONDS = 30.0  # how often a notary is asked for its checkpoint
AUDIT_SECONDS = 60.0  # how often what a notary has signed since is read entry by entry
REPORT_SECONDS = 1.0
HEADS_SECONDS = 3_600.0  # harmless more often than once a day: the day is the key
UNREACHED = (Unreachable, RequestTimedOut, RequestRefused)
PASSING = (BUSY, FAILED, SLOW)  # refusals that say nothing about what was asked for
ASK_SECONDS = 10.0


class MemberNode:
    """One process a node. Everything happens on one event loop's thread."""

    def __init__(
        self,
        opening: Opening,
        *,
        serve: Mapping[str, Handler] | None = None,
        watchers: Sequence[Watcher] = (),
        meter: Meter = unmetered,
    ) -> None:
        opened = OpenFolder(opening)
        self.map, self.me, self.keys = opened.map, opened.me, opened.keys
        self.folders = opened.folders
        self.db = open_own_database(opened.folders)
        self.blobs = FolderBlobStore(opened.folders.blobs)
        with naming_damage(opened.folders.data / DATABASE):
            self.assembly = Assembly(
                Surroundings(
                    me=opened.me,
                    db=self.db,
                    keys=opened.keys,
                    blobs=self.blobs,
                    parameters=opened.map.history,
                    directory=opened.map,
                    party_of=opened.map.party_of_key,
                    notary=opened.map.notaries()[0].party,
                    clock=clock,
                    entropy=os.urandom,
                )
            )
        self.pump = Pump(self.assembly, watchers, meter)
        self.transport = Transport(
            opened.credentials,
            opened.map,
            opening.transport,
            self.pump,
            {MAP: map_handler(opened.map), **(serve or {})},
            os.urandom,
        )
        self._log_copies = open_copies(opened.folders.data / FILE_NAME)
        self.auditor = LogAuditor(
            self._log_copies,
            self.assembly.witnesses,
            lambda notary: partial(self._tile, notary),
            clock,
        )
        self._confirming: bytes | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen, dial the notary and the other members, turn. Raises OSError where the port is taken."""
        await self.transport.start()
        self.pump.start(self.transport)
        for member in self.map.members():
            if member.party != self.me:
                self.transport.want(member.party)
        loop = asyncio.get_running_loop()
        for beat in (
            every(MAP_SECONDS, self._follow_map),
            every(WATCH_SECONDS, self._watch_logs),
            every(AUDIT_SECONDS, self._audit_logs),
            # At once as well: what this node was told before it stopped may be older than the lease.
            Beat(self._confirm_consents, self.confirm_seconds, at_once=True),
            every(REPORT_SECONDS, self._report_readings),
            every(HEADS_SECONDS, self._report_heads),
        ):
            self._tasks.append(loop.create_task(beat.go_on()))

    async def stop(self) -> None:
        """Finish the turn under way, write what waits on links, close. What is committed stays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.pump.stop()
        await self.transport.stop()
        self._log_copies.close()
        self.db.close()

    @property
    def is_ready(self) -> bool:
        """Whether this node can do what it is there for."""
        return all(self.checks().values())

    def checks(self) -> dict[str, bool]:
        """What readiness is made of: turns work, the notary is reached, has not contradicted itself, shows its log."""
        notary = self.assembly.given.notary
        return {
            "turns": self.pump.failure is None,
            "notary": self.transport.is_up(notary),
            "notary-log": self.assembly.witnesses.follows(notary),
            "notary-audit": self.auditor.keeps_up(notary),
        }

    async def _follow_map(self) -> None:
        for member in self.map.members():
            if member.party != self.me and self.transport.is_up(member.party):
                with suppress(*UNREACHED, LedgerError):
                    await self._refresh_from(member.party)

    async def _watch_logs(self) -> None:
        """Hold what receipts have shown and what each notary says now against what this node has accepted.

        Receipts come from peers as well, so a notary that shows them another history is found out here.
        """
        for witness in self.assembly.witnesses.all():
            found, notary = witness.distrust, witness.notary
            if found is not None and found.is_for_ever:
                continue  # whatever else it says, it is not believed
            ask = partial(self._shown, notary, CHECKPOINT, b"")
            try:
                await witness.watch(ask, partial(self._shown_tile, notary))
            except UNREACHED:
                continue
            except LedgerError as refused:
                _log.error("the log of %s: %s", notary, type(refused).__name__)

    async def _shown(self, notary: Party, kind: str, body: bytes) -> bytes:
        """Ask for a part of a notary's log. Raises NotShown where it answers that it has none."""
        try:
            return await self.transport.request(notary, kind, body, ASK_SECONDS)
        except RequestRefused as refused:
            if refused.code in PASSING:
                raise
            raise NotShown(str(refused)) from refused

    async def _shown_tile(self, notary: Party, path: str) -> bytes:
        return await self._shown(notary, TILE, path.encode("ascii"))

    async def _audit_logs(self) -> None:
        """Read what was logged since, up to the checkpoint that `_watch_logs` has found consistent."""
        for witness in self.assembly.witnesses.all():
            try:
                await self.auditor.catch_up(witness)
            except UNREACHED as silent:
                _log.warning("the entries of %s: %s", witness.notary, type(silent).__name__)
            except LedgerError as refused:
                _log.error("the entries of %s: %s", witness.notary, type(refused).__name__)

    async def _tile(self, notary: Party, path: str) -> bytes:
        return await self.transport.request(notary, TILE, path.encode("ascii"), ASK_SECONDS)

    def confirm_seconds(self) -> float:
        """How often consents are confirmed, whoever is read: twice within the lease of the parameters in force."""
        _, parameters = self.assembly.given.parameters.in_force(clock())
        return parameters.limits.lease_ms / 2_000

    async def _confirm_consents(self) -> None:
        if self._confirming is not None:
            former = self.assembly.engine.flow(self._confirming)
            if former is not None and former.status in (Status.RUNNING, Status.RETRYING):
                return  # it asks until the notary answers: one question is enough
        self._confirming = self.assembly.engine.start(ConfirmConsents())
        self.pump.wake()

    async def _report_readings(self) -> None:
        if self.assembly.report_readings():
            self.pump.wake()

    async def _report_heads(self) -> None:
        self.assembly.report_heads()
        self.assembly.obtain_keys()
        self.assembly.ask_again()
        self.assembly.regain_readings()
        self._ask_newcomers()
        self.pump.wake()

    async def _refresh_from(self, peer: Party) -> None:
        async def ask(body: bytes) -> bytes:
            return await self.transport.request(peer, MAP, body, ASK_SECONDS)

        if await refresh(self.map, ask):
            _log.info("the map has news from %s", peer)
            self.transport.map_changed()
            self._ask_newcomers()

    def _ask_newcomers(self) -> None:
        members = [each.party for each in self.map.members() if each.kind != "notary"]
        if self.assembly.ask_newcomers(members):
            self.pump.wake()
