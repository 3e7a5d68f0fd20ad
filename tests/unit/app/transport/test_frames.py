"""Claims about frames as bytes: how a stream is cut, and what an opened box may hold."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transport.errors import LinkRefused, Reason
from app.transport.frames import (
    Batch,
    Beat,
    Farewell,
    FrameReader,
    Greeting,
    Message,
    Opening,
    Question,
    Reply,
    framed,
    open_message,
    payload_size,
)
from app.transport.limits import (
    ENVELOPES_MAX,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    GREETING_BYTES_MAX,
    LENGTH_SIZE,
)
from flows.envelope import ENVELOPE_BYTES_MAX, PARTS_MAX, Envelope, Hello
from states.encoding import encode
from states.identity import Party

PARTY = Party("did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH")
SESSION = bytes(range(16))


def envelope(number: int, body: bytes = b"", parts: tuple[bytes, ...] = ()) -> Envelope:
    return Envelope(number, 2, SESSION, 0, body, parts)


MESSAGES: list[Message] = [
    Batch(0, ()),
    Batch((1 << 63) - 1, (envelope(1), envelope(2, b"x" * 300, (b"", b"part")))),
    Greeting(1, bytes(32), PARTY, bytes(32)),
    Opening(Hello(bytes(16), b"", 0, ())),
    Question(1, "tile/1", b"tile/0/000"),
    Reply(1, 0, b"bytes"),
    Beat(asks=True),
    Farewell("IDLE"),
]


def _reader() -> FrameReader:
    reader = FrameReader()
    reader.admitted = True
    return reader


def _refused(reader: FrameReader, data: bytes) -> Reason:
    with pytest.raises(LinkRefused) as refused:
        list(reader.feed(data))
    return refused.value.reason


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was_sent(message: Message) -> None:
    assert open_message(encode(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_no_message_is_read_from_bytes_that_are_not_its_one_encoding(message: Message) -> None:
    whole = encode(message)
    for altered in (whole[:-1], whole + b"\0", b"", _longer_form(whole)):
        with pytest.raises(LinkRefused) as refused:
            open_message(altered)
        assert refused.value.reason is Reason.MALFORMED


def _longer_form(whole: bytes) -> bytes:
    """Write the array's length in three bytes instead of in one."""
    return b"\xdc\x00" + bytes([whole[0] & 0x0F]) + whole[1:]


def test_an_unknown_kind_of_message_is_refused() -> None:
    for data in (encode((7, b"")), encode(("b", 0, ())), encode({"acked": 0})):
        with pytest.raises(LinkRefused) as refused:
            open_message(data)
        assert refused.value.reason is Reason.MALFORMED


def test_an_envelope_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    parts = (bytes(1_000),) * PARTS_MAX
    body = bytes(ENVELOPE_BYTES_MAX - 1_000 * PARTS_MAX)
    full = envelope(1, body, parts)
    assert payload_size(full) == ENVELOPE_BYTES_MAX
    assert open_message(encode(Batch(0, (full,)))) == Batch(0, (full,))
    over = msgspec.structs.replace(full, body=body + b"\0")
    with pytest.raises(LinkRefused) as refused:
        open_message(encode(Batch(0, (over,))))
    assert refused.value.reason is Reason.OVERSIZE


def test_a_batch_holds_only_so_many_envelopes() -> None:
    many = tuple(envelope(number) for number in range(1, ENVELOPES_MAX + 2))
    assert open_message(encode(Batch(0, many[:-1]))) == Batch(0, many[:-1])
    with pytest.raises(LinkRefused):
        open_message(encode(Batch(0, many)))


@given(
    st.lists(st.binary(min_size=FRAME_BYTES_MIN, max_size=200), max_size=8),
    st.lists(st.integers(1, 60), max_size=60),
)
def test_a_stream_is_cut_alike_however_it_arrives(frames: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(framed, frames))
    reader, taken, at = _reader(), list[bytes](), 0
    for cut in [*cuts, len(stream)]:
        taken += reader.feed(stream[at : at + cut])
        at += cut
    assert taken == frames
    assert not reader.partial


def test_a_frame_that_is_not_complete_is_kept_and_known_to_be() -> None:
    reader = _reader()
    whole = framed(bytes(FRAME_BYTES_MIN))
    assert not list(reader.feed(whole[:-1]))
    assert reader.partial
    assert list(reader.feed(whole[-1:])) == [whole[LENGTH_SIZE:]]
    assert not reader.partial


def test_a_length_is_judged_before_anything_of_that_length_came() -> None:
    assert _refused(_reader(), (FRAME_BYTES_MAX + 1).to_bytes(4)) is Reason.OVERSIZE
    assert _refused(_reader(), b"\xff\xff\xff\xff") is Reason.OVERSIZE
    assert _refused(_reader(), (FRAME_BYTES_MIN - 1).to_bytes(4)) is Reason.MALFORMED
    assert _refused(_reader(), bytes(4)) is Reason.MALFORMED
    assert not list(_reader().feed(FRAME_BYTES_MAX.to_bytes(4)))


def test_who_has_not_shown_who_he_is_sends_a_greeting_and_no_more() -> None:
    assert _refused(FrameReader(), (GREETING_BYTES_MAX + 1).to_bytes(4)) is Reason.OVERSIZE
    assert not list(FrameReader().feed(GREETING_BYTES_MAX.to_bytes(4)))


def test_frames_before_a_wrong_length_are_taken() -> None:
    good = framed(bytes(FRAME_BYTES_MIN))
    taken, reader = list[bytes](), _reader()
    with pytest.raises(LinkRefused):
        taken.extend(reader.feed(good + good + bytes(4)))  # extend keeps what came before
    assert taken == [good[LENGTH_SIZE:]] * 2
