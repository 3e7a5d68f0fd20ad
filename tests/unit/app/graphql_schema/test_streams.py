"""Subscriptions: backfill, then live, without gap or double; ended with what permitted them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from time import monotonic

import pytest

from app.auth.sessions import Role
from app.fhir.resource import read_resource
from app.graphql.engine import Answer
from app.graphql.schema import streams
from flows.flow import Flow
from flows.subjects.consent import RevokeConsent
from flows.subjects.record import PublishRecords
from states.state import StateRef, TransactionId
from tests.unit.app.graphql_schema.graph_world import (
    ADA_HERSELF,
    DR_MORA,
    DR_REED,
    EVE_HERSELF,
    RESOURCE,
    GraphVillage,
    Who,
    at,
)

UPDATES = """subscription($after: String, $afterSeq: LedgerSeq, $about: ID, $contract: String) {
  vaultUpdates(after: $after, afterSeq: $afterSeq, about: $about, contract: $contract) {
    cursor ledgerSeq change contract index thing { __typename id } } }"""
PROGRESS = """subscription($flow: ID!, $after: String) {
  flowProgress(flowId: $flow, after: $after) { cursor status step flow { status } } }"""
AUDITOR = Who("Mercy", Role.AUDITOR)
SOON_S = 2.0


@pytest.fixture
def world() -> GraphVillage:
    return GraphVillage()


def follow(
    world: GraphVillage, who: Who, query: str, variables: Mapping[str, object]
) -> AsyncGenerator[Answer, None]:
    prepared = world.prepare(who, query, variables)
    return world.desks[who.node].engine.stream(prepared, lambda: world.caller(who))


async def next_of(stream: AsyncGenerator[Answer, None]) -> Answer:
    async with asyncio.timeout(SOON_S):
        return await anext(stream)


async def take(stream: AsyncGenerator[Answer, None], count: int, root: str) -> list[object]:
    answers = [await next_of(stream) for _ in range(count)]
    assert [answer.errors for answer in answers] == [()] * count
    return [at(answer.data, root) for answer in answers]


async def code_of(stream: AsyncGenerator[Answer, None]) -> str:
    answer = await next_of(stream)
    assert not answer.executed
    return str(at(answer.errors[0], "extensions", "code"))


async def is_silent(stream: AsyncGenerator[Answer, None]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await anext(stream)


def soon(act: Callable[[], object]) -> None:
    """Let something happen while a stream waits."""
    asyncio.get_running_loop().call_later(0.05, act)


def publish_as_flow(world: GraphVillage) -> Callable[[], object]:
    """What a publication does, without asking GraphQL inside the running loop."""
    node = world.village.nodes["Mercy"]
    intake = world.desks["Mercy"].api.intake

    def act() -> object:
        staged = intake.seal(node.db, "MRN 4711", [read_resource(RESOURCE.encode())])
        return world.village.run("Mercy", PublishRecords(intake.stage(node.db, staged)))

    return act


def revocation(world: GraphVillage) -> Flow:
    """Ada's revocation of her only consent, as her agent starts it."""
    named = world.desks["Agent"].api.ids.open(str(world.first(ADA_HERSELF, "consents")["id"]))
    assert named is not None
    tx, idx = named.keys
    assert isinstance(tx, bytes)
    assert isinstance(idx, int)
    return RevokeConsent(StateRef(TransactionId(tx), idx))


def test_backfill_goes_over_into_what_happens_without_gap_or_double(world: GraphVillage) -> None:
    world.publish(2, "a")
    world.publish(1, "b")

    async def run() -> list[object]:
        async with aclosing(follow(world, AUDITOR, UPDATES, {"afterSeq": 0})) as stream:
            events = await take(stream, 3, "vaultUpdates")
            soon(publish_as_flow(world))
            events += await take(stream, 1, "vaultUpdates")
            await is_silent(stream)
            return events

    events = asyncio.run(run())
    assert [at(each, "ledgerSeq") for each in events] == [1, 1, 2, 3]
    assert [at(each, "index") for each in events] == [0, 1, 0, 0]
    assert len({str(at(each, "cursor")) for each in events}) == 4


def test_a_stream_that_broke_off_goes_on_after_its_last_cursor(world: GraphVillage) -> None:
    world.publish(3)

    async def whole() -> list[object]:
        async with aclosing(follow(world, DR_MORA, UPDATES, {"afterSeq": 0})) as stream:
            return await take(stream, 3, "vaultUpdates")

    async def rest(cursor: object) -> list[object]:
        async with aclosing(follow(world, DR_MORA, UPDATES, {"after": cursor})) as stream:
            events = await take(stream, 2, "vaultUpdates")
            await is_silent(stream)
            return events

    events = asyncio.run(whole())
    assert asyncio.run(rest(at(events[0], "cursor"))) == events[1:]


