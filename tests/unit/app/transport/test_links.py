"""Claims about links between nodes that keep the protocol: real sockets, real TLS, one process."""

import asyncio
import gc
from pathlib import Path

import pytest
import uvloop

from app.network.entries import rotate_box
from app.network.exchange import known, map_handler, refresh
from app.network.folder import MapFolder
from app.network.network_map import NetworkMap
from app.network.removal import remove
from app.transport.errors import Reason, RequestDenied, RequestRefused, RequestTimedOut, Unreachable
from app.transport.kinds import MAP
from app.transport.limits import BODY_BYTES_MAX, LinkLimits
from states.errors import MalformedBytes, OverLimit
from states.identity import Party
from states.parameters import UnknownParty
from tests.unit.app.network.towns import NETWORK, NOW, OPERATOR, Clock, Organisation
from tests.unit.app.transport.houses import House, run, street, until


def _all_taken(to: House, of: House) -> bool:
    sent = of.engine.outbox.get(to.party, [])
    return to.engine.taken.get(of.party, []) == sent and (
        of.engine.acked.get(to.party, 0) == len(sent)
    )


async def _exchange(folder: Path) -> None:
    async with street(folder) as here:
        a, b, c = [await here.house(seed) for seed in (1, 2, 3)]
        for one in (a, b, c):
            for other in (a, b, c):
                if one is not other:
                    one.engine.post(other.party, 40)
        await until(
            lambda: all(_all_taken(x, y) for x in here.houses for y in here.houses if x is not y)
        )
        for house in here.houses:
            assert sorted(house.transport.up()) == sorted(
                other.party for other in here.houses if other is not house
            )


def test_three_nodes_exchange_envelopes_in_order_each_once(tmp_path: Path) -> None:
    run(_exchange(tmp_path))


def test_links_are_the_same_on_uvloop(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_exchange(tmp_path))


