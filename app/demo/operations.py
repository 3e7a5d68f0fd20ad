"""What the people of the demonstration ask of their nodes: GraphQL texts, and the answers as values."""

from typing import Literal

import msgspec

from app.demo.client import Client, Variables

Status = Literal["RUNNING", "PAUSED", "RETRYING", "OBSERVED", "DONE", "FAILED", "KILLED"]
ENDED = frozenset({"DONE", "FAILED", "KILLED"})


class FlowFailed(Exception):
    """A flow ended without what it was started for; the words are the node's."""


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """Answers name members in camel case; what was not asked for has its default."""


class Party(Part, frozen=True):
    """A member of the network."""

    id: str
    name: str | None = None


class UserError(Part, frozen=True):
    """An expected refusal of a mutation."""

    code: str
    message: str


class Thing(Part, frozen=True):
    """Something with an id."""

    id: str


class Practitioner(Part, frozen=True):
    """A person as her organisation names her."""

    person: str
    shown_as: str


class Consent(Part, frozen=True):
    """A consent as its viewer sees it."""

    id: str
    transaction_id: str
    status: str = ""
    end: str = ""


class FlowResult(Part, frozen=True):
    """What came of a flow: the members of all kinds of results."""

    practitioners: tuple[Practitioner, ...] = ()
    consent: Consent | None = None
    outcome: str | None = None
    words: str | None = None
    disclosure: Thing | None = None


class Failure(Part, frozen=True):
    """Why a flow failed."""

    code: str
    message: str | None = None


class Flow(Part, frozen=True):
    """A flow on its way, or at its end."""

    id: str = ""
    status: Status = "RUNNING"
    failure: Failure | None = None
    result: FlowResult | None = None


class _Payload(Part, frozen=True):
    flow: Flow | None = None
    user_errors: tuple[UserError, ...] = ()


class _Started(Part, frozen=True):
    payload: _Payload


class _NodeFlow(Part, frozen=True):
    node: Flow | None = None


_FLOW = """query Flow($id: ID!) { node(id: $id) { ... on Flow {
  id status failure { code message }
  result {
    ... on PractitionersResult { practitioners { person shownAs } }
    ... on StatedResult { consent { id transactionId status end } }
    ... on DisclosedResult { outcome words disclosure { id } }
  } } } }"""


class Refusal(Exception):
    """A mutation was refused as its API foresees; `code` is a program's word for it."""

    def __init__(self, error: UserError) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.code = error.code
        self.message = error.message


async def begin(client: Client, mutation: str, sent: Variables) -> str:
    """Start a flow and return its id. Raises Refusal."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
    text = (
        f"mutation Begin($input: {kind}) {{ payload: {mutation}(input: $input)"
        " { flow { id } userErrors { code message } } }"
    )
    payload = (await client.ask(text, {"input": sent}, _Started)).payload
    if payload.flow is None:
        raise Refusal(payload.user_errors[0])
    return payload.flow.id


async def ended(client: Client, flow: str) -> Flow:
    """Follow a flow to its end."""
    found = await client.until(
        _FLOW,
        {"id": flow},
        _NodeFlow,
        lambda seen: seen.node is not None and seen.node.status in ENDED,
    )
    assert found.node is not None, "waited for"
    return found.node


async def done(client: Client, mutation: str, sent: Variables) -> FlowResult:
    """Start a flow and return what came of it. Raises Refusal, FlowFailed."""
    flow = await ended(client, await begin(client, mutation, sent))
    if flow.status != "DONE":
        why = flow.failure
        words = "" if why is None else f": {why.message or why.code}"
        raise FlowFailed(f"{mutation} ended as {flow.status}{words}")
    return flow.result or FlowResult()


class _Nodes(Part, frozen=True):
    nodes: tuple[Party, ...]


class _Parties(Part, frozen=True):
    parties: _Nodes


async def parties(client: Client) -> dict[str, str]:
    """Return the members' ids, as this node gives them, by name."""
    text = "query Members { parties(first: 100) { nodes { id name } } }"
    found = await client.ask(text, {}, _Parties)
    return {party.name: party.id for party in found.parties.nodes if party.name is not None}


class _PractitionerPayload(Part, frozen=True):
    practitioner: Practitioner | None = None
    user_errors: tuple[UserError, ...] = ()


class _Added(Part, frozen=True):
    added: _PractitionerPayload


