"""Narrowing a multi-proof: fewer leaves shown, by somebody who knows no other leaf."""

from collections.abc import Sequence
from hashlib import sha256

from states.crypto.proof_program import program

Span = tuple[int, int]
"""The leaves [low, high) under a node."""


def nodes_from(
    size: int, shown: tuple[int, ...], leaves: Sequence[bytes], proof: bytes
) -> dict[Span, bytes]:
    """Return every node that shown leaves and a *verified* multi-proof tell of, by the leaves under it."""
    joins, hidden, cut, _ = program(size, shown)
    spans = [*((at, at + 1) for at in shown), *hidden]
    hashes = [*(sha256(b"\0" + leaf).digest() for leaf in leaves), *cut(proof)]
    for left, right in joins:
        spans.append((spans[left][0], spans[right][1]))
        hashes.append(sha256(b"\1" + hashes[left] + hashes[right]).digest())
    return dict(zip(spans, hashes, strict=True))


def hidden_spans(size: int, shown: tuple[int, ...]) -> tuple[Span, ...]:
    """Return what each hash of the multi-proof of `shown` stands for, in order; raises InvalidProof as `prove`."""
    return program(size, shown).hidden
