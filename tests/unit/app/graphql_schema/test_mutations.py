"""Mutations: once by key, refusals as data with their field, roles, and every subject's flow."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from time import monotonic

import pytest

from app.auth.sessions import Role
from app.graphql.schema import operating
from app.graphql.schema.operating import ORDER_SECONDS_MAX
from flows.store import FlowRow, Status
from tests.simulation.neighbours import ADA, REED
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DAY,
    DAY_MS,
    DR_MORA,
    DR_REED,
    EVE_HERSELF,
    NOW,
    RESOURCE,
    GraphVillage,
    Who,
    at,
)

OPERATOR = Who("Agent", Role.OPERATOR)
MUTATIONS = {
    "offerEnrolment": Role.CLINICIAN,
    "showEnrolmentCode": Role.CLINICIAN,
    "enrolPatient": Role.PATIENT,
    "findPractitioner": Role.PATIENT,
    "addPractitioner": Role.OPERATOR,
    "publishRecords": Role.CLINICIAN,
    "amendRecord": Role.CLINICIAN,
    "transferCustody": Role.CLINICIAN,
    "grantConsent": Role.PATIENT,
    "amendConsent": Role.PATIENT,
    "revokeConsent": Role.PATIENT,
    "restrict": Role.PATIENT,
    "liftRestriction": Role.PATIENT,
    "permitTransfer": Role.PATIENT,
    "withdrawTransferPermit": Role.PATIENT,
    "requestDisclosure": Role.CLINICIAN,
    "changeNotary": Role.OPERATOR,
    "pauseFlow": Role.OPERATOR,
    "resumeFlow": Role.OPERATOR,
    "retryFlow": Role.OPERATOR,
    "killFlow": Role.OPERATOR,
}
SHOW = """mutation($input: ShowEnrolmentCodeInput!) { showEnrolmentCode(input: $input) {
  code until userErrors { code field } } }"""
WITHDRAW = """mutation($input: WithdrawTransferPermitInput!) {
  withdrawTransferPermit(input: $input) { permit { id } userErrors { code field message } } }"""
ADD = """mutation($input: AddPractitionerInput!) { addPractitioner(input: $input) {
  practitioner { person shownAs role } userErrors { code field message } } }"""


@pytest.fixture
def world() -> GraphVillage:
    return GraphVillage()


def first_error(payload: Mapping[str, object]) -> tuple[object, object]:
    assert payload["flow"] is None
    return at(payload, "userErrors", 0, "code"), at(payload, "userErrors", 0, "field")


# -- once by key -------------------------------------------------------------------------------------------


def test_the_same_key_and_input_is_the_same_flow_and_happens_once(world: GraphVillage) -> None:
    first = world.publish(1, "k")
    again = world.publish(1, "k")
    assert at(first, "flow", "id") == at(again, "flow", "id")
    assert len(world.nodes(DR_MORA, "records")) == 1


def test_a_start_that_is_now_by_default_is_no_other_input_a_minute_later(
    world: GraphVillage,
) -> None:
    first = world.grant("k")
    world.village.pass_time(60_000)
    assert at(world.grant("k"), "flow", "id") == at(first, "flow", "id")
    assert len(world.nodes(ADA_HERSELF, "consents")) == 1


def test_a_key_that_is_used_again_for_something_else_is_refused(world: GraphVillage) -> None:
    world.grant("k")
    other = world.grant_fields("k") | {"end": (NOW + 8 * DAY).isoformat()}
    assert first_error(world.try_to(ADA_HERSELF, "grantConsent", other)) == (
        "IDEMPOTENCY_KEY_REUSED",
        ["input", "idempotencyKey"],
    )
    name = {"idempotencyKey": "k", "organisation": world.party_id("Agent", "Mercy"), "name": "Dr X"}
    assert first_error(world.try_to(ADA_HERSELF, "findPractitioner", name))[0] == (
        "IDEMPOTENCY_KEY_REUSED"
    )


def test_keys_are_each_users_own(world: GraphVillage) -> None:
    hers = world.grant("k")
    fields = {
        "idempotencyKey": "k",
        "organisation": world.party_id("Agent", "Mercy"),
        "name": "Dr X",
    }
    other = world.try_to(EVE_HERSELF, "findPractitioner", fields)
    assert other["userErrors"] == []
    assert at(other, "flow", "id") != at(hers, "flow", "id")


def test_what_a_refused_mutation_wrote_is_undone_with_it(world: GraphVillage) -> None:
    patient = world.first(DR_MORA, "patients")["id"]
    bad = {"idempotencyKey": "k", "patient": patient, "resources": [RESOURCE, "{}"]}
    code, field = first_error(world.try_to(DR_MORA, "publishRecords", bad))
    assert (code, field) == ("BAD_USER_INPUT", ["input", "resources", "1"])
    node = world.village.nodes["Mercy"]
    assert node.db.execute("SELECT count(*) FROM record_batch").fetchone() == (0,)
    assert world.publish(1, "k")["userErrors"] == []


@pytest.mark.parametrize(
    ("mutation", "field"),
    [
        ("findPractitioner", "organisation"),
        ("grantConsent", "custodian"),
        ("grantConsent", "grantee"),
        ("restrict", "custodian"),
        ("enrolPatient", "custodian"),
    ],
)
def test_a_notary_keeps_and_reads_nothing(world: GraphVillage, mutation: str, field: str) -> None:
    notary = world.desks["Agent"].api.ids.seal("party", world.village.notary.party)
    others: Mapping[str, Mapping[str, object]] = {
        "findPractitioner": {"idempotencyKey": "k", "name": "Dr X"},
        "grantConsent": world.grant_fields("k"),
        "restrict": {
            "idempotencyKey": "k",
            "custodian": world.party_id("Agent", "Mercy"),
            "terms": {"categories": ["GENETICS"]},
        },
        "enrolPatient": {"idempotencyKey": "k", "code": "0" * 32},
    }
    answer = world.try_to(ADA_HERSELF, mutation, {**others[mutation], field: notary})
    assert first_error(answer) == ("BAD_USER_INPUT", ["input", field])


# -- roles -------------------------------------------------------------------------------------------------

USERS = (
    ADA_HERSELF,
    DR_MORA,
    OPERATOR,
    Who("Mercy", Role.AUDITOR),
    Who("Mercy", Role.PRIVACY_OFFICER),
    Who("Mercy", Role.CLINICIAN, bytes(16).hex(), "stranger"),
    Who("Mercy", Role.PATIENT, ADA.hex(), "elsewhere"),
)


def _some_fields(name: str) -> dict[str, object]:
    key: dict[str, object] = {"idempotencyKey": "k"}
    terms = {"purposes": ["TREAT"]}
    some: dict[str, dict[str, object]] = {
        "offerEnrolment": key | {"localName": "x"},
        "showEnrolmentCode": {"flow": "x"},
        "enrolPatient": key | {"custodian": "x", "code": "x"},
        "findPractitioner": key | {"organisation": "x", "name": "xy"},
        "addPractitioner": key | {"shownAs": "x", "role": "clinician"},
        "publishRecords": key | {"patient": "x"},
        "amendRecord": key | {"record": "x", "resource": "{}"},
        "transferCustody": key | {"record": "x", "to": "x"},
        "grantConsent": key
        | {"custodian": "x", "grantee": "x", "end": "2027-01-01T00:00:00Z", "terms": terms},
        "amendConsent": key | {"consent": "x", "end": "2027-01-01T00:00:00Z", "terms": terms},
        "revokeConsent": key | {"consent": "x"},
        "restrict": key | {"custodian": "x", "terms": {}},
        "liftRestriction": key | {"restriction": "x"},
        "permitTransfer": key | {"custodian": "x", "to": "x", "until": "2027-01-01T00:00:00Z"},
        "withdrawTransferPermit": key | {"permit": "x"},
        "requestDisclosure": key | {"consent": "x", "purpose": "TREAT"},
    }
    moved = {"transaction": "00" * 32, "index": 0, "notary": "x"}
    return some.get(name, key | moved if name == "changeNotary" else {"flow": "x"})


@pytest.mark.parametrize("who", USERS, ids=lambda who: who.user_id)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_forbidden_to_every_role_but_its_own(
    world_of_all: GraphVillage, who: Who, name: str
) -> None:
    kind = "FlowInput" if name.endswith("Flow") else name[0].upper() + name[1:] + "Input"
    query = f"mutation($input: {kind}!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"
    variables = {"input": _some_fields(name)}
    if who in (ADA_HERSELF, DR_MORA, OPERATOR) and who.role is MUTATIONS[name]:
        errors = at(world_of_all.ask(who, query, variables), name, "userErrors")
        assert errors or name in {"offerEnrolment", "addPractitioner"}
    else:
        assert world_of_all.refused(who, query, variables) == "FORBIDDEN"


@pytest.fixture(scope="module")
def world_of_all() -> GraphVillage:
    return GraphVillage()


# -- refusals ----------------------------------------------------------------------------------------------

BAD_GRANTS: list[tuple[dict[str, object], str, list[str]]] = [
    ({"custodian": "x"}, "NOT_FOUND", ["input", "custodian"]),
    ({"grantee": "x"}, "NOT_FOUND", ["input", "grantee"]),
    ({"end": NOW.isoformat()}, "BAD_USER_INPUT", ["input", "end"]),
    ({"end": (NOW + 3_661 * DAY).isoformat()}, "BAD_USER_INPUT", ["input", "end"]),
    ({"idempotencyKey": "a b"}, "BAD_USER_INPUT", ["input", "idempotencyKey"]),
    ({"idempotencyKey": ""}, "BAD_USER_INPUT", ["input", "idempotencyKey"]),
    ({"terms": {"purposes": ["LUNCH"]}}, "BAD_USER_INPUT", ["input", "terms", "purposes"]),
    ({"terms": {"purposes": []}}, "BAD_USER_INPUT", ["input", "terms", "purposes"]),
    (
        {"terms": {"purposes": ["TREAT"], "labels": ["XX"]}},
        "BAD_USER_INPUT",
        ["input", "terms", "labels"],
    ),
    (
        {"terms": {"purposes": ["TREAT"], "person": "Dr Reed"}},
        "BAD_USER_INPUT",
        ["input", "terms", "person"],
    ),
    (
        {"terms": {"purposes": ["TREAT"], "person": REED.hex(), "role": "clinician"}},
        "BAD_USER_INPUT",
        ["input", "terms", "role"],
    ),
    (
        {"terms": {"purposes": ["TREAT"], "role": "NO ROLE"}},
        "BAD_USER_INPUT",
        ["input", "terms", "role"],
    ),
    (
        {"terms": {"purposes": ["TREAT"], "role": "wizard"}},
        "BAD_USER_INPUT",
        ["input", "terms", "role"],
    ),
    ({"start": "1969-12-31T00:00:00Z"}, "BAD_USER_INPUT", ["input", "start"]),
]


@pytest.mark.parametrize(("change", "code", "field"), BAD_GRANTS)
def test_a_grant_is_refused_as_data_that_names_the_field(
    world_of_all: GraphVillage, change: dict[str, object], code: str, field: list[str]
) -> None:
    payload = world_of_all.try_to(ADA_HERSELF, "grantConsent", world_of_all.grant_fields() | change)
    assert first_error(payload) == (code, field)


def test_what_a_type_refuses_is_told_with_its_reason(world_of_all: GraphVillage) -> None:
    fields = world_of_all.grant_fields() | {"start": "1969-12-31T00:00:00Z"}
    error = at(world_of_all.try_to(ADA_HERSELF, "grantConsent", fields), "userErrors", 0)
    assert error == {
        "code": "BAD_USER_INPUT",
        "field": ["input", "start"],
        "message": "Expected `int` >= 0",
    }


def test_a_code_that_is_on_no_list_is_named(world_of_all: GraphVillage) -> None:
    for terms, named in (
        ({"purposes": ["TREAT"], "role": "wizard"}, "'wizard'"),
        ({"purposes": ["TREAT", "LUNCH"]}, "'LUNCH'"),
        ({"purposes": ["TREAT"], "labels": ["R", "X\n"]}, "'X\\n'"),
    ):
        fields = world_of_all.grant_fields() | {"terms": terms}
        payload = world_of_all.try_to(ADA_HERSELF, "grantConsent", fields)
        assert str(at(payload, "userErrors", 0, "message")).startswith(f"{named} is not a code of")


def test_a_restriction_names_no_role_that_nobody_has(world_of_all: GraphVillage) -> None:
    fields = {
        "idempotencyKey": "r",
        "custodian": world_of_all.party_id("Agent", "Mercy"),
        "terms": {"role": "wizard"},
    }
    refused = first_error(world_of_all.try_to(ADA_HERSELF, "restrict", fields))
    assert refused == ("BAD_USER_INPUT", ["input", "terms", "role"])


@pytest.mark.parametrize(
    "name", ["", "  ", "MRN\x00", "MRN\n4711", "MRN\x1b[2J", "\u202e17", "x" * 129]
)
def test_a_name_that_would_deceive_or_break_a_line_is_no_name(
    world_of_all: GraphVillage, name: str
) -> None:
    offered = {"idempotencyKey": "n", "localName": name}
    refused = first_error(world_of_all.try_to(DR_MORA, "offerEnrolment", offered))
    assert refused == ("BAD_USER_INPUT", ["input", "localName"])
    organisation = world_of_all.party_id("Agent", "Mercy")
    found = {"idempotencyKey": "n", "organisation": organisation, "name": name}
    refused = first_error(world_of_all.try_to(ADA_HERSELF, "findPractitioner", found))
    assert refused == ("BAD_USER_INPUT", ["input", "name"])
    added = {"idempotencyKey": "n", "shownAs": name, "role": "clinician"}
    answer = world_of_all.ask(OPERATOR, ADD, {"input": added})
    assert at(answer, "addPractitioner", "userErrors", 0, "field") == ["input", "shownAs"]


@pytest.mark.parametrize("grantee", ["Mercy", "Agent"])
def test_a_consent_is_for_a_third_organisation(world: GraphVillage, grantee: str) -> None:
    fields = world.grant_fields() | {"grantee": world.party_id("Agent", grantee)}
    refused = first_error(world.try_to(ADA_HERSELF, "grantConsent", fields))
    assert refused == ("BAD_USER_INPUT", ["input", "grantee"])


def test_anothers_consent_is_not_found_exactly_as_one_that_is_none(world: GraphVillage) -> None:
    world.grant()
    hers = world.first(ADA_HERSELF, "consents")["id"]
    for consent in (hers, "nonsense"):
        fields = {"idempotencyKey": "k", "consent": consent}
        payload = world.try_to(EVE_HERSELF, "revokeConsent", fields)
        assert payload["userErrors"] == [
            {"code": "NOT_FOUND", "field": ["input", "consent"], "message": "no such consent"}
        ]


BAD_PERMITS: list[tuple[dict[str, object], str, str]] = [
    ({"custodian": "x"}, "NOT_FOUND", "custodian"),
    ({"to": "x"}, "NOT_FOUND", "to"),
    ({"until": NOW.isoformat()}, "BAD_USER_INPUT", "until"),
    ({"until": (NOW + 30 * DAY + DAY / 1_000).isoformat()}, "BAD_USER_INPUT", "until"),
    ({"idempotencyKey": "a b"}, "BAD_USER_INPUT", "idempotencyKey"),
]


@pytest.mark.parametrize(("change", "code", "field"), BAD_PERMITS)
def test_a_permit_of_transfer_is_refused_as_data_that_names_the_field(
    world_of_all: GraphVillage, change: dict[str, object], code: str, field: str
) -> None:
    payload = world_of_all.permit(ADA_HERSELF, world_of_all.permit_fields() | change)
    assert payload["permit"] is None
    assert at(payload, "userErrors", 0, "code") == code
    assert at(payload, "userErrors", 0, "field") == ["input", field]
    assert world_of_all.nodes(ADA_HERSELF, "transferPermits") == []


def test_a_patient_permits_a_transfer_between_two_others_where_she_is_enrolled(
    world: GraphVillage,
) -> None:
    mercy, northside = (world.party_id("Agent", name) for name in ("Mercy", "Northside"))
    for change, field in (
        ({"to": mercy}, "to"),
        ({"to": northside}, "to"),
        ({"custodian": northside}, "custodian"),
    ):
        payload = world.permit(ADA_HERSELF, world.permit_fields() | change)
        assert at(payload, "userErrors", 0, "code") == "BAD_USER_INPUT"
        assert at(payload, "userErrors", 0, "field") == ["input", field]
    assert world.permit(EVE_HERSELF, world.permit_fields())["permit"] is None


def test_what_has_ended_is_a_conflict(world: GraphVillage) -> None:
    world.grant()
    consent = world.first(ADA_HERSELF, "consents")["id"]
    world.revoke()
    fields = {"idempotencyKey": "k", "consent": consent}
    assert first_error(world.try_to(ADA_HERSELF, "revokeConsent", fields))[0] == "CONFLICT"


# -- every subject's flow ------------------------------------------------------------------------------------


def test_a_patient_enrols_with_a_code_that_is_shown_once(world: GraphVillage) -> None:
    offer = world.mutate(
        DR_MORA, "offerEnrolment", {"idempotencyKey": "offer", "localName": "MRN 5000"}
    )
    flow = world.flow(DR_MORA, offer)
    assert at(flow, "result", "__typename") == "EnrolmentOfferResult"
    shown = world.ask(DR_MORA, SHOW, {"input": {"flow": at(offer, "flow", "id")}})
    code = str(at(shown, "showEnrolmentCode", "code"))
    again = world.ask(DR_MORA, SHOW, {"input": {"flow": at(offer, "flow", "id")}})
    assert at(again, "showEnrolmentCode", "code") is None
    assert at(again, "showEnrolmentCode", "userErrors", 0, "code") == "NOT_FOUND"
    enrolled = world.mutate(
        EVE_HERSELF,
        "enrolPatient",
        {
            "idempotencyKey": "enrol",
            "custodian": world.party_id("Agent", "Mercy"),
            "code": code.lower(),
        },
    )
    assert at(world.flow(EVE_HERSELF, enrolled), "result", "custodian", "name") == "Mercy"
    assert len(world.nodes(DR_MORA, "patients")) == 2
    assert len(world.nodes(EVE_HERSELF, "patients")) == 1


def test_a_code_of_somebody_elses_offer_is_not_shown(world: GraphVillage) -> None:
    offer = world.mutate(
        DR_MORA, "offerEnrolment", {"idempotencyKey": "offer", "localName": "MRN 5000"}
    )
    flow = str(at(offer, "flow", "id"))
    other = Who("Mercy", Role.CLINICIAN, DR_MORA.person, "colleague")
    shown = world.ask(other, SHOW, {"input": {"flow": flow}})
    assert at(shown, "showEnrolmentCode", "code") is None
    shown = world.ask(DR_MORA, SHOW, {"input": {"flow": flow}})
    assert at(shown, "showEnrolmentCode", "code") is not None


def test_a_wrong_code_fails_the_flow_with_words_for_her_and_none_for_the_operator(
    world: GraphVillage,
) -> None:
    fields = {
        "idempotencyKey": "enrol",
        "custodian": world.party_id("Agent", "Mercy"),
        "code": "00" * 16,
    }
    flow = world.flow(EVE_HERSELF, world.mutate(EVE_HERSELF, "enrolPatient", fields))
    assert flow["status"] == "FAILED"
    assert at(flow, "failure", "code") == "COUNTERPARTY_REFUSED"
    message = str(at(flow, "failure", "message"))
    assert message.startswith("Mercy refused: ")
    assert "one-time code" in message
    assert at(flow, "steps", -1, "step") == message
    rows = at(
        world.ask(
            OPERATOR,
            "{ flows(status: FAILED) { nodes { failure { code message exception } steps { step } } } }",
        ),
        "flows",
        "nodes",
    )
    assert at(rows, 0, "failure") == {
        "code": "COUNTERPARTY_REFUSED",
        "message": None,
        "exception": "CounterpartyFailed",
    }
    assert at(rows, 0, "steps", -1, "step") == "COUNTERPARTY_REFUSED"


def test_a_patient_finds_whom_to_name(world: GraphVillage) -> None:
    fields = {
        "idempotencyKey": "find",
        "organisation": world.party_id("Agent", "Riverside"),
        "name": "Dr A. Reed",
    }
    flow = world.flow(ADA_HERSELF, world.mutate(ADA_HERSELF, "findPractitioner", fields))
    assert at(flow, "result", "practitioners") == [{"person": REED.hex(), "shownAs": "Dr A. Reed"}]


def test_an_operator_enters_a_practitioner_once(world: GraphVillage) -> None:
    operator = Who("Riverside", Role.OPERATOR)
    fields = {"idempotencyKey": "p", "shownAs": "Dr New", "role": "clinician"}
    first = at(world.ask(operator, ADD, {"input": fields}), "addPractitioner", "practitioner")
    again = at(world.ask(operator, ADD, {"input": fields}), "addPractitioner", "practitioner")
    assert first == again
    node = world.village.nodes["Riverside"]
    assert node.enrolments.practitioner(node.db, bytes.fromhex(str(at(first, "person"))))
    for role in ("Not A Role", "wizard"):
        bad = fields | {"idempotencyKey": "q", "role": role}
        refused = at(world.ask(operator, ADD, {"input": bad}), "addPractitioner", "userErrors", 0)
        assert (at(refused, "code"), at(refused, "field")) == ("BAD_USER_INPUT", ["input", "role"])
        assert role in str(at(refused, "message"))


def test_a_disclosure_is_asked_for_and_ends_with_the_consent(world: GraphVillage) -> None:
    world.publish()
    world.grant()
    flow = world.flow(DR_REED, world.request())
    assert at(flow, "result", "outcome") == "disclosed"
    assert len(world.nodes(DR_REED, "disclosures")) == 1
    disclosure = str(world.first(DR_REED, "disclosures")["id"])
    world.revoke()
    assert world.nodes(DR_REED, "disclosures") == []
    assert world.nodes(DR_REED, "consents") == []
    query = "query($id: ID!) { node(id: $id) { id } }"
    assert world.ask(DR_REED, query, {"id": disclosure}) == {"node": None}
    assert len(world.nodes(ADA_HERSELF, "disclosures")) == 1


def test_a_consent_is_amended_and_the_old_one_is_past(world: GraphVillage) -> None:
    world.grant()
    consent = world.first(ADA_HERSELF, "consents")["id"]
    fields = {
        "idempotencyKey": "amend",
        "consent": consent,
        "end": (NOW + 30 * DAY).isoformat(),
        "terms": {"role": "clinician", "purposes": ["TREAT"]},
        "exceptions": {"categories": ["GENETICS"]},
    }
    flow = world.flow(ADA_HERSELF, world.mutate(ADA_HERSELF, "amendConsent", fields))
    assert flow["status"] == "DONE", flow
    assert world.first(ADA_HERSELF, "consents")["id"] != consent
    query = "{ consents(status: PAST) { nodes { id status } } }"
    assert at(world.ask(ADA_HERSELF, query), "consents", "nodes") == [
        {"id": consent, "status": "ENDED"}
    ]


def test_a_restriction_is_closed_and_lifted(world: GraphVillage) -> None:
    world.restrict()
    restriction = world.first(ADA_HERSELF, "restrictions")["id"]
    query = (
        "{ restrictions { nodes { inForce { party { name } } terms { decision categories } } } }"
    )
    found = at(world.ask(ADA_HERSELF, query), "restrictions", "nodes", 0)
    assert at(found, "inForce", 0, "party", "name") == "Mercy"
    assert at(found, "terms") == {"decision": "DENY", "categories": ["GENETICS"]}
    fields = {"idempotencyKey": "lift", "restriction": restriction}
    world.mutate(ADA_HERSELF, "liftRestriction", fields)
    assert world.nodes(ADA_HERSELF, "restrictions") == []


def test_a_permit_of_transfer_is_given_once_by_key_and_withdrawn_by_her_alone(
    world: GraphVillage,
) -> None:
    given = at(world.permit(ADA_HERSELF, world.permit_fields()), "permit")
    assert (at(given, "custodian", "name"), at(given, "to", "name")) == ("Mercy", "Riverside")
    assert datetime.fromisoformat(str(at(given, "until"))) == NOW + 7 * DAY
    fields = {"idempotencyKey": "w", "permit": at(given, "id")}
    for permit in (at(given, "id"), "nonsense"):
        other = world.ask(EVE_HERSELF, WITHDRAW, {"input": fields | {"permit": permit}})
        assert at(other, "withdrawTransferPermit", "userErrors") == [
            {
                "code": "NOT_FOUND",
                "field": ["input", "permit"],
                "message": "no such transfer permit",
            }
        ]
    assert len(world.nodes(ADA_HERSELF, "transferPermits")) == 1
    for _ in range(2):
        done = world.ask(ADA_HERSELF, WITHDRAW, {"input": fields})
        assert at(done, "withdrawTransferPermit", "userErrors") == []
        assert world.nodes(ADA_HERSELF, "transferPermits") == []
    again = world.permit(ADA_HERSELF, world.permit_fields())
    assert again == {"permit": None, "userErrors": []}, "the key stands for the one withdrawn"
    payload = world.permit(ADA_HERSELF, world.permit_fields("permit-2"))
    assert at(payload, "permit", "id") == at(given, "id")
    world.village.pass_time(7 * DAY_MS)
    assert world.nodes(ADA_HERSELF, "transferPermits") == []


def test_permits_of_transfer_are_paged(world: GraphVillage) -> None:
    world.permit(ADA_HERSELF, world.permit_fields())
    back = {
        "custodian": world.party_id("Agent", "Riverside"),
        "to": world.party_id("Agent", "Mercy"),
    }
    world.permit(ADA_HERSELF, world.permit_fields("permit-2") | back)
    query = """query($after: String) { transferPermits(first: 1, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor } } }"""
    first = at(world.ask(ADA_HERSELF, query), "transferPermits")
    assert at(first, "pageInfo", "hasNextPage") is True
    after = {"after": at(first, "pageInfo", "endCursor")}
    second = at(world.ask(ADA_HERSELF, query, after), "transferPermits")
    assert at(second, "pageInfo", "hasNextPage") is False
    listed = [at(first, "nodes", 0), at(second, "nodes", 0)]
    assert listed == [{"id": at(row, "id")} for row in world.nodes(ADA_HERSELF, "transferPermits")]


def test_a_record_is_amended_and_passed_on_where_its_patient_has_permitted_it(
    world: GraphVillage,
) -> None:
    world.publish()
    record = world.first(DR_MORA, "records")["id"]
    fields = {"idempotencyKey": "amend", "record": record, "resource": RESOURCE}
    world.mutate(DR_MORA, "amendRecord", fields)
    versions = at(world.ask(DR_MORA, "{ records { nodes { version } } }"), "records", "nodes")
    assert versions == [{"version": 2}]
    fields = {
        "idempotencyKey": "move",
        "record": world.first(DR_MORA, "records")["id"],
        "to": world.party_id("Mercy", "Riverside"),
    }
    flow = world.flow(DR_MORA, world.mutate(DR_MORA, "transferCustody", fields))
    assert flow["status"] == "FAILED", flow
    world.permit(ADA_HERSELF, world.permit_fields())
    fields["idempotencyKey"] = "move-2"
    flow = world.flow(DR_MORA, world.mutate(DR_MORA, "transferCustody", fields))
    assert flow["status"] == "DONE", flow
    assert len(world.nodes(DR_REED, "records")) == 1


def test_an_operator_reads_what_came_of_an_order(world: GraphVillage) -> None:
    fields = {
        "idempotencyKey": "k",
        "organisation": world.party_id("Agent", "Mercy"),
        "name": "Dr X",
    }
    payload = world.try_to(ADA_HERSELF, "findPractitioner", fields)
    flow = {"flow": at(payload, "flow", "id")}
    turning(world, "Agent")

    def status(name: str) -> object:
        answered = at(world.try_to(OPERATOR, name, flow), "flow", "status")
        (kept,) = searching(world)
        assert Status(kept.status).name == answered
        return answered

    assert status("pauseFlow") == "PAUSED"
    refused = world.try_to(OPERATOR, "retryFlow", flow)
    assert at(refused, "userErrors", 0, "code") == "CONFLICT"
    assert status("resumeFlow") == "RUNNING"
    assert status("killFlow") == "KILLED"


def test_what_is_tried_again_and_fails_again_is_answered_too(world: GraphVillage) -> None:
    fields = {
        "idempotencyKey": "k",
        "organisation": world.party_id("Agent", "Mercy"),
        "name": "Dr X",
    }
    payload = world.try_to(ADA_HERSELF, "findPractitioner", fields)
    node = world.village.nodes["Agent"]
    node.engine.turn()
    (row,) = searching(world)
    of = {"status": Status.OBSERVED, "id": row.id}
    node.db.execute("UPDATE flow SET status = :status, tag = 'of-no-code/1' WHERE id = :id", of)
    node.engine.restore()
    turning(world, "Agent")
    before = monotonic()
    answered = world.try_to(OPERATOR, "retryFlow", {"flow": at(payload, "flow", "id")})
    assert monotonic() - before < ORDER_SECONDS_MAX / 2
    assert answered["userErrors"] == []
    assert at(answered, "flow", "status") == "OBSERVED"
    steps = [each.step for each in node.engine.progress(flow_id=row.id)]
    assert steps[-2] == "goes on"


def test_an_order_that_nobody_carries_out_is_answered_with_what_is_so_far(
    world: GraphVillage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "ORDER_SECONDS_MAX", 0.05)
    fields = {
        "idempotencyKey": "k",
        "organisation": world.party_id("Agent", "Mercy"),
        "name": "Dr X",
    }
    payload = world.try_to(ADA_HERSELF, "findPractitioner", fields)
    answered = world.try_to(OPERATOR, "pauseFlow", {"flow": at(payload, "flow", "id")})
    assert at(answered, "flow", "status") == "RUNNING"
    assert answered["userErrors"] == []


def searching(world: GraphVillage) -> list[FlowRow]:
    flows = world.village.nodes["Agent"].engine.flows()
    return [flow for flow in flows if flow.tag in {"find-practitioner/1", "of-no-code/1"}]


def turning(world: GraphVillage, name: str) -> None:
    """Let a node turn when it is woken, as its pump does; what leaves goes nowhere."""
    desk = world.desks[name]

    def wake() -> None:
        asyncio.get_running_loop().call_soon(desk.assembly.engine.turn)

    object.__setattr__(desk.api, "wake", wake)
