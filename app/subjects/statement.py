"""A patient's statements (consents and restrictions) at her agent, at a custodian, at a grantee."""

from dataclasses import dataclass
from itertools import islice
from sqlite3 import Connection

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from app.rows.tables import STATEMENT_TABLES, InForceRow, StatementRow
from app.storage.statements import creation, sql, table_of
from app.subjects.enrolment import Enrolments
from app.vault.ground import Ground
from app.vault.ledger_handlers import part_of
from app.vault.reader import NotHeld, PartlyShown, VaultReader
from app.vault.subject import Step
from app.vault.tables import HolderRow, StateRow, Status, TransactionRow
from app.vault.vault import NotConcerned
from flows.flow import FlowRefused
from flows.notices import InForce, InForceSince, Letter
from flows.services import FETCH_MAX, Done, Found
from flows.subjects.statement import FindUnnotarised, Heeded, HeedSigned
from states.command import COMMAND
from states.crypto.signatures import sign_evidence, verify_evidence
from states.encoding import encode
from states.errors import InvalidSignature
from states.groups import Group
from states.identity import Party
from states.ledger import LedgerTransaction
from states.signed import HELD_OR_PROVEN, SignedTransaction
from states.state import STATE_REF, StateRef, TransactionId
from states.subjects.consent import SEAL_PLACES as _CONSENT_SEALS
from states.subjects.consent import Consent, ConsentRevoke
from states.subjects.pinned import check_pinned, named_patient
from states.subjects.restriction import SEAL_PLACES as _RESTRICTION_SEALS
from states.subjects.restriction import Restriction
from states.subjects.terms import Exceptions, SubjectAt, Terms
from states.verifier import CheckedTransaction, VerifiedTransaction

_ROW, _IN_FORCE = table_of(StatementRow), table_of(InForceRow)
_TX, _HOLDER = table_of(TransactionRow), table_of(HolderRow)
_STATE = table_of(StateRow)
_ADD = sql(insert(_ROW))
_ADD_IN_FORCE = sql(insert(_IN_FORCE).prefix_with("OR IGNORE"))
_END = sql(
    update(_ROW)
    .where(_ROW.c.tx == bindparam("id"), _ROW.c.idx == bindparam("index"))
    .values(consumed_seq=bindparam("seq"))
)
_CLOSE = sql(
    update(_ROW)
    .where(
        _ROW.c.tx == bindparam("id"), _ROW.c.idx == bindparam("index"), _ROW.c.closed_at.is_(None)
    )
    .values(closed_at=bindparam("closed"))
)
_GET = sql(
    select(_ROW.c.patient, _ROW.c.consumed_seq, _ROW.c.closed_at).where(
        _ROW.c.tx == bindparam("tx"), _ROW.c.idx == bindparam("idx")
    )
)

_HELD = sql(
    select(_ROW.c.tx, _ROW.c.idx)
    .where(
        _ROW.c.grantee == bindparam("me"), _ROW.c.consumed_seq.is_(None), _ROW.c.closed_at.is_(None)
    )
    .order_by(_ROW.c.created_seq)
)

_HELD_WITH = sql(
    select(_TX.c.tx)
    .join(_HOLDER, _HOLDER.c.number == _TX.c.number)
    .where(
        _TX.c.status == int(Status.HELD),
        _HOLDER.c.party == bindparam("party"),
        _TX.c.tx > bindparam("after"),
    )
    .order_by(_TX.c.tx)
)

_CONSUMED_BY = sql(
    select(_STATE.c.consumed_by).where(
        _STATE.c.tx == bindparam("tx"), _STATE.c.idx == bindparam("idx")
    )
)

Statement = Consent | Restriction


def current(vault: VaultReader, db: Connection, ref: StateRef) -> StateRef:
    """Return where a statement is now: its row has gone with it each time that it moved to another notary."""
    key = {"tx": ref.tx, "idx": ref.index}
    moved = db.execute(_CONSUMED_BY, key).fetchone()
    if db.execute(_GET, key).fetchone() is not None or moved is None or moved[0] is None:
        return ref
    inputs = vault.stored(db, moved[0]).filtered.components(Group.INPUTS)
    places = {STATE_REF.decode(data): at for at, data in inputs}
    return current(vault, db, StateRef(TransactionId(moved[0]), places[ref]))


@dataclass(frozen=True, slots=True)
class LiveStatement:
    """A statement that lives here, and what this node calls the patient."""

    ref: StateRef
    data: Statement
    patient: str | None
    closed: bool
    """A signed withdrawal has arrived; its receipt may not have."""
    ended: bool = False


