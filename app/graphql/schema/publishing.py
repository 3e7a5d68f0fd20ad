"""Mutations of custodians: publishing and amending records, passing them on."""

from typing import Annotated

import strawberry

from app.fhir.errors import FhirRefused
from app.fhir.resource import FhirResource, read_resource
from app.graphql.errors import ErrorCode
from app.graphql.scalars import Base64
from app.graphql.schema.codes import WithheldReason
from app.graphql.schema.context import ApiContext, Info
from app.graphql.schema.mutation import (
    ASKED,
    KEY_DESCRIPTION,
    FlowPayload,
    Mistake,
    named_keys,
    named_party,
    start,
)
from app.graphql.schema.patient import KIND as PATIENT_KIND
from app.graphql.schema.patient import find_patient
from app.graphql.schema.policy import Action
from app.graphql.schema.record import KIND as RECORD_KIND
from app.graphql.schema.record import find_record
from app.intake import Intake
from app.subjects.patient_access import reason_of
from flows.subjects.patient_access import ReleaseToPatient
from flows.subjects.record import AmendRecord, PublishRecords, TransferCustody
from states.identity import Party
from states.state import StateRef, TransactionId


@strawberry.input(description="Publish records of a patient of this organisation.")
class PublishRecordsInput:
    """By a clinician of the custodian. All of them are one transaction."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    patient: strawberry.ID = strawberry.field(description="Whose they are.")
    resources: list[str] = strawberry.field(
        default_factory=list, description="FHIR R4 resources as JSON text, kept as they are."
    )
    documents: list[Base64] = strawberry.field(
        default_factory=list, description="The same as bytes, where the text would change them."
    )
    withhold: WithheldReason | None = strawberry.field(
        default=None,
        description="Why their content is withheld from the patient; she sees the reason. Null: it is not.",
    )


@strawberry.input(description="Put a new version in the place of a record.")
class AmendRecordInput:
    """By a clinician of the custodian. Recipients are told that there is one."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    record: strawberry.ID = strawberry.field(description="The live version.")
    resource: str = strawberry.field(description="The FHIR R4 resource as JSON text.")
    withhold: WithheldReason | None = strawberry.field(
        default=None,
        description="Why its content is withheld from the patient. Null: as that of the version before.",
    )


@strawberry.input(description="Let the patient read a record that was withheld from her.")
class ReleaseToPatientInput:
    """By a clinician of the custodian. Her agent is told, and gets the key."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    record: strawberry.ID = strawberry.field(
        description="A version in this organisation's custody."
    )


@strawberry.input(description="Pass a record to another custodian of the same patient.")
class TransferCustodyInput:
    """By a clinician of the custodian. The patient's agent introduces the two, if she has permitted it before."""

    idempotency_key: str = strawberry.field(description=KEY_DESCRIPTION)
    record: strawberry.ID = strawberry.field(description="The live version.")
    to: strawberry.ID = strawberry.field(description="The new custodian.")


def publish_records(info: Info, input: Annotated[PublishRecordsInput, ASKED]) -> FlowPayload:  # noqa: A002  its name in the API
    context = info.context

    def make() -> PublishRecords:
        keys = named_keys(context, input.patient, PATIENT_KIND, find_patient, "patient")
        documents = [
            _resource(text.encode(), "resources", str(at))
            for at, text in enumerate(input.resources)
        ]
        documents += [
            _resource(data, "documents", str(at)) for at, data in enumerate(input.documents)
        ]
        most = context.api.limits.resources_max
        if not 1 <= len(documents) <= most:
            words = f"1 to {most} resources"
            raise Mistake(ErrorCode.BAD_USER_INPUT, words, "resources")
        return PublishRecords(_stage(context, str(keys[0]), documents, input.withhold))

    return start(info, Action.PUBLISH, input.idempotency_key, input, make)


def amend_record(info: Info, input: Annotated[AmendRecordInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> AmendRecord:
        ref, local = _own(context, input.record)
        document = _resource(input.resource.encode(), "resource")
        return AmendRecord(ref, _stage(context, local, [document], input.withhold))

    return start(info, Action.PUBLISH, input.idempotency_key, input, make)


def release_to_patient(info: Info, input: Annotated[ReleaseToPatientInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> ReleaseToPatient:
        keys = named_keys(context, input.record, RECORD_KIND, find_record, "record")
        found = find_record(context, keys)
        if found is None or found.withheld is None:
            raise Mistake(ErrorCode.CONFLICT, "the record is not withheld", "record")
        return ReleaseToPatient(StateRef(TransactionId(bytes(found.transaction_id)), found.index))

    return start(info, Action.PUBLISH, input.idempotency_key, input, make)


def transfer_custody(info: Info, input: Annotated[TransferCustodyInput, ASKED]) -> FlowPayload:  # noqa: A002
    context = info.context

    def make() -> TransferCustody:
        ref, local = _own(context, input.record)
        to = named_party(context, input.to, "to")
        if to == context.viewer.me:
            raise Mistake(ErrorCode.BAD_USER_INPUT, "it is here already", "to")
        assembly = context.api.assembly
        enrolment = assembly.enrolments.of_local(assembly.db, assembly.me, local)
        return TransferCustody(ref, Party(enrolment.agent), to)

    return start(info, Action.TRANSFER, input.idempotency_key, input, make)


def _own(context: ApiContext, id_: str) -> tuple[StateRef, str]:
    """Return a live record in this node's custody, and this node's name of its patient; raises Mistake."""
    keys = named_keys(context, id_, RECORD_KIND, find_record, "record")
    found = find_record(context, keys)
    assert found is not None, "it was found"
    if found.consumed_seq is not None or not isinstance(found.patient_name, str):
        raise Mistake(ErrorCode.CONFLICT, "the version is not live any more", "record")
    ref = StateRef(TransactionId(bytes(found.transaction_id)), found.index)
    return ref, found.patient_name


def _resource(data: bytes, *field: str) -> FhirResource:
    try:
        return read_resource(data)
    except FhirRefused as refused:  # its words name elements, never values
        raise Mistake(ErrorCode.BAD_USER_INPUT, str(refused), *field) from refused


def _stage(
    context: ApiContext,
    local: str,
    documents: list[FhirResource],
    withhold: WithheldReason | None,
) -> bytes:
    intake: Intake = context.api.intake
    db = context.api.assembly.db
    reason = None if withhold is None else reason_of(withhold.value)
    return intake.stage(db, intake.seal(db, local, documents, reason))
