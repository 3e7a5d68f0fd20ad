"""Counts why links ended, and logs it: names and addresses, never bytes; strangers cannot fill the disk."""

import logging
from collections import Counter

from app.transport.errors import QUIET, Reason
from states.identity import Party

_log = logging.getLogger("carecord.transport")

LINES_A_MINUTE = 120
_MINUTE = 60.0


class Refusals:
    """How often links ended for each reason."""

    def __init__(self) -> None:
        self.counts: Counter[Reason] = Counter()
        self._minute = 0.0
        self._lines = 0

    def note(self, reason: Reason, peer: Party | None, address: str, now: float) -> None:
        """Count, and write a line unless too many were written within this minute (`now` in seconds)."""
        self.counts[reason] += 1
        if now - self._minute >= _MINUTE:
            if self._lines > LINES_A_MINUTE:
                _log.warning("%d more links ended, not listed", self._lines - LINES_A_MINUTE)
            self._minute, self._lines = now, 0
        self._lines += 1
        if self._lines <= LINES_A_MINUTE:
            level = logging.INFO if reason in QUIET else logging.WARNING
            _log.log(level, "link with %s at %s: %s", peer or "a stranger", address, reason.value)
