"""Failed sign-ins: how long the next guess has to wait. Bounded in memory, forgotten with the
process.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

NAMES_MAX = 20_000  # of each kind; the name longest unheard of is forgotten first
WAIT_S_MAX = 900.0


class TooManyAttempts(Exception):
    """A sign-in is refused unheard; it may be tried again in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    open_at_s: float


class BackOff:
    """The first `free` failures of a name cost nothing, each one after that doubles the wait from
    one second.
    """

    def __init__(self, free: int, monotonic: Callable[[], float]) -> None:
        self._free = free
        self._monotonic = monotonic
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def begin(self, name: str) -> None:
        """Count an attempt as failed until `forgive` says otherwise; raise TooManyAttempts in its
        wait.

        Counted before the password is looked at, so that a thousand guesses at once are a thousand.
        """
        now = self._monotonic()
        seen = self._failures.pop(name, _Failures(0, now))
        if seen.open_at_s > now:
            self._failures[name] = seen
            raise TooManyAttempts(seen.open_at_s - now)
        count = seen.count + 1
        over = count - self._free
        wait_s = min(2.0 ** min(over, 30), WAIT_S_MAX) if over >= 0 else 0.0
        self._failures[name] = _Failures(count, now + wait_s)
        if len(self._failures) > NAMES_MAX:
            self._failures.popitem(last=False)

    def forgive(self, name: str) -> None:
        """Forget the failures of a name, whose attempt succeeded."""
        self._failures.pop(name, None)
