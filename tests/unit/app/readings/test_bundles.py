"""Bundles that an agent writes verify for a stranger, and show no more than they must."""

from collections.abc import Mapping
from dataclasses import replace
from sqlite3 import Connection

import pytest
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import SQLModel

from app.readings.bundles import BundleWriter, Line, NothingToProve
from app.readings.tables import LOOK_TABLES, LookItemRow, LookRow
from app.rows.tables import (
    DISCLOSURE_TABLES,
    ENROLMENT_TABLES,
    RECORD_TABLES,
    DisclosureRow,
    EnrolmentRow,
    RecordRow,
)
from app.storage.database import open_database, transaction
from app.storage.statements import creation, sql, table_of
from states.bundle import verify_bundle
from states.encoding import encode
from states.findings import WHICH_IS_TRUE
from states.identity import Party
from states.reading import FIRST_EPOCH, READING, ReportedReading, entry_digest
from states.signed import ProvenTransaction
from states.subjects.terms import SubjectAt
from tests.unit.states.proof_world import (
    ADA_AT_MERCY,
    ADA_AT_RIVERSIDE,
    AGENT,
    DAY,
    DR_REED,
    HBA1C,
    MERCY,
    NOW,
    RIVERSIDE,
    TRUST,
    Story,
    enrolment,
    member,
    published,
    seeded,
)

STORY = Story()
DISCLOSURE, CONSENT, RECORD = (
    built.id for built, _ in (STORY.disclosure(), STORY.consent(), STORY.record())
)


class Held:
    """The agent's transactions and map."""

    def __init__(self) -> None:
        proven = STORY.proven()
        self._by_id = dict(zip((DISCLOSURE, CONSENT, RECORD), proven, strict=True))

    def transaction(self, db: Connection, tx: bytes) -> ProvenTransaction:
        assert db is not None
        return next(proven for id_, proven in self._by_id.items() if id_ == tx)

    def published(self) -> Mapping[int, bytes]:
        return {1: published()}

    def entry(self, party: Party) -> bytes:
        return member({MERCY: "Mercy", RIVERSIDE: "Riverside"}[party])


def add(db: Connection, model: type[SQLModel], **values: object) -> None:
    db.execute(sql(insert(table_of(model))), values)


def keep(
    db: Connection, organisation: Party, report: ReportedReading, mark: str | None = None
) -> Line:
    entry = READING.decode(report.body)
    line = Line(organisation, entry.chain, 1, entry_digest(report.salt, report.body))
    add(db, LookRow, **line._asdict(), epoch=FIRST_EPOCH, subject=b"", patient="ada",
        disclosure=entry.disclosure, at=NOW, previous=b"", body=report.body, salt=report.salt,
        proof=report.proof, taken_at=NOW, mark=mark)  # fmt: skip
    add(db, LookItemRow, **line._asdict(), item=0, commitment=seeded("result"),
        content=encode(HBA1C))  # fmt: skip
    return line


@pytest.fixture
def db() -> Connection:
    db = open_database(":memory:", cache_kib=1_024)
    with transaction(db):
        tables = (*LOOK_TABLES, *ENROLMENT_TABLES, *RECORD_TABLES, *DISCLOSURE_TABLES)
        for statement in creation(*tables):
            db.execute(statement)
        add(db, DisclosureRow, tx=DISCLOSURE, custodian=MERCY, recipient=RIVERSIDE, agent=AGENT,
            patient="ada", consent_tx=CONSENT, consent_idx=0, person=DR_REED, shown_as="Dr A. Reed",
            role="clinician", purpose="TREAT", release_by=NOW, read_until=NOW + DAY, items=2, at=NOW,
            since=NOW, created_seq=1, released=0)  # fmt: skip
        add(db, RecordRow, tx=RECORD, idx=0, custodian=MERCY, patient="ada", version=1,
            commitment=seeded("result"), blob="b", size_class=4_096, content=b"", category="laboratory",
            kind="Observation", day=None, key=None, length=None, resource_id=None, withheld=None, created_seq=1,
            consumed_seq=None, passed_to=None)  # fmt: skip
        add(db, EnrolmentRow, patient=ADA_AT_MERCY, custodian=MERCY, agent=AGENT, local="ada",
            authority=b"", signed=enrolment(), keepsake=b"kept", from_time=0)  # fmt: skip
    return db


