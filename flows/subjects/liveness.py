"""Whether states live: what a notary said, kept for the gate and for releases."""

from typing import ClassVar

import msgspec

from flows.flow import Request
from states.notarisation import LivenessAnswer


class Kept(msgspec.Struct, frozen=True, array_like=True, tag="kept-liveness"):
    """How many of the states in question live, and how many do not."""

    live: int
    ended: int


class KeepLiveness(Request[Kept], frozen=True, array_like=True, tag="keep-liveness"):
    """Check and keep the statements that answer the question in `row`, one for each state, in order.

    A consent that is said not to live is closed here at once. Raises InvalidSignature, MalformedBytes.
    """

    answers: ClassVar[type[msgspec.Struct]] = Kept
    row: bytes
    answer: LivenessAnswer
