"""What does not fit in what an organisation reports: alarms at a patient's agent, and the room that there is for them.

Whatever one organisation may make an agent keep has a limit, and reaching it is an alarm itself: nothing is left out in
silence.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from sqlite3 import Connection

from app.readings import alarm_statements as alarm_text
from app.readings import concern_statements as text
from app.readings.epochs import present
from states.identity import Party
from states.reading import Restored, epoch_of

# Each of one organisation: about one patient, or in one chain while nobody knows whose it is.
CONFLICTS_MAX = 256  # lines that contradict others
ALARMS_MAX = 1_024  # open alarms
# Each of one organisation, of all that is of nobody known here: with its proofs a line takes up to 72 KiB.
UNMATCHED_MAX = 2_048  # lines; and epochs of chains
UNMATCHED_ALARMS_MAX = 4 * ALARMS_MAX  # open alarms
_LAST_CHAIN = b"\xff" * 33


class Alarm(StrEnum):
    """What can be wrong with what an organisation reports. The words are the patient's."""

    FORGED = "A report did not carry this organisation's valid signature. It was not taken into the list."
    UNKNOWN = "A reading was reported for something that was never announced to you."
    MISSING = "The organisation's own numbering shows readings that it has not reported."
    CONTRADICTED = (
        "Two signed statements of this organisation about its readings contradict each other."
    )
    RESTORED = (
        "The organisation says that it was restored from a backup. Readings that it had not reported before "
        "may be lost; those that it had are kept here."
    )
    BEYOND = "Somebody read more, later, or for another purpose than was disclosed."
    FORKED = "The organisation showed two versions of its reading log."
    SILENT = "The organisation has not said for two days whether anybody looked."
    FLOODED = "The organisation contradicts itself so often that no more of it is kept."
    LEFT_OUT = (
        "The organisation reported more readings of what was never announced here than are kept at once. "
        "It is asked for the others again."
    )
    OTHER_LOG = "The organisation keeps a reading log under a name that it has not announced."


@dataclass(frozen=True, slots=True)
class Reported:
    """What an organisation reports about, at the moment that something is taken: one chain in one epoch of its log."""

    db: Connection
    now: int
    peer: Party
    chain: bytes = b""
    patient: str | None = None
    restored: Restored | None = None

    @property
    def epoch(self) -> bytes:
        return epoch_of(self.restored)

    @property
    def key(self) -> dict[str, object]:
        return {"organisation": self.peer, "chain": self.chain}

    @property
    def whole(self) -> "Reported":
        """The organisation itself: what is about no chain, and concerns whoever has to do with it."""
        return replace(self, chain=b"", patient=None, restored=None)

    def alarm(
        self, kind: Alarm, evidence: bytes, first: int = 0, last: int = 0, words: str = ""
    ) -> None:
        """Raise an alarm; the last that there is room for says that there is none for more."""
        if self.chain and self.patient is None and self._is_crowded():
            self.whole.alarm_once(Alarm.FLOODED, b"")
            return
        open_: int = self.db.execute(alarm_text.COUNT_ALARMS, self.room).fetchone()[0]
        if open_ >= ALARMS_MAX - 1 and not self.is_flooded():
            kind, words = Alarm.FLOODED, ""
        elif open_ >= ALARMS_MAX:
            return
        self.put(kind, evidence, first, last or first, words or kind.value)

    def alarm_once(self, kind: Alarm, evidence: bytes, number: int = 0) -> None:
        """Raise an alarm unless the chain has an open one of its kind: more of them would say no more."""
        if not self.standing(kind):
            self.alarm(kind, evidence, number)

    def leave_out(self) -> None:
        """Say that something was left out for want of room, and how much by now: it is asked for again."""
        whole = self.whole
        if standing := whole.standing(Alarm.LEFT_OUT):
            self.db.execute(alarm_text.ONE_MORE, {"id": standing[0][0]})
        else:  # beside all limits: there is one of an organisation, and by it what was left out comes back
            whole.put(Alarm.LEFT_OUT, b"", 0, 1, Alarm.LEFT_OUT.value)

    def settle(self, kind: Alarm, chain: bytes) -> None:
        """Settle the open alarms of this kind; of readings that are missing, those whose numbers are all there now."""
        for number, first, last, epoch in replace(self, chain=chain).standing(kind):
            if kind is Alarm.MISSING:
                have = present(self.db, self.peer, chain, epoch, (first, last))
                if have < last - first + 1:
                    continue
            self.db.execute(alarm_text.SETTLE, {"id": number, "settled": self.now})

    def is_flooded(self) -> bool:
        return self.db.execute(alarm_text.IS_FLOODED, self.room).fetchone() is not None

    def has_room_for_nobodys(self, *, half: bool = False) -> bool:
        """Whether there is room, or half of it is free, for what this organisation says of nobody known here."""
        key, most = {"organisation": self.peer}, UNMATCHED_MAX // 2 if half else UNMATCHED_MAX
        return all(
            self.db.execute(count, key).fetchone()[0] < most
            for count in (text.COUNT_UNMATCHED, text.COUNT_UNMATCHED_CHAINS)
        )

    @property
    def room(self) -> dict[str, object]:
        """Whose alarms and contradictions are counted together.

        A chain of nobody known has room of its own: what fills it may be a lie, and would crowd out what is said of
        a patient before her agent hears of her. What belongs to no chain (a forged report) is counted by itself.
        """
        chains = (self.chain, self.chain) if self.patient is None else (b"", _LAST_CHAIN)
        return self._between(*chains)

    def _is_crowded(self) -> bool:
        """Whether there is no room for more alarms about what is of nobody known here, in whatever chains."""
        row = self.db.execute(alarm_text.COUNT_ALARMS, self._between(b"", _LAST_CHAIN)).fetchone()
        return bool(row[0] >= UNMATCHED_ALARMS_MAX)

    def _between(self, low: bytes, high: bytes) -> dict[str, object]:
        whose: dict[str, object] = {"organisation": self.peer, "patient": self.patient}
        return whose | {"low": low, "high": high}

    def standing(self, kind: Alarm) -> list[tuple[int, int, int, bytes]]:
        """Return number, first, last and epoch of the chain's open alarms of a kind."""
        return self.db.execute(alarm_text.OPEN_ALARMS, self.key | {"kind": kind.name}).fetchall()

    def put(self, kind: Alarm, evidence: bytes, first: int, last: int, words: str) -> None:
        row = {
            "patient": self.patient,
            "at": self.now,
            "epoch": self.epoch,
            "kind": kind.name,
            "words": words,
            "first": first,
            "last": last,
            "evidence": evidence,
            "settled_at": None,
        }
        self.db.execute(alarm_text.ADD_ALARM, self.key | row)
