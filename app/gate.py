"""The gate for bytes: a record is opened by `Gate.read_*` alone, and each reading is in the log before its first byte.

Rows do not pass here: `app.graphql.schema.policy` says who sees which, `app.graphql.schema.listing` finds no others.
That a clinician is shown just the records that this gate opens to her, test_what_is_listed_the_gate_permits compares.
Runs on the thread that owns the node's database connection, between the engine's turns. A stream asks again before
each chunk (`may_open`) and so ends with what permitted it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from app.access import (
    NOTHING_AVAILABLE,
    WORDS,
    Decision,
    Deny,
    DisclosedItem,
    GateRule,
    Here,
    OwnRecord,
    PatientsRecord,
    Permit,
    Staff,
    judge_disclosed,
    judge_hers,
    judge_own,
    judge_request,
)
from app.auth.sessions import Session
from app.blobs.cipher import BlobOpener
from app.blobs.errors import BlobDamaged, BlobMissing
from app.blobs.wrap import SHARED_ITEM, SharedWrap, WrapContext
from app.closure import Asker, Closure, closes
from app.gate_facts import (
    DisclosedFacts,
    OwnFacts,
    PatientsFacts,
    consent_facts,
    disclosed_facts,
    own_facts,
    patients_facts,
)
from app.gate_parts import GateParts
from app.keystore.errors import UnknownKey
from app.readings.log import NO_STAFF, NOBODY, ChainOf, Reading
from app.storage.database import transaction
from states.crypto.hashes import tagged_hash
from states.errors import LedgerError
from states.identity import Party, PatientId
from states.state import StateRef, TransactionId
from states.subjects.codes import Purpose
from states.subjects.content import Content

REFUSED_AFTER_MS = 50
"""A refusal is given this long after it was asked for, whatever its reason: longer than any of them takes."""

PERSON_SIZE = 16
HERSELF, PATIENT_ROLE = "the patient herself", "patient"
_TO_BE_GOT = frozenset({GateRule.KEY_GIVEN, GateRule.FETCHED})
_UNREADABLE = (LedgerError, BlobMissing, BlobDamaged, UnknownKey)


class AccessEnded(Exception):
    """What permitted a stream has ended while it ran; `words` may be shown."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True)
