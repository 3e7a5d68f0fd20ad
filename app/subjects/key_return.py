"""Keys that a restored custodian lost, back from its patients' agents: judged by the ciphertext that is still there."""

from sqlite3 import Connection

from sqlalchemy import bindparam, select, update

from app.blobs.store import BlobStore
from app.gate_facts import patients_facts
from app.rows.tables import RecordRow
from app.storage.statements import sql, table_of
from app.subjects.enrolment import Enrolments
from app.subjects.patient_access import AGAIN_MS, ANSWER_MS, NOTHING_AVAILABLE
from app.subjects.patients_keys import opened, opens
from app.subjects.shared_keys import Sending, received
from app.subjects.wrapped import epoch_key
from app.vault.ground import Ground
from app.vault.reader import NotEnrolled, NotHeld
from app.vault.subject import Step
from flows.flow import Flow, FlowRefused
from flows.step import Handlers
from flows.subjects.blob import Part
from flows.subjects.key_return import (
    AskForKeysBack,
    KeepRegained,
    Regained,
    RegainKeys,
    WantedBack,
    WantKeysBack,
    WrapForCustodian,
)
from states.errors import MalformedBytes
from states.state import StateRef, TransactionId

DUE_MAX = 256  # publications asked for at one beat

_RECORD = table_of(RecordRow)
_LIVE = sql(
    select(_RECORD.c.idx)
    .where(
        _RECORD.c.tx == bindparam("tx"),
        _RECORD.c.custodian == bindparam("custodian"),
        _RECORD.c.patient.is_not(None),
        _RECORD.c.consumed_seq.is_(None),
    )
    .order_by(_RECORD.c.idx)
)
_KEYLESS = sql(
    select(_RECORD.c.idx, _RECORD.c.commitment, _RECORD.c.blob, _RECORD.c.size_class).where(
        _RECORD.c.tx == bindparam("tx"),
        _RECORD.c.custodian == bindparam("me"),
        _RECORD.c.consumed_seq.is_(None),
        _RECORD.c.key.is_(None),
    )
)
_SET_KEY = sql(
    update(_RECORD)
    .where(
        _RECORD.c.tx == bindparam("id"),
        _RECORD.c.idx == bindparam("index"),
        _RECORD.c.key.is_(None),
    )
    .values(key=bindparam("wrapped"))
)
_DUE = sql(
    select(_RECORD.c.tx, _RECORD.c.patient)
    .where(
        _RECORD.c.custodian == bindparam("me"),
        _RECORD.c.patient.is_not(None),
        _RECORD.c.consumed_seq.is_(None),
        _RECORD.c.key.is_(None),
    )
    .distinct()
    .order_by(_RECORD.c.created_seq)
    .limit(DUE_MAX)
)


class KeyReturn:
    """Answers both sides, and says at a custodian what is to be asked for."""

    def __init__(self, ground: Ground, enrolments: Enrolments, blobs: BlobStore) -> None:
        self._ground = ground
        self._enrolments = enrolments
        self._blobs = blobs
        self.me = ground.me

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(AskForKeysBack, self.ask)
        handlers.on(WrapForCustodian, self.wrap)
        handlers.on(KeepRegained, self.keep)

    # -- the custodian -----------------------------------------------------------------------------------

    def ask(self, step: Step, request: AskForKeysBack) -> WantedBack:
        """See AskForKeysBack."""
        if not self._keyless(step.unit, request.tx):
            raise NotHeld("no record of this custodian in this transaction lacks its key")
        wanted = WantKeysBack(request.tx, *epoch_key(self._ground.keys, step.now))
        return WantedBack(wanted, step.now + ANSWER_MS)

    def keep(self, step: Step, request: KeepRegained) -> Regained:
        """See KeepRegained. A key that opens nothing here is left out: an agent may lie, or the ciphertext be lost."""
        tx = TransactionId(request.tx)
        part, shared = received(step, self._ground.keys, request.part, tx)
        known = self._keyless(step.unit, request.tx)
        rows = []
        for each in part.items:
            if each.key is None or each.index not in known:
                raise MalformedBytes("returned keys", "not of records that lack theirs")
            commitment, blob, size_class = known.pop(each.index)  # and so each once
            data_key = shared.unwrap(each.index, each.key, commitment)
            if opens(self._blobs, data_key, commitment, blob, size_class):
                wrapped = self._ground.keys.wrap_at_rest(data_key, commitment)
                rows.append({"id": request.tx, "index": each.index, "wrapped": wrapped})
        step.unit.executemany(_SET_KEY, rows)
        return Regained(len(rows))

    def due(self, db: Connection, now: int) -> list[tuple[Flow, str]]:
        """Return the flows, with their client keys, that ask agents for keys that are missing; once a day."""
        asked: dict[str, Flow] = {}
        for tx, local in db.execute(_DUE, {"me": self.me}).fetchall():
            try:
                agent = self._enrolments.of_local(db, self.me, local).agent
            except NotEnrolled:
                continue
            # The end of a DID tells the agents of one publication apart, and a client key is short.
            key = f"regain-keys/{tx.hex()}/{agent[-16:]}/{now // AGAIN_MS}"
            asked[key] = RegainKeys(agent, TransactionId(tx))
        return [(flow, key) for key, flow in asked.items()]

    def _keyless(self, db: Connection, tx: bytes) -> dict[int, tuple[bytes, str, int]]:
        rows = db.execute(_KEYLESS, {"tx": tx, "me": self.me})
        return {index: (commitment, blob, size) for index, commitment, blob, size in rows}

    # -- the agent ---------------------------------------------------------------------------------------

    def wrap(self, step: Step, request: WrapForCustodian) -> Part:
        """See WrapForCustodian. What it passed on is another's, and what it withheld never came here."""
        wanted, ground = request.wanted, self._ground
        sending = Sending(ground, wanted)
        live = step.unit.execute(_LIVE, {"tx": wanted.tx, "custodian": request.peer}).fetchall()
        for (index,) in live:
            facts = patients_facts(step.unit, StateRef(wanted.tx, index))
            if facts is not None and facts.key is not None and request.peer != self.me:
                data_key = opened(ground.keys, facts.key, facts.commitment)
                sending.give(index, data_key, facts.commitment)
        if not sending:
            raise FlowRefused("nothing-available", NOTHING_AVAILABLE)
        return sending.part(step)