def test_without_a_cursor_a_stream_begins_now(world: GraphVillage) -> None:
    world.publish(1, "before")

    async def run() -> list[object]:
        async with aclosing(follow(world, DR_MORA, UPDATES, {})) as stream:
            soon(publish_as_flow(world))
            return await take(stream, 1, "vaultUpdates")

    (event,) = asyncio.run(run())
    assert at(event, "ledgerSeq") == 2
    assert at(event, "thing", "__typename") == "Record"


def test_everybody_is_told_of_what_a_query_would_show_and_of_nothing_else(
    world: GraphVillage,
) -> None:
    world.publish()
    world.restrict()
    world.grant()
    world.request()

    async def contracts(who: Who) -> list[str]:
        found: list[str] = []
        async with aclosing(follow(world, who, UPDATES, {"afterSeq": 0})) as stream:
            while True:
                try:
                    async with asyncio.timeout(0.1):
                        answer = await anext(stream)
                except TimeoutError:
                    return found
                found.append(str(at(answer.data, "vaultUpdates", "contract")))

    assert asyncio.run(contracts(DR_MORA)) == ["record/1"]
    assert asyncio.run(contracts(DR_REED)) == ["consent/1", "disclosure/1"]
    assert asyncio.run(contracts(EVE_HERSELF)) == []
    everything = ["record/1", "restriction/1", "consent/1", "disclosure/1"]
    assert asyncio.run(contracts(ADA_HERSELF)) == everything
    assert asyncio.run(contracts(AUDITOR)) == everything
    officer = Who("Mercy", Role.PRIVACY_OFFICER)
    assert asyncio.run(contracts(officer)) == everything[1:]


def test_a_stream_about_a_disclosure_ends_within_a_second_of_the_revocation(
    world: GraphVillage,
) -> None:
    world.publish()
    world.grant()
    world.request()
    about = world.first(DR_REED, "disclosures")["id"]
    revoke = revocation(world)

    async def run() -> float:
        async with aclosing(follow(world, DR_REED, UPDATES, {"about": about})) as stream:
            waiting = asyncio.ensure_future(code_of(stream))
            await asyncio.sleep(0.05)
            begun = monotonic()
            world.village.run("Agent", revoke)
            assert await waiting == "CONSENT_EXPIRED"
            return monotonic() - begun

    assert asyncio.run(run()) < 1.0
    assert len(world.desks["Riverside"].broadcast) == 0


def test_a_withdrawal_that_the_notary_has_not_seen_ends_a_stream(world: GraphVillage) -> None:
    """The signed withdrawal closes access when it arrives, receipt or not."""
    world.publish()
    world.grant()
    world.request()
    about = world.first(DR_REED, "consents")["id"]
    node = world.village.nodes["Riverside"]

    async def run() -> str:
        async with aclosing(follow(world, DR_REED, UPDATES, {"about": about})) as stream:
            waiting = asyncio.ensure_future(code_of(stream))
            await asyncio.sleep(0.05)
            node.db.execute("UPDATE statement SET closed_at = 1 WHERE grantee IS NOT NULL")
            return await waiting

    assert asyncio.run(run()) == "CONSENT_EXPIRED"


def test_a_consents_end_by_the_clock_ends_a_stream(world: GraphVillage) -> None:
    world.grant()
    about = world.first(DR_REED, "consents")["id"]

    async def run() -> str:
        async with aclosing(follow(world, DR_REED, UPDATES, {"about": about})) as stream:
            waiting = asyncio.ensure_future(code_of(stream))
            await asyncio.sleep(0.05)
            world.village.clock.now += 8 * 86_400_000
            return await waiting

    assert asyncio.run(run()) == "CONSENT_EXPIRED"


def test_whom_an_ended_consent_was_for_is_told_that_it_ended_and_no_more(
    world: GraphVillage,
) -> None:
    world.grant()
    revoke = revocation(world)

    async def run() -> list[object]:
        async with aclosing(follow(world, DR_REED, UPDATES, {})) as stream:
            soon(lambda: world.village.run("Agent", revoke))
            return await take(stream, 1, "vaultUpdates")

    (event,) = asyncio.run(run())
    assert at(event, "change") == "CONSUMED"
    assert at(event, "thing") is None


def test_permission_is_asked_between_two_stored_events(world: GraphVillage) -> None:
    world.publish(2)

    async def run() -> str:
        async with aclosing(follow(world, DR_MORA, UPDATES, {"afterSeq": 0})) as stream:
            await take(stream, 1, "vaultUpdates")
            world.village.nodes["Mercy"].db.execute("UPDATE practitioner SET active = 0")
            return await code_of(stream)

    assert asyncio.run(run()) == "FORBIDDEN"


@pytest.mark.parametrize("about", ["nonsense", "party"])
def test_a_stream_about_nothing_that_can_be_seen_is_refused_alike(
    world: GraphVillage, about: str
) -> None:
    if about == "party":
        about = world.party_id("Riverside", "Mercy")

    async def run() -> str:
        async with aclosing(follow(world, DR_REED, UPDATES, {"about": about})) as stream:
            return await code_of(stream)

    assert asyncio.run(run()) == "NOT_FOUND"