class Statements:
    """What consents and restrictions share at a node."""

    def __init__(self, ground: Ground, enrolments: Enrolments) -> None:
        self._ground = ground
        self.vault = ground.vault
        self.enrolments = enrolments

    @staticmethod
    def create(db: Connection) -> None:
        for statement in creation(*STATEMENT_TABLES):
            db.execute(statement)

    @property
    def me(self) -> Party:
        return self._ground.me

    def find(self, db: Connection, ref: StateRef) -> LiveStatement | None:
        """Return a statement, live or ended; None if this node never held it."""
        row = db.execute(_GET, {"tx": ref.tx, "idx": ref.index}).fetchone()
        state = self.vault.state(db, ref)
        if row is None or state is None:
            return None
        data = self.vault.verifier.contracts.states.decode(state.data)
        assert isinstance(data, Consent | Restriction), "a statement row names a statement"
        return LiveStatement(ref, data, row[0], row[2] is not None, row[1] is not None)

    def live_or_ended(self, db: Connection, ref: StateRef) -> LiveStatement:
        """Return a statement, live or ended; raises NotHeld."""
        found = self.find(db, ref)
        if found is None:
            raise NotHeld("the statement is not known here")
        return found

    def live(self, db: Connection, ref: StateRef) -> LiveStatement:
        """Return a statement that is not consumed; raises NotHeld."""
        found = self.find(db, ref)
        if found is None or found.ended:
            raise NotHeld("the statement does not live here")
        return found

    def held_as_grantee(self, db: Connection) -> list[StateRef]:
        """Return the live consents of which this node is the grantee."""
        rows = db.execute(_HELD, {"me": self._ground.me})
        return [StateRef(TransactionId(tx), idx) for tx, idx in rows]

    # -- what the vault asks of both subjects -------------------------------------------------------

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        """At the custodian and the agent: the authority is the one that the enrolment pins.

        A grantee does not judge it: it relies on the custodian's signature under each disclosure. Each sees all that
        it may read: what was recorded once is not taken again, so nobody may bring a part of it first.
        """
        ledger = checked.ledger
        shown = {seal.index for seal in ledger.sealed}
        for _, new in _outputs(ledger):
            mine = _role_in(new, self.me)
            places = _CONSENT_SEALS if isinstance(new, Consent) else _RESTRICTION_SEALS
            if any(mine in place.readers and at not in shown for at, place in enumerate(places)):
                why = "a statement is brought without all that its holder reads"
                raise PartlyShown(why, ledger.id)
        for _, new in _outputs(ledger):
            if self.me in (new.custodian, new.agent):
                patient = named_patient(ledger, new.custodian)
                enrolment, _ = self.enrolments.of_patient(step.unit, new.custodian, patient)
                check_pinned(new, patient, enrolment)

    def record(
        self, step: Step, verified: VerifiedTransaction, seq: int, contract: str
    ) -> tuple[Letter, ...]:
        """Keep new statements, end consumed ones, and owe the agent an *in force since*."""
        ledger = verified.checked.ledger
        for item in ledger.inputs:
            step.unit.execute(_END, {"id": item.ref.tx, "index": item.ref.index, "seq": seq})
        for index, new in _outputs(ledger):
            self._add(step, verified, seq, contract, index, new)
        agents = {state.agent for state in _concerned(ledger)}
        return self._owed(step, ledger, agents)

    def _add(
        self,
        step: Step,
        verified: VerifiedTransaction,
        seq: int,
        contract: str,
        index: int,
        new: Statement,
    ) -> None:
        ledger = verified.checked.ledger
        terms = [terms for _, terms in ledger.seals_of(Terms)]
        exceptions = [each for _, each in ledger.seals_of(Exceptions)]
        step.unit.execute(
            _ADD,
            {
                "tx": ledger.id,
                "idx": index,
                "contract": contract,
                "custodian": new.custodian,
                "grantee": new.grantee if isinstance(new, Consent) else None,
                "agent": new.agent,
                "patient": self._local_name(step.unit, ledger, new),
                "pairwise": self._pairwise(ledger),
                "start": new.start,
                "end": new.end if isinstance(new, Consent) else None,
                "terms": encode(terms[0]),
                "exceptions": encode(exceptions[0]) if exceptions else None,
                "notary": ledger.notary,
                "at": verified.receipt.entry.at,
                "log_index": verified.receipt.index,
                "since": step.now,
                "created_seq": seq,
                "consumed_seq": None,
                "closed_at": None,
            },
        )

    def _local_name(self, db: Connection, ledger: LedgerTransaction, new: Statement) -> str | None:
        """What this node calls the patient; None at a grantee where she is not enrolled."""
        for _, named in ledger.seals_of(SubjectAt):
            if named.party == new.custodian and self.me in (new.custodian, new.agent):
                return self.enrolments.of_patient(db, new.custodian, named.patient)[1]
            if named.party == self.me:
                return self.enrolments.name_of(db, named.patient)
        return None

    def _pairwise(self, ledger: LedgerTransaction) -> bytes | None:
        return next(
            (named.patient for _, named in ledger.seals_of(SubjectAt) if named.party == self.me),
            None,
        )

    def _owed(
        self, step: Step, ledger: LedgerTransaction, agents: set[Party]
    ) -> tuple[Letter, ...]:
        if self.me in agents:
            return ()
        network = ledger.parameters.network
        statement = InForce(self.me, ledger.id, step.now)
        evidence = sign_evidence(self._ground.identity, network, encode(statement))
        return tuple(Letter(agent, InForceSince(statement, evidence)) for agent in sorted(agents))

    # -- withdrawals that arrive before their receipt -------------------------------------------------

    def heed(self, step: Step, request: HeedSigned) -> Heeded:
        """See HeedSigned. Verified like any transaction, all signatures included, but for the receipt."""
        brought = HELD_OR_PROVEN.decode(part_of(step, request.part))
        signed = SignedTransaction(brought.tearoff, brought.signatures)
        checked = self.vault.verifier.check(
            signed, lambda ref: self.vault.state(step.unit, ref), held=True
        )
        ledger = checked.ledger
        ended = [state for state in _inputs(ledger) if request.peer == state.agent]
        if ledger.count(Group.OUTPUTS) or len(ended) != len(ledger.inputs):
            raise FlowRefused(
                "no-withdrawal", "only an agent's withdrawal closes before its receipt"
            )
        for item in ledger.inputs:
            self.close(step, item.ref)
        return Heeded(self._owed(step, ledger, {state.agent for state in ended}))

    def unnotarised(self, step: Step, request: FindUnnotarised) -> Found:
        """See FindUnnotarised. There are as many as this agent's patients have withdrawn while a notary is away."""
        asked = {"party": request.peer, "after": request.after}
        held = (TransactionId(tx) for (tx,) in step.unit.execute(_HELD_WITH, asked).fetchall())
        return Found(tuple(islice((tx for tx in held if self._withdraws(step, tx)), FETCH_MAX)))

    def _withdraws(self, step: Step, tx: TransactionId) -> bool:
        """Whether a draft is an agent's own word that a consent has ended."""
        filtered = self.vault.stored(step.unit, tx).filtered
        commands = [COMMAND.decode(c).data for _, c in filtered.components(Group.COMMANDS)]
        codec = self.vault.verifier.contracts.commands
        roles = self.vault.holders_of(step.unit, tx).get(self.me, frozenset())
        said = [codec.decode(command) for command in commands]
        return "agent" in roles and any(isinstance(each, ConsentRevoke) for each in said)

    @staticmethod
    def close(step: Step, ref: StateRef) -> None:
        """End access by a statement now; only its receipt will end the statement itself."""
        step.unit.execute(_CLOSE, {"id": ref.tx, "index": ref.index, "closed": step.now})

    def note_in_force(self, step: Step, said: InForceSince, peer: Party) -> Done:
        """Keep a party's *in force since*, which the patient sees. Raises InvalidSignature, NotConcerned."""
        statement = said.statement
        if not self.vault.is_holder(step.unit, peer, statement.tx):
            raise NotConcerned
        parameters = self._ground.in_force(step.now)
        keys = self._ground.directory.identity_keys(Party(statement.party), step.now)
        if statement.party != peer or said.signature.key not in keys:
            raise InvalidSignature("in force since", "not signed by the party that it names")
        verify_evidence(said.signature, parameters.network, encode(statement), parameters.relying)
        row = {
            "tx": statement.tx,
            "party": peer,
            "at": statement.at,
            "signed": encode(said),
        }
        step.unit.execute(_ADD_IN_FORCE, row)
        return Done()


def _role_in(statement: Statement, party: Party) -> str | None:
    """Return the role by which a party reads what is sealed about a statement."""
    roles = {statement.agent: "agent", statement.custodian: "custodian"}
    if isinstance(statement, Consent):
        roles[statement.grantee] = "grantee"
    return roles.get(party)


def _outputs(ledger: LedgerTransaction) -> list[tuple[int, Statement]]:
    return [*ledger.outputs_of(Consent), *ledger.outputs_of(Restriction)]


def _inputs(ledger: LedgerTransaction) -> list[Statement]:
    return [*ledger.inputs_of(Consent), *ledger.inputs_of(Restriction)]


def _concerned(ledger: LedgerTransaction) -> list[Statement]:
    return [*_inputs(ledger), *(state for _, state in _outputs(ledger))]
