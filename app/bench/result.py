"""What a benchmark found, and whether that is what was wanted: medians, percentiles, targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from operator import ge, le, lt

import msgspec

_COMPARE = {"≥": ge, "≤": le, "<": lt}


class Result(msgspec.Struct, frozen=True):
    """One line: a value, its ratio to a primitive of the same run, and whether it is as wanted.

    `met` is None where nothing was wanted: the line is there to be read.
    """

    name: str
    value: float
    unit: str
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None


class Report(msgspec.Struct, frozen=True):
    """All of one run. Primitives are medians of what was timed between the segments."""

    primitives: dict[str, float]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a ratio, where `of` names what it is a ratio to ("V"), or on the value itself."""

    sign: str
    bound: float
    of: str = ""

    def __post_init__(self) -> None:
        if self.sign not in _COMPARE:
            raise ValueError(f"{self.sign} compares nothing")

    def judge(self, name: str, value: float, unit: str, ratio: float | None = None) -> Result:
        """Return the line for a measured value; raises ValueError where the ratio that is wanted is missing."""
        judged = ratio if self.of else value
        if judged is None:
            raise ValueError(f"{name} wants a ratio to {self.of}")
        met = bool(_COMPARE[self.sign](judged, self.bound))
        return Result(
            name, value, unit, ratio, f"{self.sign} {self.bound:g} {self.of or unit}", met
        )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed (nearest rank); ValueError for none."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(ceil(share * len(values)), 1) - 1]
