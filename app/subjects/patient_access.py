"""A patient's access at a node: the custodian wraps for her agent, the agent keeps the wrapped keys (§6.2)."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from sqlite3 import Connection

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from app.blobs.sizes import chunk_count
from app.blobs.store import BlobStore
from app.gate_facts import line_of
from app.rows.tables import IntroductionRow, PatientKeyRow, PatientWrapRow, RecordRow
from app.storage.statements import sql, table_of
from app.subjects.enrolment import Enrolments
from app.subjects.patients_keys import forget, is_better
from app.subjects.shared_keys import PatientKeyPart, Sending, received
from app.subjects.wrapped import chunk_part, epoch_key
from app.vault.ground import Ground
from app.vault.ledger_handlers import part_of
from app.vault.reader import NotEnrolled, NotHeld
from app.vault.subject import Step
from flows.flow import Flow, FlowRefused
from flows.services import Done
from flows.step import Handlers
from flows.subjects.blob import ChunksFound, FindChunks, KeepBlob, Missing, MissingBlob, Part
from flows.subjects.patient_access import (
    WITHHELD_REASONS,
    AskForKeys,
    FetchOwn,
    KeepPatientKeys,
    LiftWithholding,
    MissingOwn,
    ObtainAgain,
    Obtained,
    ObtainKeys,
    Released,
    WantedKeys,
    WantPatientKeys,
    WithheldReason,
    WrapForPatient,
)
from states.encoding import encode
from states.errors import MalformedBytes
from states.identity import Party
from states.ledger import LedgerTransaction
from states.state import StateRef, TransactionId
from states.subjects.record import About, MedicalRecord, RecordErase, RecordTransfer

ANSWER_MS = 3_600_000  # for which a custodian is waited for
AGAIN_MS = 86_400_000  # after which one that gave no key is asked again
SLOT_MS = 10_000  # what a patient waits for is asked for once in this time, however often she asks
DUE_MAX = 256  # publications asked for at one beat

NOTHING_AVAILABLE = "Nothing available."

_RECORD, _INTRODUCTION = table_of(RecordRow), table_of(IntroductionRow)
_WRAP, _KEY = table_of(PatientWrapRow), table_of(PatientKeyRow)
_MADE = sql(
    select(
        _RECORD.c.idx,
        _RECORD.c.patient,
        _RECORD.c.commitment,
        _RECORD.c.blob,
        _RECORD.c.size_class,
        _RECORD.c.key,
        _RECORD.c.withheld,
    )
    .where(_RECORD.c.tx == bindparam("tx"), _RECORD.c.custodian == bindparam("custodian"))
    .order_by(_RECORD.c.idx)
)
_ADD_WRAP = sql(insert(_WRAP).prefix_with("OR REPLACE"))
_ADD_KEY = sql(insert(_KEY).prefix_with("OR REPLACE"))
_HELD = sql(select(_KEY.c.idx).where(_KEY.c.tx == bindparam("tx")))
_SET_WITHHELD = sql(
    update(_RECORD)
    .where(_RECORD.c.tx == bindparam("id"), _RECORD.c.idx == bindparam("index"))
    .values(withheld=bindparam("reason"))
)
_GET = sql(
    select(
        _RECORD.c.custodian,
        _RECORD.c.patient,
        _RECORD.c.blob,
        _RECORD.c.size_class,
        _RECORD.c.withheld,
    ).where(_RECORD.c.tx == bindparam("tx"), _RECORD.c.idx == bindparam("idx"))
)
_REASON_OFFERED = sql(
    select(_INTRODUCTION.c.withheld).where(
        _INTRODUCTION.c.record_tx == bindparam("tx"),
        _INTRODUCTION.c.record_idx == bindparam("idx"),
        _INTRODUCTION.c.lock == bindparam("made"),  # it may have been announced more than once
    )
)
_DUE = sql(
    select(_RECORD.c.custodian, _RECORD.c.tx)
    .outerjoin(_KEY, _KEY.c.commitment == _RECORD.c.commitment)
    .where(
        _RECORD.c.custodian != bindparam("me"),
        _RECORD.c.patient.is_not(None),
        _RECORD.c.consumed_seq.is_(None),
        _RECORD.c.withheld.is_(None),
        _KEY.c.tx.is_(None),
    )
    .distinct()
    .order_by(_RECORD.c.created_seq)
    .limit(DUE_MAX)
)


_Made = tuple[int, str | None, bytes, str, int, bytes | None, str | None]


class PatientAccess:
    """Answers both sides. At the agent it also says what is to be asked for."""

    def __init__(self, ground: Ground, enrolments: Enrolments, blobs: BlobStore) -> None:
        self._ground = ground
        self._enrolments = enrolments
        self._blobs = blobs
        self.me = ground.me

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(AskForKeys, self.ask)
        handlers.on(WrapForPatient, self.wrap)
        handlers.on(KeepPatientKeys, self.keep)
        handlers.on(MissingOwn, self.missing)
        handlers.on(LiftWithholding, self.lift)
        handlers.on(ObtainAgain, self.obtain_again)

    # -- the custodian -----------------------------------------------------------------------------------

    def wrap(self, step: Step, request: WrapForPatient) -> Part:
        """See WrapForPatient."""
        made = list(self._made_for(step, request.wanted.tx, request.peer))
        if not made:
            raise FlowRefused("nothing-available", NOTHING_AVAILABLE)
        sending = Sending(self._ground, request.wanted)
        for index, _, commitment, _, _, key, withheld in made:
            if withheld is not None:
                sending.withhold(index, reason_of(withheld))
            elif key is not None:
                data_key = self._ground.keys.unwrap_at_rest(key, commitment)
                sending.give(index, data_key, commitment)
        if not sending:  # restored from a backup older than the publication, or not handed over yet
            raise FlowRefused("not-here", "The keys of these records are not here.")
        return sending.part(step)

    def find_chunks(self, step: Step, request: FindChunks) -> ChunksFound:
        """See FindChunks: for the patient's agent, unless it is withheld from her."""
        made = {row[0]: row for row in self._made_for(step, request.tx, request.peer)}
        row = made.get(request.item)
        if row is None or row[6] is not None or request.first >= chunk_count(row[4]):
            raise FlowRefused("nothing-available", NOTHING_AVAILABLE)
        count = chunk_count(row[4])
        end = min(count, request.first + request.most)
        parts = tuple(chunk_part(row[3], index) for index in range(request.first, end))
        return ChunksFound(parts, end == count)

    def lift(self, step: Step, request: LiftWithholding) -> Released:
        """See LiftWithholding."""
        row = self._record(step.unit, request.record)
        if row is None or row[0] != self.me or row[1] is None:
            raise NotHeld("no record of this custodian")
        if row[4] is None:
            raise FlowRefused("not-withheld", "the record is not withheld from its patient")
        ref = {"id": request.record.tx, "index": request.record.index}
        step.unit.execute(_SET_WITHHELD, ref | {"reason": None})
        return Released(self._enrolments.of_local(step.unit, self.me, row[1]).agent)

    def _made_for(self, step: Step, tx: bytes, agent: Party) -> Iterator[_Made]:
        """Yield the records that a transaction made here, of patients who have this agent by their enrolment."""
        agents: dict[str, Party | None] = {}
        for row in step.unit.execute(_MADE, {"tx": tx, "custodian": self.me}).fetchall():
            if row[1] not in agents:
                agents[row[1]] = self._agent_of(step.unit, row[1])
            if agents[row[1]] == agent:
                yield row

    def _agent_of(self, db: Connection, local: str | None) -> Party | None:
        try:
            return None if local is None else self._enrolments.of_local(db, self.me, local).agent
        except NotEnrolled:
            return None

    # -- the agent ---------------------------------------------------------------------------------------

    def ask(self, step: Step, request: AskForKeys) -> WantedKeys:
        """See AskForKeys."""
        if not self._concerned(step.unit, request.custodian, request.tx):
            raise NotHeld("no records of patients of this agent came by this transaction")
        wanted = WantPatientKeys(request.tx, *epoch_key(self._ground.keys, step.now))
        return WantedKeys(wanted, step.now + ANSWER_MS)

    def keep(self, step: Step, request: KeepPatientKeys) -> Obtained:
        """See KeepPatientKeys. That a key is the record's own shows when the gate opens the first chunk with it.

        What was given once is kept, whatever a custodian says later.
        """
        tx = TransactionId(request.tx)
        part, shared = received(step, self._ground.keys, request.part, tx)
        known = self._concerned(step.unit, request.peer, request.tx)
        wrap = sha256(part.wrapped).digest()
        _check_items(part, known)
        given = [(each.index, each.key) for each in part.items if each.key is not None]
        opened = [
            (
                index,
                key,
                shared.unwrap(index, key, known[index]),
            )  # refused here, not when she reads
            for index, key in given
        ]
        keys, blobs = self._ground.keys, self._blobs
        row = {"id": wrap, "tx": request.tx, "epoch": part.epoch, "wrapped": part.wrapped}
        step.unit.execute(_ADD_WRAP, row)
        step.unit.executemany(
            _ADD_KEY,
            [
                {
                    "tx": request.tx,
                    "idx": index,
                    "commitment": known[index],
                    "wrap": wrap,
                    "wrapped": key,
                }
                for index, key, data_key in opened
                if is_better(step.unit, keys, blobs, StateRef(tx, index), data_key)
            ],
        )
        held = {index for (index,) in step.unit.execute(_HELD, {"tx": request.tx}).fetchall()}
        step.unit.executemany(
            _SET_WITHHELD,
            [
                {"id": request.tx, "index": each.index, "reason": each.withheld}
                for each in part.items
                if each.key is not None or each.index not in held
            ],
        )
        forget(step.unit, (), (request.tx,))
        return Obtained(len(given), sum(each.withheld is not None for each in part.items))

    def missing(self, step: Step, request: MissingOwn) -> Missing:
        """See MissingOwn."""
        row = self._record(step.unit, request.record)
        if row is None or row[0] != request.custodian or row[1] is None:
            raise NotHeld("no such record of a patient of this agent")
        blob = MissingBlob(request.record.index, chunk_count(row[3]))
        return Missing(() if self._blobs.has(row[2]) else (blob,))

    def keep_blob(self, step: Step, request: KeepBlob) -> Done:
        """See KeepBlob."""
        row = self._record(step.unit, StateRef(TransactionId(request.tx), request.item))
        if row is None:
            raise NotHeld("no such record is known here")
        self._blobs.put((part_of(step, part) for part in request.parts), expected=row[2])
        return Done()

    def obtain_again(self, step: Step, request: ObtainAgain) -> Done:
        """See ObtainAgain."""
        if not self._concerned(step.unit, request.peer, request.tx):
            raise FlowRefused("nothing-available", NOTHING_AVAILABLE)
        key = f"obtain-keys/{request.tx.hex()}/told/{step.flow_id.hex()}"
        step.start(ObtainKeys(request.peer, request.tx), key)
        return Done()

    def due(self, db: Connection, now: int) -> list[tuple[Flow, str]]:
        """Return the flows, with their client keys, that ask for keys of live records which never came; once a day."""
        rows = db.execute(_DUE, {"me": self.me}).fetchall()
        day = now // AGAIN_MS
        return [
            (ObtainKeys(Party(custodian), TransactionId(tx)), f"obtain-keys/{tx.hex()}/day/{day}")
            for custodian, tx in rows
        ]

    def _concerned(self, db: Connection, custodian: Party, tx: bytes) -> Mapping[int, bytes]:
        """Return the commitments of this agent's patients' records that came by a transaction, by output."""
        rows = db.execute(_MADE, {"tx": tx, "custodian": custodian})
        mine = custodian != self.me
        return {row[0]: row[2] for row in rows if mine and row[1] is not None}

    @staticmethod
    def _record(
        db: Connection, ref: StateRef
    ) -> tuple[str, str | None, str, int, str | None] | None:
        row: tuple[str, str | None, str, int, str | None] | None
        row = db.execute(_GET, {"tx": ref.tx, "idx": ref.index}).fetchone()
        return row


