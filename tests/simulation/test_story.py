"""The demo's story in one process: enrol, publish, grant, request, disclose, revoke, refuse."""

import io

import msgspec
import pytest

from app.blobs.cipher import seal
from app.subjects.record import Staged
from flows.store import Status
from flows.subjects.consent import GrantConsent, RevokeConsent
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment, Practitioner
from flows.subjects.record import PublishRecords
from flows.subjects.statement import Stated
from states.identity import PatientId
from states.state import StateRef
from states.subjects.codes import Category
from states.subjects.content import Content
from states.subjects.terms import Exceptions, Terms
from tests.simulation.village import Village

ADA = b"ada-at-her-agent"
DAY = 86_400_000
REED = bytes(range(16))


def result(
    village: Village, name: str, flow_id: bytes, kind: type[msgspec.Struct]
) -> msgspec.Struct:
    row = village.nodes[name].engine.flow(flow_id)
    assert row is not None
    assert row.status == Status.DONE, (row.tag, Status(row.status), row.why)
    return msgspec.msgpack.decode(row.result, type=kind)


def enrol(village: Village, custodian: str, local: str) -> None:
    node = village.nodes[custodian]
    offer = result(
        village, custodian, village.run(custodian, OfferEnrolment(local)), EnrolmentOffer
    )
    assert isinstance(offer, EnrolmentOffer)
    code = node.enrolments.open_offer(offer)
    flow_id = village.run("Agent", EnrolPatient(ADA, node.me, code))
    row = village.nodes["Agent"].engine.flow(flow_id)
    assert row is not None
    assert row.status == Status.DONE, row


def publish(
    village: Village, custodian: str, local: str, documents: list[tuple[Category, bytes]]
) -> bytes:
    node = village.nodes[custodian]
    enrolment = node.enrolments.of_local(node.db, node.me, local)
    staged = []
    for category, document in documents:
        key = node.given.keys.new_data_key()
        sealing = seal(io.BytesIO(document), key)
        node.given.blobs.put(sealing)
        sealed = sealing.sealed
        staged.append(
            Staged(
                PatientId(enrolment.patient),
                local,
                Content(
                    "Observation", "4548-4", "http://loinc.org", category, ("N",), "2026-11-22"
                ),
                sealed.commitment,
                sealed.cid,
                sealed.size_class,
                sealed.length,
                node.given.keys.wrap_at_rest(key, sealed.commitment),
                "obs-1",
            )
        )
    batch = village.entropy(16)
    node.db.execute("BEGIN IMMEDIATE")
    node.records.stage(node.db, batch, staged)
    node.db.execute("COMMIT")
    flow_id = village.run(custodian, PublishRecords(batch))
    row = node.engine.flow(flow_id)
    assert row is not None
    assert row.status == Status.DONE, row
    return flow_id


@pytest.fixture
def village() -> Village:
    return Village(seed=7, double_run=True)


def test_the_story_from_enrolment_to_refusal(village: Village) -> None:
    mercy, riverside, agent = (village.nodes[n] for n in ("Mercy", "Riverside", "Agent"))
    riverside.enrolments.add_practitioner(
        riverside.db, Practitioner(REED, "Dr A. Reed", "clinician")
    )
    agent.given.keys.add_patient(ADA)
    enrol(village, "Mercy", "MRN 4711")
    enrol(village, "Riverside", "RV-20-88")
    publish(village, "Mercy", "MRN 4711", [("laboratory", b"HbA1c 6.1 %"), ("note", b"a note")])
    assert agent.vault.last_seq(agent.db) == 1

    terms = Terms("permit", REED, None, ("TREAT",), ("laboratory", "medication"), ())
    grant = GrantConsent(
        ADA,
        mercy.me,
        riverside.me,
        village.clock.now,
        village.clock.now + 7 * DAY,
        terms,
        Exceptions((), ()),
    )
    stated = result(village, "Agent", village.run("Agent", grant), Stated)
    assert isinstance(stated, Stated)
    consent = stated.ref
    assert mercy.vault.is_live(mercy.db, consent)
    assert riverside.vault.is_live(riverside.db, consent)

    ask = RequestDisclosure(consent, REED, "TREAT", ())
    disclosed = result(village, "Riverside", village.run("Riverside", ask), Disclosed)
    assert isinstance(disclosed, Disclosed)
    assert disclosed.outcome == "disclosed"
    assert agent.vault.last_seq(agent.db) == 3

    village.run("Agent", RevokeConsent(StateRef(consent.tx, consent.index)))
    for node in (mercy, riverside, agent):
        assert not node.vault.is_live(node.db, consent)
    again = village.run("Riverside", ask)
    row = riverside.engine.flow(again)
    assert row is not None
    assert row.status == Status.FAILED
    assert "consent has ended" in row.why
