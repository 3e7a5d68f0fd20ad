"""What a peer or a flow may have at most (flows/README.md §3.7)."""

import msgspec
import pytest

from flows.envelope import (
    EARLY_MAX,
    ENVELOPE_BYTES_MAX,
    UNACKNOWLEDGED_MAX,
    Envelope,
    Kind,
    Opening,
)
from flows.flow import FlowContext
from flows.registry import Registry
from flows.store import Status
from states.encoding import encode
from states.errors import OverLimit
from states.identity import Party
from tests.attack.bad_input import said
from tests.unit.flows.conversations import Ask, Number, SendLetter, Word, handlers
from tests.unit.flows.nodes import Clock, Node, pair


def test_no_more_is_in_flight_than_the_window_holds() -> None:
    mercy, riverside, _ = pair(double_run=False)
    mercy.turn()
    for _ in range(UNACKNOWLEDGED_MAX + 88):
        mercy.engine.submit(SendLetter(riverside.party, "postbox/1", "x"))
    left = 0
    while mercy.engine.has_work():
        left += len(mercy.turn().envelopes.get(riverside.party, []))
    assert left == UNACKNOWLEDGED_MAX
    mercy.engine.acked(riverside.party, 100)
    while mercy.engine.has_work():
        left += len(mercy.turn().envelopes.get(riverside.party, []))
    assert left == UNACKNOWLEDGED_MAX + 88


def test_an_acknowledgement_of_what_was_never_sent_counts_for_nothing() -> None:
    mercy, riverside, wires = pair()
    mercy.turn()
    mercy.engine.submit(SendLetter(riverside.party, "postbox/1", "x"))
    mercy.turn()
    mercy.engine.acked(riverside.party, 2)
    wires.wait(1_000)
    assert mercy.count("flow_outbox") == 1


def test_a_peer_that_ignores_the_window_is_not_listened_to_beyond_it() -> None:
    mercy, riverside, _ = pair()
    riverside.turn()
    opening = encode(Opening("ask/1", "later/1", encode(Word("x"))))
    many = [
        Envelope(n, Kind.LETTER, n.to_bytes(16, "big"), 0, opening, ())
        for n in range(1, UNACKNOWLEDGED_MAX + 50)
    ]
    riverside.engine.deliver(mercy.party, many)
    last = {}
    while riverside.engine.has_work():
        last = riverside.turn().acknowledgements
    assert last == {mercy.party: UNACKNOWLEDGED_MAX}


def test_a_restart_does_not_forget_how_many_sessions_a_peer_has_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.arrivals.SESSIONS_OPEN_MAX", 1)
    mercy, riverside, wires = pair()
    mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    riverside.crash()
    wires.connect()
    second = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    assert mercy.finished[second].result == encode(Word("failed busy: "))


def test_messages_do_not_pile_up_for_a_paused_flow() -> None:
    mercy, riverside, wires = pair(double_run=False)
    asked = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    silent = riverside.engine.flows((Status.RUNNING,))[0]
    (session,) = riverside.engine.store.sessions(silent.id)
    riverside.engine.pause(silent.id)
    number = riverside.engine.connected(mercy.party).received
    wires.connect()
    many = [
        Envelope(number + n, Kind.DATA, session.session, n, encode(Word("x")), ())
        for n in range(1, EARLY_MAX + 9)
    ]
    riverside.engine.deliver(mercy.party, many)
    wires.run()
    assert riverside.count("flow_inbox") == EARLY_MAX + 1  # with the note that it was lost
    assert mercy.finished[asked].result == encode(Word("lost"))


def test_a_session_ends_also_for_a_flow_that_is_paused() -> None:
    mercy, riverside, wires = pair()
    asked = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    (silent,) = riverside.engine.flows((Status.RUNNING,))
    riverside.engine.pause(silent.id)
    wires.run()
    mercy.engine.kill(asked)
    wires.run()
    riverside.engine.resume(silent.id)
    riverside.engine.raise_event(silent.id, "speak", "once", b"hello")
    before = len(wires.sent)
    wires.run()
    assert riverside.finished[silent.id].result == encode(Number(0))
    assert [envelope.kind for _, _, envelope in wires.sent[before:]] == [Kind.DATA]


class Shout(msgspec.Struct, frozen=True, array_like=True, tag="shout/1"):
    """Send a word that is longer than an envelope."""

    party: Party

    async def call(self, flow: FlowContext) -> Number:
        flow.letter(self.party, "postbox/1", Word("x" * ENVELOPE_BYTES_MAX))
        return Number(1)


def test_a_body_that_fits_no_envelope_is_not_sent() -> None:
    node = Node("Mercy", Registry((Shout,)), handlers(), Clock())
    flow = node.engine.start(Shout(Party("did:key:zRiverside")))
    node.turn()
    assert node.finished[flow].status is Status.FAILED
    assert node.count("flow_outbox") == 0


def test_arguments_have_a_limit() -> None:
    mercy, riverside, _ = pair()
    with pytest.raises(OverLimit) as refused:
        mercy.engine.start(SendLetter(riverside.party, "postbox/1", "x" * ENVELOPE_BYTES_MAX))
    said("oversized", refused.value)