@pytest.mark.parametrize(
    "variables",
    [{"afterSeq": 1_000}, {"contract": "recrod/1"}, {"afterSeq": 0, "after": "with a cursor"}],
)
def test_a_stream_from_what_will_never_be_or_cannot_be_is_refused_and_does_not_wait(
    world: GraphVillage, variables: dict[str, object]
) -> None:
    async def run() -> str:
        async with aclosing(follow(world, AUDITOR, UPDATES, variables)) as stream:
            return await code_of(stream)

    assert asyncio.run(run()) == "BAD_USER_INPUT"


def test_a_role_without_any_of_the_vault_does_not_follow_it(world: GraphVillage) -> None:
    async def run() -> str:
        stream = follow(world, Who("Mercy", Role.OPERATOR), UPDATES, {})
        async with aclosing(stream):
            return await code_of(stream)

    assert asyncio.run(run()) == "FORBIDDEN"


def test_a_cursor_of_another_stream_is_refused(world: GraphVillage) -> None:
    world.publish()

    async def cursor() -> object:
        async with aclosing(follow(world, DR_MORA, UPDATES, {"afterSeq": 0})) as stream:
            return at((await take(stream, 1, "vaultUpdates"))[0], "cursor")

    async def refused(variables: Mapping[str, object]) -> str:
        async with aclosing(follow(world, DR_MORA, UPDATES, variables)) as stream:
            return await code_of(stream)

    found = asyncio.run(cursor())
    assert asyncio.run(refused({"after": found, "contract": "record/1"})) == "BAD_USER_INPUT"


# -- flows ---------------------------------------------------------------------------------------------------


def test_a_flow_is_followed_from_its_first_step_to_its_end(world: GraphVillage) -> None:
    payload = world.try_to(ADA_HERSELF, "grantConsent", world.grant_fields())
    flow = at(payload, "flow", "id")

    async def run() -> list[object]:
        events = []
        async with aclosing(follow(world, ADA_HERSELF, PROGRESS, {"flow": flow})) as stream:
            soon(world.village.settle)
            async with asyncio.timeout(SOON_S):
                async for answer in stream:
                    events.append(at(answer.data, "flowProgress"))  # noqa: PERF401
        return events

    events = asyncio.run(run())
    assert at(events[0], "status") == "RUNNING"
    assert at(events[-1], "status") == "DONE"
    steps = [str(at(each, "step")) for each in events]
    assert steps == [
        "started",
        "writing the consent",
        "asking the notary",
        "recorded",
        "ended",
    ]

    async def rest(cursor: object) -> list[object]:
        asked = {"flow": flow, "after": cursor}
        async with aclosing(follow(world, ADA_HERSELF, PROGRESS, asked)) as stream:
            return [at(answer.data, "flowProgress", "step") async for answer in stream]

    assert asyncio.run(rest(at(events[2], "cursor"))) == steps[3:]


def test_anothers_flow_is_not_followed_but_by_an_operator(world: GraphVillage) -> None:
    flow = at(world.grant(), "flow", "id")

    async def last(who: Who) -> Answer:
        async with aclosing(follow(world, who, PROGRESS, {"flow": flow})) as stream:
            return [answer async for answer in stream][-1]

    refused = asyncio.run(last(EVE_HERSELF))
    assert at(refused.errors[0], "extensions", "code") == "NOT_FOUND"
    seen = asyncio.run(last(Who("Agent", Role.OPERATOR)))
    assert at(seen.data, "flowProgress", "status") == "DONE"


def test_a_cursor_older_than_what_is_kept_says_where_to_resume(world: GraphVillage) -> None:
    flow = at(world.grant(), "flow", "id")

    async def codes() -> tuple[str, object]:
        async with aclosing(follow(world, ADA_HERSELF, PROGRESS, {"flow": flow})) as stream:
            first = at((await take(stream, 1, "flowProgress"))[0], "cursor")
        store = world.village.nodes["Agent"].engine.store
        named = world.desks["Agent"].api.ids.open(str(flow))
        assert named is not None
        assert isinstance(named.keys[0], bytes)
        store.prune_progress(store.progress(0, named.keys[0], 100)[-1].number - 1)
        asked = {"flow": flow, "after": first}
        async with aclosing(follow(world, ADA_HERSELF, PROGRESS, asked)) as stream:
            answer = await next_of(stream)
        extensions = at(answer.errors[0], "extensions")
        asked = {"flow": flow, "after": at(extensions, "cursor")}
        async with aclosing(follow(world, ADA_HERSELF, PROGRESS, asked)) as stream:
            rest = [at(each.data, "flowProgress", "status") async for each in stream]
        return str(at(extensions, "code")), rest

    code, rest = asyncio.run(codes())
    assert code == "RESUME_REQUIRED"
    assert rest == ["DONE"]


def test_a_stream_looks_often_enough_to_end_within_a_second() -> None:
    assert streams.BEAT_S <= 0.5
