"""Transfer of custody at a node: introduced by the agent, named unseen by the new custodian, handed over by the old."""

from sqlite3 import Connection

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from app.blobs.cipher import DATA_KEY_SIZE
from app.blobs.wrap import WrapContext, wrap_data_key
from app.rows.tables import IntroductionRow, RecordRow, TransferRow
from app.storage.statements import sql, table_of
from app.subjects.enrolment import Enrolments, any_enrolment
from app.subjects.patient_access import reason_of
from app.subjects.transfer_permit import TransferPermits
from app.subjects.wrapped import epoch_key
from app.vault.drafts import Output, Saying
from app.vault.ground import Ground
from app.vault.ledger_handlers import part_of
from app.vault.reader import NotEnrolled, NotHeld, PartlyShown, for_roles
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.services import Done, Held
from flows.step import Handlers
from flows.subjects.record import (
    Acceptance,
    AcceptOffer,
    BuildTransfer,
    Introduction,
    KeepIntroduction,
    MakeIntroduction,
    MakeOffer,
    Offered,
)
from states.builder import HiddenSeal, OpenSeal, seal_leaf
from states.crypto.hashes import HASH_SIZE
from states.crypto.merkle import leaf_hash
from states.crypto.policy import One
from states.encoding import encode
from states.groups import Group
from states.identity import Party, PatientId
from states.lock import LOCK, SpendLock
from states.signed import PROVEN_TRANSACTION, ProvenTransaction
from states.state import StateRef, TransactionId
from states.subjects.content import CONTENT
from states.subjects.record import (
    MedicalRecord,
    RecordTransfer,
    TransferredContent,
    seal_places,
)
from states.subjects.terms import SubjectAt
from states.tearoff import Tearoff, open_tearoff
from states.verifier import CheckedTransaction

TOKEN_SIZE = 16
SUBJECT_SEAL = 1  # its place in a transfer's sealed group; the record's content is at 0

_INTRODUCTION, _RECORD = table_of(IntroductionRow), table_of(RecordRow)
_TRANSFER = table_of(TransferRow)
_ADD_INTRODUCTION = sql(insert(_INTRODUCTION).prefix_with("OR IGNORE"))
_GET_INTRODUCTION = sql(
    select(
        _INTRODUCTION.c.agent,
        _INTRODUCTION.c.patient,
        _INTRODUCTION.c.comes,
        _INTRODUCTION.c.leaf,
        _INTRODUCTION.c.lock,
        _INTRODUCTION.c.record_tx,
        _INTRODUCTION.c.record_idx,
    ).where(_INTRODUCTION.c.token == bindparam("token"))
)
_SET_OFFERED = sql(
    update(_INTRODUCTION)
    .where(_INTRODUCTION.c.token == bindparam("which"))
    .values(
        record_tx=bindparam("tx"),
        record_idx=bindparam("idx"),
        leaf=bindparam("sealed"),
        lock=bindparam("made"),
        withheld=bindparam("reason"),
    )
)
_RECORD_HERE = sql(
    select(
        _RECORD.c.patient,
        _RECORD.c.custodian,
        _RECORD.c.consumed_seq,
        _RECORD.c.content,
        _RECORD.c.withheld,
    ).where(_RECORD.c.tx == bindparam("tx"), _RECORD.c.idx == bindparam("idx"))
)
_KEPT_HERE = sql(
    select(_RECORD.c.tx)
    .where(
        _RECORD.c.commitment == bindparam("commitment"),
        _RECORD.c.custodian == bindparam("me"),
        or_(_RECORD.c.patient != bindparam("local"), _RECORD.c.consumed_seq.is_(None)),
    )
    .limit(1)
)
_ADD_TRANSFER = sql(insert(_TRANSFER))


