"""The story of the demonstration, step by step: what is done through the public API, what is expected and found."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from app.demo import operations, views
from app.demo.client import ApiRefused, Client, NoAnswer, Variables
from app.demo.loading import Chart, Told, enrol, publish
from app.demo.operations import FlowFailed, Refusal, done
from app.demo.proofs import Proofs
from app.demo.town import AUDITOR, HALE, REED, STONE, Town

PURPOSE = "TREAT"
PATIENTS_PURPOSE = "PATRQT"
WORDS = {PURPOSE: "treatment"}
CATEGORIES = ("laboratory", "medication")
DAYS = 7
CLOSED_SECONDS = 1.0
CLOSED_CODES = frozenset({"CONSENT_EXPIRED", "NOT_FOUND"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was expected, and what was found."""

    claim: str
    expected: str
    found: str
    holds: bool


@dataclass(slots=True)
class Tale:
    """One telling of the story: whose it is, and what came of its steps so far.

    `key` begins every idempotency key. `timed`: nobody is being killed, so moments can be judged.
    """

    town: Town
    key: str
    patient: str
    chart: Chart
    elsewhere: Chart
    folder: Path
    proofs: Proofs
    told: Told
    timed: bool = True
    person: str = ""
    consent: str = ""
    asked: str = ""
    disclosure: views.Disclosure | None = None
    looks: tuple[views.Look, ...] = ()
    lines: list[str] = field(default_factory=list)

    @property
    def agent(self) -> Client:
        return self.town.agent(self.patient)

    @property
    def reed(self) -> Client:
        return self.town.client(REED.node, REED.user)

    @property
    def made(self) -> views.Disclosure:
        assert self.disclosure is not None, "the request comes first"
        return self.disclosure

    def input(self, step: str, **sent: object) -> Variables:
        return {"idempotencyKey": f"{self.key}-{step}", **sent}

    def tell(self, line: str) -> None:
        self.lines.append(line)


