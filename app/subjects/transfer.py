"""Transfer of custody at a node: introduced by the agent, named unseen by the new custodian, handed over by the old."""

from sqlite3 import Connection
from typing import NamedTuple

from sqlalchemy import bindparam, delete, or_, select, update
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
INTRODUCED_MS = 3_600_000  # outages are bridged, and a permit that is withdrawn is of no use for longer than that
SUBJECT_SEAL = 1  # its place in a transfer's sealed group; the record's content is at 0

_INTRODUCTION, _RECORD = table_of(IntroductionRow), table_of(RecordRow)
_TRANSFER = table_of(TransferRow)
_ADD_INTRODUCTION = sql(insert(_INTRODUCTION).prefix_with("OR IGNORE"))
_DROP_ENDED = sql(
    delete(_INTRODUCTION).where(
        _INTRODUCTION.c.until <= bindparam("now"), _INTRODUCTION.c.leaf.is_(None)
    )
)
"""What nobody made use of in time; an agent that announces without end fills an hour of it and no more."""
_GET_INTRODUCTION = sql(
    select(
        _INTRODUCTION.c.patient,
        _INTRODUCTION.c.comes,
        _INTRODUCTION.c.record_tx,
        _INTRODUCTION.c.record_idx,
        _INTRODUCTION.c.until,
        _INTRODUCTION.c.leaf,
        _INTRODUCTION.c.lock,
    ).where(_INTRODUCTION.c.token == bindparam("token"))
)
_SET_OFFERED = sql(
    update(_INTRODUCTION)
    .where(_INTRODUCTION.c.token == bindparam("which"))
    .values(
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


class _Introduced(NamedTuple):
    """Who brings which record of which patient before when; and, once it was offered, what this node made for it."""

    patient: bytes
    comes: str
    record_tx: bytes
    record_idx: int
    until: int
    leaf: bytes | None
    lock: bytes | None

    @property
    def record(self) -> StateRef:
        return StateRef(TransactionId(self.record_tx), self.record_idx)


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
        permitted = self._permitted(step, request)
        if permitted is None:
            raise FlowRefused("nothing-available", "Nothing available.")
        patient, until = permitted
        token = self._ground.entropy(TOKEN_SIZE)
        until = min(until, step.now + INTRODUCED_MS)
        return Introduction(token, patient, request.custodian, request.record, until)

    def _permitted(self, step: Step, request: MakeIntroduction) -> tuple[PatientId, int] | None:
        """Return what the new custodian calls the patient of a record, and until when it may pass to it, if it may."""
        row = self._record(step, request.record)
        if row is None or row[1] != request.custodian or row[2] is not None or row[0] is None:
            return None
        pair = request.custodian, request.to
        until = self._permits.permitted_until(step.unit, step.now, row[0], *pair)
        if until is None:
            return None
        try:
            return self._enrolments.of_local(step.unit, request.to, row[0]).patient, until
        except NotEnrolled:
            return None

    # -- the new custodian ---------------------------------------------------------------------------

    def keep_introduction(self, step: Step, request: KeepIntroduction) -> Done:
        """See KeepIntroduction."""
        said = request.introduction
        enrolment, _ = self._enrolments.of_patient(step.unit, self.me, said.patient)
        if enrolment.agent != request.agent:
            raise FlowRefused("other-agent", "the patient has another agent here")
        who = {"token": said.token, "agent": request.agent, "patient": said.patient}
        until = min(said.until, step.now + INTRODUCED_MS)  # whatever the agent says
        what = {"record_tx": said.record.tx, "record_idx": said.record.index, "until": until}
        rest = {"comes": said.comes, "leaf": None, "lock": None, "withheld": None}
        step.unit.execute(_DROP_ENDED, {"now": step.now})
        step.unit.execute(_ADD_INTRODUCTION, who | what | rest)
        return Done()

    def accept_offer(self, step: Step, request: AcceptOffer) -> Acceptance:
        """See AcceptOffer. The name of the patient is sealed here and enters the transfer by its hash alone."""
        ref = request.offer.record
        introduced = self._introduced(step, request.offer.token, request.peer)
        if introduced.leaf is not None or introduced.record != ref:
            raise FlowRefused("not-announced", "nobody announced this record")
        proven = PROVEN_TRANSACTION.decode(part_of(step, request.part))
        verified = self._ground.vault.verifier.verify(proven, lambda _: None, held=False)
        offered = dict(verified.checked.ledger.outputs_of(MedicalRecord)).get(ref.index)
        if verified.checked.ledger.id != ref.tx or offered is None:
            raise FlowRefused("not-as-offered", "the transaction is not that of the record")
        if offered.custodian != request.peer:
            raise FlowRefused("not-yours", "the record is another custodian's")
        self._check_new(step, offered, PatientId(introduced.patient))
        self._ground.vault.see(step, ref, verified.checked.ledger.outputs[ref.index].state)
        lock = self._ground.locks.make(step)
        leaf = self._name_leaf(PatientId(introduced.patient), lock)
        made = {"sealed": leaf, "made": encode(lock), "reason": request.offer.withheld}
        step.unit.execute(_SET_OFFERED, {"which": request.offer.token} | made)
        return Acceptance(lock, leaf_hash(leaf), *epoch_key(self._ground.keys, step.now))

    def _introduced(self, step: Step, token: bytes, peer: Party) -> _Introduced:
        """Return how a peer was introduced. Raises FlowRefused where it was not, or where that has ended."""
        row = step.unit.execute(_GET_INTRODUCTION, {"token": token}).fetchone()
        if row is None or row[1] != peer:
            raise FlowRefused("not-announced", "nobody announced this record")
        introduced = _Introduced(*row)
        if step.now >= introduced.until:
            raise FlowRefused(
                "introduction-ended", "the record was announced for a time that has ended"
            )
        return introduced

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
        """Sign a transfer only if it moves what was offered, in time, with the lock and hidden name this node made.

        Reveals the name to itself.
        """
        introduced = self._introduced(step, token, peer)
        ledger, filtered = checked.ledger, checked.filtered
        if introduced.leaf is None or introduced.lock is None:
            raise FlowRefused("not-announced", "nobody announced this record")
        if [item.ref for item in ledger.inputs] != [introduced.record]:
            raise FlowRefused("not-as-offered", "the record is not the one that was offered")
        new = [record for _, record in ledger.outputs_of(MedicalRecord)]
        mine = len(new) == 1 and new[0].custodian == self.me
        lock = filtered.component(Group.LOCKS, 0)
        if not mine or lock is None or LOCK.decode(lock) != LOCK.decode(introduced.lock):
            raise FlowRefused("not-as-accepted", "the lock is not the one that was given")
        return filtered.revealing(
            filtered.layout.position(Group.SEALED, SUBJECT_SEAL), introduced.leaf
        )

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
