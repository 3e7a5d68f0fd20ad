"""Whether a patient's statement is hers: its authority against that of her enrolment (specification §5)."""

from states.enrolment import Enrolment
from states.errors import LedgerError
from states.identity import Party, PatientId
from states.ledger import LedgerTransaction
from states.subjects.consent import Consent
from states.subjects.restriction import Restriction
from states.subjects.terms import SubjectAt


class NotPinned(LedgerError):
    """A statement claims to be a patient's whose enrolment says otherwise. Anybody can sign for a key of his own."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not the statement of an enrolled patient: {why}")
        self.why = why


def named_patient(tx: LedgerTransaction, party: Party) -> PatientId:
    """Return the patient of a transaction as `party` names her; raises NotPinned unless one name is shown."""
    names = [subject.patient for _, subject in tx.seals_of(SubjectAt) if subject.party == party]
    if len(names) != 1:
        raise NotPinned(f"{len(names)} names of the patient are shown to {party}")
    return names[0]


def check_pinned(state: Consent | Restriction, patient: PatientId, enrolment: Enrolment) -> None:
    """Raise NotPinned unless `enrolment` says that this patient's authority and agent made the statement.

    `patient` comes from the sealed `subject-at` of the custodian (`named_patient`), `enrolment` from its own books.
    """
    if enrolment.custodian != state.custodian or enrolment.patient != patient:
        raise NotPinned("the enrolment is another's")
    if enrolment.authority != state.authority:
        raise NotPinned("the authority is not that of the enrolment")
    if enrolment.agent != state.agent:
        raise NotPinned("the agent is not that of the enrolment")
