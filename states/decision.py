"""The consent decision: may this reader have these items for this purpose, who said so, and why (architecture §7.1).

A pure function of request, statements, network policy and moment; consent.md §11 is its specification. What that
text leaves open is settled here, towards denial where a patient could have meant either:

1. A permit opens an item only if it prevails alone over every denial that covers the item: two permits that each
   prevail over another half of the denials open nothing.
2. Being at least as specific is inclusion of what is covered, dimension by dimension: readers, purposes, data. So a
   person and a role are incomparable, and a permit at or below R never prevails over a denial at or above R.
3. What a permit leaves out is a denial with the permit's own readers, purposes, data and time: it also ends an
   earlier, broader permit there. Categories and labels left out are siblings: either suffices. They do not make
   the permit more specific. A consent that denies has no use for exceptions; they change nothing.
4. An item outside the data of a permit that does cover reader and purpose is DENY (consent.md §3: "means nothing but
   that data"), so no implicit policy opens it; but another permit does. A reader or purpose not covered, or a time
   before or after, is NO_CONSENT.
5. An item without a confidentiality meets each denial and no permit that names one; its sensitivities still count.
   An item with neither is unlabelled, and withheld under any condition on labels.
6. Where the reader's person is not known, a denial of one person is met and a permit for one is not.
7. A denial of an ancestor reaches BTG; a permit reaches it by name only. The implicit policy never yields PERMIT: a
   judgement says whether it leaves the item to the emergency path.
8. A log index is compared at one notary, receipt times between two. A denial binds from the custodian's word ("in
   force since") if that is after its start; which statement is later is a matter of receipts alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal

from states.coverage import DataRule, Marks, Readers, purpose_bit, purpose_bits
from states.identity import Party
from states.sizes import Millis
from states.state import StateRef
from states.subjects.codes import Decision as Direction
from states.subjects.codes import Purpose, RoleCode
from states.subjects.content import Content
from states.subjects.terms import Exceptions, Terms

ImplicitPolicy = Literal["deny", "break-glass-only"]
"""What holds between organisations where nobody said anything. Permitting policies hold inside a custodian alone."""

NOTHING_EXCEPTED = Exceptions((), ())


class StatementKind(StrEnum):
    """A consent is for one grantee, who holds it too; a restriction is between patient and custodian."""

    CONSENT = "consent"
    RESTRICTION = "restriction"


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where and when a notary entered what made a statement."""

    notary: Party
    at: Millis
    index: int

    def is_after(self, other: "LogPlace") -> bool:
        """Whether this is the later one; at equal times neither is."""
        if self.notary == other.notary:
            return self.index > other.index
        return self.at > other.at


@dataclass(frozen=True)
class Statement:
    """A live consent or restriction as its custodian holds it, about the patient of the request.

    `grantee` and `end` (ms, exclusive) are a consent's; a restriction closes to the parties of its terms, or to all,
    until it is lifted. `in_force_since` is the custodian's own word for a denial, 0 where it gave none. `closed`: a
    signed withdrawal has come, and not its receipt: it permits nothing any more, and denies what it denied. Raises
    ValueError where the contracts allow no such statement.
    """

    ref: StateRef
    kind: StatementKind
    grantee: Party | None
    terms: Terms
    start: Millis
    end: Millis | None
    place: LogPlace
    exceptions: Exceptions = NOTHING_EXCEPTED
    in_force_since: Millis = 0
    closed: bool = False

    def __post_init__(self) -> None:
        if self.kind is StatementKind.CONSENT:
            if self.grantee is None or self.end is None or self.terms.parties:
                raise ValueError(
                    "a consent has one grantee and an end, and its terms name no party"
                )
        elif self.grantee is not None or self.end is not None or self.decision != "deny":
            raise ValueError("a restriction denies, has no end and no grantee of its own")

    @property
    def decision(self) -> Direction:
        return self.terms.decision

    @cached_property
    def readers(self) -> Readers:
        named = self.terms.parties if self.grantee is None else (self.grantee,)
        parties = frozenset(named) or None
        return Readers(self.decision, parties, self.terms.person, self.terms.role)

    @cached_property
    def purposes(self) -> int:
        """The purposes covered, as states.coverage numbers them."""
        return purpose_bits(self.decision, self.terms.purposes)

    @cached_property
    def data(self) -> DataRule:
        return DataRule(self.decision, self.terms.categories, self.terms.labels)

    @property
    def recency(self) -> tuple[Millis, int, StateRef]:
        """Orders statements for display and for naming one; it decides nothing."""
        return (self.place.at, self.place.index, self.ref)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, for what purpose, for which items. `person` is the grantee's own id; None: not known."""

    grantee: Party
    person: bytes | None
    role: RoleCode
    purpose: Purpose
    items: tuple[Content, ...] = ()


