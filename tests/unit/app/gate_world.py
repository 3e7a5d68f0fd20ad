"""Riverside, which holds a disclosure and records of its own: rows, real ciphertext, real wrapped keys."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from sqlite3 import Connection

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import SQLModel

from app.auth.sessions import Role, Session
from app.blobs.cipher import Sealed, seal
from app.blobs.memory import MemoryBlobStore
from app.blobs.wrap import SHARED_ITEM, SharedWrap, WrapContext, wrap_data_key
from app.gate import Gate
from app.gate_parts import GateParts
from app.keystore.memory import SeededEntropy, memory_key_store
from app.readings.log import ReadingLog
from app.rows.tables import (
    DISCLOSURE_TABLES,
    ENROLMENT_TABLES,
    RECORD_TABLES,
    STATEMENT_TABLES,
    DisclosureItemRow,
    DisclosureRow,
    EnrolmentRow,
    LivenessRow,
    PatientKeyRow,
    PatientWrapRow,
    RecordRow,
    StatementRow,
)
from app.storage.database import open_database, transaction
from app.storage.statements import creation, sql, table_of
from app.subjects.enrolment import Enrolments
from flows.subjects.enrolment import Practitioner
from states.decision import LogPlace, Statement, StatementKind
from states.encoding import encode
from states.identity import Party
from states.parameters import ParametersHistory
from states.reading import READING, ReadingEntry
from states.state import StateRef, TransactionId
from states.subjects.content import Content
from states.subjects.terms import Terms
from tests.contracts.cast import (
    ADA_AT_RIVERSIDE,
    AGENT,
    DAY,
    DR_REED,
    MERCY,
    MINUTE,
    NOTARY,
    NOW,
    PARAMETERS,
    PARAMETERS_ID,
    RIVERSIDE,
    seeded,
)

EPOCH = 24_322
CONSENT = StateRef(TransactionId(seeded("consent")), 0)
DISCLOSED = TransactionId(seeded("disclosure"))
OWN = StateRef(TransactionId(seeded("own record")), 0)
HERS = StateRef(TransactionId(seeded("her record")), 1)
ADA = seeded("ada at her agent")[:16]
LOCAL = "RV-20-88"
RESULT = Content("Observation", "4548-4", "http://loinc.org", "laboratory", ("N",), "2026-11-20")
TEXT = b'{"resourceType": "Observation", "valueQuantity": {"value": 7.10}}'
LONG = b"0123456789" * 60_000  # three chunks
OTHER_PERSON = seeded("s20")[:16]
ELSEWHERE = seeded("not here")


BLOBS = MemoryBlobStore()
CREATION = creation(*ENROLMENT_TABLES, *STATEMENT_TABLES, *RECORD_TABLES, *DISCLOSURE_TABLES)


@cache
def sealed(text: bytes) -> tuple[bytes, Sealed]:
    """A document's data key, and what the ledger keeps of it; its ciphertext is in BLOBS."""
    key = seeded("data key", len(text))
    sealing = seal(io.BytesIO(text), key)
    BLOBS.put(sealing)
    return key, sealing.sealed


class Patients:
    """What this custodian's patients say: nothing, or what a test adds."""

    def __init__(self) -> None:
        self.said: list[Statement] = []
        self.told = True

    def statements(self, db: Connection, patient: str) -> list[Statement]:
        assert db is not None
        return self.said if patient == LOCAL else []

    def is_told(self, db: Connection, patient: str) -> bool:
        assert db is not None
        return self.told or patient != LOCAL


