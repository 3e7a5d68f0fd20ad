"""A patient's access to what is kept about her: keys for her agent at publication, ciphertext when she reads (§6.2).

The publication entitles: whoever is the agent of a record's patient asks its custodian for the data keys, naming its
epoch key, as soon as it has recorded the transaction. So the custodian keeps no keys of others, and an agent that was
restored, or that has a new epoch, asks once more.
"""

from typing import Annotated, ClassVar, Literal, get_args

import msgspec

from flows.flow import FlowContext, FlowSession, Request, Untrusted
from flows.services import Done
from flows.subjects.blob import Enough, Missing, Part, fetch_item, serve
from states.errors import MalformedBytes
from states.identity import Party, PartyField
from states.sizes import U16, U32, Millis
from states.state import StateRef, TransactionId, TransactionIdField

WithheldReason = Literal["harm", "law", "other-person", "to-be-discussed"]
"""Why a custodian withholds a record's content from its patient: it could endanger her, a law forbids to show it, it
tells of somebody else, or a clinician is to explain it first."""

WITHHELD_REASONS: tuple[WithheldReason, ...] = get_args(WithheldReason)


class WantPatientKeys(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag="want-patient-keys/1",
):
    """From an agent: the data keys of its patients' records in this transaction, for this epoch key."""

    tx: TransactionIdField
    epoch: U32
    epoch_key: Annotated[bytes, msgspec.Meta(max_length=2_048)]


class PatientKeys(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="patient-keys/1"
):
    """The keys, or for each record the reason why there is none; they come as one part (patient-key-part/1)."""

    tx: TransactionIdField


class WantedKeys(msgspec.Struct, frozen=True, array_like=True, tag="wanted-keys"):
    """What to ask, and until when (ms) an answer is waited for."""

    wanted: WantPatientKeys
    until: Millis


class AskForKeys(Request[WantedKeys], frozen=True, array_like=True, tag="ask-for-keys"):
    """At the agent: write the request with this month's epoch key. Raises NotHeld where no such record is known."""

    answers: ClassVar[type[msgspec.Struct]] = WantedKeys
    custodian: Party
    tx: TransactionId


class WrapForPatient(Request[Part], frozen=True, array_like=True, tag="wrap-for-patient"):
    """At the custodian: wrap what is not withheld, for the patients' agent alone. Raises FlowRefused for others."""

    answers: ClassVar[type[msgspec.Struct]] = Part
    peer: Party
    wanted: WantPatientKeys


class Obtained(msgspec.Struct, frozen=True, array_like=True, tag="obtained"):
    """How many keys came, and how many were withheld with a reason. What is neither was lost at the custodian."""

    keys: U32
    withheld: U32


class KeepPatientKeys(Request[Obtained], frozen=True, array_like=True, tag="keep-patient-keys"):
    """At the agent: check what came (a part) against the recorded transaction, and keep the keys wrapped.

    Raises MalformedBytes, WrapRefused.
    """

    answers: ClassVar[type[msgspec.Struct]] = Obtained
    peer: Party
    tx: TransactionId
    part: bytes


class ObtainKeys(msgspec.Struct, frozen=True, array_like=True, tag="obtain-keys/1"):
    """At an agent: get the keys of what a custodian published about its patients."""

    custodian: PartyField
    tx: TransactionIdField

    async def call(self, flow: FlowContext) -> Obtained:
        flow.progress("asking for the keys of what was published")
        custodian = Party(self.custodian)
        asked = await AskForKeys(custodian, self.tx)
        session = flow.initiate(custodian, GivePatientKeys.name, asked.wanted)
        brought = await session.receive(PatientKeys, asked.until)
        if brought.check(lambda said: said.tx) != self.tx or len(brought.parts) != 1:
            raise MalformedBytes("patient's keys", "of another transaction, or not one part")
        return await KeepPatientKeys(custodian, self.tx, brought.parts[0])


