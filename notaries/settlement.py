"""Settles a batch: which requests the log takes, in order, and why not the others (clauses N3, N4)."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from notaries.uniqueness import UNKNOWN_STATE, Claim, CommitRequest, Refusal
from states.notarisation import (
    Conflict,
    ConsumedState,
    WindowClosed,
    WindowNotOpen,
    spender_hash,
)
from states.receipt import LogEntry
from states.state import TransactionId


class Facts(Protocol):
    """What a store knows, read while nobody else can write."""

    def committed(self, requests: Sequence[CommitRequest]) -> Mapping[bytes, int]:
        """Transaction id → log index, for those in the log."""

    def strangers(self, claims: Sequence[Claim]) -> AbstractSet[int]:
        """Positions of claims whose creating transaction is not in the log at the index they give."""

    def spenders(self, places: Collection[int]) -> Mapping[int, int]:
        """Place → log index of what consumed it, for consumed ones."""

    def ids(self, indexes: Collection[int]) -> Mapping[int, bytes]:
        """Log index → transaction id."""


@dataclass(slots=True)
class Settlement:
    """`placed` go into the log from `first` on; `answers` has a log index or a refusal for each request.

    `promised` is the latest end of a window that an answer calls closed: the clock may not fall behind it again.
    """

    first: int
    placed: list[CommitRequest] = field(default_factory=list)
    answers: list[int | Refusal] = field(default_factory=list)
    promised: int = 0

    def entries(self, now: int) -> list[LogEntry]:
        return [LogEntry(each.transaction, now, each.nullifiers) for each in self.placed]


def settle(requests: Sequence[CommitRequest], now: int, first: int, facts: Facts) -> Settlement:
    """Decide every request of a batch, in order, for a log of `first` entries at `now`."""
    settled = Settlement(first)
    known = facts.committed(requests)  # N3.1: the id before everything else
    fresh = [
        request
        for request in requests
        if request.transaction not in known and _outside(request, now) is None
    ]
    strange, spent = _judge_claims(fresh, first, facts)
    here: dict[bytes, int] = {}
    taken: dict[int, bytes] = {}
    for request in requests:
        index = known.get(request.transaction, here.get(request.transaction))
        refusal = _outside(request, now) or (UNKNOWN_STATE if id(request) in strange else None)
        if index is None and refusal is None:
            refusal = _conflict(request, taken, spent)
        if index is None and refusal is None:
            index = here[request.transaction] = first + len(settled.placed)
            settled.placed.append(request)
            for claim in request.inputs:
                taken[claim.place] = request.transaction
        if index is None and isinstance(refusal, WindowClosed):
            settled.promised = max(settled.promised, request.closes)
        settled.answers.append(index if index is not None else _sure(refusal))
    return settled


def _sure(refusal: Refusal | None) -> Refusal:
    assert refusal is not None, "a request is placed, known or refused"
    return refusal


def _outside(request: CommitRequest, now: int) -> Refusal | None:
    """N3.2: the window is half open; an entered change was in its window at the other notary."""
    if request.entered or request.opens <= now < request.closes:
        return None
    return WindowClosed(now) if now >= request.closes else WindowNotOpen(now)


def _judge_claims(
    fresh: Sequence[CommitRequest], first: int, facts: Facts
) -> tuple[set[int], dict[int, bytes]]:
    """Return the requests (by identity) that name unknown states, and place → id of the spender.

    By request and never by place: one who lies about a place must not spoil an honest neighbour's.
    """
    flat = [
        (claim, request) for request in fresh for claim in (*request.inputs, *request.references)
    ]
    strange = {id(request) for claim, request in flat if claim.at >= first}
    asked = [(claim, request) for claim, request in flat if claim.at < first]
    strange.update(id(asked[at][1]) for at in facts.strangers([claim for claim, _ in asked]))
    by = facts.spenders([c.place for c, request in asked if id(request) not in strange])
    names = facts.ids(set(by.values()))
    return strange, {place: names[index] for place, index in by.items()}


def _conflict(
    request: CommitRequest, taken: Mapping[int, bytes], spent: Mapping[int, bytes]
) -> Conflict | None:
    """N3.4: inputs and references alike; what an earlier request of this batch took is taken."""
    if not taken and not spent:
        return None
    hits = []
    for claim in (*request.inputs, *request.references):
        by = spent.get(claim.place) or taken.get(claim.place)
        if by is not None:
            hits.append(ConsumedState(claim.ref, spender_hash(TransactionId(by))))
    return Conflict(tuple(hits)) if hits else None
