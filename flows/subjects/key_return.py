"""A custodian restored from a backup gets back, from its patients' agents, the data keys of what it published since."""

from typing import Annotated, ClassVar

import msgspec

from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.services import Done
from flows.subjects.blob import Part
from flows.subjects.patient_access import PatientKeys
from states.errors import MalformedBytes
from states.identity import Party, PartyField
from states.sizes import U32, Millis
from states.state import TransactionId, TransactionIdField


class WantKeysBack(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="want-keys-back/1"
):
    """From a custodian: the data keys of my live records in this transaction, for this epoch key."""

    tx: TransactionIdField
    epoch: U32
    epoch_key: Annotated[bytes, msgspec.Meta(max_length=2_048)]


class WantedBack(msgspec.Struct, frozen=True, array_like=True, tag="wanted-back"):
    """What to ask, and until when (ms) an answer is waited for."""

    wanted: WantKeysBack
    until: Millis


class AskForKeysBack(Request[WantedBack], frozen=True, array_like=True, tag="ask-for-keys-back"):
    """At the custodian: write the request. Raises NotHeld where no key of this transaction's records is missing."""

    answers: ClassVar[type[msgspec.Struct]] = WantedBack
    tx: TransactionId


class WrapForCustodian(Request[Part], frozen=True, array_like=True, tag="wrap-for-custodian"):
    """At the agent: wrap the keys of records of which the peer is the custodian now. Raises FlowRefused for others."""

    answers: ClassVar[type[msgspec.Struct]] = Part
    peer: Party
    wanted: WantKeysBack


class Regained(msgspec.Struct, frozen=True, array_like=True, tag="regained"):
    """How many keys are here again: each has opened the first chunk of its record's ciphertext."""

    keys: U32


class KeepRegained(Request[Regained], frozen=True, array_like=True, tag="keep-regained"):
    """At the custodian: keep what opens the ciphertext that is here (a part), under its own storage key.

    Raises MalformedBytes, WrapRefused.
    """

    answers: ClassVar[type[msgspec.Struct]] = Regained
    tx: TransactionId
    part: bytes


class RegainKeys(msgspec.Struct, frozen=True, array_like=True, tag="regain-keys/1"):
    """At a restored custodian: get back the keys of records that an agent's patients have."""

    agent: PartyField
    tx: TransactionIdField

    async def call(self, flow: FlowContext) -> Regained:
        flow.progress("asking an agent for keys that were lost")
        asked = await AskForKeysBack(self.tx)
        session = flow.initiate(Party(self.agent), ReturnKeys.name, asked.wanted)
        brought = await session.receive(PatientKeys, asked.until)
        if brought.check(lambda said: said.tx) != self.tx or len(brought.parts) != 1:
            raise MalformedBytes("returned keys", "of another transaction, or not one part")
        return await KeepRegained(self.tx, brought.parts[0])


class ReturnKeys:
    """The agent's side."""

    name: ClassVar[str] = "return-keys/1"
    first: ClassVar[type[msgspec.Struct]] = WantKeysBack

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[WantKeysBack]
    ) -> Done:
        flow.progress("returning keys to a custodian")
        wanted = first.check(lambda said: said)
        found = await WrapForCustodian(session.counterparty, wanted)
        session.send(PatientKeys(wanted.tx), (found.part,))
        return Done()


FLOWS: tuple[type[msgspec.Struct], ...] = (RegainKeys,)
RESPONDERS = (ReturnKeys,)
