"""Consents at a node: built by the agent, kept by custodian and grantee."""

from sqlite3 import Connection

import msgspec
from msgspec.structs import replace

from app.subjects.deciding import Deciding
from app.subjects.statement import Statements
from app.vault.drafts import Output, Saying
from app.vault.ground import Ground
from app.vault.reader import NotHeld
from app.vault.subject import Holders, Step
from flows.notices import Letter
from flows.services import Held
from flows.step import Handlers
from flows.subjects.consent import (
    AmendConsent,
    BuildAmendment,
    BuildGrant,
    BuildRevocation,
    ConsentParties,
    ConsentsHeld,
    GrantConsent,
    HeldBatches,
    PartiesOf,
)
from flows.subjects.statement import Bind, FindUnnotarised, HeedSigned
from states.contract import Contract
from states.encoding import encode
from states.identity import Party, PatientId
from states.ledger import Data, LedgerTransaction
from states.notarisation import LIVENESS_MAX
from states.state import StateRef
from states.subjects.consent import (
    SEAL_PLACES,
    Consent,
    ConsentAmend,
    ConsentContract,
    ConsentGrant,
    ConsentRevoke,
)
from states.subjects.terms import Opening, SubjectAt
from states.verifier import CheckedTransaction, VerifiedTransaction