WRITER = BundleWriter(Held(), Held())


def test_a_line_of_who_looked_is_proven_without_what_the_patient_need_not_show(
    db: Connection,
) -> None:
    line = keep(db, RIVERSIDE, STORY.reported())
    data = WRITER.of_look(db, line)
    found = verify_bundle(data, TRUST)
    assert found.who == "Dr A. Reed, clinician, Riverside: read it"
    for hidden in (ADA_AT_MERCY, ADA_AT_RIVERSIDE, seeded("other")):  # her names; the other item
        assert data.find(hidden) == -1
    assert encode(SubjectAt(MERCY, ADA_AT_MERCY)) in encode(STORY.proven()[1])


def test_she_is_named_only_where_she_asks_for_it(db: Connection) -> None:
    line = keep(db, RIVERSIDE, STORY.reported())
    named = WRITER.of_look(db, line, named=True)
    assert (
        len(verify_bundle(named, TRUST).steps)
        == len(verify_bundle(WRITER.of_look(db, line), TRUST).steps) + 1
    )
    assert named.count(ADA_AT_MERCY) == 1


def test_a_reading_inside_the_custodian_a_disclosure_and_a_record_are_proven(
    db: Connection,
) -> None:
    inside = Story(read_by="Mercy", reading_key="Mercy, readings").reported(own=True)
    assert verify_bundle(WRITER.of_look(db, keep(db, MERCY, inside)), TRUST).subject == "reading"
    assert verify_bundle(WRITER.of_disclosure(db, DISCLOSURE), TRUST).subject == "disclosure"
    assert verify_bundle(WRITER.of_record(db, RECORD, 0), TRUST).subject == "record"


def test_what_is_not_here_cannot_be_proven(db: Connection) -> None:
    with pytest.raises(NothingToProve):
        WRITER.of_look(db, Line(RIVERSIDE, bytes(32), 1, bytes(32)))
    with pytest.raises(NothingToProve):
        WRITER.of_disclosure(db, bytes(32))
    with pytest.raises(NothingToProve):
        WRITER.of_record(db, bytes(32), 0)


def test_with_a_line_that_another_contradicts_goes_that_other(db: Connection) -> None:
    line = keep(db, RIVERSIDE, STORY.reported(), "CONTRADICTED")
    asked_in_vain = replace(STORY, outcome="refused").reported()
    other = keep(db, RIVERSIDE, asked_in_vain, "CONTRADICTED")
    for one, what in ((line, "read it"), (other, "asked for it and was refused")):
        found = verify_bundle(WRITER.of_look(db, one), TRUST)
        assert found.who == f"Dr A. Reed, clinician, Riverside: {what}"
        assert found.cannot[0] == WHICH_IS_TRUE


def test_the_line_of_another_patient_is_in_no_bundle_of_hers(db: Connection) -> None:
    """An organisation that uses one number for two patients does not show one to the other."""
    line = keep(db, RIVERSIDE, STORY.reported(), "CONTRADICTED")
    other = keep(db, RIVERSIDE, replace(STORY, outcome="refused").reported(), "CONTRADICTED")
    db.execute("UPDATE look SET patient = 'eve' WHERE digest = ?", (other.digest,))
    assert WHICH_IS_TRUE not in verify_bundle(WRITER.of_look(db, line), TRUST).cannot


def test_where_only_the_agent_can_tell_the_line_is_proven_alone(db: Connection) -> None:
    line = keep(db, RIVERSIDE, STORY.reported(), "CONTRADICTED")
    assert WHICH_IS_TRUE not in verify_bundle(WRITER.of_look(db, line), TRUST).cannot
