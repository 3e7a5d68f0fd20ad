"""Reporting readings to the patients' agents, and once a day how far each chain goes (story, step e)."""

from typing import Annotated, ClassVar

import msgspec

from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.services import Done
from states.encoding import Codec
from states.errors import MalformedBytes
from states.identity import Party, PartyField, PatientIdField
from states.reading import ReportedReading, SignedHead
from states.sizes import U32
from states.state import TransactionIdField

BATCH_MAX = 128  # readings or heads a letter: with full proofs they stay below a part's limit
LETTERS_MAX = 512  # a step
BATCH_BYTES_MAX = 1 << 20


class ToldReading(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A reading; `patient` names whom the chain is of where it is no disclosure's: the pairwise id."""

    patient: PatientIdField | None
    reading: ReportedReading


class ToldHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A chain's daily head, and what the chain is of: one of the two."""

    patient: PatientIdField | None
    disclosure: TransactionIdField | None
    head: SignedHead


class ReadingBatch(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="reading-batch/1"
):
    """What one letter tells an agent; readings in the order of their log."""

    readings: Annotated[tuple[ToldReading, ...], msgspec.Meta(max_length=BATCH_MAX)]
    heads: Annotated[tuple[ToldHead, ...], msgspec.Meta(max_length=BATCH_MAX)]


READING_BATCH: Codec[ReadingBatch] = Codec(ReadingBatch, "batch of readings", BATCH_BYTES_MAX)


class TellReadings(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="tell-readings/1"
):
    """A letter: readings or daily heads that concern your patients; they come as a part (reading-batch/1)."""


class Telling(msgspec.Struct, frozen=True, array_like=True):
    """A batch that a handler has kept as a part, and whom it is for."""

    agent: PartyField
    part: bytes


class Gathered(msgspec.Struct, frozen=True, array_like=True, tag="gathered"):
    """Batches to send now; `more` where another round is needed, which goes on after `after`."""

    tellings: Annotated[tuple[Telling, ...], msgspec.Meta(max_length=LETTERS_MAX)]
    more: bool
    after: bytes = b""


class GatherReadings(Request[Gathered], frozen=True, array_like=True, tag="gather-readings"):
    """Take the next readings of which an agent has not been told; they count as told with this step."""

    answers: ClassVar[type[msgspec.Struct]] = Gathered


class GatherHeads(Request[Gathered], frozen=True, array_like=True, tag="gather-heads"):
    """Sign the heads of the next chains after `after` (a subject) for a day."""

    answers: ClassVar[type[msgspec.Struct]] = Gathered
    day: int
    after: bytes


class KeepReadings(Request[Done], frozen=True, array_like=True, tag="keep-readings"):
    """At an agent: verify a batch (a part), keep its lines, and an alarm for whatever does not fit.

    Raises MalformedBytes for a batch that cannot be read.
    """

    answers: ClassVar[type[msgspec.Struct]] = Done
    peer: Party
    part: bytes


class MatchReadings(Request[Done], frozen=True, array_like=True, tag="match-readings"):
    """At an agent: give lines that came before what they are about was known to the patients whose they are."""

    answers: ClassVar[type[msgspec.Struct]] = Done


class ReportReadings(msgspec.Struct, frozen=True, array_like=True, tag="report-readings/1"):
    """At every member: tell the agents of what was read since the last time."""

    async def call(self, flow: FlowContext) -> Done:
        await _report(flow)
        return Done()


class ReportHeads(msgspec.Struct, frozen=True, array_like=True, tag="report-heads/1"):
    """Once a day: sign how far each chain goes, also where nobody read. What was read before is told before."""

    day: U32

    async def call(self, flow: FlowContext) -> Done:
        await _report(flow)
        flow.progress("signing the day's heads")
        after, more = b"", True
        while more:
            gathered = await GatherHeads(self.day, after)
            _send(flow, gathered)
            after, more = gathered.after, gathered.more
        return Done()


async def _report(flow: FlowContext) -> None:
    flow.progress("telling agents of readings")
    more = True
    while more:
        gathered = await GatherReadings()
        _send(flow, gathered)
        more = gathered.more


def _send(flow: FlowContext, gathered: Gathered) -> None:
    for telling in gathered.tellings:
        flow.letter(Party(telling.agent), TakeReadings.name, TellReadings(), (telling.part,))


class TakeReadings:
    """At an agent: responder of the letter `TellReadings`."""

    name: ClassVar[str] = "take-readings/1"
    first: ClassVar[type[msgspec.Struct]] = TellReadings

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[TellReadings]
    ) -> Done:
        flow.progress("checking reported readings")
        if len(first.parts) != 1:
            raise MalformedBytes("readings", "they come as one part")
        return await KeepReadings(session.counterparty, first.parts[0])


FLOWS: tuple[type[msgspec.Struct], ...] = (ReportReadings, ReportHeads)
RESPONDERS = (TakeReadings,)