Play = Callable[[Tale], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its name for programs, what happens in plain words, and how it is played and judged."""

    name: str
    words: str
    play: Play


def same(claim: str, expected: object, found: object) -> Finding:
    return Finding(claim, str(expected), str(found), expected == found)


def yes(claim: str, found: bool) -> Finding:  # noqa: FBT001  it is what was found
    return same(claim, "yes", "yes" if found else "no")


def no(claim: str, found: bool) -> Finding:  # noqa: FBT001  as above
    return same(claim, "no", "yes" if found else "no")


async def _enrol(tale: Tale) -> list[Finding]:
    for chart in (tale.chart, tale.elsewhere):
        await enrol(tale.town, chart, tale.patient, f"{tale.key}-{chart.custodian}")
    found = [
        await operations.patient(tale.town.desk(chart.custodian), chart.local_name) is not None
        for chart in (tale.chart, tale.elsewhere)
    ]
    return [same("both hospitals know her, each by a number of its own", [True, True], found)]


async def _publish(tale: Tale) -> list[Finding]:
    await publish(tale.town, tale.chart, f"{tale.key}-publish", tale.told)
    expected = sorted(each.content.category for each in tale.chart.documents)
    whose = await operations.own_id(tale.agent)
    mercy = await tale.town.party(tale.agent, tale.town.network.member(tale.chart.custodian))
    found = await operations.announced(tale.agent, whose, mercy, len(expected))
    tale.tell(f"{len(found)} records are sealed at Mercy and announced to her agent.")
    return [same("her agent knows of each record, by category", expected, sorted(found))]


async def _own(tale: Tale) -> list[Finding]:
    network = tale.town.network
    mercy = await tale.town.party(tale.agent, network.member(tale.chart.custodian))
    read = base64.b64decode(
        await views.read_own(tale.agent, mercy, CATEGORIES[0].upper(), PATIENTS_PURPOSE)
    )
    documents = {
        each.data for each in tale.chart.documents if each.content.category == CATEGORIES[0]
    }
    look = await views.read_at_home(tale.agent, network.member("agent").title)
    tale.tell(f"{len(read):,} bytes, opened with the key that Mercy wrapped for her.")
    return [
        yes("what she reads is, byte for byte, one of her laboratory results", read in documents),
        same("her reading is in the list as well", "the patient herself", look.reader.shown_as),
    ]


async def _grant(tale: Tale) -> list[Finding]:
    network, agent = tale.town.network, tale.agent
    riverside = await tale.town.party(agent, network.member("riverside"))
    mercy = await tale.town.party(agent, network.member("mercy"))
    named = await done(
        agent, "findPractitioner", tale.input("find", organisation=riverside, name=REED.shown_as)
    )
    tale.person = named.practitioners[0].person
    terms = {
        "person": tale.person,
        "purposes": [PURPOSE],
        "categories": [each.upper() for each in CATEGORIES],
    }
    stated = await done(
        agent,
        "grantConsent",
        tale.input("grant", custodian=mercy, grantee=riverside, end=_in_days(DAYS), terms=terms),
    )
    consent = stated.consent
    assert consent is not None, "a flow that is done has its consent"
    tale.consent = consent.transaction_id
    seen = await operations.consent_of(tale.reed, consent.transaction_id)
    tale.asked = seen.id
    return [
        same("the consent lives at her agent", "LIVE", consent.status),
        same("and at the other hospital, for Dr Reed", "LIVE", seen.status),
    ]


def _in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="milliseconds")


async def _request(tale: Tale) -> list[Finding]:
    result = await done(
        tale.reed, "requestDisclosure", tale.input("request", consent=tale.asked, purpose=PURPOSE)
    )
    findings = [same("Mercy decides and discloses", "disclosed", result.outcome)]
    if result.disclosure is not None:
        tale.disclosure = await views.released(tale.reed, result.disclosure.id)
    return findings


async def _notarised(tale: Tale) -> list[Finding]:
    seen = await views.disclosed_by(tale.agent, tale.made.transaction_id)
    transaction = seen.transaction
    assert transaction is not None, "the patient sees her transactions"
    notary = "" if transaction.notary is None else transaction.notary.name
    receipt = "" if transaction.body is None else transaction.body.receipt
    tale.tell(f"It is entry {transaction.log_index} of the notary's log.")
    auditor = tale.town.client(HALE.node, AUDITOR)
    listed, private = await views.audited(auditor, transaction.transaction_id)
    return [
        yes("the notary's receipt is there", receipt.startswith("c2sp.org/tlog-proof@")),
        same("it is the network's notary", tale.town.network.notary.title, notary),
        same(
            "her agent has the very transaction",
            tale.made.transaction_id,
            transaction.transaction_id,
        ),
        yes("an auditor of Mercy finds it as well", listed),
        same("and no record or patient", 0, private),
    ]


async def _read(tale: Tale) -> list[Finding]:
    expected = {each.data for each in tale.chart.documents if each.content.category in CATEGORIES}
    found = set[bytes]()
    refusals: list[str] = []
    for item in tale.made.items.nodes:
        seen = await views.read_item(tale.reed, item.id, PURPOSE)
        content = None if seen is None else seen.content
        if content is not None and content.bytes is not None:
            found.add(base64.b64decode(content.bytes))
        else:
            refusals.append("nothing" if content is None else str(content.refusal))
    stone = tale.town.client(STONE.node, STONE.user)
    other = await views.disclosure(stone, tale.made.id)
    tale.tell(f"Dr Reed opens {len(found)} of the {len(tale.chart.documents)} records at Mercy.")
    return [
        same("nothing that was disclosed is refused", [], refusals),
        Finding(
            "what opens is, byte for byte, her laboratory results and medications",
            f"{len(expected)} documents",
            f"{len(found)} documents, {len(found & expected)} of them those",
            found == expected,
        ),
        same("a colleague of Dr Reed sees nothing of it", None, other),
    ]


async def _looked(tale: Tale) -> list[Finding]:
    count = len(tale.made.items.nodes)
    tale.looks = await views.looks_at(tale.agent, tale.made.transaction_id, "READ", count)
    read = {item.commitment for item in tale.made.items.nodes}
    told = {item.commitment for look in tale.looks for item in look.items}
    look = tale.looks[0]
    who = (look.reader.shown_as, look.organisation.name, look.reader.purpose)
    for each in tale.looks:
        what = ", ".join(f"{item.category} ({item.kind})".lower() for item in each.items)
        whom = f"{each.reader.shown_as}, {each.organisation.name}"
        tale.tell(f"{each.at[:19].replace('T', ' ')}  {whom}  for {WORDS[PURPOSE]}  {what}")
    return [
        same("she sees each record that was opened, and no other", read, told),
        same("who, where and why", (REED.shown_as, "Riverside Hospital", PURPOSE), who),
        same("and nothing fails to fit", (), await views.open_alarms(tale.agent)),
    ]


async def _verify(tale: Tale) -> list[Finding]:
    proof = base64.b64decode(await views.proof_of(tale.agent, tale.looks[0]))
    path = tale.folder / f"{tale.key}.bundle"
    path.write_bytes(proof)
    report = await tale.proofs.verify(path)
    tale.tell(f"carecord verify {path.name} ({len(proof):,} bytes), in {tale.proofs.how}:")
    tale.tell(f"  who: {report.who}")
    tale.tell(f"  when: {report.when}, why: {report.why}")
    tale.tell(f"  what: {report.what}")
    altered = path.with_suffix(".altered")
    altered.write_bytes(bytes([*proof[:-40], proof[-40] ^ 1, *proof[-39:]]))
    forged = await tale.proofs.verify(altered)
    return [
        yes("carecord verify accepts it", report.verified),
        yes("it names who looked", REED.shown_as in report.who),
        no("with one bit changed it is refused", forged.verified),
        yes("the process that verified had no network", await tale.proofs.has_no_network()),
    ]


async def _revoke(tale: Tale) -> list[Finding]:
    opened = asyncio.Event()
    watch = asyncio.create_task(_watch(tale, opened))
    await asyncio.wait({watch, asyncio.create_task(opened.wait())}, return_when="FIRST_COMPLETED")
    await asyncio.sleep(
        0.3 if tale.timed else 0.0
    )  # its first look is over: it waits for what happens
    was_open = not watch.done()
    mine = (await operations.consent_now(tale.agent, tale.consent)).id
    began = monotonic()
    flow = asyncio.create_task(
        done(tale.agent, "revokeConsent", tale.input("revoke", consent=mine))
    )
    async with asyncio.timeout(90):
        code = await watch
    seconds = monotonic() - began
    findings = [
        yes("a subscription of Dr Reed was open", was_open),
        Finding("it ended", "CONSENT_EXPIRED or NOT_FOUND", code, code in CLOSED_CODES),
    ]
    if tale.timed:
        # Asked before the revocation is notarised, as soon as the stream has ended.
        findings += [
            Finding(
                "within one second of her word",
                f"at most {CLOSED_SECONDS} s",
                f"{seconds:.3f} s",
                seconds <= CLOSED_SECONDS,
            ),
            same("the next request is refused", "refused", await _ask_again(tale, "at-once")),
        ]
        tale.tell(f"Riverside closed {seconds * 1000:.0f} ms after she had said so.")
    await flow
    return findings


async def _watch(tale: Tale, opened: asyncio.Event) -> str:
    """Follow the disclosure as Dr Reed until the stream ends for good; return the code with which it did."""
    while True:
        with suppress(OSError, TimeoutError):
            stream = tale.reed.subscribe(
                views.WATCH, {"about": tale.made.id}, views.Updates, opened
            )
            try:
                async for _ in stream:
                    continue
            except ApiRefused as ended:
                return ended.code
            return "complete"
        await asyncio.sleep(0.1)  # her node is away


async def _ask_again(tale: Tale, step: str) -> str:
    """Ask Mercy once more under the same consent; return how that ends."""
    sent = tale.input(step, consent=tale.asked, purpose=PURPOSE)
    try:
        result = await done(tale.reed, "requestDisclosure", sent)
    except (Refusal, FlowFailed) as refused:
        tale.tell(f"Dr Reed is told: {refused}")
        return "refused"
    return result.outcome or "?"


async def _refused(tale: Tale) -> list[Finding]:
    again = await _ask_again(tale, "again")
    item = await views.read_item(tale.reed, tale.made.items.nodes[0].id, PURPOSE)
    opened = item is not None and item.content is not None and item.content.bytes is not None
    live = [
        each for each in await operations.consents(tale.reed) if each.transaction_id == tale.consent
    ]
    mine = (await operations.consent_now(tale.agent, tale.consent)).status
    vain = await views.asked_in_vain(tale.agent, REED.shown_as)
    return [
        same("another request is refused", "refused", again),
        no("what was open before opens no more", opened),
        same("Dr Reed has no consent any more", [], live),
        same("Ada sees that it has ended", "ENDED", mine),
        same("and that Dr Reed asked in vain", "Riverside Hospital", vain.organisation.name),
    ]


async def _accounted(tale: Tale) -> list[Finding]:
    found = await views.requests(tale.town.client(HALE.node, "privacy"))
    outcomes = [each.outcome for each in found if each.reader.shown_as == REED.shown_as]
    return [yes("Mercy's privacy officer can account for it", "disclosed" in outcomes)]


STEPS = (
    Step(
        "enrol",
        "Ada is enrolled at Mercy and at Riverside with one-time codes from their desks.",
        _enrol,
    ),
    Step(
        "publish",
        "Mercy publishes her records: sealed there, only their hashes on the ledger.",
        _publish,
    ),
    Step("own", "Ada reads a laboratory result of hers, at her agent.", _own),
    Step(
        "grant",
        "Ada lets Dr Reed of Riverside read her laboratory results and medications at Mercy, "
        "for treatment, for seven days.",
        _grant,
    ),
    Step("request", "Dr Reed asks Mercy for what the consent permits.", _request),
    Step("notarise", "The disclosure was notarised before any key was given.", _notarised),
    Step("read", "Dr Reed reads just those records, and nobody else does.", _read),
    Step("look", "Ada sees who looked, when and why.", _looked),
    Step("verify", "The proof of it verifies offline, in a process without network.", _verify),
    Step("revoke", "Ada revokes; what Dr Reed had open ends.", _revoke),
    Step("refuse", "The next request is refused.", _refused),
    Step("account", "What was asked and answered is accounted for.", _accounted),
)

UNPLAYABLE = (ApiRefused, NoAnswer, Refusal, FlowFailed, TimeoutError)
"""What ends a step without findings: the demonstration fails there."""


async def play(step: Step, tale: Tale) -> list[Finding]:
    """Play a step; what it cannot do at all is a finding, too."""
    try:
        return await step.play(tale)
    except UNPLAYABLE as failed:
        return [
            Finding(step.words, "to be done", f"{type(failed).__name__}: {failed}", holds=False)
        ]
