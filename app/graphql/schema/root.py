"""The schema: its three roots, and how a node puts it together."""

from collections.abc import AsyncGenerator, Callable
from functools import cache
from sqlite3 import Connection as Database
from typing import Annotated

import strawberry
from graphql import lexicographic_sort_schema, print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.utils.str_converters import to_camel_case

from app.assembly import Assembly
from app.closure import Closure
from app.graphql.connections import Connection
from app.graphql.cursors import KEY_BYTES, Cursors
from app.graphql.errors import ApiError, ErrorCode
from app.graphql.limits import ServiceLimits
from app.graphql.scalars import SCALARS
from app.graphql.schema import (
    consent,
    consenting,
    disclosing,
    disclosure,
    enrolling,
    flow,
    moving,
    mutation,
    notary,
    operating,
    party,
    patient,
    permitting,
    publishing,
    reading,
    record,
    request,
    restriction,
    state,
    streams,
    transaction,
    viewer,
)
from app.graphql.schema.broadcast import Broadcast
from app.graphql.schema.context import Api, Info, Members
from app.graphql.schema.identifiers import GlobalIds
from app.graphql.schema.moment import Snapshots
from app.graphql.schema.node import Id, Node
from app.graphql.schema.requests import Requests, open_secret
from app.graphql.schema.things import FINDERS
from app.intake import Intake
from app.readings.bundles import BundleWriter
from states.crypto.hashes import hkdf


def _node(info: Info, id: Id) -> Node | None:  # noqa: A002  its name in the API
    return FINDERS.find(info.context, id)


def _nodes(
    info: Info,
    ids: Annotated[
        list[strawberry.ID], strawberry.argument(description="At most a hundred global ids.")
    ],
) -> list[Node | None]:
    most = info.context.api.limits.ids_max
    if len(ids) > most:
        raise ApiError(ErrorCode.LIMIT_EXCEEDED, f"no more than {most} ids at once")
    return [FINDERS.find(info.context, each) for each in ids]


def _limits(info: Info) -> ServiceLimits:
    return info.context.api.limits


@strawberry.type(description="What may be read. Everything of one request is of one ledger moment.")
class Query:
    """What you may not see is not there: null, or absent from lists.

    `record_` and its like: a field of the module's own name would hide the module from the lines below it.
    """

    me: viewer.Viewer | None = strawberry.field(resolver=viewer.me, description="Who is asking.")
    node: Node | None = strawberry.field(
        resolver=_node, description="The thing with this id; null where there is none for you."
    )
    nodes: list[Node | None] = strawberry.field(
        resolver=_nodes, description="The things with these ids, in order."
    )
    parties: Connection[party.Party] = strawberry.field(
        resolver=party.parties, description="Members of the network, by name."
    )
    notaries: list[notary.Notary] = strawberry.field(
        resolver=notary.notaries, description="The network's notaries."
    )
    patients: Connection[patient.Patient] = strawberry.field(
        resolver=patient.patients, description="Patients, by this node's own names of them."
    )
    record_: record.Record | None = strawberry.field(
        name="record",
        resolver=record.record,
        description="The record with this id; null where there is none for you.",
    )
    records: Connection[record.Record] = strawberry.field(
        resolver=record.records, description="Records, newest first."
    )
    consent_: consent.Consent | None = strawberry.field(
        name="consent",
        resolver=consent.consent,
        description="The consent with this id; null where there is none for you.",
    )
    consents: Connection[consent.Consent] = strawberry.field(
        resolver=consent.consents, description="Consents, newest first."
    )
    restriction_: restriction.Restriction | None = strawberry.field(
        name="restriction",
        resolver=restriction.restriction,
        description="The restriction with this id; null where there is none for you.",
    )
    restrictions: Connection[restriction.Restriction] = strawberry.field(
        resolver=restriction.restrictions, description="Restrictions, newest first."
    )
    transfer_permits: Connection[permitting.TransferPermit] = strawberry.field(
        resolver=permitting.transfer_permits,
        description="Between which custodians a patient lets her records pass now.",
    )
    disclosure_: disclosure.Disclosure | None = strawberry.field(
        name="disclosure",
        resolver=disclosure.disclosure,
        description="The disclosure with this id; null where there is none for you.",
    )
    disclosures: Connection[disclosure.Disclosure] = strawberry.field(
        resolver=disclosure.disclosures, description="Disclosures, newest first."
    )
    disclosure_requests: Connection[request.DisclosureRequest] = strawberry.field(
        resolver=request.disclosure_requests,
        description="Requests for disclosure by this organisation or to it, newest first.",
    )
    who_looked: Connection[reading.Look] = strawberry.field(
        resolver=reading.who_looked, description="Who looked at a patient's records, newest first."
    )
    look_alarms: Connection[reading.LookAlarm] = strawberry.field(
        resolver=reading.look_alarms,
        description="What does not fit in what organisations reported, newest first.",
    )
    reading_log: Connection[reading.ReadingLogEntry] = strawberry.field(
        resolver=reading.reading_log,
        description="This organisation's own reading log, newest first.",
    )
    transactions: Connection[transaction.Transaction] = strawberry.field(
        resolver=transaction.transactions, description="Recorded transactions, newest first."
    )
    states: Connection[state.State] = strawberry.field(
        resolver=state.states, description="States of this node's vault, newest first."
    )
    flows: Connection[flow.Flow] = strawberry.field(
        resolver=flow.flows, description="Flows of this node, newest first."
    )
    service_limits: ServiceLimits = strawberry.field(
        resolver=_limits, description="Every limit that this server's GraphQL holds you to."
    )


