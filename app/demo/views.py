"""What people of the demonstration look at: disclosures and their content, who looked, requests, proofs."""

from app.demo.client import Client
from app.demo.operations import Part, Party, Thing


class Content(Part, frozen=True):
    """A record's content, or why there is none."""

    bytes: str | None = None
    refusal: str | None = None


class Item(Part, frozen=True):
    """A disclosed record."""

    id: str
    commitment: str
    category: str
    kind: str
    content: Content | None = None


class _Items(Part, frozen=True):
    nodes: tuple[Item, ...] = ()


class Reader(Part, frozen=True):
    """Who reads, and why."""

    shown_as: str
    role: str
    purpose: str


class Receipt(Part, frozen=True):
    """Of a transaction: the notary's receipt."""

    receipt: str


class Transaction(Part, frozen=True):
    """A notarised transaction."""

    transaction_id: str
    log_index: int
    notary: Party | None = None
    body: Receipt | None = None


class Disclosure(Part, frozen=True):
    """A disclosure as its viewer sees it."""

    id: str
    transaction_id: str
    release: str
    item_count: int
    reader: Reader | None = None
    items: _Items = _Items()
    transaction: Transaction | None = None


class _DisclosureNode(Part, frozen=True):
    node: Disclosure | None = None


_DISCLOSURE = """query Disclosure($id: ID!) { node(id: $id) { ... on Disclosure {
  id transactionId release itemCount
  reader { shownAs role purpose }
  items(first: 100) { nodes { id commitment category kind } } } } }"""


async def disclosure(client: Client, id_: str) -> Disclosure | None:
    """Return a disclosure with its items; None where the user may not see it."""
    return (await client.ask(_DISCLOSURE, {"id": id_}, _DisclosureNode)).node


async def released(client: Client, id_: str) -> Disclosure:
    """Wait until the keys of a disclosure are here."""

    def came(found: _DisclosureNode) -> bool:
        return found.node is not None and found.node.release == "RELEASED"

    found = await client.until(_DISCLOSURE, {"id": id_}, _DisclosureNode, came)
    assert found.node is not None, "waited for"
    return found.node


class _ItemNode(Part, frozen=True):
    node: Item | None = None


_ITEM = """query Read($id: ID!, $purpose: String!) { node(id: $id) { ... on DisclosedItem {
  id commitment category kind content(purpose: $purpose) { bytes refusal } } } }"""


async def read_item(client: Client, id_: str, purpose: str) -> Item | None:
    """Open a disclosed record, which is a reading; None where nothing of this id is to be seen."""
    return (await client.ask(_ITEM, {"id": id_, "purpose": purpose}, _ItemNode)).node


class _Disclosures(Part, frozen=True):
    nodes: tuple[Disclosure, ...]


class _OwnDisclosures(Part, frozen=True):
    disclosures: _Disclosures


_OWN = """query Disclosed { disclosures(first: 5) { nodes {
  id transactionId release itemCount reader { shownAs role purpose }
  transaction { transactionId logIndex notary { id name } body { receipt } } } } }"""


async def disclosed_by(client: Client, transaction: str) -> Disclosure:
    """Wait until the patient's agent has the disclosure that a transaction made, and return it."""

    def arrived(found: _OwnDisclosures) -> bool:
        return any(each.transaction_id == transaction for each in found.disclosures.nodes)

    seen = await client.until(_OWN, {}, _OwnDisclosures, arrived)
    return next(each for each in seen.disclosures.nodes if each.transaction_id == transaction)


class _Numbered(Part, frozen=True):
    transaction_id: str


class _Transactions(Part, frozen=True):
    nodes: tuple[_Numbered, ...]


class _Things(Part, frozen=True):
    nodes: tuple[Thing, ...]


class _Audited(Part, frozen=True):
    transactions: _Transactions
    records: _Things
    patients: _Things


async def audited(client: Client, transaction: str) -> tuple[bool, int]:
    """Return whether an auditor's node shows her a transaction among its newest, and how many records and patients."""
    text = """query Audit { transactions(first: 50) { nodes { transactionId } }
      records(first: 5, status: ALL) { nodes { id } } patients(first: 5) { nodes { id } } }"""
    seen = await client.ask(text, {}, _Audited)
    listed = {each.transaction_id for each in seen.transactions.nodes}
    return transaction in listed, len(seen.records.nodes) + len(seen.patients.nodes)


class LookedAt(Part, frozen=True):
    """A record that was looked at."""

    commitment: str | None = None
    kind: str | None = None
    category: str | None = None


class Look(Part, frozen=True):
    """A line of 'who looked'."""

    id: str
    at: str
    organisation: Party
    reader: Reader
    outcome: str
    items: tuple[LookedAt, ...] = ()
    disclosure: Disclosure | None = None


class _Looks(Part, frozen=True):
    nodes: tuple[Look, ...]


class _WhoLooked(Part, frozen=True):
    who_looked: _Looks
    look_alarms: "_Alarms"


class _Alarm(Part, frozen=True):
    words: str
    settled_at: str | None = None


class _Alarms(Part, frozen=True):
    nodes: tuple[_Alarm, ...]