async def add_practitioner(client: Client, key: str, shown_as: str, role: str) -> str:
    """Enter somebody into the staff directory; return the person's id. Raises Refusal."""
    text = (
        "mutation Enter($input: AddPractitionerInput!) { added: addPractitioner(input: $input)"
        " { practitioner { person shownAs } userErrors { code message } } }"
    )
    sent = {"idempotencyKey": key, "shownAs": shown_as, "role": role}
    added = (await client.ask(text, {"input": sent}, _Added)).added
    if added.practitioner is None:
        raise Refusal(added.user_errors[0])
    return added.practitioner.person


class _CodePayload(Part, frozen=True):
    code: str | None = None


class _Shown(Part, frozen=True):
    shown: _CodePayload


async def enrolment_code(client: Client, key: str, local_name: str) -> str:
    """Draw a one-time code at the desk and show it. A code whose showing was lost is lost: another is drawn."""
    text = "mutation Show($input: ShowEnrolmentCodeInput!) { shown: showEnrolmentCode(input: $input) { code } }"
    number = 0
    while True:
        sent: Variables = {"idempotencyKey": f"{key}-{number}", "localName": local_name}
        flow = await begin(client, "offerEnrolment", sent)
        await ended(client, flow)
        code = (await client.ask(text, {"input": {"flow": flow}}, _Shown)).shown.code
        if code is not None:
            return code
        number += 1


class Patient(Part, frozen=True):
    """A patient by a custodian's own name of her."""

    id: str
    local_name: str


class _PageInfo(Part, frozen=True):
    has_next_page: bool = False
    end_cursor: str | None = None


class _PatientNodes(Part, frozen=True):
    nodes: tuple[Patient, ...]
    page_info: _PageInfo


class _Patients(Part, frozen=True):
    patients: _PatientNodes


_PATIENTS = """query Patients($after: String) { patients(first: 100, after: $after) {
  nodes { id localName } pageInfo { hasNextPage endCursor } } }"""


async def patient(client: Client, local_name: str) -> str | None:
    """Return the id of a patient of this custodian; None where nobody of this name is enrolled."""
    after: str | None = None
    while True:
        page = (await client.ask(_PATIENTS, {"after": after}, _Patients)).patients
        for each in page.nodes:
            if each.local_name == local_name:
                return each.id
        if not page.page_info.has_next_page:
            return None
        after = page.page_info.end_cursor


class Record(Part, frozen=True):
    """What the patient sees of a record without opening it, as far as it is told here."""

    category: str
    custodian: Party

    @property
    def in_category(self) -> str:
        """The category as the ledger writes it."""
        return self.category.lower().replace("_", "-")


class _Me(Part, frozen=True):
    patient: Thing | None = None


class _Viewer(Part, frozen=True):
    me: _Me


async def own_id(client: Client) -> str:
    """Return the id that a patient has at her agent."""
    found = (await client.ask("query Me { me { patient { id } } }", {}, _Viewer)).me.patient
    assert found is not None, "she is enrolled"
    return found.id


class _RecordNodes(Part, frozen=True):
    nodes: tuple[Record, ...]


class _Records(Part, frozen=True):
    records: _RecordNodes


async def announced(client: Client, patient_id: str, keeper: str, most: int) -> list[str]:
    """Wait until a patient sees `most` live records of hers at a custodian (id); return their categories."""
    text = (
        "query Records($of: ID!) { records(patient: $of, first: 100)"
        " { nodes { category custodian { id } } } }"
    )

    def there(seen: _Records) -> list[str]:
        return [each.in_category for each in seen.records.nodes if each.custodian.id == keeper]

    found = await client.until(
        text, {"of": patient_id}, _Records, lambda seen: len(there(seen)) >= most
    )
    return there(found)


class _ConsentNodes(Part, frozen=True):
    nodes: tuple[Consent, ...]


class _Consents(Part, frozen=True):
    consents: _ConsentNodes


CONSENTS = "query Consents { consents(first: 20) { nodes { id transactionId status end } } }"


async def consents(client: Client) -> tuple[Consent, ...]:
    """Return the live consents that this user sees."""
    return (await client.ask(CONSENTS, {}, _Consents)).consents.nodes


async def consent_of(client: Client, transaction: str) -> Consent:
    """Wait until this user sees the consent that a transaction made, and return it."""

    def arrived(found: _Consents) -> bool:
        return any(each.transaction_id == transaction for each in found.consents.nodes)

    seen = await client.until(CONSENTS, {}, _Consents, arrived)
    return next(each for each in seen.consents.nodes if each.transaction_id == transaction)


async def consent_now(client: Client, transaction: str) -> Consent:
    """Return the consent of the patient that a transaction made, ended or not."""
    text = CONSENTS.replace("first: 20", "first: 20, status: ALL")
    seen = await client.ask(text, {}, _Consents)
    return next(each for each in seen.consents.nodes if each.transaction_id == transaction)
