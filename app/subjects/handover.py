"""Keys and ciphertext of a disclosure: released by the custodian, kept wrapped by the recipient (story, step d)."""

from sqlite3 import Connection

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from app.blobs.errors import BlobDamaged, BlobMissing
from app.blobs.sizes import chunk_count
from app.blobs.store import BlobStore
from app.blobs.wrap import WrapContext, wrap_data_key
from app.rows.tables import (
    AskedRow,
    DisclosureItemRow,
    DisclosureRow,
    LivenessRow,
    RecordRow,
)
from app.storage.statements import sql, table_of
from app.subjects.deciding import Deciding
from app.subjects.disclosure import ASKED
from app.subjects.patient_access import PatientAccess
from app.subjects.statement import Statements
from app.subjects.transfer_handover import TransferHandover
from app.subjects.wrapped import WRAPPED_KEYS, WrappedKeys, check_epoch, chunk_part
from app.vault.ground import Ground
from app.vault.ledger_handlers import part_of
from app.vault.locks import QUESTIONED
from app.vault.reader import NotHeld
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.services import Done
from flows.step import Handlers
from flows.subjects.blob import (
    ChunksFound,
    FindChunks,
    KeepBlob,
    KeepKeys,
    Missing,
    MissingBlob,
    MissingBlobs,
    Release,
    ReleaseKeys,
)
from flows.subjects.disclosure import AskFor
from flows.subjects.liveness import KeepLiveness, Kept
from states.encoding import encode
from states.errors import InvalidSignature, MalformedBytes
from states.liveness import open_liveness
from states.state import StateRef, TransactionId

NOT_RELEASED = -1

_DISCLOSURE, _ITEM, _ASKED = (
    table_of(DisclosureRow),
    table_of(DisclosureItemRow),
    table_of(AskedRow),
)
_RECORD, _LIVENESS = table_of(RecordRow), table_of(LivenessRow)
_GET = sql(
    select(
        _DISCLOSURE.c.custodian,
        _DISCLOSURE.c.recipient,
        _DISCLOSURE.c.consent_tx,
        _DISCLOSURE.c.consent_idx,
        _DISCLOSURE.c.release_by,
        _DISCLOSURE.c.released,
    ).where(_DISCLOSURE.c.tx == bindparam("tx"))
)
_SET_RELEASED = sql(
    update(_DISCLOSURE).where(_DISCLOSURE.c.tx == bindparam("id")).values(released=bindparam("at"))
)
_ITEMS = sql(
    select(
        _ITEM.c.item,
        _ITEM.c.commitment,
        _ITEM.c.blob,
        _ITEM.c.size_class,
        _ITEM.c.withdrawn_at,
    )
    .where(_ITEM.c.tx == bindparam("tx"))
    .order_by(_ITEM.c.item)
)
_KEEP_KEY = sql(
    update(_ITEM)
    .where(_ITEM.c.tx == bindparam("id"), _ITEM.c.item == bindparam("number"))
    .values(wrapped=bindparam("wrapped"), epoch=bindparam("epoch"))
)
# Of the disclosure's patient: whoever has seen a commitment can have it transferred here for another one.
_KEY_OF = sql(
    select(_RECORD.c.key)
    .join(_DISCLOSURE, _DISCLOSURE.c.patient == _RECORD.c.patient)
    .where(
        _DISCLOSURE.c.tx == bindparam("tx"),
        _RECORD.c.commitment == bindparam("commitment"),
        _RECORD.c.custodian == _DISCLOSURE.c.custodian,
        _RECORD.c.key.is_not(None),
    )
    .limit(1)
)
_ASKED_BY = sql(select(_ASKED.c.asked, _ASKED.c.at).where(_ASKED.c.tx == bindparam("tx")))
_LIVE_AT = sql(
    select(_LIVENESS.c.at, _LIVENESS.c.live).where(
        _LIVENESS.c.tx == bindparam("tx"), _LIVENESS.c.idx == bindparam("idx")
    )
)
_KEEP_LIVENESS = sql(insert(_LIVENESS).prefix_with("OR REPLACE"))