_LOOKS = """query WhoLooked {
  whoLooked(first: 20) { nodes { id at organisation { id name }
    reader { shownAs role purpose } outcome
    items { commitment kind category }
    disclosure { id transactionId release itemCount } } }
  lookAlarms(first: 20) { nodes { words settledAt } } }"""


async def looks_at(client: Client, transaction: str, outcome: str, most: int) -> tuple[Look, ...]:
    """Wait until the patient is told of `most` looks of this outcome at a disclosure; return them, newest first."""

    def of_it(found: _WhoLooked) -> tuple[Look, ...]:
        return tuple(
            look
            for look in found.who_looked.nodes
            if look.outcome == outcome
            and look.disclosure is not None
            and look.disclosure.transaction_id == transaction
        )

    seen = await client.until(_LOOKS, {}, _WhoLooked, lambda found: len(of_it(found)) >= most)
    return of_it(seen)


class _OwnRecord(Part, frozen=True):
    id: str
    category: str
    custodian: Party
    content: Content | None = None


class _OwnRecordNodes(Part, frozen=True):
    nodes: tuple[_OwnRecord, ...]


class _OwnRecords(Part, frozen=True):
    records: _OwnRecordNodes


class _OneRecord(Part, frozen=True):
    record: _OwnRecord | None = None


_RECORDS = "query Mine { records(first: 100) { nodes { id category custodian { id name } } } }"
_MINE = """query ReadMine($id: ID!, $purpose: String!) { record(id: $id) {
  id category custodian { id name } content(purpose: $purpose) { bytes refusal } } }"""


async def read_own(client: Client, keeper: str, category: str, purpose: str) -> str:
    """Read, as the patient, a record of hers of a category that a custodian (id) keeps; return its bytes in Base64."""
    found = await client.ask(_RECORDS, {}, _OwnRecords)
    id_ = next(
        each.id
        for each in found.records.nodes
        if (each.custodian.id, each.category) == (keeper, category)
    )

    def came(seen: _OneRecord) -> bool:
        content = None if seen.record is None else seen.record.content
        return content is not None and content.bytes is not None

    seen = await client.until(_MINE, {"id": id_, "purpose": purpose}, _OneRecord, came)
    assert seen.record is not None, "waited for"
    assert seen.record.content is not None, "waited for"
    return seen.record.content.bytes or ""


async def read_at_home(client: Client, organisation: str) -> Look:
    """Wait until the patient's list has a reading at her agent (by name); return the newest."""

    def own(found: _WhoLooked) -> list[Look]:
        return [
            look
            for look in found.who_looked.nodes
            if (look.outcome, look.organisation.name) == ("READ", organisation)
        ]

    return own(await client.until(_LOOKS, {}, _WhoLooked, lambda seen: bool(own(seen))))[0]


async def asked_in_vain(client: Client, shown_as: str) -> Look:
    """Wait until the patient is told that somebody asked in vain for a disclosure; return the newest such line."""

    def in_vain(found: _WhoLooked) -> list[Look]:
        return [
            look
            for look in found.who_looked.nodes
            if (look.outcome, look.reader.shown_as, look.disclosure) == ("REFUSED", shown_as, None)
        ]

    return in_vain(await client.until(_LOOKS, {}, _WhoLooked, lambda seen: bool(in_vain(seen))))[0]


async def open_alarms(client: Client) -> tuple[str, ...]:
    """Return what does not fit in what organisations reported, and was not settled."""
    found = await client.ask(_LOOKS, {}, _WhoLooked)
    return tuple(each.words for each in found.look_alarms.nodes if each.settled_at is None)


class _LookNode(Part, frozen=True):
    node: "_Evidence | None" = None


class _Evidence(Part, frozen=True):
    bundle: str


async def proof_of(client: Client, look: Look) -> str:
    """Return the proof bundle of a line of 'who looked', in Base64."""
    text = "query Proof($id: ID!) { node(id: $id) { ... on Look { bundle } } }"
    found = (await client.ask(text, {"id": look.id}, _LookNode)).node
    assert found is not None, "she was shown the line"
    return found.bundle


class Update(Part, frozen=True):
    """An event of a subscription to the vault."""

    change: str


class Updates(Part, frozen=True):
    """The data of one event."""

    vault_updates: Update


WATCH = "subscription Watch($about: ID!) { vaultUpdates(about: $about) { change } }"


class AskedFor(Part, frozen=True):
    """A request for disclosure in the privacy officer's accounting."""

    asked_by: Party
    reader: Reader
    outcome: str | None = None
    disclosure: Thing | None = None


class _AskedNodes(Part, frozen=True):
    nodes: tuple[AskedFor, ...]


class _Requests(Part, frozen=True):
    disclosure_requests: _AskedNodes


async def requests(client: Client) -> tuple[AskedFor, ...]:
    """Return the requests that the privacy officer of this organisation accounts for, newest first."""
    text = """query Requests { disclosureRequests(first: 20) { nodes {
      askedBy { id name } reader { shownAs role purpose } outcome disclosure { id } } } }"""
    return (await client.ask(text, {}, _Requests)).disclosure_requests.nodes
