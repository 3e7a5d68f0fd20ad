"""Claims about the sealed messages of one connection: only the one frame that belongs at a place opens there."""

import msgspec
import pytest

from app.keystore.memory import SeededEntropy, memory_key_store
from app.transport.channel import Channel, judge_greeting
from app.transport.errors import LinkRefused, Reason
from app.transport.frames import VERSION, Batch, Beat, Greeting, Message
from app.transport.limits import NONCE_SIZE
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.encoding import encode
from states.identity import Party

NETWORK = b"\x4e" * 32
A, B, C = (Party(did_of(Ed25519Signer(bytes([seed]) * 32).key)) for seed in (1, 2, 3))
KEYS = {party: memory_key_store(party.encode()[-32:]) for party in (A, B, C)}
ENTROPY = SeededEntropy(b"channel" * 4)
BEAT = Beat(asks=False)


def _channel(me: Party, peer: Party, *, dialled: bool, network: bytes = NETWORK) -> Channel:
    box = KEYS[me].box_with(KEYS[peer].box_public())
    return Channel(box, network, (me, peer), ENTROPY, dialled=dialled)


def _pair() -> tuple[Channel, Channel]:
    """Return two channels that have greeted each other."""
    dialler, answerer = _channel(A, B, dialled=True), _channel(B, A, dialled=False)
    answerer.take_greeting(dialler.greeting())
    dialler.take_greeting(answerer.greeting())
    return dialler, answerer


def _refused(channel: Channel, frame: bytes) -> Reason:
    with pytest.raises(LinkRefused) as refused:
        channel.open(frame)
    return refused.value.reason


def test_both_directions_carry_messages_in_order() -> None:
    dialler, answerer = _pair()
    messages: list[Message] = [Batch(number, ()) for number in range(5)]
    for message in messages:
        assert answerer.open(dialler.seal(message)) == message
        assert dialler.open(answerer.seal(message)) == message


def test_a_frame_opens_once() -> None:
    dialler, answerer = _pair()
    frame = dialler.seal(BEAT)
    answerer.open(frame)
    assert _refused(answerer, frame) is Reason.NOT_SEALED


def test_a_frame_left_out_is_noticed() -> None:
    dialler, answerer = _pair()
    dialler.seal(BEAT)
    assert _refused(answerer, dialler.seal(BEAT)) is Reason.NOT_SEALED


def test_ones_own_frame_thrown_back_does_not_open() -> None:
    dialler, _ = _pair()
    assert _refused(dialler, dialler.seal(BEAT)) is Reason.NOT_SEALED


def test_a_recorded_connection_opens_nothing_on_another() -> None:
    recorded, _ = _pair()
    greeting, frames = recorded.greeting(), [recorded.seal(BEAT) for _ in range(3)]
    victim = _channel(B, A, dialled=False)
    victim.take_greeting(greeting)  # it was A's indeed, and nothing follows from it
    for frame in frames:
        assert _refused(victim, frame) is Reason.NOT_SEALED


def test_a_frame_altered_anywhere_does_not_open() -> None:
    dialler, answerer = _pair()
    frame = dialler.seal(Batch(1, ()))
    for at in range(len(frame)):
        altered = frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]
        assert _refused(answerer, altered) is Reason.NOT_SEALED
    assert answerer.open(frame) == Batch(1, ())


def test_who_lacks_the_box_key_cannot_greet() -> None:
    stranger = _channel(C, B, dialled=True)
    answerer = _channel(B, A, dialled=False)
    with pytest.raises(LinkRefused) as refused:
        answerer.take_greeting(stranger.greeting())
    assert refused.value.reason is Reason.NOT_SEALED


def test_nonces_never_meet_across_directions_and_connections() -> None:
    seen = set[bytes]()
    for _ in range(50):
        dialler, answerer = _pair()
        frames = [channel.seal(BEAT) for channel in (dialler, answerer) for _ in range(4)]
        frames += [dialler.greeting(), answerer.greeting()]
        seen.update(frame[:NONCE_SIZE] for frame in frames)
    assert len(seen) == 50 * 10


GREETING = Greeting(VERSION, NETWORK, A, bytes(32))
JUDGED: dict[str, tuple[Message, Reason]] = {
    "another message": (BEAT, Reason.MALFORMED),
    "another version": (
        msgspec.structs.replace(GREETING, version=VERSION + 1),
        Reason.WRONG_VERSION,
    ),
    "another network": (msgspec.structs.replace(GREETING, network=bytes(32)), Reason.WRONG_NETWORK),
    "another member": (msgspec.structs.replace(GREETING, party=B), Reason.LYING_IDENTITY),
}


@pytest.mark.parametrize("why", JUDGED)
def test_a_greeting_is_refused_by_its_reason(why: str) -> None:
    message, reason = JUDGED[why]
    with pytest.raises(LinkRefused) as refused:
        judge_greeting(message, NETWORK, A)
    assert refused.value.reason is reason


def test_a_greeting_of_the_certificates_holder_in_this_network_is_taken() -> None:
    assert judge_greeting(GREETING, NETWORK, A) is GREETING
    assert len(encode(GREETING)) < 200
