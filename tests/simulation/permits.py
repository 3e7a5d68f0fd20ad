"""What patients said about whom their records may pass to, by the oracle's own account and not by their agent's."""

from dataclasses import dataclass, field

from app.subjects.transfer import INTRODUCED_MS
from tests.simulation.observer import Violation

CHECKER = "custody by her permit"


@dataclass(slots=True)
class Words:
    """What a patient said about one pair of custodians, in ms of her agent's clock."""

    until: int = 0  # of what she said last
    usable: int = 0  # the end of whatever was introduced by anything that she ever said


@dataclass(slots=True)
class Permits:
    """Raises Violation where custody is about to pass without a live permit."""

    patients: dict[bytes, str] = field(default_factory=dict)
    """By commitment of a record: the handle of its patient, which a transfer does not change."""
    _words: dict[tuple[str, str, str], Words] = field(default_factory=dict)

    def say(self, patient: str, old: str, new: str, now: int, until: int) -> None:
        """A patient permits until then, or withdraws (until now): it takes the place of what she said before."""
        words = self._words.setdefault((patient, old, new), Words())
        # What was introduced before may still be used for a while, never longer than it was permitted then.
        words.usable = max(until, min(words.usable, now + INTRODUCED_MS))
        words.until = until

    def introduced(self, commitment: bytes, old: str, new: str, at: int) -> None:
        """An agent has announced one custodian to another."""
        self._require(self._about(commitment, old, new).until, at, "its agent announced it")

    def signed(self, commitment: bytes, old: str, new: str, at: int) -> None:
        """A new custodian has signed for what an old one passes to it."""
        self._require(self._about(commitment, old, new).usable, at, "its new custodian signed")

    def _about(self, commitment: bytes, old: str, new: str) -> Words:
        return self._words.get((self.patients[commitment], old, new), Words())

    @staticmethod
    def _require(until: int, at: int, what: str) -> None:
        if at >= until:
            late = f"{at - until} ms after its permit had ended" if until else "without a permit"
            raise Violation(CHECKER, f"a record passes: {what} {late}")
