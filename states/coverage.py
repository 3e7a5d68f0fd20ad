"""What terms cover, as bits: covering is one mask, and being at least as narrow is one mask too.

Code lists are closed, so a dimension is a set of bits: purposes and sensitivities with all beneath them, levels of
confidentiality with one bit more for "not known". `is_within` is inclusion of what is covered, not a comparison of
what is written: naming all fifteen categories is naming none. Settled here: a permit and a denial reach differently
(consent.md §11.4, .5, .7), so a rule always says which of the two it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import NamedTuple

from states.identity import Party
from states.subjects.codes import (
    CATEGORIES,
    CONFIDENTIALITIES,
    PURPOSES,
    SENSITIVITIES,
    Category,
    Decision,
    Label,
    Purpose,
    RoleCode,
    purpose_covers,
    sensitivity_covers,
)
from states.subjects.content import Content

_PURPOSE_BIT = {purpose: 1 << at for at, purpose in enumerate(PURPOSES)}
_PURPOSES_UNDER = {
    named: reduce(or_, (_PURPOSE_BIT[p] for p in PURPOSES if purpose_covers(named, p)))
    for named in PURPOSES
}
_EVERY_PURPOSE = (1 << len(PURPOSES)) - 1

_CATEGORY_BIT = {category: 1 << at for at, category in enumerate(CATEGORIES)}
_EVERY_CATEGORY = (1 << len(CATEGORIES)) - 1

_LEVEL_BIT: dict[str, int] = {level: 1 << at for at, level in enumerate(CONFIDENTIALITIES)}
_LEVEL_UNKNOWN = 1 << len(CONFIDENTIALITIES)
_EVERY_LEVEL = (_LEVEL_UNKNOWN << 1) - 1  # the unknown one too

_SENSITIVITY_BIT: dict[str, int] = {code: 1 << at for at, code in enumerate(SENSITIVITIES)}
_SENSITIVITIES_UNDER: dict[str, int] = {
    named: reduce(or_, (_SENSITIVITY_BIT[s] for s in SENSITIVITIES if sensitivity_covers(named, s)))
    for named in SENSITIVITIES
}


def purpose_bits(decision: Decision, named: tuple[Purpose, ...]) -> int:
    """Return the purposes that are covered: none named is every one, BTG is permitted by name only."""
    if not named:
        return _EVERY_PURPOSE
    bits = _union(_PURPOSES_UNDER[purpose] for purpose in named)
    if decision == "permit" and "BTG" not in named:
        bits &= ~_PURPOSE_BIT["BTG"]
    return bits


def purpose_bit(purpose: Purpose) -> int:
    return _PURPOSE_BIT[purpose]


@dataclass(frozen=True, slots=True)
class Readers:
    """Whom a provision speaks of; None in a field is no condition."""

    decision: Decision
    parties: frozenset[Party] | None
    person: bytes | None
    role: RoleCode | None

    def include(self, party: Party, person: bytes | None, role: RoleCode) -> bool:
        """Whether this reader is among them: a person not known meets no permit, and every denial."""
        return (
            (self.parties is None or party in self.parties)
            and (self.role is None or role == self.role)
            and (
                self.person is None
                or person == self.person
                or (person is None and self.decision == "deny")
            )
        )

    def are_within(self, other: "Readers") -> bool:
        """Whether all of these permitted readers are among the others. A person is not within a role."""
        assert self.decision == "permit", "only a permit is compared with what stands against it"
        return (
            (other.parties is None or (self.parties is not None and self.parties <= other.parties))
            and other.person in {None, self.person}
            and other.role in {None, self.role}
        )


class Marks(NamedTuple):
    """What conditions look at in one item, as bits."""

    category: int
    level: int
    sensitivities: int

    @classmethod
    def of(cls, content: Content) -> "Marks":
        """Read them; of several levels the highest counts, a custodian's own labels say nothing here."""
        level = sensitivities = 0
        for label in content.labels:
            level = max(level, _LEVEL_BIT.get(label, 0))
            sensitivities |= _SENSITIVITY_BIT.get(label, 0)
        return cls(_CATEGORY_BIT[content.category], level or _LEVEL_UNKNOWN, sensitivities)

    @property
    def lack_level(self) -> bool:
        return self.level == _LEVEL_UNKNOWN


class Reach(NamedTuple):
    """A set of items, as bits: those in the categories that have a level or a sensitivity of these."""

    categories: int
    levels: int
    sensitivities: int
    unlabelled: bool  # also what has neither a level nor a sensitivity


@dataclass(frozen=True)
class DataRule:
    """Conditions on data: categories and labels narrow together, entries are alternatives, none is no condition."""

    decision: Decision
    categories: tuple[Category, ...]
    labels: tuple[Label, ...]

    @cached_property
    def reach(self) -> Reach:
        categories = _union(_CATEGORY_BIT[category] for category in self.categories)
        levels = [_LEVEL_BIT[label] for label in self.labels if label in _LEVEL_BIT]
        sensitivities = _union(_SENSITIVITIES_UNDER.get(label, 0) for label in self.labels)
        denies = self.decision == "deny"
        if not self.labels:
            level_bits = _EVERY_LEVEL
        elif not levels:
            level_bits = 0
        elif denies:
            level_bits = _EVERY_LEVEL & ~(min(levels) - 1)  # at or above, or not known
        else:
            level_bits = (max(levels) << 1) - 1  # at or below
        return Reach(categories or _EVERY_CATEGORY, level_bits, sensitivities, denies)

    def covers(self, content: Content) -> bool:
        return self.meets(Marks.of(content))

    def meets(self, marks: Marks) -> bool:
        """Whether an item with these marks is covered."""
        categories, levels, sensitivities, unlabelled = self.reach
        return bool(
            categories & marks.category
            and (
                levels & marks.level
                or sensitivities & marks.sensitivities
                or (unlabelled and marks.lack_level and not marks.sensitivities)
            )
        )

    def misses_label(self, marks: Marks) -> bool:
        """Whether labels that the item lacks decide: its category is met, and a level asked for is not known."""
        categories, levels, sensitivities, _ = self.reach
        return bool(
            self.labels
            and categories & marks.category
            and marks.lack_level
            and not sensitivities & marks.sensitivities
            and (levels or not marks.sensitivities)
        )

    def is_within(self, other: "DataRule") -> bool:
        """Whether everything that this permit covers is covered by the other, a permit or a denial.

        Sound and complete for a permit: it reaches an unknown level only if it has no condition on labels, and then
        only what reaches each level without exception contains it.
        """
        assert self.decision == "permit", "only a permit is compared with what stands against it"
        mine, theirs = self.reach, other.reach
        return (
            not mine.categories & ~theirs.categories
            and not mine.levels & ~theirs.levels
            and (not mine.sensitivities & ~theirs.sensitivities or theirs.levels == _EVERY_LEVEL)
        )


def _union(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)