@strawberry.type(
    description="What may be done. What starts a flow answers at once; `flowProgress` or `node` say what came of it."
)
class Mutation:
    """Expected refusals are `userErrors`; a role that may not do such a thing at all is an error."""

    offer_enrolment: mutation.FlowPayload = strawberry.mutation(
        resolver=enrolling.offer_enrolment, description="Draw a one-time code for a patient."
    )
    show_enrolment_code: enrolling.EnrolmentCodePayload = strawberry.mutation(
        resolver=enrolling.show_enrolment_code, description="Show that code, once."
    )
    enrol_patient: mutation.FlowPayload = strawberry.mutation(
        resolver=enrolling.enrol_patient, description="Enrol yourself at a custodian."
    )
    find_practitioner: mutation.FlowPayload = strawberry.mutation(
        resolver=enrolling.find_practitioner, description="Find whom a consent shall name."
    )
    add_practitioner: enrolling.PractitionerPayload = strawberry.mutation(
        resolver=enrolling.add_practitioner, description="Enter somebody into the staff directory."
    )
    publish_records: mutation.FlowPayload = strawberry.mutation(
        resolver=publishing.publish_records, description="Publish records of a patient."
    )
    amend_record: mutation.FlowPayload = strawberry.mutation(
        resolver=publishing.amend_record, description="Put a new version in a record's place."
    )
    release_to_patient: mutation.FlowPayload = strawberry.mutation(
        resolver=publishing.release_to_patient, description="Withhold a record no more."
    )
    transfer_custody: mutation.FlowPayload = strawberry.mutation(
        resolver=publishing.transfer_custody, description="Pass a record to another custodian."
    )
    grant_consent: mutation.FlowPayload = strawberry.mutation(
        resolver=consenting.grant_consent, description="Let an organisation read."
    )
    amend_consent: mutation.FlowPayload = strawberry.mutation(
        resolver=consenting.amend_consent, description="Change a consent."
    )
    revoke_consent: mutation.FlowPayload = strawberry.mutation(
        resolver=consenting.revoke_consent, description="End a consent."
    )
    restrict: mutation.FlowPayload = strawberry.mutation(
        resolver=consenting.restrict, description="Close something at a custodian."
    )
    lift_restriction: mutation.FlowPayload = strawberry.mutation(
        resolver=consenting.lift_restriction, description="Open it again."
    )
    permit_transfer: permitting.TransferPermitPayload = strawberry.mutation(
        resolver=permitting.permit_transfer,
        description="Let a custodian pass your records to another.",
    )
    withdraw_transfer_permit: permitting.TransferPermitPayload = strawberry.mutation(
        resolver=permitting.withdraw_transfer_permit, description="Let them pass no more."
    )
    request_disclosure: mutation.FlowPayload = strawberry.mutation(
        resolver=disclosing.request_disclosure, description="Ask for what a consent permits."
    )
    change_notary: mutation.FlowPayload = strawberry.mutation(
        resolver=moving.change_notary, description="Move a state to another notary."
    )
    pause_flow: mutation.FlowPayload = strawberry.mutation(
        resolver=operating.pause_flow,
        description="Let a flow take no step until it is resumed; answers when it is so, as the other orders do.",
    )
    resume_flow: mutation.FlowPayload = strawberry.mutation(
        resolver=operating.resume_flow, description="Let a paused flow go on."
    )
    retry_flow: mutation.FlowPayload = strawberry.mutation(
        resolver=operating.retry_flow, description="Let a flow that waits for you try again."
    )
    kill_flow: mutation.FlowPayload = strawberry.mutation(
        resolver=operating.kill_flow, description="End a flow, in doubt or not."
    )


@strawberry.type(description="What can be followed, over WebSocket or server-sent events.")
class Subscription:
    """From a cursor through what is stored to what happens; permission is asked for each event."""

    vault_updates: AsyncGenerator[streams.VaultUpdate, None] = strawberry.subscription(
        resolver=streams.vault_updates, description="States created and consumed, in order."
    )
    flow_progress: AsyncGenerator[streams.FlowProgress, None] = strawberry.subscription(
        resolver=streams.flow_progress, description="The steps of one flow, to its end."
    )


_camel_case = cache(to_camel_case)  # of names of the code


class KnownNames(NameConverter):
    """Strawberry's names; it asks for an argument's at every call, so each is made once."""

    def apply_naming_config(self, name: str) -> str:
        return _camel_case(name)


def build_schema() -> strawberry.Schema:
    """Return the schema; it holds nothing of a node, so one serves many."""
    return strawberry.Schema(
        Query,
        Mutation,
        Subscription,
        types=[disclosure.DisclosedItem],
        config=StrawberryConfig(
            scalar_map=SCALARS, name_converter=KnownNames(), disable_field_suggestions=True
        ),
    )


def schema_text(schema: strawberry.Schema) -> str:
    """Return the schema's definition, types and fields by name: what is committed and reviewed."""
    core = schema._schema  # noqa: SLF001  strawberry has no public way to it
    return print_schema(lexicographic_sort_schema(core)) + "\n"


def build_api(  # noqa: PLR0913  the composition root names what it composes
    assembly: Assembly,
    *,
    directory: Members,
    broadcast: Broadcast,
    wake: Callable[[], None],
    connect: Callable[[], Database] | None,
    limits: ServiceLimits | None = None,
    bundles: BundleWriter | None = None,
) -> Api:
    """Put together what resolvers stand on.

    `directory` is the map; `wake` lets the pump turn soon; `connect` opens another connection to the node's database
    for reading (None: share the one, as a database in memory must be). `broadcast.publish` is to be a watcher of the
    pump. `bundles` writes proofs, at an agent. All of it belongs to the event loop's thread.
    """
    given = assembly.given
    secret = open_secret(assembly.db, given.keys, given.entropy)
    return Api(
        assembly=assembly,
        directory=directory,
        snapshots=Snapshots(
            assembly.db,
            given.clock,
            connect,
            lambda now: given.parameters.in_force(now)[1].limits.lease_ms,
            Closure(given.me, assembly.deciding, given.parameters).ruling,
        ),
        ids=GlobalIds(hkdf(secret, b"", "api-ids", KEY_BYTES)),
        cursors=Cursors(hkdf(secret, b"", "api-cursors", KEY_BYTES)),
        limits=limits or ServiceLimits(),
        broadcast=broadcast,
        requests=Requests(assembly.db, assembly.engine, given.clock, wake),
        wake=wake,
        gate=assembly.gate,
        intake=Intake(given.me, given.keys, given.blobs, assembly.enrolments, given.entropy),
        bundles=bundles,
    )
