"""What tests do in the village: enrol patients, publish documents, read how a flow ended."""

import io
from typing import TypeVar

import msgspec

from app.blobs.cipher import seal
from app.storage.database import transaction
from app.subjects.record import Staged
from flows.store import Status
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment
from flows.subjects.patient_access import WithheldReason
from flows.subjects.record import Published, PublishRecords
from states.identity import PatientId
from states.subjects.codes import Category
from states.subjects.content import Content
from tests.simulation.village import Village

R = TypeVar("R", bound=msgspec.Struct)

ADA = b"ada-at-her-agent"
DAY = 86_400_000
REED = bytes(range(16))


def result(village: Village, name: str, flow_id: bytes, kind: type[R]) -> R:
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


def permit(village: Village, custodian: str, to: str, patient: bytes = ADA) -> None:
    """Let a patient permit that a custodian passes her records to another, for a week."""
    agent, now = village.nodes["Agent"], village.clock.now
    pair = village.party(custodian), village.party(to)
    agent.transfer_permits.permit(agent.db, now, patient.hex(), *pair, now + 7 * DAY)


def stage(
    village: Village,
    custodian: str,
    local: str,
    documents: list[tuple[Category, bytes]],
    withheld: WithheldReason | None = None,
) -> bytes:
    """Seal documents and stage them as a batch; return its id."""
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
                Content("Observation", "4548-4", "http://loinc.org", category, ("N",), None),
                sealed.commitment,
                sealed.cid,
                sealed.size_class,
                sealed.length,
                node.given.keys.wrap_at_rest(key, sealed.commitment),
                "obs-1",
                withheld,
            )
        )
    batch = village.entropy(16)
    with transaction(node.db):
        node.records.stage(node.db, batch, staged)
    return batch


def publish(
    village: Village,
    custodian: str,
    local: str,
    documents: list[tuple[Category, bytes]],
    withheld: WithheldReason | None = None,
) -> Published:
    batch = stage(village, custodian, local, documents, withheld)
    return result(village, custodian, village.run(custodian, PublishRecords(batch)), Published)
