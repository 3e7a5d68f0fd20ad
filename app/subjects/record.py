"""Records at a node: published and amended by the custodian, known to the patient's agent by their metadata."""

from collections.abc import Iterable
from dataclasses import dataclass
from sqlite3 import Connection

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from app.rows.tables import (
    RECORD_TABLES,
    BatchRow,
    DisclosureItemRow,
    DisclosureRow,
    RecordRow,
)
from app.storage.statements import creation, sql, table_of
from app.subjects.custody import pass_on
from app.subjects.enrolment import Enrolments
from app.subjects.patient_access import keep_up, reason_taken_over
from app.vault.drafts import Output, Saying
from app.vault.ground import Ground
from app.vault.reader import NotHeld
from app.vault.subject import Holders, Step
from flows.notices import Letter, Superseded
from flows.services import Held
from flows.step import Handlers
from flows.subjects.patient_access import WithheldReason
from flows.subjects.record import BuildNextVersion, BuildPublication
from states.contract import Contract
from states.crypto.policy import One
from states.encoding import encode
from states.errors import OverLimit
from states.identity import Party, PatientId
from states.ledger import Data, LedgerTransaction
from states.sealed import Sealed
from states.state import StateRef
from states.subjects.content import CONTENT, Content
from states.subjects.record import (
    About,
    MedicalRecord,
    RecordAmend,
    RecordContract,
    RecordPublish,
    RecordTransfer,
    TransferredContent,
    seal_places,
)
from states.subjects.terms import SubjectAt
from states.verifier import CheckedTransaction, VerifiedTransaction

BATCH_MAX = 1_000  # records a transaction: it stays within an envelope

_BATCH, _RECORD = table_of(BatchRow), table_of(RecordRow)
_DISCLOSURE, _ITEM = table_of(DisclosureRow), table_of(DisclosureItemRow)
ADD_BATCH = sql(insert(_BATCH))
_GET_BATCH = sql(
    select(
        _BATCH.c.patient,
        _BATCH.c.content,
        _BATCH.c.commitment,
        _BATCH.c.blob,
        _BATCH.c.size_class,
    )
    .where(_BATCH.c.batch == bindparam("batch"))
    .order_by(_BATCH.c.number)
)
_STAGED = sql(
    select(
        _BATCH.c.key,
        _BATCH.c.length,
        _BATCH.c.resource_id,
        _BATCH.c.withheld,
        _BATCH.c.batch,
        _BATCH.c.number,
    ).where(_BATCH.c.commitment == bindparam("commitment"))
)
_DROP_STAGED = sql(
    delete(_BATCH).where(_BATCH.c.batch == bindparam("b"), _BATCH.c.number == bindparam("n"))
)
_ADD_RECORD = sql(insert(_RECORD))
_GET_RECORD = sql(
    select(
        _RECORD.c.patient,
        _RECORD.c.commitment,
        _RECORD.c.version,
        _RECORD.c.consumed_seq,
        _RECORD.c.custodian,
        _RECORD.c.withheld,
    ).where(_RECORD.c.tx == bindparam("tx"), _RECORD.c.idx == bindparam("idx"))
)
_END_RECORD = sql(
    update(_RECORD)
    .where(_RECORD.c.tx == bindparam("id"), _RECORD.c.idx == bindparam("index"))
    .values(consumed_seq=bindparam("seq"))
)
_INHERIT = sql(
    update(_BATCH)
    .where(_BATCH.c.batch == bindparam("b"), _BATCH.c.withheld.is_(None))
    .values(withheld=bindparam("reason"))
)
_DISCLOSED_TO = sql(
    select(_ITEM.c.tx, _DISCLOSURE.c.recipient)
    .join(_DISCLOSURE, _DISCLOSURE.c.tx == _ITEM.c.tx)
    .where(
        _ITEM.c.commitment == bindparam("commitment"), _DISCLOSURE.c.custodian == bindparam("me")
    )
)


@dataclass(frozen=True, slots=True)
class Staged:
    """A record on its way into a publication; `key` is wrapped at rest with the commitment as its row.

    `withheld`: why its content is withheld from the patient herself; None where it is not.
    """

    patient: PatientId
    local: str
    content: Content
    commitment: bytes
    blob: str
    size_class: int
    length: int
    key: bytes
    resource_id: str
    withheld: WithheldReason | None = None


