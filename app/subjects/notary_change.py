"""Changes of notary at a node: what moves keeps its place in everything that this node keeps beside the ledger."""

from sqlite3 import Connection

from sqlalchemy import bindparam, null, update

from app.rows.tables import DisclosureRow, RecordRow, StatementRow
from app.storage.statements import sql, table_of
from app.subjects.enrolment import Enrolments
from app.subjects.patients_keys import forget
from app.vault.drafts import Output, Saying
from app.vault.ground import Ground
from app.vault.locks import OWN
from app.vault.reader import NotHeld
from app.vault.statements import ADD_ENTRY
from app.vault.subject import FORMER, Holders, Step
from app.vault.vault import NotConcerned
from flows.notary_change import BuildNotaryChange, KeepEntry
from flows.notices import Letter
from flows.services import Held, Recorded
from flows.step import Handlers
from states.contract import Contract
from states.crypto.policy import One, Policy
from states.crypto.signatures import Signer
from states.encoding import encode
from states.errors import LedgerError
from states.groups import Group
from states.identity import Party
from states.ledger import Data, LedgerTransaction
from states.sealed import Place, Sealed
from states.state import StateRef
from states.subjects.consent import Consent
from states.subjects.notary_change import NotaryChange, NotaryChangeContract
from states.subjects.restriction import Restriction
from states.subjects.terms import Opening
from states.verifier import CheckedTransaction, VerifiedTransaction

_MOVES = tuple(
    sql(
        update(table)
        .where(table.c.tx == bindparam("old_tx"), table.c.idx == bindparam("old_idx"))
        .values(tx=bindparam("new_tx"), idx=bindparam("new_idx"), consumed_seq=null())
    )
    for table in (table_of(StatementRow), table_of(RecordRow))
)
_DISCLOSURE = table_of(DisclosureRow)
_MOVE_BASIS = sql(
    update(_DISCLOSURE)
    .where(
        _DISCLOSURE.c.consent_tx == bindparam("old_tx"),
        _DISCLOSURE.c.consent_idx == bindparam("old_idx"),
    )
    .values(consent_tx=bindparam("new_tx"), consent_idx=bindparam("new_idx"))
)


class NotaryChangeSubject:
    """The node's side of a change of notary."""

    def __init__(
        self, ground: Ground, enrolments: Enrolments, contract: NotaryChangeContract
    ) -> None:
        self.contract: Contract = contract
        self._rules = contract
        self._ground = ground
        self._enrolments = enrolments

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(BuildNotaryChange, self.build)
        handlers.on(KeepEntry, self.keep_entry)

    # -- what the vault asks -------------------------------------------------------------------------

    def holders(self, step: Step, ledger: LedgerTransaction) -> Holders:
        """Whoever holds the state that moves, but who has passed it on before."""
        holders: dict[Party, frozenset[str]] = {}
        for item in ledger.inputs:
            for party, roles in self._ground.vault.holders_of(step.unit, item.ref.tx).items():
                if roles - FORMER:
                    holders[party] = roles - FORMER
        return holders

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        """Nothing beyond the contract: authorities and patients stay what they were."""

    def record(self, step: Step, verified: VerifiedTransaction, seq: int) -> tuple[Letter, ...]:
        """Let rows follow their state. A statement keeps the place in the log by which it is older or later.

        A patient's key is bound to the transaction that it came with: it is asked for again, by the new one.
        """
        del seq
        ledger = verified.checked.ledger
        forget(step.unit, [item.ref for item in ledger.inputs])
        for index, item in enumerate(ledger.inputs):
            places = {
                "old_tx": item.ref.tx,
                "old_idx": item.ref.index,
                "new_tx": ledger.id,
                "new_idx": index,
            }
            for move in (*_MOVES, _MOVE_BASIS):
                step.unit.execute(move, places)
        for _, opening in ledger.seals_of(Opening):
            ref = StateRef(ledger.id, opening.output)
            self._ground.locks.learn_opening(step, ref, opening.salt, opening.policy_digest)
        return ()

    # -- what the flow asks --------------------------------------------------------------------------

    def build(self, step: Step, request: BuildNotaryChange) -> Held:
        """See BuildNotaryChange."""
        ref, vault = request.ref, self._ground.vault
        state = vault.state(step.unit, ref)
        if state is None or not vault.is_live(step.unit, ref):
            raise NotHeld("the state does not live here")
        data = vault.verifier.contracts.states.decode(state.data)
        subject = next(s for s in self._rules.subjects if s.name == state.contract)
        owner = self._lock_owner(step, ref)
        lock = self._ground.locks.make(step, owner)
        sealed: tuple[Sealed, ...] = ()
        if subject.referring:
            opening = Opening(0, *self._ground.locks.opening_of(step.unit, lock))
            sealed = (Sealed(subject.referring, Place(Group.OUTPUTS, 0), encode(opening)),)
        signers = tuple(
            One(self._ground.identity.key) if isinstance(each, str) else each
            for each in subject.owners(data)
        )
        said = Saying(
            NotaryChange(request.to),
            signers,
            outputs=(Output(state.contract, data, lock, request.to),),
            sealed=sealed,
            inputs=(ref,),
        )
        built = self._ground.drafts.build(step.now, said, state.notary)
        return vault.hold(step, built.whole(), self._authorities(data, owner, signers))

    def _lock_owner(self, step: Step, ref: StateRef) -> bytes:
        locks = self._ground.locks
        try:
            return locks.owner_of(step.unit, locks.lock_of(step.unit, ref))
        except NotHeld as another:
            raise NotHeld("the state's lock is another's: its owner moves it") from another

    def _authorities(
        self, data: Data, owner: bytes, signers: tuple[Policy, ...]
    ) -> tuple[Signer, ...]:
        del signers
        if owner == OWN or not isinstance(data, Consent | Restriction):
            return ()
        return (self._enrolments.authority(owner, data.custodian),)

    def keep_entry(self, step: Step, request: KeepEntry) -> Recorded:
        """See KeepEntry."""
        vault = self._ground.vault
        holders = vault.holders_of(step.unit, request.tx)
        if request.peer is not None and request.peer not in holders:
            raise NotConcerned
        state = vault.state(step.unit, StateRef(request.tx, 0))
        if state is None:
            raise NotHeld("the change of notary is not recorded here")
        receipts = vault.verifier.receipts_of(state.notary, self._ground.in_force(step.now))
        verified = receipts.verify(request.tx, request.receipt)
        if verified.entry.nullifiers:
            raise UnexpectedEntry("an entered change consumes nothing at the new notary")
        row = {"tx": request.tx, "notary": state.notary, "log_index": verified.index}
        step.unit.execute(ADD_ENTRY, row | {"receipt": request.receipt})
        others = tuple(sorted(holders.keys() - {self._ground.me}))
        return Recorded(request.tx, others if request.peer is None else ())


class UnexpectedEntry(LedgerError):
    """A notary's entry of a change is not one."""
