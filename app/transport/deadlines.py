"""When a link must have greeted, completed a frame, read what it was sent, or been heard (a loop's seconds)."""

from app.transport.errors import Reason
from app.transport.limits import LinkLimits


class Deadlines:
    """What happened last on one link, and which limit that breaks."""

    __slots__ = (
        "_began",
        "_heard",
        "_held",
        "_limits",
        "_partial",
        "_paused",
        "_probed",
        "_said",
        "used",
    )

    def __init__(self, limits: LinkLimits, now: float) -> None:
        self._limits = limits
        self._began = self._heard = self._said = now
        self.used = now
        """When something besides beats was last said or heard."""
        self._held = False
        self._partial: float | None = None
        self._paused: float | None = None
        self._probed: float | None = None

    @property
    def writable(self) -> bool:
        return self._paused is None

    def heard(self, now: float) -> None:
        self._heard = now
        self._probed = None

    def said(self, now: float) -> None:
        self._said = now

    def read(self, now: float, *, partial: bool, completed: bool) -> None:
        """Note what was read: whether a frame was completed, and whether one has begun and is not."""
        if not partial:
            self._partial = None
        elif completed or self._partial is None:
            self._partial = now

    def paused(self, now: float) -> None:
        self._paused = now

    def resumed(self) -> None:
        self._paused = None

    def held(self) -> None:
        """We read nothing: nothing says any more that the peer is silent."""
        self._held = True

    def released(self, now: float) -> None:
        self._held = False
        self._heard = now
        if self._partial is not None:
            self._partial = now

    def probe(self, now: float) -> bool:
        """Demand a sign of life; False where one is demanded already."""
        if self._probed is not None:
            return False
        self._probed = now
        return True

    def must_beat(self, now: float) -> bool:
        return now - self._said >= self._limits.beat_seconds

    def overdue(self, now: float, *, up: bool) -> Reason | None:
        """Return why the link must end now, or None."""
        limits = self._limits
        if not up:
            return Reason.SLOW_GREETING if now - self._began > limits.greeting_seconds else None
        if self._paused is not None and now - self._paused > limits.stall_seconds:
            return Reason.SLOW_READER
        if self._held:
            return None
        if self._partial is not None and now - self._partial > limits.frame_seconds:
            return Reason.SLOW_FRAME
        unanswered = self._probed is not None and now - self._probed > limits.probe_seconds
        silent = now - self._heard > limits.silence_seconds
        return Reason.SILENT if unanswered or silent else None