class RecordSubject:
    """The node's side of records."""

    def __init__(self, ground: Ground, enrolments: Enrolments) -> None:
        self.contract: Contract = RecordContract()
        self._ground = ground
        self._enrolments = enrolments
        self.me = ground.me

    @staticmethod
    def create(db: Connection) -> None:
        for statement in creation(*RECORD_TABLES):
            db.execute(statement)

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(BuildPublication, self.publish)
        handlers.on(BuildNextVersion, self.amend)

    @staticmethod
    def stage(db: Connection, batch: bytes, records: Iterable[Staged]) -> None:
        """Put a batch's rows where `PublishRecords` or `AmendRecord` finds them; in the open transaction."""
        db.executemany(
            ADD_BATCH,
            [
                {
                    "batch": batch,
                    "number": number,
                    "patient": each.patient,
                    "local": each.local,
                    "content": encode(each.content),
                    "commitment": each.commitment,
                    "blob": each.blob,
                    "size_class": each.size_class,
                    "length": each.length,
                    "key": each.key,
                    "resource_id": each.resource_id,
                    "withheld": each.withheld,
                }
                for number, each in enumerate(records)
            ],
        )

    # -- what the vault asks -------------------------------------------------------------------------

    def holders(self, step: Step, ledger: LedgerTransaction) -> Holders:
        """The custodian, and the agent of each patient: known by enrolment, for no record names one."""
        if isinstance(ledger.commands[0].data, RecordTransfer):
            return self._holders_of_transfer(step, ledger)
        holders: dict[Party, frozenset[str]] = {}
        for record in _records(ledger):
            holders[record.custodian] = frozenset({"custodian"})
        for patient in _patients(ledger):
            custodian = next(iter(holders))
            enrolment, _ = self._enrolments.of_patient(step.unit, custodian, patient)
            holders[enrolment.agent] = frozenset({"agent"})
        if not ledger.outputs:  # an erasure names nobody: whoever holds what it ends
            for item in ledger.inputs:
                holders |= self._ground.vault.holders_of(step.unit, item.ref.tx)
        return holders

    def _holders_of_transfer(self, step: Step, ledger: LedgerTransaction) -> Holders:
        """Both custodians, and the agent as each of the three knows it."""
        ref = ledger.inputs[0].ref
        ((_, new),) = ledger.outputs_of(MedicalRecord)
        holders = {new.custodian: frozenset({"custodian"})}
        old = ledger.inputs_of(MedicalRecord)
        named = [name.patient for _, name in ledger.seals_of(SubjectAt) if name.party == self.me]
        if new.custodian == self.me and old and named:
            enrolment, _ = self._enrolments.of_patient(step.unit, self.me, named[0])
            return holders | {
                enrolment.agent: frozenset({"agent"}),
                old[0].custodian: frozenset({"former-custodian"}),
            }
        row = step.unit.execute(_GET_RECORD, {"tx": ref.tx, "idx": ref.index}).fetchone()
        if row is None or row[0] is None:
            raise NotHeld("the transferred record is not known here")
        agent = self._enrolments.of_local(step.unit, Party(row[4]), row[0]).agent
        former = {Party(row[4]): frozenset({"former-custodian"})}
        return holders | former | {agent: frozenset({"agent"})}

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        """Every patient of new records is enrolled at their custodian. Raises NotEnrolled."""
        ledger = checked.ledger
        custodians = dict.fromkeys(record.custodian for record in _records(ledger))
        for patient in _patients(ledger):
            for custodian in custodians:
                self._enrolments.of_patient(step.unit, custodian, patient)

    def record(self, step: Step, verified: VerifiedTransaction, seq: int) -> tuple[Letter, ...]:
        ledger = verified.checked.ledger
        letters: tuple[Letter, ...] = ()
        for item in ledger.inputs:
            step.unit.execute(_END_RECORD, {"id": item.ref.tx, "index": item.ref.index, "seq": seq})
            letters += self._superseded(step, ledger, item.ref)
            pass_on(step, self.me, ledger, item.ref)
        reason = reason_taken_over(step.unit, ledger)
        described = self._described(step, ledger)
        rows = [
            self._row(step, StateRef(ledger.id, index), record, described[index], seq)
            | ({} if reason is None else {"withheld": reason})
            for index, record in ledger.outputs_of(MedicalRecord)
            if index in described
        ]
        step.unit.executemany(_ADD_RECORD, rows)
        keep_up(step, self.me, ledger)
        return letters

    def _described(self, step: Step, ledger: LedgerTransaction) -> dict[int, tuple[str, Content]]:
        """What this node calls the patient of each new record that concerns it, and what the record is."""
        described = {}
        patients = _patients(ledger)
        if patients:
            custodian = _records(ledger)[0].custodian
            names = {
                patient: self._enrolments.of_patient(step.unit, custodian, patient)[1]
                for patient in patients
            }
            for seal, about in ledger.seals_of(About):
                described[seal.sealed.about.index] = (names[about.patient], about.content)
        for _, moved in ledger.seals_of(TransferredContent):
            local_name = self._name_in_transfer(step, ledger)
            if local_name is not None:
                described[0] = (local_name, moved.content)
        return described

    def _name_in_transfer(self, step: Step, ledger: LedgerTransaction) -> str | None:
        """The new custodian's own name of the patient, the agent's handle; None at the old custodian."""
        for _, named in ledger.seals_of(SubjectAt):
            if named.party == self.me:
                return self._enrolments.name_of(step.unit, named.patient)
        ref = ledger.inputs[0].ref
        row = step.unit.execute(_GET_RECORD, {"tx": ref.tx, "idx": ref.index}).fetchone()
        return None if row is None or row[4] == self.me else row[0]

    def _row(
        self,
        step: Step,
        ref: StateRef,
        record: MedicalRecord,
        described: tuple[str, Content],
        seq: int,
    ) -> dict[str, object]:
        local, content = described
        key: bytes | None = None
        length: int | None = None
        resource_id: str | None = None
        withheld: str | None = None
        if record.custodian == self.me:
            staged = step.unit.execute(_STAGED, {"commitment": record.commitment}).fetchone()
            if staged is not None:
                key, length, resource_id, withheld = staged[:4]
                step.unit.execute(_DROP_STAGED, {"b": staged[4], "n": staged[5]})
        return {
            "tx": ref.tx,
            "idx": ref.index,
            "custodian": record.custodian,
            "patient": local,
            "version": record.version,
            "commitment": record.commitment,
            "blob": record.blob,
            "size_class": record.size_class,
            "content": encode(content),
            "category": content.category,
            "kind": content.kind,
            "day": content.day,
            "key": key,
            "length": length,
            "resource_id": resource_id,
            "withheld": withheld,
            "created_seq": seq,
            "consumed_seq": None,
            "passed_to": None,
        }

    def _superseded(
        self, step: Step, ledger: LedgerTransaction, ref: StateRef
    ) -> tuple[Letter, ...]:
        """Tell recipients that there is a newer version; a custodian does, the agent does not."""
        new = ledger.outputs_of(MedicalRecord)
        row = step.unit.execute(_GET_RECORD, {"tx": ref.tx, "idx": ref.index}).fetchone()
        if row is None or not new or row[4] != self.me or new[0][1].custodian != self.me:
            return ()
        told = step.unit.execute(_DISCLOSED_TO, {"commitment": row[1], "me": self.me})
        return tuple(
            Letter(Party(recipient), Superseded(tx, row[1], new[0][1].version))
            for tx, recipient in told
        )

    # -- what the custodian's flows ask ---------------------------------------------------------------

    def publish(self, step: Step, request: BuildPublication) -> Held:
        """See BuildPublication. Raises NotHeld for an unknown batch, OverLimit for one that is too large."""
        rows = step.unit.execute(_GET_BATCH, {"batch": request.batch}).fetchall()
        if not rows:
            raise NotHeld("no batch of records is staged under this id")
        if len(rows) > BATCH_MAX:
            raise OverLimit("records of a batch", len(rows), BATCH_MAX)
        outputs = tuple(self._output(step, row, version=1) for row in rows)
        said = Saying(
            RecordPublish(),
            (One(self._ground.identity.key),),
            outputs=outputs,
            sealed=self._seals(RecordPublish(), rows),
        )
        return self._ground.vault.hold(step, self._ground.drafts.build(step.now, said).whole(), ())

    def amend(self, step: Step, request: BuildNextVersion) -> Held:
        """See BuildNextVersion. The new version is of the same patient."""
        old = step.unit.execute(
            _GET_RECORD, {"tx": request.ref.tx, "idx": request.ref.index}
        ).fetchone()
        rows = step.unit.execute(_GET_BATCH, {"batch": request.batch}).fetchall()
        state = self._ground.vault.state(step.unit, request.ref)
        if (
            old is None
            or state is None
            or old[3] is not None
            or old[4] != self.me
            or len(rows) != 1
        ):
            raise NotHeld("no live record of this custodian, or not one staged version")
        _, local = self._enrolments.of_patient(step.unit, self.me, PatientId(rows[0][0]))
        if local != old[0]:
            raise NotHeld("the record is another patient's")
        if (
            old[5] is not None
        ):  # until a clinician releases it, what corrects it is withheld as well
            step.unit.execute(_INHERIT, {"b": request.batch, "reason": old[5]})
        said = Saying(
            RecordAmend(),
            (One(self._ground.identity.key),),
            outputs=(self._output(step, rows[0], version=old[2] + 1),),
            sealed=self._seals(RecordAmend(), rows),
            inputs=(request.ref,),
        )
        built = self._ground.drafts.build(step.now, said, state.notary)
        return self._ground.vault.hold(step, built.whole(), ())

    def _output(
        self, step: Step, row: tuple[bytes, bytes, bytes, str, int], version: int
    ) -> Output:
        record = MedicalRecord(self.me, version, row[2], row[3], row[4])
        return Output(self.contract.name, record, self._ground.locks.make(step))

    @staticmethod
    def _seals(
        command: Data, rows: list[tuple[bytes, bytes, bytes, str, int]]
    ) -> tuple[Sealed, ...]:
        abouts = [About(PatientId(row[0]), CONTENT.decode(row[1])) for row in rows]
        places = seal_places(command, len(rows))
        return tuple(p.holds(encode(about)) for p, about in zip(places, abouts, strict=True))


def _patients(ledger: LedgerTransaction) -> list[PatientId]:
    """Whom new records are about, each once: a batch of a thousand is mostly of one patient."""
    return list(dict.fromkeys(about.patient for _, about in ledger.seals_of(About)))


def _records(ledger: LedgerTransaction) -> list[MedicalRecord]:
    return [*ledger.inputs_of(MedicalRecord), *(r for _, r in ledger.outputs_of(MedicalRecord))]
