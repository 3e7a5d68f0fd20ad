"""Restrictions at a node: built by the agent, kept by the custodian; no grantee ever hears of one."""

from sqlite3 import Connection

from app.subjects.deciding import Deciding
from app.subjects.statement import Statements
from app.vault.drafts import Output, Saying
from app.vault.ground import Ground
from app.vault.reader import NotHeld
from app.vault.subject import Holders, Step
from flows.notices import Letter
from flows.services import Held
from flows.step import Handlers
from flows.subjects.restriction import BuildLifting, BuildRestriction
from states.contract import Contract
from states.encoding import encode
from states.identity import Party
from states.ledger import LedgerTransaction
from states.subjects.restriction import (
    SEAL_PLACES,
    Restriction,
    RestrictionClose,
    RestrictionContract,
    RestrictionLift,
)
from states.subjects.terms import SubjectAt
from states.verifier import CheckedTransaction, VerifiedTransaction


class RestrictionSubject:
    """The node's side of restriction."""

    def __init__(self, ground: Ground, statements: Statements, deciding: Deciding) -> None:
        self.contract: Contract = RestrictionContract()
        self._statements = statements
        self._enrolments = statements.enrolments
        self._ground = ground
        self._deciding = deciding

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(BuildRestriction, self.close)
        handlers.on(BuildLifting, self.lift)

    def holders(self, step: Step, ledger: LedgerTransaction) -> Holders:
        """Custodian and agent, as the restrictions in it say."""
        del step
        known = [
            *ledger.inputs_of(Restriction),
            *(each for _, each in ledger.outputs_of(Restriction)),
        ]
        return {
            party: frozenset({role})
            for restriction in known
            for party, role in ((restriction.custodian, "custodian"), (restriction.agent, "agent"))
        }

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        self._statements.accept(step, checked)

    def record(self, step: Step, verified: VerifiedTransaction, seq: int) -> tuple[Letter, ...]:
        letters = self._statements.record(step, verified, seq, self.contract.name)
        return letters + self._deciding.consequences(step, verified)

    def close(self, step: Step, request: BuildRestriction) -> Held:
        """See BuildRestriction. Raises NotEnrolled."""
        asked = request.restriction
        custodian = Party(asked.custodian)
        enrolment = self._enrolments.of_local(step.unit, custodian, asked.patient.hex())
        restriction = Restriction(enrolment.authority, custodian, self._ground.me, step.now)
        values = (SubjectAt(custodian, enrolment.patient), asked.terms)
        said = Saying(
            RestrictionClose(),
            (enrolment.authority,),
            outputs=(
                Output(
                    self.contract.name, restriction, self._ground.locks.make(step, asked.patient)
                ),
            ),
            sealed=tuple(
                place.holds(encode(value)) for place, value in zip(SEAL_PLACES, values, strict=True)
            ),
            attachments=() if asked.notice is None else (asked.notice,),
        )
        built = self._ground.drafts.build(step.now, said)
        signer = self._enrolments.authority(asked.patient, custodian)
        return self._ground.vault.hold(step, built.whole(), (signer,))

    def lift(self, step: Step, request: BuildLifting) -> Held:
        """See BuildLifting."""
        ref = request.lifting.ref
        live = self._statements.live(step.unit, ref)
        old = live.data
        if not isinstance(old, Restriction) or live.patient is None or old.agent != self._ground.me:
            raise NotHeld("no restriction of a patient of this agent")
        said = Saying(RestrictionLift(), (old.authority,), inputs=(ref,))
        state = self._ground.vault.state(step.unit, ref)
        built = self._ground.drafts.build(step.now, said, None if state is None else state.notary)
        signer = self._enrolments.authority(bytes.fromhex(live.patient), old.custodian)
        return self._ground.vault.hold(step, built.whole(), (signer,))