class ConsentSubject:
    """The node's side of consent."""

    def __init__(self, ground: Ground, statements: Statements, deciding: Deciding) -> None:
        self.contract: Contract = ConsentContract()
        self._statements = statements
        self._enrolments = statements.enrolments
        self._ground = ground
        self._deciding = deciding

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(BuildGrant, self.grant)
        handlers.on(BuildAmendment, self.amend)
        handlers.on(BuildRevocation, self.revoke)
        handlers.on(PartiesOf, self.parties)
        handlers.on(ConsentsHeld, self.held)
        handlers.on(HeedSigned, self._statements.heed)
        handlers.on(FindUnnotarised, self._statements.unnotarised)
        handlers.on(Bind, self._deciding.bind)

    # -- what the vault asks -------------------------------------------------------------------------

    def holders(self, step: Step, ledger: LedgerTransaction) -> Holders:
        """Custodian, grantee and agent, as the consents in it say."""
        del step
        consents = [*ledger.inputs_of(Consent), *(c for _, c in ledger.outputs_of(Consent))]
        return {
            party: frozenset({role})
            for consent in consents
            for party, role in (
                (consent.custodian, "custodian"),
                (consent.grantee, "grantee"),
                (consent.agent, "agent"),
            )
        }

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        self._statements.accept(step, checked)

    def record(self, step: Step, verified: VerifiedTransaction, seq: int) -> tuple[Letter, ...]:
        ledger = verified.checked.ledger
        for _, opening in ledger.seals_of(Opening):
            ref = StateRef(ledger.id, opening.output)
            self._ground.locks.learn_opening(step, ref, opening.salt, opening.policy_digest)
        letters = self._statements.record(step, verified, seq, self.contract.name)
        self._learn_names(step, ledger)
        return letters + self._deciding.consequences(step, verified)

    def _learn_names(self, step: Step, ledger: LedgerTransaction) -> None:
        """At the agent: the name that a grantee was told of the patient is the one that it is always told."""
        for index, consent in ledger.outputs_of(Consent):
            found = self._statements.find(step.unit, StateRef(ledger.id, index))
            if consent.agent != self._ground.me or found is None or found.patient is None:
                continue
            for _, named in ledger.seals_of(SubjectAt):
                if named.party == consent.grantee:
                    party, patient = Party(named.party), PatientId(named.patient)
                    self._enrolments.learn_pairwise(step.unit, party, found.patient, patient)

    # -- what the agent's flows ask -------------------------------------------------------------------

    def grant(self, step: Step, request: BuildGrant) -> Held:
        """See BuildGrant. Raises NotEnrolled."""
        asked = request.grant
        local = asked.patient.hex()
        custodian, grantee = Party(asked.custodian), Party(asked.grantee)
        enrolment = self._enrolments.of_local(step.unit, custodian, local)
        consent = Consent(
            enrolment.authority, custodian, grantee, self._ground.me, asked.start, asked.end
        )
        said = self._new(step, consent, local, ConsentGrant(), asked)
        return self._hold(step, said, asked.patient, custodian, self._ground.drafts.notary)

    def amend(self, step: Step, request: BuildAmendment) -> Held:
        """See BuildAmendment. The parties stay what they were; the authority is the enrolment's of today."""
        asked = request.amendment
        old, local = self._live(step, asked.ref)
        enrolment = self._enrolments.of_local(step.unit, old.custodian, local)
        consent = msgspec.structs.replace(old, authority=enrolment.authority, end=asked.end)
        said = self._new(step, consent, local, ConsentAmend(), asked)
        said = replace(said, inputs=(asked.ref,), signers=(old.authority, consent.authority))
        notary = self._notary_of(step, asked.ref)
        return self._hold(step, said, bytes.fromhex(local), old.custodian, notary)

    def revoke(self, step: Step, request: BuildRevocation) -> Held:
        """See BuildRevocation."""
        ref = request.revocation.ref
        old, local = self._live(step, ref)
        said = Saying(ConsentRevoke(), (old.authority,), inputs=(ref,))
        notary = self._notary_of(step, ref)
        return self._hold(step, said, bytes.fromhex(local), old.custodian, notary)

    def held(self, step: Step, request: ConsentsHeld) -> HeldBatches:
        """See ConsentsHeld."""
        del request
        by_notary: dict[Party, list[StateRef]] = {}
        for ref in self._statements.held_as_grantee(step.unit):
            by_notary.setdefault(self._notary_of(step, ref), []).append(ref)
        return HeldBatches(
            tuple(
                encode(tuple(refs[at : at + LIVENESS_MAX]))
                for refs in by_notary.values()
                for at in range(0, len(refs), LIVENESS_MAX)
            )
        )

    def parties(self, step: Step, request: PartiesOf) -> ConsentParties:
        """See PartiesOf."""
        consent, _ = self._live(step, request.ref)
        return ConsentParties(consent.custodian, consent.grantee)

    def _new(
        self,
        step: Step,
        consent: Consent,
        local: str,
        command: Data,
        asked: GrantConsent | AmendConsent,
    ) -> Saying:
        """Say a consent with all its sealed components, in the places that the contract wants."""
        lock = self._ground.locks.make(step, bytes.fromhex(local))
        salt, digest = self._ground.locks.opening_of(step.unit, lock)
        values: tuple[Data, ...] = (
            SubjectAt(consent.custodian, self._pairwise(step, consent.custodian, local)),
            SubjectAt(consent.grantee, self._pairwise(step, consent.grantee, local)),
            asked.terms,
            Opening(0, salt, digest),
            asked.exceptions,
        )
        return Saying(
            command,
            (consent.authority,),
            outputs=(Output(self.contract.name, consent, lock),),
            sealed=tuple(
                place.holds(encode(value)) for place, value in zip(SEAL_PLACES, values, strict=True)
            ),
            attachments=() if asked.notice is None else (asked.notice,),
            until=consent.end,
        )

    def _pairwise(self, step: Step, party: Party, local: str) -> PatientId:
        return self._enrolments.pairwise(step.unit, party, local)

    def _hold(
        self, step: Step, said: Saying, patient: bytes, custodian: Party, notary: Party
    ) -> Held:
        built = self._ground.drafts.build(step.now, said, notary)
        signer = self._enrolments.authority(patient, custodian)
        return self._ground.vault.hold(step, built.whole(), (signer,))

    def _live(self, step: Step, ref: StateRef) -> tuple[Consent, str]:
        """Return a live consent of a patient of this agent, and its name of her; raises NotHeld."""
        live = self._statements.live(step.unit, ref)
        consent, local = live.data, live.patient
        if not isinstance(consent, Consent) or local is None or consent.agent != self._ground.me:
            raise NotHeld("no consent of a patient of this agent")
        return consent, local

    def _notary_of(self, step: Step, ref: StateRef) -> Party:
        state = self._ground.vault.state(step.unit, ref)
        assert state is not None, "a live statement is held"
        return state.notary
