"""The one list of subjects: what this network can do. A new subject is one file in each layer and one entry here."""

from dataclasses import dataclass

import msgspec

from flows.consumed import ShowConsumed
from flows.delivery import GiveTransactions, TakeDelivery
from flows.notary_change import ChangeNotary, NoteEntry
from flows.reading_recall import AskReadings, RegainReadings, RemindReadings
from flows.recovery import Recover, Remind
from flows.registry import Answering, Registry
from flows.subjects import (
    confirmation,
    consent,
    disclosure,
    enrolment,
    key_return,
    notice,
    patient_access,
    reading,
    record,
    restriction,
)
from states.contract import Contracts
from states.parameters import AllowedContract
from states.subjects.consent import ConsentContract
from states.subjects.disclosure import DisclosureContract
from states.subjects.notary_change import NotaryChangeContract
from states.subjects.record import RecordContract
from states.subjects.restriction import RestrictionContract

NOTARY_CHANGE = NotaryChangeContract(
    (RecordContract(), ConsentContract(), RestrictionContract(), DisclosureContract())
)
CONTRACTS = Contracts((*NOTARY_CHANGE.subjects, NOTARY_CHANGE))


@dataclass(frozen=True, slots=True)
class Conversations:
    """The flows that this node starts, and the responders that peers may start on it."""

    name: str
    flows: tuple[type[msgspec.Struct], ...]
    responders: tuple[Answering, ...]


SUBJECTS = (
    Conversations(
        "ledger",
        (Recover, ChangeNotary),
        (TakeDelivery, GiveTransactions, ShowConsumed, Remind, NoteEntry),
    ),
    Conversations("enrolment", enrolment.FLOWS, enrolment.RESPONDERS),
    Conversations("record", record.FLOWS, record.RESPONDERS),
    Conversations("patient access", patient_access.FLOWS, patient_access.RESPONDERS),
    Conversations("key return", key_return.FLOWS, key_return.RESPONDERS),
    Conversations("consent", consent.FLOWS, consent.RESPONDERS),
    Conversations("restriction", restriction.FLOWS, restriction.RESPONDERS),
    Conversations("disclosure", disclosure.FLOWS, disclosure.RESPONDERS),
    Conversations("notice", notice.FLOWS, notice.RESPONDERS),
    Conversations("confirmation", confirmation.FLOWS, confirmation.RESPONDERS),
    Conversations(
        "reading",
        (*reading.FLOWS, RegainReadings),
        (*reading.RESPONDERS, RemindReadings, AskReadings),
    ),
)


def registry() -> Registry:
    """Return every flow and responder, by the names that journals and peers use."""
    return Registry(
        flows=[flow for subject in SUBJECTS for flow in subject.flows],
        responders=[responder for subject in SUBJECTS for responder in subject.responders],
    )


def allowed_contracts(from_time: int) -> tuple[AllowedContract, ...]:
    """Return all contracts as network parameters allow them, from a moment (ms) on."""
    return tuple(
        AllowedContract(contract.name, contract.corpus, from_time)
        for contract in CONTRACTS.by_name.values()
    )
