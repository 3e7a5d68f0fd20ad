"""The receiving side of notices: keep what was said, signed or advisory."""

from typing import ClassVar

import msgspec

from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.notices import RESPONDERS as NAMES
from flows.notices import InForceSince, Notice, Superseded, Withdrawn
from flows.services import Done
from states.identity import Party


class TakeNotice(Request[Done], frozen=True, array_like=True, tag="take-notice"):
    """Check that the peer may say this, and keep it. Raises a LedgerError where it may not."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    peer: Party
    notice: Notice


class _TakesNotice:
    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Notice]) -> Done:
        flow.progress("keeping a notice")
        return await TakeNotice(session.counterparty, first.check(lambda said: said))


class NoteInForce(_TakesNotice):
    """A party says since when it acts on a patient's statement."""

    name: ClassVar[str] = NAMES[InForceSince]
    first: ClassVar[type[msgspec.Struct]] = InForceSince


class NoteWithdrawn(_TakesNotice):
    """A custodian says which items of a disclosure may not be read any more."""

    name: ClassVar[str] = NAMES[Withdrawn]
    first: ClassVar[type[msgspec.Struct]] = Withdrawn


class NoteSuperseded(_TakesNotice):
    """A custodian says that there is a newer version of an item of a disclosure."""

    name: ClassVar[str] = NAMES[Superseded]
    first: ClassVar[type[msgspec.Struct]] = Superseded


FLOWS: tuple[type[msgspec.Struct], ...] = ()
RESPONDERS = (NoteInForce, NoteWithdrawn, NoteSuperseded)
