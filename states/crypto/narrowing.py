"""Narrowing a multi-proof: fewer leaves shown, by somebody who knows no other leaf."""

from bisect import bisect_left
from collections.abc import Sequence

from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import leaf_hash, node_hash

Span = tuple[int, int]


class _Narrower:
    """Walks a tree once from left to right: takes from the old proof, writes the new one."""

    def __init__(
        self, shown: tuple[int, ...], leaves: Sequence[bytes], proof: bytes, keep: tuple[int, ...]
    ) -> None:
        self._shown, self._leaves, self._keep = shown, leaves, keep
        self._proof, self._at = proof, 0
        self.written: list[bytes] = []

    def walk(self, span: Span, shown: Span, keep: Span, *, writing: bool) -> bytes:
        """Return the hash over leaves [low, high); write it if nothing under it stays shown.

        `shown` and `keep` are the slices of the positions that lie in the span.
        """
        if writing and keep[0] == keep[1]:
            whole = self.walk(span, shown, keep, writing=False)
            self.written.append(whole)
            return whole
        low, high = span
        if shown[0] == shown[1]:
            self._at += HASH_SIZE
            return self._proof[self._at - HASH_SIZE : self._at]
        if high - low == 1:
            return leaf_hash(self._leaves[shown[0]])
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        cut, kept = bisect_left(self._shown, middle, *shown), bisect_left(self._keep, middle, *keep)
        left = self.walk((low, middle), (shown[0], cut), (keep[0], kept), writing=writing)
        right = self.walk((middle, high), (cut, shown[1]), (kept, keep[1]), writing=writing)
        return node_hash(left, right)


def narrow(
    size: int, shown: tuple[int, ...], leaves: Sequence[bytes], proof: bytes, keep: tuple[int, ...]
) -> bytes:
    """Return the multi-proof of the leaves at `keep`, a part of `shown`, not empty, ascending.

    The old proof must have been verified; the recursion is as deep as the tree (17 for a transaction).
    """
    walker = _Narrower(shown, leaves, proof, keep)
    walker.walk((0, size), (0, len(shown)), (0, len(keep)), writing=True)
    return b"".join(walker.written)


def hidden_spans(size: int, shown: tuple[int, ...]) -> list[Span]:
    """Return the leaves [low, high) that each hash of the multi-proof of `shown` stands for, in order."""
    spans: list[Span] = []

    def walk(low: int, high: int, first: int, last: int) -> None:
        if first == last:
            spans.append((low, high))
        elif high - low > 1:
            middle = low + (1 << (high - low - 1).bit_length() - 1)
            cut = bisect_left(shown, middle, first, last)
            walk(low, middle, first, cut)
            walk(middle, high, cut, last)

    walk(0, size, 0, len(shown))
    return spans
