"""Example operations, which open as tabs in GraphiQL: at least one a role."""

from collections.abc import Sequence

from app.auth.sessions import Role
from app.graphql.example import ExampleQuery

_PAYLOAD = "{ flow { id kind status } userErrors { code field message } }"

EXAMPLES: Sequence[ExampleQuery] = (
    ExampleQuery(
        "Who am I",
        "query WhoAmI {\n"
        "  me { user role sees organisation { name kind } practitioner { person shownAs role }\n"
        "       patient { localName enrolments { custodian { id name } since } } } }",
    ),
    ExampleQuery(
        "The network",
        "query Network {\n"
        "  parties { nodes { id name kind did isThisNode } }\n"
        "  notaries { party { name } origin seen { size } }\n"
        "  serviceLimits { pageSizeMax costMax bodyBytesMax } }",
    ),
    ExampleQuery(
        "My records",
        "query MyRecords($after: String) {\n"
        "  records(first: 20, after: $after) {\n"
        "    nodes { id kind code category day labels version custodian { name } }\n"
        "    pageInfo { hasNextPage endCursor } } }",
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Read a record of mine",
        "query ReadMine {\n"
        "  records(first: 1) { nodes { kind code day custodian { name } withheld\n"
        '    content(purpose: "PATRQT") { resource refusal } } } }',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Who looked",
        "query WhoLooked {\n"
        "  whoLooked(first: 20) { nodes {\n"
        "    at organisation { name } reader { shownAs role purpose } outcome emergency\n"
        "    items { kind category day } } }\n"
        "  lookAlarms { nodes { at organisation { name } words settledAt } } }",
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Proof of who looked last, as `carecord verify` takes it, in Base64",
        "query Proof { whoLooked(first: 1) { nodes { at organisation { name } bundle } } }",
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Enrol",
        f"mutation Enrol($input: EnrolPatientInput!) {{ enrolPatient(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "enrol-1", "custodian": "<id of a party>",\n'
        '  "code": "<code from the desk>"}}',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Find whom to name",
        "mutation Find($input: FindPractitionerInput!) {\n"
        f"  findPractitioner(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "find-1", "organisation": "<id of a party>",\n'
        '  "name": "Dr A. Reed"}}',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Grant consent",
        "mutation Grant($input: GrantConsentInput!) {\n"
        f"  grantConsent(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "grant-1", "custodian": "<id of a party>",\n'
        '  "grantee": "<id of a party>", "end": "2027-01-31T00:00:00Z",\n'
        '  "terms": {"person": "<person>", "purposes": ["TREAT"], "categories": ["LABORATORY"]}}}',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "One consent",
        "query OneConsent($id: ID!) {\n"
        "  consent(id: $id) { status start end custodian { name } grantee { name }\n"
        "    terms { purposes categories } inForce { party { name } since } } }",
        '{"id": "<id of a consent>"}',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Revoke consent",
        "mutation Revoke($input: RevokeConsentInput!) {\n"
        f"  revokeConsent(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "revoke-1", "consent": "<id of a consent>"}}',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Restrict",
        f"mutation Restrict($input: RestrictInput!) {{ restrict(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "restrict-1", "custodian": "<id of a party>",\n'
        '  "terms": {"categories": ["GENETICS"]}}}',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Permit a transfer",
        "mutation PermitTransfer($input: PermitTransferInput!) {\n"
        "  permitTransfer(input: $input) {\n"
        "    permit { id until } userErrors { code field message } } }",
        '{"input": {"idempotencyKey": "permit-1", "custodian": "<id of a party>",\n'
        '  "to": "<id of a party>", "until": "2027-01-31T00:00:00Z"}}',
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Transfers that I permit",
        "query TransferPermits {\n"
        "  transferPermits { nodes { id custodian { name } to { name } until } } }",
        role=Role.PATIENT,
    ),
    ExampleQuery(
        "Offer enrolment",
        "mutation Offer($input: OfferEnrolmentInput!) {\n"
        f"  offerEnrolment(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "offer-1", "localName": "MRN 4711"}}',
        role=Role.CLINICIAN,
    ),
    ExampleQuery(
        "Show the code",
        "mutation Show($input: ShowEnrolmentCodeInput!) {\n"
        "  showEnrolmentCode(input: $input) { code until userErrors { code message } } }",
        '{"input": {"flow": "<id of the flow>"}}',
        role=Role.CLINICIAN,
    ),
    ExampleQuery(
        "Patients and records",
        "query Desk {\n"
        "  patients { nodes { id localName } }\n"
        "  records(first: 10) { nodes { id kind code category day version patient { localName } } } }",
        role=Role.CLINICIAN,
    ),
    ExampleQuery(
        "Publish",
        "mutation Publish($input: PublishRecordsInput!) {\n"
        f"  publishRecords(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "publish-1", "patient": "<id of a patient>",\n'
        '  "resources": ["{\\"resourceType\\": \\"Observation\\", \\"status\\": \\"final\\", '
        '\\"code\\": {\\"text\\": \\"HbA1c\\"}}"]}}',
        role=Role.CLINICIAN,
    ),
    ExampleQuery(
        "Ask for what a consent permits",
        "mutation Request($input: RequestDisclosureInput!) {\n"
        f"  requestDisclosure(input: $input) {_PAYLOAD} }}",
        '{"input": {"idempotencyKey": "request-1", "consent": "<id of a consent>",\n'
        '  "purpose": "TREAT"}}',
        role=Role.CLINICIAN,
    ),
    ExampleQuery(
        "Read what was disclosed",
        "query ReadDisclosed {\n"
        "  disclosures(first: 5) { nodes {\n"
        "    custodian { name } readUntil\n"
        "    items(first: 5) { nodes { kind code day\n"
        '      content(purpose: "TREAT") { resource refusal } } } } } }',
        role=Role.CLINICIAN,
    ),
    ExampleQuery(
        "Accounting",
        "query Accounting {\n"
        "  disclosureRequests(first: 20) { nodes {\n"
        "    askedAt askedBy { name } reader { shownAs purpose } outcome } }\n"
        "  disclosures(first: 20) { nodes { recordedAt custodian { name } recipient { name }\n"
        "    reader { shownAs role purpose } itemCount release } }\n"
        "  readingLog(first: 20) { nodes { at reader { shownAs role } outcome rule } } }",
        role=Role.PRIVACY_OFFICER,
    ),
    ExampleQuery(
        "Flows",
        "query Flows {\n"
        "  flows(first: 20) { nodes { id kind status startedAt inDoubt\n"
        "    failure { code message } steps { at status step } } } }",
        role=Role.OPERATOR,
    ),
    ExampleQuery(
        "Retry a flow",
        f"mutation Retry($input: FlowInput!) {{ retryFlow(input: $input) {_PAYLOAD} }}",
        '{"input": {"flow": "<id of a flow>"}}',
        role=Role.OPERATOR,
    ),
    ExampleQuery(
        "Transactions and proofs",
        "query Transactions {\n"
        "  transactions(first: 5) { nodes { transactionId seq at logIndex notary { name }\n"
        "    body { groups { group count shown } signatures { party { name } } receipt proof } } }\n"
        "  states(first: 20) { nodes { contract live createdSeq consumedSeq notary { name } } } }",
        role=Role.AUDITOR,
    ),
    ExampleQuery(
        "What came of a flow",
        "query Outcome($flow: ID!) {\n"
        "  node(id: $flow) { ... on Flow { kind status failure { code message }\n"
        "    result {\n"
        "      ... on PractitionersResult { practitioners { person shownAs role } }\n"
        "      ... on StatedResult { consent { id status } restriction { id status } }\n"
        "      ... on PublishedResult { records { id version } }\n"
        "      ... on DisclosedResult { outcome words disclosure { id } }\n"
        "      ... on EnrolledResult { custodian { name } }\n"
        "      ... on EnrolmentOfferResult { until } } } } }",
        '{"flow": "<id of a flow>"}',
    ),
    ExampleQuery(
        "Follow the vault",
        "subscription Follow($after: String) {\n"
        "  vaultUpdates(after: $after) { cursor ledgerSeq change contract transactionId\n"
        "    thing { __typename id } } }",
    ),
    ExampleQuery(
        "Follow a flow",
        "subscription Progress($flow: ID!) {\n"
        "  flowProgress(flowId: $flow) { cursor at status step } }",
        '{"flow": "<id of a flow>"}',
    ),
)
