"""Claims about the small parts of a link: ties, queues, questions, deadlines, endpoints, back-off, certificates."""

import asyncio
import ssl
from itertools import product

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from app.keystore.memory import SeededEntropy, memory_key_store
from app.transport.certificate import (
    certificate,
    contexts,
    new_tls_key,
    open_tls_key,
    pin_of,
    pin_of_certificate,
)
from app.transport.deadlines import Deadlines
from app.transport.dialling import Endpoint, back_off, parse_endpoint
from app.transport.errors import LinkRefused, Reason, RequestRefused, Unreachable
from app.transport.frames import ANSWERED, REFUSED, Batch, Beat, Question, Reply, open_message
from app.transport.limits import ENVELOPES_MAX, PLAIN_BYTES_MAX, DoorLimits, LinkLimits
from app.transport.outgoing import Outgoing
from app.transport.questions import Questions
from app.transport.ties import replaces
from flows.envelope import ENVELOPE_BYTES_MAX, PARTS_MAX, Envelope
from states.encoding import encode
from states.errors import MalformedBytes, OverLimit
from states.identity import Party

A, B = Party("did:key:zA"), Party("did:key:zB")
BEAT = Beat(asks=False)


def envelope(number: int, size: int = 0, parts: int = 0) -> Envelope:
    return Envelope(number, 2, bytes(16), 0, bytes(size), (b"p",) * parts)


# -- ties ------------------------------------------------------------------------------------------


def test_both_sides_keep_the_same_one_of_two_connections_dialled_at_once() -> None:
    # Each side sees the two come up in either order; by_a says that A dialled the connection.
    for a_sees, b_sees in product([(True, False), (False, True)], repeat=2):
        kept = []
        for me, peer, order in ((A, B, a_sees), (B, A, b_sees)):
            first, second = order
            mine = {by_a: by_a == (me == A) for by_a in order}
            taken = replaces(me, peer, kept_dialled=mine[first], newcomer_dialled=mine[second])
            kept.append(second if taken else first)
        assert kept == [True, True]  # the one that the smaller DID dialled


@pytest.mark.parametrize("dialled", [True, False])
def test_of_two_dialled_by_the_same_side_the_newer_is_kept(dialled: bool) -> None:  # noqa: FBT001
    for me, peer in ((A, B), (B, A)):
        assert replaces(me, peer, kept_dialled=dialled, newcomer_dialled=dialled)


# -- what waits to be written ----------------------------------------------------------------------


def _drained(out: Outgoing) -> list[Batch]:
    batches = list[Batch]()
    while (message := out.next()) is not None:
        assert isinstance(message, Batch)
        batches.append(message)
    return batches


@given(st.lists(st.sampled_from([0, 1, 1_000, 300_000, ENVELOPE_BYTES_MAX]), max_size=40))
def test_batches_hold_all_envelopes_in_order_and_fit_a_frame(sizes: list[int]) -> None:
    out = Outgoing(1 << 30)
    sent = [envelope(number, size) for number, size in enumerate(sizes, 1)]
    assert out.post(sent) == len(sent)
    batches = _drained(out)
    assert [each for batch in batches for each in batch.envelopes] == sent
    assert all(len(encode(batch)) <= PLAIN_BYTES_MAX for batch in batches)


def test_the_largest_envelope_that_the_engine_makes_fits_a_frame() -> None:
    out = Outgoing(1 << 30)
    largest = envelope((1 << 63) - 1, ENVELOPE_BYTES_MAX - PARTS_MAX, PARTS_MAX)
    out.post([largest])
    out.ack((1 << 63) - 1)
    (batch,) = _drained(out)
    assert open_message(encode(batch)) == batch


def test_many_small_envelopes_are_spread_over_batches_that_a_peer_takes() -> None:
    out = Outgoing(1 << 30)
    out.post([envelope(number) for number in range(1, 2 * ENVELOPES_MAX + 2)])
    assert [len(batch.envelopes) for batch in _drained(out)] == [ENVELOPES_MAX, ENVELOPES_MAX, 1]


def test_an_acknowledgement_rides_on_envelopes_and_leaves_alone_where_there_are_none() -> None:
    out = Outgoing(1 << 20)
    assert out.next() is None
    out.ack(7)
    out.ack(5)
    assert _drained(out) == [Batch(7, ())]
    out.ack(9)
    out.post([envelope(1)])
    assert _drained(out) == [Batch(9, (envelope(1),))]
    out.ack(9)
    assert out.next() is None