class World:
    """A node at one moment; tests change rows, time and session, then ask the gate."""

    def __init__(self) -> None:
        self.now = NOW
        self.db = open_database(":memory:", cache_kib=1_024)
        self.keys = memory_key_store(b"riverside")
        self.entropy = SeededEntropy(b"world")
        self.patients = Patients()
        self.log = ReadingLog(RIVERSIDE, self.keys, self.entropy)
        self.staff = Enrolments(RIVERSIDE, self.keys, self.entropy)
        with transaction(self.db):
            self.log.create(self.db)
            for statement in CREATION:
                self.db.execute(statement)
            self._fill()
        self.gate = Gate(
            GateParts(
                me=RIVERSIDE,
                db=self.db,
                keys=self.keys,
                blobs=BLOBS,
                log=self.log,
                staff=self.staff,
                statements=self.patients,
                parameters=ParametersHistory([(PARAMETERS_ID, PARAMETERS)]),
                clock=lambda: self.now,
            )
        )

    def _fill(self) -> None:
        self.keys.new_epoch(EPOCH)
        for person, name in ((DR_REED, "Dr A. Reed"), (OTHER_PERSON, "Dr B. Hale")):
            self.staff.add_practitioner(self.db, Practitioner(person, name, "clinician"))
        add(self.db, StatementRow, tx=CONSENT.tx, idx=0, contract="consent/1", custodian=MERCY,
            grantee=RIVERSIDE, agent=AGENT, patient=LOCAL, start=NOW - DAY, end=NOW + 7 * DAY,
            terms=encode(terms(DR_REED)), exceptions=None, at=NOW - DAY, log_index=1, since=NOW - DAY,
            created_seq=1, consumed_seq=None, closed_at=None, notary=NOTARY, pairwise=ADA_AT_RIVERSIDE)  # fmt: skip
        add(self.db, DisclosureRow, tx=DISCLOSED, custodian=MERCY, recipient=RIVERSIDE, agent=AGENT,
            patient=LOCAL, consent_tx=CONSENT.tx, consent_idx=0, person=DR_REED,
            shown_as="Dr A. Reed", role="clinician", purpose="TREAT", release_by=NOW + MINUTE,
            read_until=NOW + 3 * DAY, items=2, at=NOW - MINUTE, since=NOW - MINUTE, created_seq=2,
            released=NOW)  # fmt: skip
        for item, text in enumerate((TEXT, LONG)):
            self._disclose(item, text)
        key, made = sealed(TEXT)
        add(self.db, RecordRow, tx=OWN.tx, idx=0, custodian=RIVERSIDE, patient=LOCAL, version=1,
            commitment=made.commitment, blob=made.cid, size_class=made.size_class,
            content=encode(RESULT), category="laboratory", kind="Observation", day="2026-11-20",
            key=self.keys.wrap_at_rest(key, made.commitment), length=made.length, resource_id="1",
            created_seq=3, consumed_seq=None, passed_to=None, withheld=None)  # fmt: skip
        self._fill_as_agent(key, made)
        add(self.db, EnrolmentRow, patient=ADA_AT_RIVERSIDE, custodian=RIVERSIDE, agent=AGENT,
            local=LOCAL, authority=b"", signed=b"signed", keepsake=b"kept", from_time=0)  # fmt: skip

    def _fill_as_agent(self, key: bytes, made: Sealed) -> None:
        """What her agent holds of a record in Mercy's custody."""
        add(self.db, RecordRow, tx=HERS.tx, idx=1, custodian=MERCY, patient=ADA.hex(), version=1,
            commitment=made.commitment, blob=made.cid, size_class=made.size_class,
            content=encode(RESULT), category="laboratory", kind="Observation", day="2026-11-20",
            key=None, length=None, resource_id=None, created_seq=4, consumed_seq=None, passed_to=None,
            withheld=None)  # fmt: skip
        shared = seeded("shared key")
        context = WrapContext(HERS.tx, SHARED_ITEM, EPOCH)
        wrapped = wrap_data_key(shared, self.keys.epoch_public(EPOCH), context, self.entropy)
        add(self.db, PatientWrapRow, id=seeded("wrap"), tx=HERS.tx, epoch=EPOCH, wrapped=wrapped)
        add(self.db, PatientKeyRow, tx=HERS.tx, idx=1, commitment=made.commitment,
            wrap=seeded("wrap"), wrapped=SharedWrap(shared, HERS.tx).wrap(1, key, made.commitment)
            )  # fmt: skip

    def _disclose(self, item: int, text: bytes) -> None:
        key, made = sealed(text)
        context = WrapContext(DISCLOSED, item, EPOCH)
        wrapped = wrap_data_key(key, self.keys.epoch_public(EPOCH), context, self.entropy)
        add(self.db, DisclosureItemRow, tx=DISCLOSED, item=item, commitment=made.commitment,
            blob=made.cid, size_class=made.size_class, version=1, content=encode(RESULT),
            category="laboratory", wrapped=wrapped, epoch=EPOCH, withdrawn_at=None, superseded=None)  # fmt: skip

    def change(self, text: str, *values: object) -> None:
        with transaction(self.db):
            assert self.db.execute(text, values).rowcount >= 1, "the change touches something"

    def stated(self, *, live: bool, at: int, heard: int | None = None) -> None:
        """Let the notary say something of the consent at a time of its clock; it was heard at one of the node's."""
        heard = at if heard is None else heard
        with transaction(self.db):
            add(self.db, LivenessRow, tx=CONSENT.tx, idx=0, at=at, heard=heard, live=int(live),
                statement=b"")  # fmt: skip

    def closes(self) -> None:
        """The patient closes everything at this custodian to everybody."""
        deny = Terms("deny", None, None, (), (), ())
        self.patients.said.append(
            Statement(
                ref=StateRef(TransactionId(seeded("restriction")), 0),
                kind=StatementKind.RESTRICTION,
                grantee=None,
                terms=deny,
                start=NOW - DAY,
                end=None,
                place=LogPlace(NOTARY, NOW - DAY, 5),
                in_force_since=NOW - DAY,
            )
        )

    def logged(self) -> list[tuple[ReadingEntry, str]]:
        """Every entry of the reading log, with its reason."""
        rows = self.db.execute("SELECT body, why FROM reading ORDER BY idx").fetchall()
        return [(READING.decode(body), why) for body, why in rows]


def add(db: Connection, model: type[SQLModel], **values: object) -> None:
    known: Mapping[str, object] = values
    db.execute(_insertion(model), known)


@cache
def _insertion(model: type[SQLModel]) -> str:
    return sql(insert(table_of(model)).prefix_with("OR REPLACE"))


def terms(person: bytes | None) -> Terms:
    return Terms("permit", person, None, ("TREAT",), ("laboratory",), ())


def session(
    role: Role = Role.CLINICIAN,
    person: str | None = DR_REED.hex(),
    organisation: Party = RIVERSIDE,
) -> Session:
    now = datetime.fromtimestamp(NOW / 1_000, UTC)
    return Session("s", "user", role, person, organisation, now, now + timedelta(hours=8))