class Outcome(StrEnum):
    """NO_CONSENT: no statement in force speaks of this reader and purpose; the implicit policy holds."""

    PERMIT = "permit"
    DENY = "deny"
    NO_CONSENT = "no-consent"


class Reason(StrEnum):
    """Why an item was judged as it was: for custodian, patient and privacy officer, not for who asked."""

    PERMITTED = "a consent permits it"
    DENIED = "a consent denies it"
    RESTRICTED = "the patient closed it"
    EXCEPTED = "the consent leaves it out"
    OUTSIDE = "the consent is for other data"
    UNLABELLED = "it is withheld as long as it is not labelled"
    BREAK_GLASS_NOT_NAMED = "the consent does not say that it holds for break-glass"
    OTHER_PURPOSE = "the consent is for another purpose"
    OTHER_READER = "the consent is for another person or role"
    OVER = "the consent has ended"
    NOT_YET = "the consent has not begun"
    NOTHING_SAID = "no consent speaks of this organisation"


_NEAREST_FIRST = (
    Reason.BREAK_GLASS_NOT_NAMED,
    Reason.OTHER_PURPOSE,
    Reason.OTHER_READER,
    Reason.OVER,
    Reason.NOT_YET,
)


@dataclass(frozen=True, slots=True)
class Forbid:
    """Data that stay closed, by what, why: what all of the rules cover."""

    by: StateRef
    reason: Reason
    all_of: tuple[DataRule, ...]

    def meets(self, marks: Marks) -> bool:
        return all(rule.meets(marks) for rule in self.all_of)


@dataclass(frozen=True, slots=True)
class Residual:
    """What one consent opens to this reader for this purpose: its data, without what `forbids` cover.

    Several residuals are alternatives. `until` is the consent's end in milliseconds, exclusive.
    """

    by: StateRef
    until: Millis
    data: DataRule
    forbids: tuple[Forbid, ...]

    def opens(self, content: Content) -> bool:
        marks = Marks.of(content)
        return self.data.meets(marks) and not any(forbid.meets(marks) for forbid in self.forbids)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What holds for one item: the statement that decided (None: nobody spoke), and why.

    `opened_by`: each consent that opens the item, latest first; any of them can be a disclosure's basis. `emergency`:
    nothing was said and the network's policy leaves the item to the emergency path.
    """

    outcome: Outcome
    reason: Reason
    by: StateRef | None
    opened_by: tuple[StateRef, ...] = ()
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class _Denial:
    statement: Statement
    forbid: Forbid

    def stands_against(self, permit: Statement) -> bool:
        """Unless the permit is later and at least as specific in every dimension, denial wins."""
        mine = self.statement
        return not (
            permit.place.is_after(mine.place)
            and permit.readers.are_within(mine.readers)
            and not permit.purposes & ~mine.purposes
            and all(permit.data.is_within(rule) for rule in self.forbid.all_of)
        )


@dataclass(frozen=True, slots=True)
class _Permit:
    statement: Statement
    against: int  # bit n: denial n stands against it


@dataclass(frozen=True, slots=True)
class Ruling:
    """All that a request's reader, purpose and moment settle; items are judged by it one by one."""

    permits: tuple[_Permit, ...]
    denials: tuple[_Denial, ...]
    unspoken: Judgement

    @property
    def residuals(self) -> tuple[Residual, ...]:
        """What may flow, latest consent first; none: nothing. A consent that a denial closes wholly is left out."""
        found = []
        for permit in self.permits:
            said = permit.statement
            against = tuple(
                denial.forbid for at, denial in enumerate(self.denials) if permit.against >> at & 1
            )
            if any(all(said.data.is_within(rule) for rule in f.all_of) for f in against):
                continue
            assert said.end is not None, "what permits is a consent"
            found.append(Residual(said.ref, said.end, said.data, against))
        return tuple(found)

    def judge(self, content: Content) -> Judgement:
        marks = Marks.of(content)
        closing = standing = 0
        for at, denial in enumerate(self.denials):
            if denial.forbid.meets(marks):
                closing |= 1 << at
        covering = [permit for permit in self.permits if permit.statement.data.meets(marks)]
        opened_by = tuple(p.statement.ref for p in covering if not p.against & closing)
        if opened_by:
            return Judgement(Outcome.PERMIT, Reason.PERMITTED, opened_by[0], opened_by)
        for permit in covering:
            standing |= permit.against & closing
        if closing:
            # The latest of those that no permit overcomes: the lowest bit.
            first = standing or closing
            return _closed(self.denials[(first & -first).bit_length() - 1].forbid, marks)
        return self._outside(marks)

    def _outside(self, marks: Marks) -> Judgement:
        """No denial covers the item and no permit does."""
        for permit in self.permits:
            if permit.statement.data.misses_label(marks):
                return Judgement(Outcome.DENY, Reason.UNLABELLED, permit.statement.ref)
        if self.permits:
            return Judgement(Outcome.DENY, Reason.OUTSIDE, self.permits[0].statement.ref)
        return self.unspoken