def test_a_full_queue_takes_no_more_until_it_was_written() -> None:
    out = Outgoing(10_000)
    many = [envelope(number, 3_000) for number in range(1, 6)]
    taken = out.post(many)
    assert 0 < taken < 5
    assert (out.post(many[taken:]), out.has_room) == (0, False)
    assert [each.number for each in _drained(out)[0].envelopes] == list(range(1, taken + 1))
    assert (out.has_room, out.post(many[taken:]) > 0) == (True, True)


def test_an_empty_queue_takes_even_an_envelope_larger_than_itself() -> None:
    assert Outgoing(10).post([envelope(1, 500), envelope(2)]) == 1


def test_messages_and_batches_take_turns() -> None:
    out = Outgoing(1 << 30)
    out.post([envelope(number, ENVELOPE_BYTES_MAX) for number in range(1, 4)])
    for _ in range(3):
        out.say(BEAT)
    kinds = []
    while (message := out.next()) is not None:
        kinds.append(type(message))
    assert kinds == [Beat, Batch] * 3


# -- questions -------------------------------------------------------------------------------------


def _asking(asked_max: int = 2) -> tuple[Questions, asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    return Questions(A, asked_max, loop), loop


def test_replies_find_their_questions_in_any_order() -> None:
    questions, loop = _asking()
    (first, one), (second, two) = questions.ask("x/1", b"1"), questions.ask("x/1", b"2")
    questions.settle(Reply(second.id, ANSWERED, b"two"))
    questions.settle(Reply(first.id, REFUSED, b"busy"))
    assert two.result() == b"two"
    refused = one.exception()
    assert isinstance(refused, RequestRefused)
    assert (refused.code, refused.kind, refused.peer) == ("busy", "x/1", A)
    loop.close()


def test_only_so_many_questions_are_open() -> None:
    questions, loop = _asking(asked_max=1)
    first, _ = questions.ask("x/1", b"")
    with pytest.raises(OverLimit):
        questions.ask("x/1", b"")
    questions.forget(first)
    questions.ask("x/1", b"")
    loop.close()


def test_a_late_reply_is_dropped_and_one_to_nothing_asked_is_a_fault() -> None:
    questions, loop = _asking()
    question, _ = questions.ask("x/1", b"")
    questions.forget(question)
    questions.settle(Reply(question.id, ANSWERED, b"late"))
    for wrong in (Reply(2, ANSWERED, b""), Reply(0, ANSWERED, b"")):
        with pytest.raises(LinkRefused):
            questions.settle(wrong)
    asked, _ = questions.ask("x/1", b"")
    with pytest.raises(LinkRefused):
        questions.settle(Reply(asked.id, 9, b""))
    loop.close()


def test_a_question_heard_twice_is_a_fault() -> None:
    questions, loop = _asking()
    questions.heard(Question(3, "x/1", b""))
    for id_ in (3, 2, 0):
        with pytest.raises(LinkRefused):
            questions.heard(Question(id_, "x/1", b""))
    loop.close()


def test_whoever_waits_hears_that_the_link_is_gone() -> None:
    questions, loop = _asking()
    _, answer = questions.ask("x/1", b"")
    questions.fail()
    assert isinstance(answer.exception(), Unreachable)
    assert questions.awaited == 0
    loop.close()


def test_a_refusals_word_is_shown_only_where_it_can_be() -> None:
    questions, loop = _asking()
    question, answer = questions.ask("x/1", b"")
    questions.settle(Reply(question.id, REFUSED, b"\x1b[2Jcleared"))
    refused = answer.exception()
    assert isinstance(refused, RequestRefused)
    assert refused.code == "unreadable"
    loop.close()


# -- deadlines -------------------------------------------------------------------------------------

LIMITS = LinkLimits(
    greeting_seconds=10,
    frame_seconds=30,
    beat_seconds=15,
    silence_seconds=45,
    probe_seconds=3,
    stall_seconds=60,
)


def test_a_link_must_greet_in_time() -> None:
    deadlines = Deadlines(LIMITS, 100)
    assert deadlines.overdue(110, up=False) is None
    assert deadlines.overdue(110.1, up=False) is Reason.SLOW_GREETING
    assert deadlines.overdue(110.1, up=True) is None


def test_a_frame_must_become_complete_though_its_bytes_keep_trickling() -> None:
    deadlines = Deadlines(LIMITS, 0)
    for now in range(31):
        deadlines.heard(now)
        deadlines.read(now, partial=True, completed=False)
        assert deadlines.overdue(now, up=True) is None
    deadlines.heard(31)
    assert deadlines.overdue(31, up=True) is Reason.SLOW_FRAME
    deadlines.read(31, partial=True, completed=True)  # that one came; another has begun
    assert deadlines.overdue(31, up=True) is None


def test_a_silent_peer_is_cut_off_unless_this_node_does_not_read() -> None:
    deadlines = Deadlines(LIMITS, 0)
    assert deadlines.overdue(45, up=True) is None
    assert deadlines.overdue(46, up=True) is Reason.SILENT
    deadlines.held()
    assert deadlines.overdue(1_000, up=True) is None
    deadlines.released(1_000)
    assert deadlines.overdue(1_045, up=True) is None
    assert deadlines.overdue(1_046, up=True) is Reason.SILENT


def test_a_probed_peer_answers_soon_or_is_gone() -> None:
    deadlines = Deadlines(LIMITS, 0)
    assert deadlines.probe(10)
    assert not deadlines.probe(12)
    assert deadlines.overdue(13, up=True) is None
    assert deadlines.overdue(13.1, up=True) is Reason.SILENT
    deadlines.heard(13)
    assert deadlines.overdue(14, up=True) is None


def test_a_peer_that_does_not_read_is_cut_off() -> None:
    deadlines = Deadlines(LIMITS, 0)
    deadlines.paused(0)
    deadlines.heard(61)
    assert deadlines.overdue(60, up=True) is None
    assert deadlines.overdue(61, up=True) is Reason.SLOW_READER
    deadlines.resumed()
    assert deadlines.overdue(61, up=True) is None


def test_a_link_beats_when_it_said_nothing() -> None:
    deadlines = Deadlines(LIMITS, 0)
    assert not deadlines.must_beat(14)
    assert deadlines.must_beat(15)
    deadlines.said(15)
    assert not deadlines.must_beat(29)


def test_a_beat_is_shorter_than_the_silence_that_ends_a_link() -> None:
    with pytest.raises(ValueError, match="beat"):
        LinkLimits(beat_seconds=45, silence_seconds=45)


# -- dialling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("127.0.0.1:7100", Endpoint("127.0.0.1", 7100)),
        ("mercy.example:1", Endpoint("mercy.example", 1)),
        ("[::1]:65535", Endpoint("::1", 65_535)),
    ],
)
def test_endpoints_are_read(text: str, read: Endpoint) -> None:
    assert parse_endpoint(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "host",
        "host:",
        ":80",
        "host:0",
        "host:65536",
        "host:-1",
        "host:8x",
        "::1:80",
        "h h:1",
        "host:٣",
        "höst:1",
    ],
)
def test_other_endpoints_are_refused(text: str) -> None:
    with pytest.raises(MalformedBytes):
        parse_endpoint(text)


