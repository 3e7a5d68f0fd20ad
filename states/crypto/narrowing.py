"""Narrowing a multi-proof: fewer leaves shown, by somebody who knows no other leaf."""

from collections.abc import Sequence
from hashlib import sha256

from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import GIVEN, JOIN, program

Span = tuple[int, int]
"""The leaves [low, high) under a node."""


def nodes_from(
    size: int, shown: tuple[int, ...], leaves: Sequence[bytes], proof: bytes
) -> dict[Span, bytes]:
    """Return every node that shown leaves and a *verified* multi-proof tell of, by the leaves under it."""
    steps, hidden = program(size, shown)
    nodes, stack, given = dict[Span, bytes](), list[Span](), 0
    for step in steps:
        if step == JOIN:
            right, left = stack.pop(), stack.pop()
            span = (left[0], right[1])
            nodes[span] = sha256(b"\1" + nodes[left] + nodes[right]).digest()
        elif step == GIVEN:
            span = hidden[given]
            nodes[span] = proof[HASH_SIZE * given : HASH_SIZE * (given + 1)]
            given += 1
        else:
            span = (shown[step], shown[step] + 1)
            nodes[span] = sha256(b"\0" + leaves[step]).digest()
        stack.append(span)
    return nodes


def hidden_spans(size: int, shown: tuple[int, ...]) -> tuple[Span, ...]:
    """Return what each hash of the multi-proof of `shown` stands for, in order; raises InvalidProof as `prove`."""
    return program(size, shown).hidden
