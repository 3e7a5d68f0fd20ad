"""When a notary may commit a transaction (specification §2.6)."""

import msgspec

from states.errors import LedgerError
from states.sizes import Millis


class WindowRefused(LedgerError):
    """A time-window is longer than the network allows, or names parameters of another time."""


class TimeWindow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The half-open interval [from_time, until_time), milliseconds since 1970 UTC."""

    from_time: Millis
    until_time: Millis

    def __post_init__(self) -> None:
        if self.from_time >= self.until_time:
            raise ValueError("a time-window opens before it closes")

    def __contains__(self, instant: int) -> bool:
        return self.from_time <= instant < self.until_time

    @property
    def length_ms(self) -> int:
        return self.until_time - self.from_time
