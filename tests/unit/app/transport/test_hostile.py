"""Claims about who does not keep the protocol: refused by its reason, and the node serves the others as before."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.network.entries import rotate_tls
from app.transport.errors import Reason
from app.transport.frames import (
    ANSWERED,
    Batch,
    Beat,
    Farewell,
    Greeting,
    Message,
    Opening,
    Question,
    Reply,
)
from app.transport.limits import FRAME_BYTES_MAX, LENGTH_SIZE, DoorLimits, LinkLimits
from flows.envelope import ENVELOPE_BYTES_MAX, Envelope, Hello
from states.encoding import encode
from states.errors import MalformedBytes
from tests.attack.bad_input import said
from tests.unit.app.network.towns import NETWORK, Organisation
from tests.unit.app.transport.houses import (
    BEAT,
    Hand,
    House,
    Street,
    message,
    run,
    street,
    until,
)

HELLO = Hello(bytes(16), b"", 0, ())


async def _serves_others(here: Street, victim: House) -> None:
    """A friend who was not there before is served."""
    friend = await here.house(77)
    victim.engine.post(friend.party, 3)
    friend.engine.post(victim.party, 3)
    await until(lambda: friend.engine.received(victim.party) == 3)
    await until(lambda: victim.engine.received(friend.party) == 3)


def _count(victim: House, reason: Reason) -> int:
    return victim.transport.refusals.counts[reason]


Act = Callable[[Hand, House, Organisation], Awaitable[None]]


def _against(folder: Path, act: Act, reason: Reason, limits: LinkLimits | None = None) -> None:
    """Let a member act by hand against a node; it is cut off for `reason`, and the node serves others."""

    async def test() -> None:
        async with street(folder) as here:
            victim = await here.house(1, limits=limits or LinkLimits(tick_seconds=0.02))
            member = here.member(2)
            hand = await Hand.to(victim, member)
            await act(hand, victim, member)
            assert await hand.is_cut_off()
            await until(lambda: _count(victim, reason) == 1)
            await hand.close()
            await _serves_others(here, victim)

    run(test())


# -- who it is -------------------------------------------------------------------------------------


def test_who_is_no_member_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            victim = await here.house(1)
            hand = await Hand.to(victim, Organisation(66))
            assert await hand.is_cut_off()
            (reason,) = victim.transport.refusals.counts
            said("wire", reason)
            await hand.close()
            await _serves_others(here, victim)

    run(test())


def test_another_member_at_a_members_address_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            victim, squatter = await here.house(1), await here.house(2)
            absent = here.member(3)
            here.move(absent, squatter.transport.port)
            victim.engine.post(absent.party, 1)
            await until(lambda: _count(victim, Reason.WRONG_CERTIFICATE) >= 2)  # it tries again
            assert not victim.transport.up()
            assert squatter.engine.happened == []
            await _serves_others(here, victim)

    run(test())


def test_a_member_with_another_certificate_than_its_pinned_one_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)
            b.organisation.signed(here.map, rotate_tls(b.organisation.entry, bytes(32)))
            a.engine.post(b.party, 1)
            await until(lambda: _count(a, Reason.WRONG_CERTIFICATE) >= 1)
            b.engine.post(a.party, 1)
            await until(lambda: _count(a, Reason.UNKNOWN_PARTY) >= 1)
            assert not a.engine.happened
            await _serves_others(here, a)

    run(test())


def test_who_greets_for_another_network_is_refused(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        hand.say(hand.channel(victim, member, network=bytes(32)).greeting())

    _against(tmp_path, act, Reason.WRONG_NETWORK)


def test_a_valid_certificate_of_one_member_does_not_greet_as_another(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        hand.say(hand.channel(victim, member, claims=Organisation(3).party).greeting())

    _against(tmp_path, act, Reason.LYING_IDENTITY)


def test_a_tls_key_without_the_box_key_greets_nobody(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        thief = Organisation(66)
        hand.say(hand.channel(victim, thief, claims=member.party).greeting())

    _against(tmp_path, act, Reason.NOT_SEALED)


def test_a_node_does_not_talk_to_itself(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            victim = await here.house(1)
            hand = await Hand.to(victim, victim.organisation)
            assert await hand.is_cut_off()
            assert _count(victim, Reason.OWN_IDENTITY) == 1
            await hand.close()
            await _serves_others(here, victim)

    run(test())


# -- how it connects -------------------------------------------------------------------------------


def test_who_shows_no_certificate_or_speaks_older_tls_does_not_get_in(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            victim = await here.house(1)
            bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            for context in (bare, old):
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                try:
                    hand = Hand(
                        *await asyncio.open_connection(
                            "127.0.0.1", victim.transport.port, ssl=context, server_hostname=""
                        )
                    )
                except (ssl.SSLError, ConnectionError):
                    continue
                assert await hand.is_cut_off()
                await hand.close()
            assert not victim.engine.happened
            await _serves_others(here, victim)

    run(test())


def test_who_speaks_no_tls_or_says_nothing_is_dropped_in_time(tmp_path: Path) -> None:
    async def test() -> None:
        brief = LinkLimits(tick_seconds=0.02, handshake_seconds=0.2)
        async with street(tmp_path) as here:
            victim = await here.house(1, limits=brief)
            for says in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1_000, b""):
                reader, writer = await asyncio.open_connection("127.0.0.1", victim.transport.port)
                writer.write(says)
                hand = Hand(reader, writer)
                assert await hand.is_cut_off()
                await hand.close()
            await _serves_others(here, victim)
            await until(lambda: len(victim.transport.connections()) == 1)

    run(test())


def test_one_address_holds_only_so_many_connections_that_have_not_shown_who_they_are(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        narrow = DoorLimits(
            back_off_seconds=0.01, back_off_seconds_max=0.05, strangers_an_address=4
        )
        async with street(tmp_path) as here:
            victim = await here.house(1, door=narrow)
            friend = await here.house(2)
            friend.engine.post(victim.party, 1)
            await until(lambda: victim.engine.received(friend.party) == 1)
            crowd = [
                socket.create_connection(("127.0.0.1", victim.transport.port)) for _ in range(9)
            ]
            await until(lambda: victim.transport.turned_away == 5)
            friend.engine.post(victim.party, 3)  # who is in stays in
            await until(lambda: victim.engine.received(friend.party) == 4)
            for each in crowd:
                each.close()
            await _serves_others(here, victim)

    run(test())


# -- what it says before it is up ------------------------------------------------------------------


GARBAGE: dict[str, tuple[bytes, Reason]] = {
    "a length of zero": (bytes(4), Reason.MALFORMED),
    "an endless length": (b"\xff" * 4, Reason.OVERSIZE),
    "a frame that only members may send": (FRAME_BYTES_MAX.to_bytes(4), Reason.OVERSIZE),
    "a box of nobody": ((100).to_bytes(LENGTH_SIZE) + bytes(100), Reason.NOT_SEALED),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_place_of_a_greeting_is_refused(tmp_path: Path, what: str) -> None:
    data, reason = GARBAGE[what]

    async def act(hand: Hand, _victim: House, _member: Organisation) -> None:
        hand.writer.write(data)

    _against(tmp_path, act, reason)


def test_who_does_not_greet_is_cut_off_in_time(tmp_path: Path) -> None:
    async def act(hand: Hand, _victim: House, _member: Organisation) -> None:
        hand.writer.write(b"\0")

    hasty = LinkLimits(tick_seconds=0.02, greeting_seconds=0.1)
    _against(tmp_path, act, Reason.SLOW_GREETING, hasty)


def test_a_sealed_frame_that_is_no_greeting_is_refused(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        box = member.keys.box_with(victim.organisation.keys.box_public())
        hand.say(box.seal(encode(Question(1, "echo/1", b"")), bytes(24)))

    _against(tmp_path, act, Reason.MALFORMED)


def test_a_recorded_greeting_makes_no_link_and_harms_the_one_that_stands_in_nothing(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            victim = await here.house(1)
            member = here.member(2)
            first = await Hand.to(victim, member)
            channel = first.channel(victim, member)
            await first.come_up(channel)
            await until(lambda: victim.transport.is_up(member.party))
            recorded = [channel.greeting(), channel.seal(BEAT), channel.seal(Opening(HELLO))]
            second = await Hand.to(victim, member)  # by who has the TLS key, and not the box key
            for frame in recorded:
                second.say(frame)
            assert await second.is_cut_off()
            assert _count(victim, Reason.NOT_SEALED) == 1
            assert victim.engine.happened == [("up", member.party)]
            assert victim.transport.is_up(member.party)
            await first.close()
            await second.close()
            await _serves_others(here, victim)

    run(test())


# -- what it says afterwards -----------------------------------------------------------------------

OVERSIZE = Envelope(1, 2, bytes(16), 0, bytes(ENVELOPE_BYTES_MAX), (b"x",))

FAULTS: dict[str, tuple[Message, Reason]] = {
    "a second greeting": (Greeting(1, NETWORK, Organisation(2).party, bytes(32)), Reason.MALFORMED),
    "a second opening": (Opening(HELLO), Reason.MALFORMED),
    "a reply to nothing": (Reply(1, ANSWERED, b""), Reason.MALFORMED),
    "an envelope over its limit": (Batch(0, (OVERSIZE,)), Reason.OVERSIZE),
    "a farewell": (Farewell("whatever it likes"), Reason.REFUSED_BY_PEER),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_message_out_of_place_ends_the_link(tmp_path: Path, what: str) -> None:
    said, reason = FAULTS[what]

    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        channel = hand.channel(victim, member)
        await hand.come_up(channel)
        hand.say(channel.seal(said))

    _against(tmp_path, act, reason)


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_on_a_link_that_is_up_ends_it(tmp_path: Path, what: str) -> None:
    data, reason = GARBAGE[what]
    if what == "a frame that only members may send":
        data = (FRAME_BYTES_MAX + 1).to_bytes(LENGTH_SIZE)

    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        await hand.come_up(hand.channel(victim, member))
        hand.writer.write(data)

    _against(tmp_path, act, reason)


def test_a_frame_played_twice_ends_the_link_and_is_taken_once(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        channel = hand.channel(victim, member)
        await hand.come_up(channel)
        frame = channel.seal(Batch(0, (message(1),)))
        hand.say(frame)
        hand.say(frame)
        assert await hand.is_cut_off()
        assert victim.engine.received(member.party) == 1
        assert victim.engine.duplicates == 0

    _against(tmp_path, act, Reason.NOT_SEALED)


def test_a_frame_that_trickles_ends_the_link(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        channel = hand.channel(victim, member)
        await hand.come_up(channel)
        hand.writer.write((200).to_bytes(LENGTH_SIZE))
        for _ in range(30):
            hand.writer.write(b"\0")
            await asyncio.sleep(0.02)

    hasty = LinkLimits(tick_seconds=0.02, frame_seconds=0.2)
    _against(tmp_path, act, Reason.SLOW_FRAME, hasty)


def test_a_half_open_link_is_noticed_by_its_silence(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        await hand.come_up(hand.channel(victim, member))
        await until(lambda: ("down", member.party) in victim.engine.happened)

    hasty = LinkLimits(tick_seconds=0.02, beat_seconds=0.05, silence_seconds=0.2)
    _against(tmp_path, act, Reason.SILENT, hasty)


def test_who_dials_again_replaces_its_own_half_open_link_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            victim = await here.house(1)
            member = here.member(2)
            first, second = [await Hand.to(victim, member) for _ in range(2)]
            await first.come_up(first.channel(victim, member))
            await until(lambda: victim.transport.is_up(member.party))
            await second.come_up(second.channel(victim, member))
            assert await first.is_cut_off()
            up, down = ("up", member.party), ("down", member.party)
            await until(lambda: victim.engine.happened == [up, down, up])
            await first.close()
            await second.close()

    run(test())


def test_who_asks_and_never_reads_the_answers_is_cut_off(tmp_path: Path) -> None:
    async def act(hand: Hand, victim: House, member: Organisation) -> None:
        channel = hand.channel(victim, member)
        await hand.come_up(channel)
        for number in range(1, 30_000):
            hand.say(channel.seal(Question(number, "unknown", bytes(100))))
            if number % 500 == 0:
                await asyncio.sleep(0)

    stingy = LinkLimits(tick_seconds=0.02, messages=50)
    _against(tmp_path, act, Reason.SLOW_READER, stingy)


def test_what_the_engine_refuses_ends_the_link_and_it_is_dialled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with street(tmp_path) as here:
            a, b = await here.house(1), await here.house(2)

            def refuse(*_: object) -> None:
                raise MalformedBytes("envelope", "not what this engine takes")

            monkeypatch.setattr(b.engine, "on_envelopes", refuse)
            a.engine.post(b.party, 1)
            await until(lambda: _count(b, Reason.MALFORMED) >= 3)
            monkeypatch.undo()
            await until(lambda: b.engine.received(a.party) == 1)
            await _serves_others(here, b)

    run(test())


def test_nothing_that_was_said_or_that_is_secret_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canary = b"diagnosis: canary 7391"

    async def test() -> None:
        async with street(tmp_path) as here:
            victim = await here.house(1)
            member = here.member(2)
            hand = await Hand.to(victim, member)
            channel = hand.channel(victim, member)
            await hand.come_up(channel)
            hand.say(channel.seal(Batch(0, (Envelope(1, 2, bytes(16), 0, canary, ()),))))
            hand.say(channel.seal(Reply(5, ANSWERED, canary)))
            assert await hand.is_cut_off()
            await hand.close()

    with caplog.at_level("DEBUG"):
        run(test())
    assert Reason.MALFORMED.value in caplog.text
    assert "canary" not in caplog.text
    assert Beat.__name__ not in caplog.text