def test_two_that_dial_each_other_at_once_end_with_one_link(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            a.transport.want(b.party)
            b.transport.want(a.party)
            await until(lambda: a.transport.is_up(b.party) and b.transport.is_up(a.party))
            a.engine.post(b.party, 5)
            b.engine.post(a.party, 5)
            await until(lambda: _all_taken(a, b) and _all_taken(b, a))
            await until(
                lambda: len(a.transport.connections()) == len(b.transport.connections()) == 1
            )

    run(test())


def test_ten_thousand_envelopes_arrive_in_order_in_few_boxes(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            b.engine.acks = False  # so that the engine of A sends none again
            a.engine.post(b.party, 1)
            await until(lambda: b.engine.received(a.party) == 1)
            for _ in range(20):
                a.engine.post(b.party, 500, size=200)
            await until(lambda: b.engine.received(a.party) == 10_001)
            assert b.engine.taken[a.party] == a.engine.outbox[b.party]
            assert b.engine.duplicates == 0

    run(test())


def test_no_acknowledgement_leaves_before_the_engine_says_durable(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            b.engine.acks = False
            a.engine.post(b.party, 3)
            await until(lambda: b.engine.received(a.party) == 3)
            b.engine.post(a.party, 1)  # what would carry it
            await until(lambda: a.engine.received(b.party) == 1)
            assert a.engine.acked[b.party] == 0
            b.transport.ack(a.party, 2)
            await until(lambda: a.engine.acked[b.party] == 2)

    run(test())


def test_after_a_restart_what_was_not_acknowledged_comes_again_and_is_taken_once(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            b.engine.acks = False
            a.engine.post(b.party, 10)
            await until(lambda: b.engine.received(a.party) == 10)
            b.engine.taken[a.party] = b.engine.taken[a.party][
                :4
            ]  # killed before the rest was durable
            await b.transport.stop()
            await until(lambda: not a.transport.is_up(b.party))
            a.engine.post(b.party, 10)
            b.engine.acks = True
            await b.restart()
            await until(lambda: _all_taken(b, a))
            assert a.engine.happened == [("up", b.party), ("down", b.party), ("up", b.party)]

    run(test())


def test_envelopes_sent_twice_are_dropped_by_number(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            a.engine.post(b.party, 10)
            await until(lambda: _all_taken(b, a))
            assert a.transport.send(b.party, a.engine.outbox[b.party]) == 10
            await until(lambda: b.engine.duplicates == 10)
            assert b.engine.received(a.party) == 10

    run(test())


def test_a_peer_that_is_down_is_dialled_until_it_is_there(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            await b.transport.stop()
            assert a.transport.send(b.party, []) == 0
            a.engine.post(b.party, 3)
            await asyncio.sleep(0.1)
            assert not a.transport.is_up(b.party)
            await b.restart()
            await until(lambda: _all_taken(b, a))

    run(test())


def test_a_node_without_an_address_dials_and_is_answered_on_its_link(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1, reachable=False), await here.house(2)
            b.engine.post(a.party, 2)
            a.engine.post(b.party, 2)
            await until(lambda: _all_taken(a, b) and _all_taken(b, a))

    run(test())


def test_stopping_writes_what_waits_and_says_why(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            a.transport.want(b.party)
            await until(lambda: a.transport.is_up(b.party) and b.transport.is_up(a.party))
            a.engine.post(b.party, 400, size=10_000)
            await a.transport.stop()
            await until(lambda: b.engine.received(a.party) == 400)
            await until(lambda: not b.transport.is_up(a.party))
            assert b.transport.refusals.counts[Reason.STOPPING] == 1

    run(test())


def test_two_that_stop_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async def test() -> None:
        patient = LinkLimits(tick_seconds=0.02, close_seconds=30)  # longer than the test may take
        async with street(tmp_path) as here:
            a, b = [await here.house(seed, limits=patient) for seed in (1, 2)]
            a.transport.want(b.party)
            await until(lambda: a.transport.is_up(b.party) and b.transport.is_up(a.party))
            await asyncio.gather(a.transport.stop(), b.transport.stop())

    run(test())


def test_a_node_that_stops_while_it_is_dialled_leaves_no_socket_open(tmp_path: Path) -> None:
    async def test(at: int) -> None:
        async with street(tmp_path / str(at)) as here:
            a, b = await here.house(1), await here.house(2)
            a.transport.want(b.party)
            b.transport.want(a.party)
            await asyncio.sleep(at * 0.001)  # anywhere in the handshake

    for at in range(30):
        run(test(at))
        gc.collect()  # a socket that nobody closed warns here, and a warning is an error


# -- back-pressure ---------------------------------------------------------------------------------


def test_a_peer_that_is_not_read_stops_sending_and_goes_on_when_it_is(tmp_path: Path) -> None:
    async def test() -> None:
        narrow = LinkLimits(tick_seconds=0.02, queue_bytes=1 << 20)
        async with street(tmp_path) as here:
            a, b = await here.house(1, limits=narrow), await here.house(2)
            a.transport.want(b.party)
            await until(lambda: a.transport.is_up(b.party) and b.transport.is_up(a.party))
            b.transport.hold(a.party)
            a.engine.post(b.party, 200, size=100_000)  # 20 MB: more than the buffers of two systems
            await asyncio.sleep(0.3)
            stuck = b.engine.received(a.party)
            assert stuck < 200
            assert a.transport.send(b.party, a.engine.outbox[b.party][:1]) == 0
            b.transport.release(a.party)
            await until(lambda: _all_taken(b, a))
            assert a.engine.rooms > 0

    run(test())


def test_a_peer_that_never_reads_is_cut_off(tmp_path: Path) -> None:
    async def test() -> None:
        impatient = LinkLimits(tick_seconds=0.02, stall_seconds=0.2, close_seconds=0.2)
        async with street(tmp_path) as here:
            a, b = await here.house(1, limits=impatient), await here.house(2)
            a.transport.want(b.party)
            await until(lambda: a.transport.is_up(b.party) and b.transport.is_up(a.party))
            b.transport.hold(a.party)
            a.engine.post(b.party, 200, size=100_000)
            await until(lambda: a.transport.refusals.counts[Reason.SLOW_READER] == 1)

    run(test())


# -- beats and idleness ----------------------------------------------------------------------------


def test_a_link_with_nothing_to_say_stays_by_its_beats(tmp_path: Path) -> None:
    async def test() -> None:
        beating = LinkLimits(tick_seconds=0.02, beat_seconds=0.05, silence_seconds=0.5)
        async with street(tmp_path) as here:
            a, b = [await here.house(seed, limits=beating) for seed in (1, 2)]
            a.transport.want(b.party)
            await until(lambda: a.transport.is_up(b.party) and b.transport.is_up(a.party))
            await asyncio.sleep(1.0)
            assert a.engine.happened == [("up", b.party)]

    run(test())


def test_a_link_on_which_nothing_is_said_for_long_is_closed_and_opens_again_when_needed(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        idle = LinkLimits(tick_seconds=0.02, idle_seconds=0.1)
        async with street(tmp_path) as here:
            a, b = await here.house(1, limits=idle), await here.house(2)
            a.engine.post(b.party, 1)
            await until(lambda: ("down", b.party) in a.engine.happened)
            await until(lambda: ("down", a.party) in b.engine.happened)
            assert a.transport.refusals.counts[Reason.IDLE] == 1
            await asyncio.sleep(0.1)
            assert not a.transport.connections()
            b.engine.post(a.party, 1)
            await until(lambda: _all_taken(a, b))

    run(test())


# -- requests --------------------------------------------------------------------------------------


async def _echo(peer: Party, body: bytes) -> bytes:
    return peer.encode() + body


def test_a_request_dials_asks_and_returns_the_answer(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2, {"echo/1": _echo})
            bodies = [b"", b"question", bytes(BODY_BYTES_MAX - 200)]
            for body in bodies:
                answer = await a.transport.request(b.party, "echo/1", body, 10)
                assert answer == a.party.encode() + body
            many = [a.transport.request(b.party, "echo/1", bytes([n]), 10) for n in range(60)]
            assert [answer[-1] for answer in await asyncio.gather(*many)] == list(range(60))

    run(test())


def test_a_request_is_refused_with_one_word_and_nothing_of_the_handlers_trouble(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def deny(_peer: Party, _body: bytes) -> bytes:
        raise RequestDenied("not-yours")

    async def refuse(_peer: Party, _body: bytes) -> bytes:
        raise MalformedBytes("patient", "Ada Lovelace")

    async def fail(_peer: Party, _body: bytes) -> bytes:
        raise KeyError("Ada Lovelace")

    async def overdo(_peer: Party, _body: bytes) -> bytes:
        return bytes(BODY_BYTES_MAX + 1)

    async def dawdle(_peer: Party, _body: bytes) -> bytes:
        await asyncio.sleep(30)
        return b""

    async def test() -> None:
        brisk = LinkLimits(tick_seconds=0.02, answer_seconds=0.1)
        serve = {
            "deny/1": deny,
            "refuse/1": refuse,
            "fail/1": fail,
            "overdo/1": overdo,
            "dawdle/1": dawdle,
        }
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2, serve, brisk)
            for kind, code in (
                ("deny/1", "not-yours"),
                ("refuse/1", "refused"),
                ("fail/1", "failed"),
                ("overdo/1", "too-large"),
                ("dawdle/1", "too-slow"),
                ("other/1", "unknown-kind"),
            ):
                with pytest.raises(RequestRefused) as refused:
                    await a.transport.request(b.party, kind, b"", 10)
                assert refused.value.code == code
            assert a.transport.is_up(b.party)

    run(test())
    assert "failed" in caplog.text
    assert "Lovelace" not in caplog.text


def test_a_request_that_is_not_answered_ends_in_time_and_the_link_stays(tmp_path: Path) -> None:
    async def test() -> None:
        answered = asyncio.Event()

        async def later(_peer: Party, _body: bytes) -> bytes:
            await answered.wait()
            return b"late"

        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2, {"later/1": later, "echo/1": _echo})
            with pytest.raises(RequestTimedOut):
                await a.transport.request(b.party, "later/1", b"", 0.3)
            answered.set()  # the late answer finds nobody, and does no harm
            assert await a.transport.request(b.party, "echo/1", b"x", 10)

    run(test())


def test_a_request_to_who_is_not_there_ends_as_unreachable(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a = await here.house(1)
            absent = here.member(9)
            with pytest.raises(Unreachable):
                await a.transport.request(absent.party, "echo/1", b"", 0.1)
            with pytest.raises(UnknownParty):
                await a.transport.request(Organisation(8).party, "echo/1", b"", 0.1)
            with pytest.raises(OverLimit):
                await a.transport.request(absent.party, "echo/1", bytes(BODY_BYTES_MAX + 1), 0.1)

    run(test())


def test_who_waits_for_an_answer_hears_when_the_link_breaks(tmp_path: Path) -> None:
    async def never(_peer: Party, _body: bytes) -> bytes:
        await asyncio.sleep(30)
        return b""

    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2, {"never/1": never})
            asking = asyncio.create_task(a.transport.request(b.party, "never/1", b"", 30))
            await until(lambda: b.transport.is_up(a.party))
            await asyncio.sleep(0.05)
            await b.transport.stop()
            with pytest.raises(Unreachable):
                await asking

    run(test())


def test_a_peer_asks_only_so_many_questions_at_a_time(tmp_path: Path) -> None:
    async def test() -> None:
        going_on = asyncio.Event()

        async def wait(_peer: Party, _body: bytes) -> bytes:
            await going_on.wait()
            return b"done"

        narrow = LinkLimits(tick_seconds=0.02, questions_served=3)
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2, {"wait/1": wait}, narrow)
            asking = [
                asyncio.create_task(a.transport.request(b.party, "wait/1", b"", 20))
                for _ in range(5)
            ]
            await until(lambda: sum(task.done() for task in asking) == 2)
            going_on.set()
            answers = await asyncio.gather(*asking, return_exceptions=True)
            refused = [each for each in answers if isinstance(each, RequestRefused)]
            assert answers.count(b"done") == 3
            assert [each.code for each in refused] == ["busy", "busy"]

    run(test())


# -- the map ---------------------------------------------------------------------------------------


def test_a_member_fetches_the_map_over_a_link(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path / "street") as here:
            a, b = await here.house(1), await here.house(2, {MAP: map_handler(here.map)})
            fresh = NetworkMap(NETWORK, MapFolder(tmp_path / "fresh"), Clock())
            await refresh(fresh, lambda body: a.transport.request(b.party, MAP, body, 10))
            assert known(fresh) == known(here.map)
            assert len(fresh.members()) == 2

    run(test())


def test_a_removed_member_loses_its_link_and_gets_no_other(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b, c = [await here.house(seed) for seed in (1, 2, 3)]
            for peer in (b, c):
                a.transport.want(peer.party)
            await until(lambda: len(a.transport.up()) == 2)
            here.map.take_removal(remove(b.organisation.entry, NOW, "", OPERATOR))
            a.transport.map_changed()
            assert a.transport.up() == (c.party,)
            assert a.transport.refusals.counts[Reason.MAP_CHANGED] == 1
            a.transport.want(b.party)
            await asyncio.sleep(0.2)
            assert a.transport.up() == (c.party,)

    run(test())


def test_a_membership_that_ends_at_a_moment_ends_its_link_without_anybody_asking(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            a.transport.want(b.party)
            await until(lambda: a.transport.is_up(b.party))
            here.map.take_removal(remove(b.organisation.entry, NOW + 1, "", OPERATOR))
            await asyncio.sleep(0.1)
            assert a.transport.is_up(b.party)
            here.clock.now = NOW + 1
            await until(lambda: not a.transport.is_up(b.party))

    run(test())


def test_a_node_dials_everybody_but_itself(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a = await here.house(1)
            with pytest.raises(Unreachable):
                await a.transport.request(a.party, "echo/1", b"", 0.1)
            assert a.transport.refusals.counts[Reason.OWN_IDENTITY] == 0

    run(test())


def test_a_link_with_a_former_box_key_ends_when_the_map_changes(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            a.transport.want(b.party)
            await until(lambda: a.transport.is_up(b.party))
            a.transport.map_changed()
            assert a.transport.is_up(b.party)
            changed = rotate_box(b.organisation.entry, Organisation(7).keys.box_public())
            b.organisation.signed(here.map, changed)
            a.transport.map_changed()
            assert not a.transport.is_up(b.party)

    run(test())
