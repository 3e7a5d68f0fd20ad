"""Which faults a seed enables and how often, and how often each was met (the swarm and its counters)."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What can go wrong. The first five befall messages, the next five nodes, the last six a notary."""

    LOST = "lost"
    TWICE = "twice"
    LATE = "late"  # so that others overtake it
    CUT = "partition"
    DROPPED = "connection dropped"

    KILLED_BEFORE_COMMIT = "killed before commit"
    KILLED_AFTER_COMMIT = "killed after commit"
    KILLED_WITHIN = "killed within"
    DISK_FULL = "disk full"
    RESTORED = "restored"

    UNASKED = "question lost"
    ASKED_TWICE = "question twice"  # in one batch
    UNTOLD = "answer lost"
    TOLD_LATE = "answer late"
    NOTARY_KILLED = "notary killed"
    NOTARY_AWAY = "notary away"

    SKEW = "clock skew"
    PARKED = "parked"
    MALLORY = "malicious peer"


ON_MESSAGES = (Fault.LOST, Fault.TWICE, Fault.LATE, Fault.CUT, Fault.DROPPED)
ON_NODES = (
    Fault.KILLED_BEFORE_COMMIT,
    Fault.KILLED_AFTER_COMMIT,
    Fault.KILLED_WITHIN,
    Fault.DISK_FULL,
    Fault.RESTORED,
)
ON_QUESTIONS = (
    Fault.UNASKED,
    Fault.ASKED_TWICE,
    Fault.UNTOLD,
    Fault.TOLD_LATE,
    Fault.NOTARY_KILLED,
    Fault.NOTARY_AWAY,
)

_USUAL = {
    Fault.LOST: 0.15,
    Fault.TWICE: 0.2,
    Fault.LATE: 0.2,
    Fault.CUT: 0.06,  # a second and direction
    Fault.DROPPED: 0.05,
    Fault.KILLED_BEFORE_COMMIT: 0.04,
    Fault.KILLED_AFTER_COMMIT: 0.04,
    Fault.KILLED_WITHIN: 0.06,
    Fault.DISK_FULL: 0.06,
    Fault.RESTORED: 0.012,
    Fault.UNASKED: 0.3,
    Fault.ASKED_TWICE: 0.3,
    Fault.UNTOLD: 0.3,
    Fault.TOLD_LATE: 0.3,
    Fault.NOTARY_KILLED: 0.25,
    Fault.NOTARY_AWAY: 0.15,
    Fault.SKEW: 1.0,
    Fault.PARKED: 0.3,
    Fault.MALLORY: 1.0,
}


STRUCK_SHARE_MAX = 0.5  # of what is struck more often than usual


@dataclass(slots=True)
class Swarm:
    """The faults of one seed. A seed with few of them reaches places that one with all never does."""

    random: Random
    rates: dict[Fault, float] = field(default_factory=dict)
    over: bool = False  # all is healed; nothing fails any more

    def __post_init__(self) -> None:
        share = self.random.choice((0.25, 0.5, 0.75))
        for fault in Fault:
            if self.random.random() < share:
                self.rates[fault] = _USUAL[fault] * self.random.choice((0.3, 1.0, 1.0, 2.0))

    def __contains__(self, fault: Fault) -> bool:
        return fault in self.rates and not self.over

    def strikes(self, fault: Fault, often: int = 1) -> bool:
        """Draw whether a fault strikes now, so many times as often as usual; what it befalls still has a chance."""
        rate = self.rates.get(fault)
        if rate is None or self.over:
            return False
        return self.random.random() < max(rate, min(rate * often, STRUCK_SHARE_MAX))

    def __str__(self) -> str:
        return ", ".join(f"{fault} {rate:g}" for fault, rate in self.rates.items()) or "none"


Met = Counter[tuple[str, str, str]]
"""How often a fault met a kind of message of a conversation (named by the flow that began it)."""