class Opened:
    """A record that is being read: its reading is durable. `chunks` yields verified plaintext, once.

    Taking a chunk raises AccessEnded, or a BlobRefused, BlobMissing or BlobDamaged for bytes that are not genuine.
    """

    content: Content
    custodian: Party
    entry: int
    superseded: int | None
    until: int
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Lacking:
    """What an agent has not got yet of a record that its patient may open."""

    custodian: Party
    record: StateRef
    key: bool
    ciphertext: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is available. The edge answers at `answer_at` (ms by the node's clock), not sooner."""

    words: str
    answer_at: int


class _Source(NamedTuple):
    """Where the bytes of one record come from, and what they must be."""

    blob: str
    commitment: bytes
    size_class: int
    data_key: Callable[[], bytes]
    unreadable: GateRule = GateRule.READABLE


class Gate:
    """Decides, logs, then opens."""

    def __init__(self, parts: GateParts) -> None:
        self._parts = parts
        self._db = parts.db
        self._closure = Closure(parts.me, parts.statements, parts.parameters)

    # -- what may be opened ----------------------------------------------------------------------------

    def may_open(
        self, session: Session, tx: TransactionId, item: int, purpose: Purpose
    ) -> Decision:
        """May this item of a disclosure be opened now? Nothing is logged: for lists, and for who holds it open."""
        facts = disclosed_facts(self._db, tx, item)
        return self._judge_disclosed(session, facts, purpose, self._here())

    def may_open_own(self, session: Session, ref: StateRef, purpose: Purpose) -> Decision:
        """May this record in this node's own custody be opened now? Nothing is logged."""
        here, facts = self._here(), own_facts(self._db, ref, self._parts.me)
        return self._judge_own(session, facts, purpose, here)

    def read_record(
        self, session: Session, tx: TransactionId, item: int, purpose: Purpose
    ) -> Opened | Refused:
        """Open an item of a disclosure for the person to whom it was disclosed (story, step e)."""
        here, facts = self._here(), disclosed_facts(self._db, tx, item)
        decision = self._judge_disclosed(session, facts, purpose, here)
        of = NOBODY
        if facts is not None and facts.item.recipient == here.me:
            of = ChainOf(tx, None, facts.agent)
        commitments = () if facts is None or facts.source is None else (facts.source.commitment,)
        reading = self._reading(session, of, purpose, commitments)
        if isinstance(decision, Deny) or facts is None or facts.source is None:
            return self._refuse(reading, decision, here)
        sealed = facts.source

        def data_key() -> bytes:
            context = WrapContext(tx, item, sealed.epoch)
            return self._parts.keys.open_epoch(sealed.epoch, sealed.wrapped, context)

        source = _Source(sealed.blob, sealed.commitment, sealed.size_class, data_key)
        still = lambda: self.may_open(session, tx, item, purpose)  # noqa: E731 - one question, asked again
        about = (sealed.content, facts.custodian, sealed.superseded)
        return self._open(reading, source, decision, still, about)

    def read_own(self, session: Session, ref: StateRef, purpose: Purpose) -> Opened | Refused:
        """Open a record in this node's own custody for its staff; logged in the chain of the patient's enrolment."""
        here, facts = self._here(), own_facts(self._db, ref, self._parts.me)
        decision = self._judge_own(session, facts, purpose, here)
        of = NOBODY
        if facts is not None and facts.enrolled is not None:
            of = ChainOf(None, PatientId(facts.enrolled), facts.agent)
        commitments = () if facts is None else (facts.commitment,)
        reading = self._reading(session, of, purpose, commitments)
        if isinstance(decision, Deny) or facts is None:
            return self._refuse(reading, decision, here)
        wrapped, commitment = facts.key, facts.commitment

        def data_key() -> bytes:
            assert wrapped is not None, "a record without its key is refused"
            return self._parts.keys.unwrap_at_rest(wrapped, commitment)

        source = _Source(facts.blob, commitment, facts.size_class, data_key)
        still = lambda: self.may_open_own(session, ref, purpose)  # noqa: E731 - as above
        about = (facts.content, facts.custodian, None)
        return self._open(reading, source, decision, still, about)

    def may_request(self, session: Session, consent: StateRef) -> Decision:
        """May this session's person ask a custodian for a disclosure under this consent now? Nothing is logged."""
        return self._judge_request(session, consent, self._here())[0]

    def refuse_request(
        self, session: Session, consent: StateRef | None, purpose: Purpose
    ) -> Refused:
        """Log that a request for a disclosure was refused here, before it reached the custodian.

        In the chain of the patient whom the consent names to this node, if it holds or held it as grantee: so her
        agent is told. What the caller may say of it is "no such consent", whatever the reason.
        """
        here = self._here()
        decision, of = self._judge_request(session, consent, here)
        return self._refuse(self._reading(session, of, purpose, ()), decision, here)

    # -- a patient, at her agent ---------------------------------------------------------------------------

    def may_open_hers(self, session: Session, ref: StateRef) -> Decision:
        """May this patient open this record of hers now? Nothing is logged."""
        return self._judge_hers(session, patients_facts(self._db, ref), self._here())

    def lacking(self, session: Session, ref: StateRef) -> Lacking | None:
        """Return what is to be got from its custodian before a patient can open a record of hers.

        None for nothing, and also for whoever may not open it at all: so nobody makes this node ask.
        """
        facts = patients_facts(self._db, ref)
        decision = self._judge_hers(session, facts, self._here())
        if facts is None or not isinstance(decision, Deny) or decision.rule not in _TO_BE_GOT:
            return None
        ciphertext = not self._parts.blobs.has(facts.blob)
        return Lacking(facts.custodian, ref, key=facts.key is None, ciphertext=ciphertext)

    def read_hers(self, session: Session, ref: StateRef, purpose: Purpose) -> Opened | Refused:
        """Open a record for the patient whose it is, at her agent; logged in her own chain here, which she is shown."""
        here, facts = self._here(), patients_facts(self._db, ref)
        decision = self._judge_hers(session, facts, here)
        person, of = _person_of(session), NOBODY
        hers = facts is not None and facts.patient == session.person_id
        if hers and person is not None:
            of = ChainOf(None, PatientId(person), here.me)
        commitments = () if facts is None else (facts.commitment,)
        if isinstance(decision, Permit) and person is not None:
            reading = Reading(of, person, HERSELF, PATIENT_ROLE, purpose, "read", commitments)
        else:
            reading = self._reading(session, of, purpose, commitments)
        if isinstance(decision, Deny) or facts is None or facts.key is None:
            return self._refuse(reading, decision, here)
        commitment, key = facts.commitment, facts.key

        def data_key() -> bytes:
            context = WrapContext(key.tx, SHARED_ITEM, key.epoch)
            shared = self._parts.keys.open_epoch(key.epoch, key.shared, context)
            return SharedWrap(shared, key.tx).unwrap(key.item, key.wrapped, commitment)

        source = _Source(facts.blob, commitment, facts.size_class, data_key, GateRule.GENUINE)
        still = lambda: self.may_open_hers(session, ref)  # noqa: E731 - as above
        about = (facts.content, facts.custodian, None)
        return self._open(reading, source, decision, still, about)

    # -- deciding ------------------------------------------------------------------------------------------

    def _here(self) -> Here:
        now = self._parts.clock()
        limits = self._parts.parameters.in_force(now)[1].limits
        return Here(self._parts.me, now, limits.lease_ms)

    def _staff(self, session: Session) -> Staff | None:
        person = _person_of(session)
        found = None if person is None else self._parts.staff.practitioner(self._db, person)
        return None if found is None else Staff(found.person, found.shown_as, found.role)

    def _judge_disclosed(
        self, session: Session, facts: DisclosedFacts | None, purpose: Purpose, here: Here
    ) -> Decision:
        item: DisclosedItem | None = None if facts is None or facts.source is None else facts.item
        return judge_disclosed(session, self._staff(session), item, purpose, here)

    def _judge_own(
        self, session: Session, facts: OwnFacts | None, purpose: Purpose, here: Here
    ) -> Decision:
        staff, record = self._staff(session), None
        if facts is not None:
            closed = staff is None or self._closed(staff, facts, purpose, here)
            told = facts.patient is None or self._closure.is_told(self._db, facts.patient)
            has_key = facts.key is not None
            record = OwnRecord(facts.custodian, has_key, told, closed, facts.passed_on)
        return judge_own(session, staff, record, purpose, here)

    def _judge_hers(self, session: Session, facts: PatientsFacts | None, here: Here) -> Decision:
        record = None
        if facts is not None:
            has_ciphertext = self._parts.blobs.has(facts.blob)
            record = PatientsRecord(
                facts.custodian,
                facts.patient,
                facts.withheld,
                facts.key is not None,
                has_ciphertext,
            )
        return judge_hers(session, record, here)

    def _judge_request(
        self, session: Session, consent: StateRef | None, here: Here
    ) -> tuple[Decision, ChainOf]:
        staff, facts = self._staff(session), None
        if consent is not None:
            person, role = (staff.person, staff.role) if staff is not None else (b"", "")
            facts = consent_facts(self._db, consent, here.me, person, role)
        if facts is None:
            return judge_request(session, staff, None, here), NOBODY
        return judge_request(session, staff, facts.asked, here), facts.chain(here.me)

    def _closed(self, staff: Staff, facts: OwnFacts, purpose: Purpose, here: Here) -> bool:
        """Whether the patient denies it here; what is of nobody known is closed to everybody."""
        if facts.patient is None:
            return True
        asker = Asker(staff.person, staff.role)
        ruling = self._closure.ruling(self._db, facts.patient, asker, purpose, here.now)
        return closes(ruling, facts.content)

    # -- opening -------------------------------------------------------------------------------------------

    def _open(
        self,
        reading: Reading,
        source: _Source,
        permit: Permit,
        still: Callable[[], Decision],
        about: tuple[Content, Party, int | None],
    ) -> Opened | Refused:
        try:
            opener = BlobOpener(source.data_key(), source.commitment, source.size_class)
            first = opener.open_chunk(0, self._parts.blobs.chunk(source.blob, 0))
        except _UNREADABLE:
            return self._refuse(reading, Deny(source.unreadable), self._here())
        entry = self._commit(reading)
        content, custodian, superseded = about
        chunks = self._stream(opener, source.blob, first, still)
        return Opened(content, custodian, entry, superseded, permit.until, chunks)

    def _stream(
        self, opener: BlobOpener, blob: str, first: bytes, still: Callable[[], Decision]
    ) -> Iterator[bytes]:
        if first:
            yield first
        for index in range(1, opener.chunks):
            decision = still()
            if isinstance(decision, Deny):
                raise AccessEnded(WORDS.get(decision.rule, NOTHING_AVAILABLE))
            content = opener.open_chunk(index, self._parts.blobs.chunk(blob, index))
            if content:
                yield content

    def _refuse(self, reading: Reading, decision: Decision, here: Here) -> Refused:
        rule = decision.rule if isinstance(decision, Deny) else GateRule.HELD
        refused = Reading(
            reading.of,
            reading.person,
            reading.shown_as,
            reading.role,
            reading.purpose,
            "refused",
            reading.commitments,
            why=rule.name,
        )
        self._commit(refused)
        return Refused(WORDS.get(rule, NOTHING_AVAILABLE), here.now + REFUSED_AFTER_MS)

    def _commit(self, reading: Reading) -> int:
        # An open transaction would be somebody else's to commit: the entry might not be durable before the byte.
        assert not self._db.in_transaction, "the gate is asked between turns"
        with transaction(self._db):
            return self._parts.log.append(self._db, self._parts.clock(), reading)

    def _reading(
        self, session: Session, of: ChainOf, purpose: Purpose, commitments: tuple[bytes, ...]
    ) -> Reading:
        staff = self._staff(session)
        if staff is not None:
            return Reading(
                of, staff.person, staff.shown_as, staff.role, purpose, "read", commitments
            )
        # Somebody without a staff entry is named by nothing that the patient could use elsewhere.
        person = tagged_hash("session-user", session.user_id.encode())[:PERSON_SIZE]
        role = session.role.value.replace(" ", "-")
        return Reading(of, person, NO_STAFF, role, purpose, "read", commitments)


def _person_of(session: Session) -> bytes | None:
    """Return the 16 bytes that the session's person id spells in hexadecimal."""
    try:
        person = bytes.fromhex(session.person_id or "")
    except ValueError:
        return None
    return person if len(person) == PERSON_SIZE else None