class Transfers:
    """All three sides of a transfer."""

    def __init__(self, ground: Ground, enrolments: Enrolments, permits: TransferPermits) -> None:
        self._ground = ground
        self._enrolments = enrolments
        self._permits = permits
        self.me = ground.me

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(MakeIntroduction, self.introduce)
        handlers.on(KeepIntroduction, self.keep_introduction)
        handlers.on(MakeOffer, self.make_offer)
        handlers.on(AcceptOffer, self.accept_offer)
        handlers.on(BuildTransfer, self.build)

    # -- the agent -----------------------------------------------------------------------------------

    def introduce(self, step: Step, request: MakeIntroduction) -> Introduction:
        """See MakeIntroduction. The asker must be the record's custodian, and its patient permit just this pair now.

        All refusals are alike: a custodian must not learn where else its patient is enrolled, or what she permits.
        """
        patient = self._named_patient(step, request)
        if patient is None:
            raise FlowRefused("nothing-available", "Nothing available.")
        token = self._ground.entropy(TOKEN_SIZE)
        return Introduction(token, patient, request.custodian)

    def _named_patient(self, step: Step, request: MakeIntroduction) -> PatientId | None:
        """Return what the new custodian calls the patient of a record, if the record may pass to it."""
        row = self._record(step, request.record)
        if row is None or row[1] != request.custodian or row[2] is not None or row[0] is None:
            return None
        pair = request.custodian, request.to
        if not self._permits.is_permitted(step.unit, step.now, row[0], *pair):
            return None
        try:
            return self._enrolments.of_local(step.unit, request.to, row[0]).patient
        except NotEnrolled:
            return None

    # -- the new custodian ---------------------------------------------------------------------------

    def keep_introduction(self, step: Step, request: KeepIntroduction) -> Done:
        """See KeepIntroduction."""
        said = request.introduction
        enrolment, _ = self._enrolments.of_patient(step.unit, self.me, said.patient)
        if enrolment.agent != request.agent:
            raise FlowRefused("other-agent", "the patient has another agent here")
        row = {"token": said.token, "agent": request.agent, "patient": said.patient}
        rest = {"record_tx": None, "record_idx": None, "leaf": None, "lock": None, "withheld": None}
        step.unit.execute(_ADD_INTRODUCTION, row | {"comes": said.comes} | rest)
        return Done()

    def accept_offer(self, step: Step, request: AcceptOffer) -> Acceptance:
        """See AcceptOffer. The name of the patient is sealed here and enters the transfer by its hash alone."""
        introduction = step.unit.execute(
            _GET_INTRODUCTION, {"token": request.offer.token}
        ).fetchone()
        if introduction is None or introduction[2] != request.peer or introduction[3] is not None:
            raise FlowRefused("not-announced", "nobody announced this record")
        proven = PROVEN_TRANSACTION.decode(part_of(step, request.part))
        verified = self._ground.vault.verifier.verify(proven, lambda _: None, held=False)
        ref = request.offer.record
        offered = dict(verified.checked.ledger.outputs_of(MedicalRecord)).get(ref.index)
        if verified.checked.ledger.id != ref.tx or offered is None:
            raise FlowRefused("not-as-offered", "the transaction is not that of the record")
        if offered.custodian != request.peer:
            raise FlowRefused("not-yours", "the record is another custodian's")
        self._check_new(step, offered, PatientId(introduction[1]))
        self._ground.vault.see(step, ref, verified.checked.ledger.outputs[ref.index].state)
        lock = self._ground.locks.make(step)
        leaf = self._name_leaf(PatientId(introduction[1]), lock)
        row = {"which": request.offer.token, "tx": ref.tx, "idx": ref.index}
        made = {"sealed": leaf, "made": encode(lock), "reason": request.offer.withheld}
        step.unit.execute(_SET_OFFERED, row | made)
        return Acceptance(lock, leaf_hash(leaf), *epoch_key(self._ground.keys, step.now))

    def _name_leaf(self, patient: PatientId, lock: SpendLock) -> bytes:
        """Return this custodian's sealed name of a patient, whose nonce it can make again from any copy of the lock."""
        place = seal_places(RecordTransfer(), 1)[SUBJECT_SEAL]
        sealed = place.holds(encode(SubjectAt(self.me, patient)))
        return seal_leaf(OpenSeal(sealed, self._ground.locks.nonce_beside(lock)))

    def reveal(self, step: Step, checked: CheckedTransaction) -> Tearoff:
        """Show to a new custodian that has lost it the name that it had sealed itself, in a transfer that others bring.

        Raises NotYet as long as none of its patients fits: her enrolment may have to come back first.
        """
        ledger, filtered = checked.ledger, checked.filtered
        new = [record for _, record in ledger.outputs_of(MedicalRecord)]
        if not isinstance(ledger.commands[0].data, RecordTransfer) or new[0].custodian != self.me:
            return filtered.tearoff
        if filtered.component(Group.SEALED, 0) is None:
            raise PartlyShown("a transfer is brought without what the record is", ledger.id)
        place = filtered.layout.position(Group.SEALED, SUBJECT_SEAL)
        lock, sought = ledger.locks[0], filtered.hidden(place)
        if sought is None or not self._ground.locks.is_mine(step.unit, lock):
            return filtered.tearoff
        for patient in self._enrolments.patients_here(step.unit):
            leaf = self._name_leaf(patient, lock)
            if leaf_hash(leaf) == sought:
                return filtered.revealing(place, leaf)
        raise NotEnrolled("a transfer names no patient of this custodian", any_enrolment(self.me))

    def _check_new(self, step: Step, offered: MedicalRecord, patient: PatientId) -> None:
        """Refuse bytes that this custodian keeps: their key could be found by this record, or this one's by theirs.

        They may come back to it, as the same patient's, once it has passed them on.
        """
        _, local = self._enrolments.of_patient(step.unit, self.me, patient)
        named = {"commitment": offered.commitment, "me": self.me, "local": local}
        if step.unit.execute(_KEPT_HERE, named).fetchone() is not None:
            raise FlowRefused("not-acceptable", "the record cannot be taken over")

    def judge(self, step: Step, checked: CheckedTransaction, peer: Party, token: bytes) -> Tearoff:
        """Sign a transfer only if it moves what was offered, and lock and hidden name are those that this node made.

        Reveals the name to itself.
        """
        row = step.unit.execute(_GET_INTRODUCTION, {"token": token}).fetchone()
        ledger, filtered = checked.ledger, checked.filtered
        if row is None or row[2] != peer or row[3] is None:
            raise FlowRefused("not-announced", "nobody announced this record")
        offered = StateRef(TransactionId(row[5]), row[6])
        if [item.ref for item in ledger.inputs] != [offered]:
            raise FlowRefused("not-as-offered", "the record is not the one that was offered")
        new = [record for _, record in ledger.outputs_of(MedicalRecord)]
        mine = len(new) == 1 and new[0].custodian == self.me
        lock = filtered.component(Group.LOCKS, 0)
        if not mine or lock is None or LOCK.decode(lock) != LOCK.decode(row[4]):
            raise FlowRefused("not-as-accepted", "the lock is not the one that was given")
        return filtered.revealing(filtered.layout.position(Group.SEALED, SUBJECT_SEAL), row[3])

    # -- the old custodian ---------------------------------------------------------------------------

    def make_offer(self, step: Step, request: MakeOffer) -> Offered:
        """See MakeOffer: the record's transaction, with this output and its lock, and nothing sealed."""
        row = self._record(step, request.record)
        if row is None or row[1] != self.me or row[2] is not None:
            raise NotHeld("no live record of this custodian")
        proven = self._ground.vault.transaction(step.unit, request.record.tx)
        assert isinstance(proven, ProvenTransaction), "a live record's transaction is notarised"
        filtered = open_tearoff(for_roles(open_tearoff(proven.tearoff), frozenset()))
        shown = filtered.only_output(request.record.index)
        part = step.put_part(encode(ProvenTransaction(shown, proven.signatures, proven.receipt)))
        return Offered(part, None if row[4] is None else reason_of(row[4]))

    def build(self, step: Step, request: BuildTransfer) -> Held:
        """See BuildTransfer. Raises WrapRefused for a key that nothing can be wrapped for: else it would fail later."""
        ref, accepted = request.record, request.acceptance
        context = WrapContext(bytes(HASH_SIZE), 0, accepted.epoch)
        nothing = bytes(DATA_KEY_SIZE)
        wrap_data_key(
            nothing, accepted.epoch_key, context, bytes
        )  # zeros do for what is thrown away
        row, state = self._record(step, ref), self._ground.vault.state(step.unit, ref)
        if row is None or row[1] != self.me or row[2] is not None or state is None:
            raise NotHeld("no live record of this custodian")
        old = self._ground.vault.verifier.contracts.states.decode(state.data)
        assert isinstance(old, MedicalRecord), "a record row names a record"
        new = MedicalRecord(request.to, old.version, old.commitment, old.blob, old.size_class)
        taker = self._ground.directory.identity_keys(request.to, step.now)
        content = TransferredContent(CONTENT.decode(row[3]))
        place = seal_places(RecordTransfer(), 1)[0]
        said = Saying(
            RecordTransfer(),
            (One(self._ground.identity.key), One(min(taker))),
            outputs=(Output(state.contract, new, accepted.lock),),
            sealed=(place.holds(encode(content)), HiddenSeal(accepted.leaf)),
            inputs=(ref,),
        )
        built = self._ground.drafts.build(step.now, said, state.notary)
        row_of = {"tx": built.id, "to": request.to, "epoch": accepted.epoch}
        what = {"commitment": old.commitment, "blob": old.blob, "size_class": old.size_class}
        step.unit.execute(_ADD_TRANSFER, row_of | {"epoch_key": accepted.epoch_key} | what)
        return self._ground.vault.hold(step, built.whole(), ())

    def _record(
        self, step: Step, ref: StateRef
    ) -> tuple[str | None, str, int | None, bytes, str | None] | None:
        row: tuple[str | None, str, int | None, bytes, str | None] | None
        row = step.unit.execute(_RECORD_HERE, {"tx": ref.tx, "idx": ref.index}).fetchone()
        return row