class GivePatientKeys:
    """The custodian's side."""

    name: ClassVar[str] = "give-patient-keys/1"
    first: ClassVar[type[msgspec.Struct]] = WantPatientKeys

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[WantPatientKeys]
    ) -> Done:
        flow.progress("wrapping keys for a patient")
        wanted = first.check(lambda said: said)
        found = await WrapForPatient(session.counterparty, wanted)
        session.send(PatientKeys(wanted.tx), (found.part,))
        return Done()


# -- ciphertext, when she reads --------------------------------------------------------------------------


class WantOwn(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="want-own/1"
):
    """From an agent: I shall ask for chunks of my patients' records in this transaction."""

    tx: TransactionIdField


class MissingOwn(Request[Missing], frozen=True, array_like=True, tag="missing-own"):
    """At the agent: must this record's ciphertext be fetched? Raises NotHeld where no such record is known."""

    answers: ClassVar[type[msgspec.Struct]] = Missing
    custodian: Party
    record: StateRef


class FetchOwn(msgspec.Struct, frozen=True, array_like=True, tag="fetch-own/1"):
    """At an agent: fetch the ciphertext of one record of its patient, verified by its CID before it is kept."""

    custodian: PartyField
    tx: TransactionIdField
    index: U16

    async def call(self, flow: FlowContext) -> Done:
        flow.progress("fetching a patient's own record")
        custodian = Party(self.custodian)
        missing = await MissingOwn(custodian, StateRef(self.tx, self.index))
        if missing.items:
            session = flow.initiate(custodian, GiveOwn.name, WantOwn(self.tx))
            await fetch_item(session, self.tx, missing.items[0])
            session.send(Enough())
        return Done()


class GiveOwn:
    """The custodian's side; each request for chunks is judged by itself."""

    name: ClassVar[str] = "give-own/1"
    first: ClassVar[type[msgspec.Struct]] = WantOwn

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[WantOwn]
    ) -> Done:
        await serve(flow, session, first.check(lambda said: said.tx))
        return Done()


# -- what was withheld, and is not any more --------------------------------------------------------------


class KeysReady(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="keys-ready/1"
):
    """A letter to the agent: what was withheld in this transaction, or not there yet, can be asked for."""

    tx: TransactionIdField


class Released(msgspec.Struct, frozen=True, array_like=True, tag="released-to"):
    """Who is to be told."""

    agent: PartyField


class LiftWithholding(Request[Released], frozen=True, array_like=True, tag="lift-withholding"):
    """At the custodian: withhold this record no more. Raises NotHeld, and FlowRefused where it was not withheld."""

    answers: ClassVar[type[msgspec.Struct]] = Released
    record: StateRef


class ObtainAgain(Request[Done], frozen=True, array_like=True, tag="obtain-again"):
    """At the agent: start asking a custodian for keys, if the transaction is one of its publications here."""

    answers: ClassVar[type[msgspec.Struct]] = Done
    peer: Party
    tx: TransactionId


class ReleaseToPatient(msgspec.Struct, frozen=True, array_like=True, tag="release-to-patient/1"):
    """At a custodian: let the patient read what was withheld from her."""

    record: StateRef

    async def call(self, flow: FlowContext) -> Done:
        flow.progress("releasing a record to its patient")
        released = await LiftWithholding(self.record)
        flow.letter(Party(released.agent), NoteKeysReady.name, KeysReady(self.record.tx))
        return Done()


class NoteKeysReady:
    """The agent's side."""

    name: ClassVar[str] = "note-keys-ready/1"
    first: ClassVar[type[msgspec.Struct]] = KeysReady

    async def call(
        self, flow: FlowContext, session: FlowSession, first: Untrusted[KeysReady]
    ) -> Done:
        flow.progress("hearing that keys can be had")
        return await ObtainAgain(session.counterparty, first.check(lambda said: said.tx))


FLOWS: tuple[type[msgspec.Struct], ...] = (ObtainKeys, FetchOwn, ReleaseToPatient)
RESPONDERS = (GivePatientKeys, GiveOwn, NoteKeysReady)