def obtaining(custodian: Party, tx: TransactionId, now: int) -> tuple[ObtainKeys, str]:
    """Return the flow that asks a custodian for keys, and its client key: once in a slot of time."""
    return ObtainKeys(custodian, tx), f"obtain-keys/{tx.hex()}/{now // SLOT_MS}"


def fetching(custodian: Party, ref: StateRef, now: int) -> tuple[FetchOwn, str]:
    """Return the flow that fetches a record's ciphertext, and its client key."""
    key = f"fetch-own/{ref.tx.hex()}/{ref.index}/{now // SLOT_MS}"
    return FetchOwn(custodian, ref.tx, ref.index), key


def keep_up(step: Step, me: Party, ledger: LedgerTransaction) -> None:
    """At the patients' agent: ask for the keys of what is new, destroy those of what was erased."""
    if isinstance(ledger.commands[0].data, RecordErase):
        forget(step.unit, [each for i in ledger.inputs for each in line_of(step.unit, i.ref)])
    # Of a transfer the bytes and their key stay what they were: she has it, or it falls due later.
    for custodian in {made.custodian for _, made in ledger.outputs_of(MedicalRecord)} - {me}:
        if ledger.seals_of(About):
            step.start(*obtaining(custodian, ledger.id, step.now))


def reason_taken_over(db: Connection, ledger: LedgerTransaction) -> str | None:
    """At a new custodian: why the old one withheld it from the patient. Custody changes nothing about that."""
    if not isinstance(ledger.commands[0].data, RecordTransfer):
        return None
    ref = ledger.inputs[0].ref
    offered = {"tx": ref.tx, "idx": ref.index, "made": encode(ledger.locks[0])}
    row = db.execute(_REASON_OFFERED, offered).fetchone()
    return None if row is None else row[0]


def _check_items(part: PatientKeyPart, known: Mapping[int, bytes]) -> None:
    """Each record that is named is one of the transaction's, named once, with a key or a reason."""
    indexes = [each.index for each in part.items]
    if sorted(set(indexes)) != indexes or not known.keys() >= set(indexes):
        raise MalformedBytes("patient's keys", "not of records of this transaction, each once")
    if any((each.key is None) == (each.withheld is None) for each in part.items):
        raise MalformedBytes("patient's keys", "a record has a key or a reason")


def reason_of(stored: str) -> WithheldReason:
    """Return a stored reason as its type: rows hold no other."""
    return next(each for each in WITHHELD_REASONS if each == stored)
