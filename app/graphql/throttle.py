"""How much a caller may spend: a leaking bucket of cost for each, bounded in memory."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import ServiceLimits

CALLERS_MAX = (
    50_000  # the caller longest unheard of is forgotten first, that is, gets a full bucket
)


@dataclass(frozen=True, slots=True)
class _Level:
    available: float
    at_s: float


class Throttle:
    """A bucket for each caller; `monotonic` in seconds."""

    def __init__(self, limits: ServiceLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._levels: OrderedDict[str, _Level] = OrderedDict()

    def charge(self, caller: str, cost: int) -> int:
        """Take `cost` from the caller's bucket and return what is left. Raise THROTTLED if it does
        not hold so much.
        """
        now = self._monotonic()
        capacity = float(self._limits.bucket_capacity)
        restored_per_s = self._limits.bucket_restored_per_second
        level = self._levels.pop(caller, _Level(capacity, now))
        available = min(capacity, level.available + (now - level.at_s) * restored_per_s)
        left = available - cost
        self._levels[caller] = _Level(left if left >= 0 else available, now)
        if len(self._levels) > CALLERS_MAX:
            self._levels.popitem(last=False)
        if left < 0:
            wait_s = -left / restored_per_s
            raise ApiError(
                ErrorCode.THROTTLED,
                f"the cost of {cost} is more than is left; again in {wait_s:.1f} s",
                {"retryAfterSeconds": round(wait_s, 3), "available": int(available)},
            )
        return int(left)