def test_back_off_doubles_up_to_a_limit_and_jitters_over_all_of_it() -> None:
    limits = DoorLimits(back_off_seconds=1, back_off_seconds_max=20)
    bounds = [back_off(attempt, limits, lambda size: b"\xff" * size) for attempt in range(9)]
    assert [round(bound) for bound in bounds] == [1, 2, 4, 8, 16, 20, 20, 20, 20]
    assert back_off(5, limits, bytes) == 0
    assert back_off(10_000, limits, lambda size: b"\xff" * size) <= 20
    entropy = SeededEntropy(b"jitter" * 6)
    waits = [back_off(9, limits, entropy) for _ in range(400)]
    assert max(waits) > 18
    assert min(waits) < 2
    assert 8 < sum(waits) / len(waits) < 12


# -- certificates ----------------------------------------------------------------------------------


def test_a_certificate_shows_the_pinned_key_and_is_the_same_each_time() -> None:
    keys = memory_key_store(b"k" * 32)
    made = new_tls_key(keys, SeededEntropy(b"tls" * 11))
    private = open_tls_key(keys, made.sealed)
    der = certificate(private.public_key()).public_bytes(Encoding.DER)
    assert pin_of_certificate(der) == pin_of(private.public_key()) == made.pin
    assert certificate(private.public_key()).public_bytes(Encoding.DER) == der


def test_contexts_speak_tls_1_3_only_and_want_a_certificate_of_both_sides() -> None:
    keys, entropy = memory_key_store(b"k" * 32), SeededEntropy(b"tls" * 11)
    private = open_tls_key(keys, new_tls_key(keys, entropy).sealed)
    for context in contexts(private, entropy):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED
