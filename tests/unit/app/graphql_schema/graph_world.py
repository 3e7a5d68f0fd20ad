"""The village with its GraphQL: who asks, at which node, and what is answered."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from app.assembly import Assembly
from app.auth.sessions import Role, Session
from app.graphql.context_protocol import Caller
from app.graphql.engine import Answer, Ask, Engine, Prepared, Refused
from app.graphql.errors import ErrorMask
from app.graphql.limits import ServiceLimits
from app.graphql.schema.broadcast import Broadcast
from app.graphql.schema.context import Api, make_context
from app.graphql.schema.root import build_api, build_schema
from app.graphql.throttle import Throttle
from flows.subjects.enrolment import Practitioner
from flows.subjects.reading import ReportReadings
from flows.turn import TurnResult
from states.identity import Party
from states.parameters import Member
from tests.simulation.neighbours import ADA, REED, enrol
from tests.simulation.village import START, Village

SCHEMA = build_schema()
EVE = b"eve-at-her-agent"
MORA = bytes(range(16, 32))
DAY = timedelta(days=1)
DAY_MS = 86_400_000
NOW = datetime.fromtimestamp(START / 1_000, UTC)

OBSERVATION = {
    "resourceType": "Observation",
    "id": "hba1c",
    "status": "final",
    "category": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": "laboratory",
                }
            ]
        }
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
    "subject": {"reference": "Patient/ada"},
    "effectiveDateTime": "2026-09-01",
    "valueQuantity": {"value": 6.1, "unit": "%"},
}
RESOURCE = msgspec.json.encode(OBSERVATION).decode()

ROOTS = {
    "patients": "{ patients { nodes { id localName } } }",
    "records": "{ records { nodes { id kind category } } }",
    "consents": "{ consents { nodes { id status } } }",
    "restrictions": "{ restrictions { nodes { id status } } }",
    "disclosures": "{ disclosures { nodes { id release items { nodes { id kind } } } } }",
    "disclosureRequests": "{ disclosureRequests { nodes { id outcome } } }",
    "whoLooked": "{ whoLooked { nodes { id outcome } } }",
    "lookAlarms": "{ lookAlarms { nodes { id kind } } }",
    "readingLog": "{ readingLog { nodes { id outcome rule } } }",
    "transactions": "{ transactions { nodes { id seq } } }",
    "states": "{ states { nodes { id contract } } }",
    "flows": "{ flows { nodes { id kind status } } }",
    "transferPermits": "{ transferPermits { nodes { id until } } }",
}
"""Every root whose rows depend on who asks."""


@dataclass(frozen=True, slots=True)
class VillageMap:
    """The village's directory as resolvers see the map."""

    village: Village

    def members(self) -> Sequence[Member]:
        return tuple(self.village.directory.members.values())

    def known(self, party: Party) -> Member | None:
        return self.village.directory.members.get(party)


@dataclass(frozen=True, slots=True)
class Who:
    """A user: where, in which role, as which person."""

    node: str
    role: Role
    person: str | None = None
    name: str = "u"

    @property
    def user_id(self) -> str:
        return f"{self.name}-{self.role.name}-{self.node}"


ADA_HERSELF = Who("Agent", Role.PATIENT, ADA.hex(), "ada")
EVE_HERSELF = Who("Agent", Role.PATIENT, EVE.hex(), "eve")
DR_REED = Who("Riverside", Role.CLINICIAN, REED.hex(), "reed")
DR_MORA = Who("Mercy", Role.CLINICIAN, MORA.hex(), "mora")


@dataclass(frozen=True, slots=True)
class Desk:
    """One node's GraphQL."""

    assembly: Assembly
    api: Api
    engine: Engine
    broadcast: Broadcast


class GraphVillage:
    """A village whose nodes answer GraphQL. Ada and Eve are enrolled at Mercy, Ada at Riverside, too."""

    def __init__(self, seed: int = 11, *, two_notaries: bool = False) -> None:
        self.village = Village(seed, two_notaries=two_notaries)
        self.desks = {name: self._desk(node) for name, node in self.village.nodes.items()}
        staff = (("Riverside", REED, "Dr A. Reed"), ("Mercy", MORA, "Dr M. Mora"))
        for name, person, shown_as in staff:
            node = self.village.nodes[name]
            node.enrolments.add_practitioner(node.db, Practitioner(person, shown_as, "clinician"))
        keys = self.village.nodes["Agent"].given.keys
        keys.add_patient(ADA)
        keys.add_patient(EVE)
        enrol(self.village, "Mercy", "MRN 4711")
        enrol(self.village, "Riverside", "RV-20-88")

    def _desk(self, node: Assembly) -> Desk:
        broadcast = Broadcast()
        turn = node.engine.turn

        def told() -> TurnResult:
            result = turn()
            broadcast.publish(result)
            return result

        node.engine.turn = told  # type: ignore[method-assign]  # as the pump tells its watchers
        api = build_api(
            node,
            directory=VillageMap(self.village),
            broadcast=broadcast,
            wake=lambda: None,
            connect=None,
        )
        limits = ServiceLimits(bucket_capacity=1_000_000_000)  # what is asked here is no load
        engine = Engine(
            SCHEMA,
            limits,
            make_context(api),
            ErrorMask(self.village.entropy),
            Throttle(limits, lambda: 0.0),
        )
        return Desk(node, api, engine, broadcast)

    def party(self, name: str) -> Party:
        return self.village.party(name)

    def party_id(self, at: str, name: str) -> str:
        return self.desks[at].api.ids.seal("party", self.party(name))

    def session(self, who: Who) -> Session:
        now = datetime.fromtimestamp(self.village.clock.now / 1_000, UTC)
        organisation = self.party(who.node)
        return Session(
            "s", who.user_id, who.role, who.person, organisation, now, now + timedelta(hours=8)
        )

    def caller(self, who: Who) -> Caller:
        return Caller(self.session(who), "127.0.0.1", "r1")

    def prepare(
        self, who: Who, query: str, variables: Mapping[str, object] | None = None
    ) -> Prepared:
        try:
            ask = Ask(query, variables or {}, None)
            return self.desks[who.node].engine.prepare(ask, self.caller(who))
        except Refused as refused:
            raise AssertionError(refused.answer.errors) from refused

    async def answer(
        self, who: Who, query: str, variables: Mapping[str, object] | None = None
    ) -> Answer:
        prepared = self.prepare(who, query, variables)
        return await self.desks[who.node].engine.run(prepared, self.caller(who))

    def ask(
        self, who: Who, query: str, variables: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """Return the data; fails where there are errors."""
        answer = asyncio.run(self.answer(who, query, variables))
        assert not answer.errors, answer.errors
        assert isinstance(answer.data, dict)
        return dict(answer.data)

    def refused(self, who: Who, query: str, variables: Mapping[str, object] | None = None) -> str:
        """Return the code of the first error; fails where there is none."""
        answer = asyncio.run(self.answer(who, query, variables))
        assert answer.errors, answer.data
        return str(at(answer.errors[0], "extensions", "code"))

    def mutate(self, who: Who, name: str, fields: Mapping[str, object]) -> dict[str, object]:
        """Carry a mutation out, let the village settle, and return the payload; fails for user errors."""
        payload = self.try_to(who, name, fields)
        assert not payload["userErrors"], payload
        self.village.settle()
        return payload

    def try_to(self, who: Who, name: str, fields: Mapping[str, object]) -> dict[str, object]:
        kind = name[0].upper() + name[1:] + "Input"
        if name.endswith("Flow"):
            kind = "FlowInput"
        query = (
            f"mutation($input: {kind}!) {{ {name}(input: $input) {{"
            " flow { id kind status } userErrors { code field message } } }"
        )
        payload = self.ask(who, query, {"input": fields})[name]
        assert isinstance(payload, dict)
        return payload

    def flow(self, who: Who, payload: Mapping[str, object]) -> dict[str, object]:
        """Return the flow of a payload as it is now, with its result."""
        flow = self.ask(who, FLOW, {"id": at(payload, "flow", "id")})["node"]
        assert isinstance(flow, dict)
        return flow

    def first(self, who: Who, root: str) -> dict[str, object]:
        """Return the first row of a root."""
        found = at(self.ask(who, ROOTS[root]), root, "nodes", 0)
        assert isinstance(found, dict)
        return found

    def nodes(self, who: Who, root: str) -> list[object]:
        found = at(self.ask(who, ROOTS[root]), root, "nodes")
        assert isinstance(found, list)
        return found

    # -- the story, over GraphQL -----------------------------------------------------------------------

    def publish(self, count: int = 1, key: str = "publish-1") -> dict[str, object]:
        """Dr Mora publishes records of Ada's at Mercy."""
        patient = self.first(DR_MORA, "patients")["id"]
        fields = {
            "idempotencyKey": key,
            "patient": patient,
            "resources": [RESOURCE] * count,
        }
        return self.mutate(DR_MORA, "publishRecords", fields)

    def grant_fields(self, key: str = "grant-1") -> dict[str, object]:
        return {
            "idempotencyKey": key,
            "custodian": self.party_id("Agent", "Mercy"),
            "grantee": self.party_id("Agent", "Riverside"),
            "end": (NOW + 7 * DAY).isoformat(),
            "terms": {"person": REED.hex(), "purposes": ["TREAT"], "categories": ["LABORATORY"]},
        }

    def grant(self, key: str = "grant-1") -> dict[str, object]:
        """Ada lets Dr Reed of Riverside read her laboratory records at Mercy."""
        return self.mutate(ADA_HERSELF, "grantConsent", self.grant_fields(key))

    def request(self, key: str = "request-1") -> dict[str, object]:
        """Dr Reed asks for what the consent permits."""
        consent = self.first(DR_REED, "consents")["id"]
        fields = {"idempotencyKey": key, "consent": consent, "purpose": "TREAT"}
        return self.mutate(DR_REED, "requestDisclosure", fields)

    def revoke(self, key: str = "revoke-1") -> dict[str, object]:
        consent = self.first(ADA_HERSELF, "consents")["id"]
        fields = {"idempotencyKey": key, "consent": consent}
        return self.mutate(ADA_HERSELF, "revokeConsent", fields)

    def restrict(self, key: str = "restrict-1") -> dict[str, object]:
        fields = {
            "idempotencyKey": key,
            "custodian": self.party_id("Agent", "Mercy"),
            "terms": {"categories": ["GENETICS"]},
        }
        return self.mutate(ADA_HERSELF, "restrict", fields)

    def permit_fields(self, key: str = "permit-1") -> dict[str, object]:
        return {
            "idempotencyKey": key,
            "custodian": self.party_id("Agent", "Mercy"),
            "to": self.party_id("Agent", "Riverside"),
            "until": (NOW + 7 * DAY).isoformat(),
        }

    def permit(self, who: Who, fields: Mapping[str, object]) -> dict[str, object]:
        """Return the payload of `permitTransfer`."""
        payload = self.ask(who, PERMIT, {"input": fields})["permitTransfer"]
        assert isinstance(payload, dict)
        return payload

    def report(self) -> None:
        """Let custodian and recipient tell the agent of what was read."""
        for name in ("Mercy", "Riverside"):
            self.village.run(name, ReportReadings())

    def tell_the_story(self) -> None:
        """Everything once: publish, permit, grant, restrict, request, read at both ends, report."""
        self.publish(2)
        self.permit(ADA_HERSELF, self.permit_fields())
        self.grant()
        self.restrict()
        self.request()
        self.ask(DR_REED, READ_DISCLOSED)
        self.ask(DR_MORA, READ_OWN)
        self.report()


PERMIT = """mutation($input: PermitTransferInput!) { permitTransfer(input: $input) {
  permit { id custodian { name } to { name } until }
  userErrors { code field message } } }"""
READ_DISCLOSED = """{ disclosures(first: 5) { nodes { items(first: 5) { nodes {
  content(purpose: "TREAT") { resource bytes refusal logEntry } } } } } }"""
READ_OWN = """{ records(first: 5) { nodes {
  content(purpose: "TREAT") { resource bytes refusal logEntry } } } }"""
FLOW = """query($id: ID!) { node(id: $id) { ... on Flow {
  id kind status failure { code message } steps { status step }
  result { __typename
    ... on PublishedResult { records { id kind } }
    ... on StatedResult { consent { id } restriction { id } }
    ... on DisclosedResult { outcome words disclosure { id } }
    ... on PractitionersResult { practitioners { person shownAs } }
    ... on EnrolledResult { custodian { name } }
    ... on EnrolmentOfferResult { until } } } } }"""


def at(value: object, *path: str | int) -> object:
    """Walk into decoded JSON; fails where it has no such place."""
    for step in path:
        if isinstance(step, int):
            assert isinstance(value, list | tuple), value
            value = value[step]
        else:
            assert isinstance(value, dict), value
            value = value[step]
    return value
