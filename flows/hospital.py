"""What becomes of a flow that raised: three verbs and one ordered list of rules (flows/README.md §6)."""

from enum import StrEnum
from typing import NamedTuple

from flows.flow import Parked
from flows.journal import ForeignAwait, JournalMismatch
from states.errors import LedgerError

RETRIES_MAX = 3  # of an exception that nobody foresaw
RETRY_MS_MIN = 500
RETRY_MS_MAX = 300_000


class Verb(StrEnum):
    """What the hospital orders."""

    RETRY = "retry"
    OBSERVE = "observe"
    FAIL = "fail"


class Verdict(NamedTuple):
    """What is ordered, and by which rule."""

    verb: Verb
    rule: str


def judge(
    error: Exception, attempts: int, *, in_doubt: bool, transient: tuple[type[Exception], ...]
) -> Verdict:
    """Return the first rule that fits.

    `in_doubt`: a transaction of the flow may have been notarised, so it must not be failed. `transient`: what the
    node's database and keys raise when trying again may help.
    """
    match error:
        case _ if isinstance(error, transient):
            verdict = Verdict(Verb.RETRY, "transient")
        case JournalMismatch() | ForeignAwait():
            verdict = Verdict(Verb.OBSERVE, "does not fit the code")
        case Parked():
            verdict = Verdict(Verb.OBSERVE, "parked itself")
        case LedgerError() if in_doubt:
            verdict = Verdict(Verb.OBSERVE, "a transaction may have been notarised")
        case LedgerError():
            verdict = Verdict(Verb.FAIL, "refused")
        case _ if attempts < RETRIES_MAX:
            verdict = Verdict(Verb.RETRY, "unknown")
        case _:
            verdict = Verdict(Verb.OBSERVE, "unknown, after retries")
    return verdict


def back_off(
    attempts: int, jitter: int, least: int = RETRY_MS_MIN, most: int = RETRY_MS_MAX
) -> int:
    """Return milliseconds to wait before attempt `attempts` (from 0): doubling, of which a random half.

    `jitter` is a random byte: nodes that failed together must not come back together.
    """
    whole = min(most, least << min(attempts, 20))
    return whole // 2 + whole // 2 * jitter // 255