class Handover:
    """Answers what both sides of a release ask of their node."""

    def __init__(
        self,
        ground: Ground,
        statements: Statements,
        deciding: Deciding,
        blobs: BlobStore,
        patients: PatientAccess,
    ) -> None:
        self._ground = ground
        self._statements = statements
        self._deciding = deciding
        self._blobs = blobs
        self._transfers = TransferHandover(ground, blobs)
        self._patients = patients
        self.me = ground.me

    def register(self, handlers: Handlers[Connection]) -> None:
        """Answer for disclosures here, for transfers by TransferHandover, for patients themselves by PatientAccess."""
        moved = self._transfers
        handlers.on(KeepLiveness, self.keep_liveness)
        handlers.on(
            ReleaseKeys,
            lambda s, r: (self if self._is_mine(s, r.tx) else moved).release(s, r),
        )
        handlers.on(
            KeepKeys, lambda s, r: (self if self._is_mine(s, r.tx) else moved).keep_keys(s, r)
        )
        handlers.on(
            MissingBlobs,
            lambda s, r: (self if self._is_mine(s, r.tx) else moved).missing(s, r.tx),
        )
        handlers.on(FindChunks, lambda s, r: self._serving(s, r).find_chunks(s, r))
        handlers.on(KeepBlob, lambda s, r: self._fetching(s, r).keep_blob(s, r))

    def _serving(
        self, step: Step, request: FindChunks
    ) -> "Handover | TransferHandover | PatientAccess":
        if self._is_mine(step, request.tx):
            return self
        moved = self._transfers.is_to(step, request.tx, request.peer)
        return self._transfers if moved else self._patients

    def _fetching(
        self, step: Step, request: KeepBlob
    ) -> "Handover | TransferHandover | PatientAccess":
        if self._is_mine(step, request.tx):
            return self
        return self._transfers if self._transfers.is_taken(step, request.tx) else self._patients

    @staticmethod
    def _is_mine(step: Step, tx: bytes) -> bool:
        return step.unit.execute(_GET, {"tx": tx}).fetchone() is not None

    # -- the custodian's side ----------------------------------------------------------------------

    def release(self, step: Step, request: ReleaseKeys) -> Release:
        """See ReleaseKeys. The receipt of the disclosure is itself a statement of liveness, of its time.

        How old a statement is, is measured by this clock alone, from when it cannot have been made yet: the receipt,
        before this node wrote the disclosure, and an answer, before it was asked for. A notary's time less ours would
        be as wrong as our clock, which it would take for the age of what a recipient had kept back.
        """
        custodian, recipient, consent_tx, consent_idx, release_by, released = self._row(
            step.unit, request.tx
        )
        if (custodian, recipient) != (self.me, request.peer):
            raise FlowRefused("not-yours", "this disclosure is between others")
        consent = StateRef(TransactionId(consent_tx), consent_idx)
        live = self._statements.live_or_ended(step.unit, consent)
        grace = self._ground.in_force(step.now).limits.release_grace_ms
        ended = live.ended or live.closed or not self._is_said_to_live(step.unit, consent)
        told = live.patient is not None and self._deciding.is_told(step.unit, live.patient)
        over = ended or step.now > release_by or released < 0 or not told
        asked = step.unit.execute(_ASKED_BY, {"tx": request.tx}).fetchone()
        if over or asked is None or not self._deciding.is_open(step, request.tx):
            return self._withhold(step, request.tx)
        if not 0 <= step.now - (request.asked or asked[1]) <= grace:
            return Release("ask-liveness", row=encode((consent,)), at=step.now)
        wrapped = self._wrapped(step, request.tx, ASKED.decode(asked[0]).request)
        if wrapped is None:
            return self._withhold(step, request.tx)
        part = step.put_part(encode(wrapped))
        if not released:
            step.unit.execute(_SET_RELEASED, {"id": request.tx, "at": step.now})
            self._deciding.log_release(step, request.tx, released=True)
        return Release("released", part=part)

    def _withhold(self, step: Step, tx: TransactionId) -> Release:
        """Release nothing, now and ever: the patient sees that, too."""
        step.unit.execute(_SET_RELEASED, {"id": tx, "at": NOT_RELEASED})
        self._deciding.log_release(step, tx, released=False)
        return Release("not-released")

    def _wrapped(self, step: Step, tx: bytes, asked: AskFor) -> WrappedKeys | None:
        """Wrap every item's data key; None where a restored custodian has lost one."""
        wrapped = []
        for number, commitment, *_ in step.unit.execute(_ITEMS, {"tx": tx}).fetchall():
            key = step.unit.execute(_KEY_OF, {"tx": tx, "commitment": commitment}).fetchone()
            if key is None:
                return None
            data_key = self._ground.keys.unwrap_at_rest(key[0], commitment)
            context = WrapContext(tx, number, asked.epoch)
            wrapped.append(wrap_data_key(data_key, asked.epoch_key, context, self._ground.entropy))
        return WrappedKeys(asked.epoch, tuple(wrapped))

    @staticmethod
    def _is_said_to_live(db: Connection, consent: StateRef) -> bool:
        """Whether the notary's newest word about the consent is that it lives; without one, the receipt says so."""
        row = db.execute(_LIVE_AT, {"tx": consent.tx, "idx": consent.index}).fetchone()
        return row is None or bool(row[1])

    def keep_liveness(self, step: Step, request: KeepLiveness) -> Kept:
        """See KeepLiveness."""
        refs, statements = QUESTIONED.decode(request.row), request.answer.statements
        if len(statements) != len(refs):
            raise MalformedBytes("liveness", "one statement for each question")
        live = 0
        for ref, statement in zip(refs, statements, strict=True):
            if self.keep_statement(step.unit, ref, statement, step.now):
                live += 1
            else:
                self._statements.close(step, ref)
        return Kept(live, len(refs) - live)

    def keep_statement(self, db: Connection, ref: StateRef, data: bytes, now: int) -> bool:
        """Check a notary's statement about a state that this node may refer to; keep it if it is newer.

        Returns whether it says that the state lives.
        """
        statement = open_liveness(data, self._ground.in_force(now))
        self._ground.vault.verifier.require_trusted(statement.notary)
        if statement.nullifier != self._ground.locks.nullifier(db, ref):
            raise InvalidSignature("liveness statement", "about another state")
        known = db.execute(_LIVE_AT, {"tx": ref.tx, "idx": ref.index}).fetchone()
        if known is None or known[0] < statement.at:
            row = {
                "tx": ref.tx,
                "idx": ref.index,
                "at": statement.at,
                "live": int(statement.live),
                "heard": now,
                "statement": data,
            }
            db.execute(_KEEP_LIVENESS, row)
        return statement.live

    def find_chunks(self, step: Step, request: FindChunks) -> ChunksFound:
        """See FindChunks. Re-checked for every message: a withdrawal stops the rest."""
        custodian, recipient, consent_tx, consent_idx, _, released = self._row(
            step.unit, request.tx
        )
        live = self._statements.live_or_ended(
            step.unit, StateRef(TransactionId(consent_tx), consent_idx)
        )
        mine = (custodian, recipient) == (self.me, request.peer) and released > 0
        items = step.unit.execute(_ITEMS, {"tx": request.tx}).fetchall()
        if not mine or live.ended or live.closed or request.item >= len(items):
            raise FlowRefused("nothing-available", "Nothing available.")
        _, _, blob, size_class, withdrawn = items[request.item]
        count = chunk_count(size_class)
        if withdrawn is not None or request.first >= count:
            raise FlowRefused("nothing-available", "Nothing available.")
        end = min(count, request.first + request.most)
        parts = tuple(chunk_part(blob, index) for index in range(request.first, end))
        return ChunksFound(parts, end == count)

    def read_chunk(self, part: bytes) -> bytes | None:
        """Return a chunk that a message names, for the transport; None if it is gone or damaged."""
        blob, index = part[1:-4].decode("ascii"), int.from_bytes(part[-4:], "big")
        try:
            return self._blobs.chunk(blob, index)
        except (BlobMissing, BlobDamaged):
            return None

    # -- the recipient's side ------------------------------------------------------------------------

    def keep_keys(self, step: Step, request: KeepKeys) -> Done:
        """See KeepKeys. They stay wrapped: only the gate opens them, for a reading that it logs."""
        custodian, recipient, *_ = self._row(step.unit, request.tx)
        if (custodian, recipient) != (request.peer, self.me):
            raise FlowRefused("not-yours", "keys of a disclosure between others")
        wrapped = WRAPPED_KEYS.decode(part_of(step, request.part))
        check_epoch(self._ground.keys, wrapped.epoch)
        items = step.unit.execute(_ITEMS, {"tx": request.tx}).fetchall()
        if len(items) != len(wrapped.keys):
            raise MalformedBytes("wrapped keys", "not one for each item")
        for (number, *_), key in zip(items, wrapped.keys, strict=True):
            self._ground.keys.open_epoch(
                wrapped.epoch, key, WrapContext(request.tx, number, wrapped.epoch)
            )  # refused here, not at the bedside
            row = {"id": request.tx, "number": number, "wrapped": key, "epoch": wrapped.epoch}
            step.unit.execute(_KEEP_KEY, row)
        step.unit.execute(_SET_RELEASED, {"id": request.tx, "at": step.now})
        return Done()

    def missing(self, step: Step, tx: bytes) -> Missing:
        """See MissingBlobs."""
        items = step.unit.execute(_ITEMS, {"tx": tx}).fetchall()
        return Missing(
            tuple(
                MissingBlob(number, chunk_count(size_class))
                for number, _, blob, size_class, _ in items
                if not self._blobs.has(blob)
            )
        )

    def keep_blob(self, step: Step, request: KeepBlob) -> Done:
        """See KeepBlob."""
        items = step.unit.execute(_ITEMS, {"tx": request.tx}).fetchall()
        blob = items[request.item][2]
        self._blobs.put((part_of(step, part) for part in request.parts), expected=blob)
        return Done()

    def _row(self, db: Connection, tx: bytes) -> tuple[str, str, bytes, int, int, int]:
        row: tuple[str, str, bytes, int, int, int] | None
        row = db.execute(_GET, {"tx": tx}).fetchone()
        if row is None:
            raise NotHeld(f"no disclosure {tx.hex()[:16]} is here")
        return row
