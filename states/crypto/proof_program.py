"""What hashing a multi-proof up takes, worked out once for each shape: a tree's size and the leaves that are shown."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from states.crypto.hashes import HASH_SIZE
from states.errors import InvalidProof

SIZE_MAX = 1 << 63  # no tree of ours or of a peer is larger: bounds every depth below

_JOIN, _GIVEN = -1, -2
_CACHED_SIZE_MAX, _CACHED_SHOWN_MAX = 1 << 12, 64  # so that no cached program passes 80 kB
_CACHED_PROGRAMS = 512


def split(size: int) -> int:
    """Return where a tree of `size` leaves divides: the largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1


class Program(NamedTuple):
    """How to hash up: from the shown leaves' hashes, then the given ones, each join makes one more of two before it."""

    joins: tuple[tuple[int, int], ...]
    hidden: tuple[tuple[int, int], ...]  # the leaves [low, high) that each given hash stands for
    cut: Callable[[bytes], tuple[bytes, ...]]  # a proof of the right length into its hashes
    shown: int

    def root(self, hashes: Sequence[bytes], proof: bytes) -> bytes:
        """Return the root that shown leaves' hashes and a proof lead to; InvalidProof where these are not as many."""
        if len(hashes) != self.shown:
            raise InvalidProof("multi-proof", f"{len(hashes)} leaves for {self.shown} positions")
        if len(proof) != HASH_SIZE * len(self.hidden):
            found = f"{len(proof)} bytes where {len(self.hidden)} hashes belong"
            raise InvalidProof("multi-proof", found)
        values = [*hashes, *self.cut(proof)]
        add = values.append
        for left, right in self.joins:
            add(sha256(b"\1" + values[left] + values[right]).digest())
        return values[-1]


def _compile(size: int, shown: tuple[int, ...]) -> Program:
    if not 0 < size <= SIZE_MAX or not shown:
        raise InvalidProof("multi-proof", "shows nothing, or is of no possible size")
    if shown[0] < 0 or shown[-1] >= size:
        raise InvalidProof("multi-proof", "a position outside the tree")
    if any(left >= right for left, right in pairwise(shown)):
        raise InvalidProof("multi-proof", "positions are not ascending")
    steps, hidden = list[int](), list[tuple[int, int]]()
    waiting = [(0, size, 0, len(shown))]  # leaves [low, high), of which shown[first:last] are shown
    while waiting:
        low, high, first, last = waiting.pop()
        if low == high:
            steps.append(_JOIN)
        elif first == last:
            steps.append(_GIVEN)
            hidden.append((low, high))
        elif high - low == 1:
            steps.append(first)
        else:
            middle = low + split(high - low)
            cut = bisect_left(shown, middle, first, last)
            waiting += ((0, 0, 0, 0), (middle, high, cut, last), (low, middle, first, cut))
    return Program(
        _joins(steps, len(shown), len(hidden)), tuple(hidden), _cutter(len(hidden)), len(shown)
    )


def _joins(steps: Iterable[int], shown: int, hidden: int) -> tuple[tuple[int, int], ...]:
    """Number what steps on a stack put there: a shown leaf by itself, given hashes after them, then what is made."""
    stack, joins, given = list[int](), list[tuple[int, int]](), shown
    for step in steps:
        if step == _JOIN:
            right, left = stack.pop(), stack.pop()
            stack.append(shown + hidden + len(joins))
            joins.append((left, right))
        elif step == _GIVEN:
            stack.append(given)
            given += 1
        else:
            stack.append(step)
    return tuple(joins)


def _cutter(count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    return Struct(f"{HASH_SIZE}s" * count).unpack


_compile_cached = lru_cache(_CACHED_PROGRAMS)(_compile)


def program(size: int, shown: tuple[int, ...]) -> Program:
    """Return how to hash up from these leaves. Peers choose the shapes: only small ones stay in memory."""
    small = size <= _CACHED_SIZE_MAX and len(shown) <= _CACHED_SHOWN_MAX
    return (_compile_cached if small else _compile)(size, shown)
