"""What a turn of the engine hands to the node once it is committed."""

from dataclasses import dataclass
from typing import NamedTuple

from flows.envelope import Envelope
from flows.store import ProgressRow, Status
from states.identity import Party


class Question(NamedTuple):
    """Something that a flow asks a notary; `row` tells the node what. Asked again until it is answered."""

    flow: bytes
    seq: int
    kind: str
    row: bytes


class Finished(NamedTuple):
    """A flow that ended in this turn; `result` is encoded, and empty unless it is DONE."""

    flow: bytes
    status: Status
    result: bytes


@dataclass(frozen=True, slots=True)
class TurnResult:
    """All of it is durable: it may leave, and be shown."""

    envelopes: dict[Party, list[Envelope]]
    acknowledgements: dict[Party, int]
    questions: list[Question]
    started: list[bytes]
    finished: list[Finished]
    progress: list[ProgressRow]
