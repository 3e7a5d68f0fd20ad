"""Follows the notaries' logs for a member's node, and believes a notary no more that spent a state twice."""

import logging
from collections.abc import Callable
from sqlite3 import Connection

from app.log_audit.copied_log import CopiedLog
from app.witness import SPENT_TWICE, Distrust, ReadTile, Witness, Witnesses
from notaries.audit import DoubleSpend, Finding
from states.identity import Party

UNREAD_MS_MAX = 6 * 3_600_000  # after which a notary that shows no entries makes the node not ready

_log = logging.getLogger("carecord.audit")


class LogAuditor:
    """Copies what each notary has signed since, in strides, and judges it.

    `db` is of `open_copies`; `reader` reads a notary's tiles.
    """

    def __init__(
        self,
        db: Connection,
        witnesses: Witnesses,
        reader: Callable[[Party], ReadTile],
        clock: Callable[[], int],
    ) -> None:
        self._db = db
        self._witnesses = witnesses
        self._reader = reader
        self._clock = clock
        self._behind: dict[Party, int] = {}  # since when (ms) entries are signed and not given

    def behind(self) -> int:
        """Return how many signed entries of all logs have not been read."""
        return sum(
            max(0, seen.checkpoint.size - CopiedLog(self._db, witness.keys).size)
            for witness in self._witnesses.all()
            if (seen := witness.known) is not None
        )

    def keeps_up(self, notary: Party) -> bool:
        """Whether this notary lets its log be read: a log that nobody can audit may spend twice unseen."""
        since = self._behind.get(notary)
        return since is None or self._clock() - since < UNREAD_MS_MAX

    async def catch_up(self, witness: Witness) -> int:
        """Copy one log up to the newest checkpoint that was found consistent; return how many entries came.

        Raises what CopiedLog.follow raises. Stops where the notary is distrusted.
        """
        copied = CopiedLog(self._db, witness.keys)
        before = copied.size
        read = self._reader(witness.notary)
        seen = witness.known
        if seen is None:
            return 0
        self._behind.setdefault(witness.notary, self._clock())
        while self._witnesses.trusts(witness.notary) and copied.size < seen.checkpoint.size:
            for finding in await copied.follow(seen, read):
                self._tell(witness, seen.note, finding)
            self._behind[witness.notary] = self._clock()
        del self._behind[witness.notary]
        return copied.size - before

    @staticmethod
    def _tell(witness: Witness, note: str, finding: Finding) -> None:
        if isinstance(finding, DoubleSpend):
            spent = f"{finding.nullifier.hex()} {finding.first} {finding.second}"
            witness.convict(Distrust(SPENT_TWICE, note, spent))
        else:
            _log.error("the log %s: %s", witness.keys.origin, type(finding).__name__)