@dataclass(frozen=True, slots=True)
class Decision:
    """One judgement for each item of the request, in its order; and the rules for items that were not shown."""

    judgements: tuple[Judgement, ...]
    residuals: tuple[Residual, ...]


def decide(
    request: Request, statements: Iterable[Statement], policy: ImplicitPolicy, moment: Millis
) -> Decision:
    """Judge each item of a request. Total; the order of `statements` does not matter.

    `statements` are all live ones of the patient at this custodian, over all enrolments; `moment` is in milliseconds.
    """
    ruling = rule_on(request, statements, policy, moment)
    return Decision(tuple(ruling.judge(item) for item in request.items), ruling.residuals)


def rule_on(
    request: Request, statements: Iterable[Statement], policy: ImplicitPolicy, moment: Millis
) -> Ruling:
    """Settle what does not depend on an item, for callers that meet the items later: pages, streams."""
    held = sorted(set(statements), key=lambda said: said.recency, reverse=True)
    missed: dict[Reason, StateRef] = {}
    permitting: list[Statement] = []
    denials: list[_Denial] = []
    for said in held:
        shortfall = _shortfall(said, request, moment)
        if shortfall is None:
            denials.extend(_denials_of(said))
            if said.decision == "permit" and not said.closed:
                permitting.append(said)
        elif said.decision == "permit" and shortfall is not Reason.NOTHING_SAID:
            missed.setdefault(shortfall, said.ref)
    permits = tuple(_Permit(said, _against(said, denials)) for said in permitting)
    nearest = next((reason for reason in _NEAREST_FIRST if reason in missed), Reason.NOTHING_SAID)
    emergency = policy == "break-glass-only" and request.purpose == "BTG"
    unspoken = Judgement(Outcome.NO_CONSENT, nearest, missed.get(nearest), emergency=emergency)
    return Ruling(permits, tuple(denials), unspoken)


def _shortfall(said: Statement, request: Request, moment: Millis) -> Reason | None:
    """Why a statement says nothing about a request, or None if it speaks."""
    readers = said.readers
    if readers.parties is not None and request.grantee not in readers.parties:
        return Reason.NOTHING_SAID
    if moment < said.start or moment < said.in_force_since:
        return Reason.NOT_YET
    if said.end is not None and moment >= said.end:
        return Reason.OVER
    if not readers.include(request.grantee, request.person, request.role):
        return Reason.OTHER_READER
    if not said.purposes & purpose_bit(request.purpose):
        by_ancestor = purpose_bits("deny", said.terms.purposes) & purpose_bit(request.purpose)
        return Reason.BREAK_GLASS_NOT_NAMED if by_ancestor else Reason.OTHER_PURPOSE
    return None


def _denials_of(said: Statement) -> list[_Denial]:
    """What a statement closes: all that it denies, or what it permits but for."""
    if said.decision == "deny":
        kind = said.kind is StatementKind.CONSENT
        reason = Reason.DENIED if kind else Reason.RESTRICTED
        return [_Denial(said, Forbid(said.ref, reason, (said.data,)))]
    left_out = said.exceptions
    siblings = []
    if left_out.categories:
        siblings.append(DataRule("deny", left_out.categories, ()))
    if left_out.labels:
        siblings.append(DataRule("deny", (), left_out.labels))
    return [
        _Denial(said, Forbid(said.ref, Reason.EXCEPTED, (said.data, sibling)))
        for sibling in siblings
    ]


def _against(permit: Statement, denials: list[_Denial]) -> int:
    return sum(1 << at for at, denial in enumerate(denials) if denial.stands_against(permit))


def _closed(forbid: Forbid, marks: Marks) -> Judgement:
    unlabelled = any(rule.misses_label(marks) for rule in forbid.all_of)
    reason = Reason.UNLABELLED if unlabelled else forbid.reason
    return Judgement(Outcome.DENY, reason, forbid.by)
