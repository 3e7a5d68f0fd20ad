"""What a patient waits for: a consent granted by GraphQL until every holder has it, and a consent read by GraphQL."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

import msgspec
import strawberry
from strawberry.extensions import ParserCache, ValidationCache

from app.bench.member import BenchMember
from app.bench.publication import AGENT, LOCAL, enrol, recorded
from app.bench.result import Result, Target, percentile
from app.bench.town import Notary, Town, town
from app.demo.client import HOST, Client, sign_in
from app.demo.operations import Consent, begin, consents, parties
from app.demo.people import Person, Registry

CUSTODIAN, GRANTEE = "mercy", "riverside"
DAYS = 30
CONNECTIONS = 8
PAUSE_S = 0.15  # before anybody looks: a grant finds the network at rest, and is left alone
WARM_UP = 5
ROUNDS = 5
BARE_S = 0.5
QUERY = "query One($id: ID!) { consent(id: $id) { id status start end } }"


@strawberry.type
class _Bare:
    id: str
    status: str
    start: str
    end: str


@strawberry.type
class _Query:
    @strawberry.field
    def consent(self, id: strawberry.ID) -> _Bare:  # noqa: A002 - its name in the API
        return _Bare(
            id=str(id), status="LIVE", start="2026-11-01T00:00:00Z", end="2026-12-01T00:00:00Z"
        )


def bare_rate(seconds: float) -> float:
    """Return executions a second of a like query on constants: document and validation cached, no HTTP, no gate."""
    schema = strawberry.Schema(_Query, extensions=[ParserCache, ValidationCache])
    text = "query One($id: ID!) { consent(id: $id) { id status start end } }"
    done, begun = 0, perf_counter()
    while (gone := perf_counter() - begun) < seconds:
        assert schema.execute_sync(text, {"id": "x"}).errors is None
        done += 1
    return done / gone


async def _asked(port: int, token: str, body: bytes, count: int) -> None:
    """Ask the same so many times on one connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: {HOST}:{port}\r\ncontent-type: application/json\r\n"
        f"accept: application/json\r\nauthorization: Bearer {token}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    try:
        for _ in range(count):
            writer.write(head.encode("ascii") + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            (length,) = (
                int(line.split(b":")[1])
                for line in answer.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            found = await reader.readexactly(length)
            assert b'"LIVE"' in found, found
    finally:
        writer.close()


async def _rate(client: Client, consent: Consent, count: int) -> float:
    body = msgspec.json.encode({"query": QUERY, "variables": {"id": consent.id}})
    begun = perf_counter()
    each = count // CONNECTIONS
    await asyncio.gather(
        *(_asked(client.port, client.token, body, each) for _ in range(CONNECTIONS))
    )
    return each * CONNECTIONS / (perf_counter() - begun)


async def _grants(here: Town, client: Client, count: int) -> list[float]:
    """Grant so many consents, one after the other; return the seconds until the last holder had each."""
    known = await parties(client)
    titles = {node.key: node.title for node in here.made.nodes}
    seconds, seen = list[float](), set[str]()
    for number in range(WARM_UP + count):
        end = datetime.now(UTC) + timedelta(days=DAYS + number)
        sent: dict[str, object] = {
            "idempotencyKey": f"bench-{number}",
            "custodian": known[titles[CUSTODIAN]],
            "grantee": known[titles[GRANTEE]],
            "end": end.isoformat(timespec="milliseconds"),
            "terms": {"purposes": ["TREAT"], "categories": ["LABORATORY"]},
        }
        at = perf_counter()
        await begin(client, "grantConsent", sent)
        tx = ""
        while (
            not tx
        ):  # when it was recorded is known by each node's own clock, so there is no haste
            await asyncio.sleep(PAUSE_S)
            tx = next(
                (c.transaction_id for c in await consents(client) if c.transaction_id not in seen),
                "",
            )
        seen.add(tx)
        holders = (AGENT, CUSTODIAN, GRANTEE)
        seconds.append(max(recorded(here, key, bytes.fromhex(tx)) for key in holders) - at)
    return seconds[WARM_UP:]


def measure_grants(count: int = 40, reads: int = 480) -> Iterator[Result]:
    """Yield how long a grant takes in a network at rest, and how many consents a second one node serves."""
    with town() as here:
        ada = Registry(os.urandom).new_patients(here.made.member(AGENT), [("ada", "Ada")])[0]
        members = dict.fromkeys((CUSTODIAN, GRANTEE, AGENT), BenchMember)
        here.move_in({"notary": Notary, **members})
        assert ada.person is not None, "a patient is a person"
        for key in (CUSTODIAN, GRANTEE):
            enrol(here, bytes.fromhex(ada.person), key, LOCAL)
        client = asyncio.run(_signed_in(ada))
        seconds = asyncio.run(_grants(here, client, count))
        name = "consent by GraphQL over HTTP until every holder has it"
        yield Target("≤", 12).judge(f"{name}, p50", percentile(seconds, 0.5) * 1e3, "ms")
        yield Target("≤", 50).judge(f"{name}, p99", percentile(seconds, 0.99) * 1e3, "ms")
        yield from _served(client, reads)


async def _signed_in(person: Person) -> Client:
    port = person.node.http_port
    return Client(port, await sign_in(port, person.user, person.password))


def _served(client: Client, reads: int) -> Iterator[Result]:
    consent = asyncio.run(_first(client))
    asyncio.run(_rate(client, consent, reads))  # warm
    rates, bares, shares = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        before = bare_rate(BARE_S)
        rates.append(asyncio.run(_rate(client, consent, reads)))
        bares.append((before + bare_rate(BARE_S)) / 2)
        shares.append(rates[-1] / bares[-1])
    name = "one consent by GraphQL over HTTP, for its patient"
    yield Target("≥", 0.25, "bare execute").judge(name, median(rates), "/s", median(shares))
    yield Result("bare cached schema.execute of a like query", median(bares), "/s")


async def _first(client: Client) -> Consent:
    return (await consents(client))[0]
