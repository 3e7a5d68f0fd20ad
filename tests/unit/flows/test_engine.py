"""Two engines back to back: conversations end as they should, and as their flows say."""

from random import Random

import pytest

from flows.engine import ENDED_KEPT_MS
from flows.envelope import Envelope, Kind, Opening
from flows.execution import NotDeterministic
from flows.flow import FlowContext
from flows.registry import Registry, UnknownFlow
from flows.store import Status
from states.encoding import encode
from states.identity import Party
from tests.attack.bad_input import said
from tests.unit.flows.conversations import (
    Ask,
    AskPlainly,
    Chat,
    Flood,
    Number,
    SendLetter,
    Wander,
    Word,
    Words,
    handlers,
)
from tests.unit.flows.nodes import NOON, Clock, Node, counted, pair


def echoed(times: int) -> bytes:
    return encode(Words(tuple(f"word {number}!" for number in range(times))))


def test_a_conversation_ends_on_both_sides_and_leaves_nothing_behind() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 5))
    wires.run()
    assert mercy.finished[flow].result == echoed(5)
    assert [f.status for f in riverside.finished.values()] == [Status.DONE]
    wires.wait(1_000)
    for table in ("journal", "session", "inbox", "outbox", "wait", "part"):
        assert mercy.count("flow_" + table) == riverside.count("flow_" + table) == 0


def test_nothing_leaves_before_the_commit() -> None:
    mercy, riverside, _ = pair()
    mercy.turn()
    mercy.engine.start(Chat(riverside.party, 1))
    result = mercy.turn()
    assert [e.kind for e in result.envelopes[riverside.party]] == [Kind.INIT, Kind.DATA]
    assert not mercy.connection.in_transaction
    assert mercy.count("flow_outbox") == 2


def test_an_envelope_is_acknowledged_only_when_it_is_durable() -> None:
    mercy, riverside, _ = pair()
    mercy.turn()
    mercy.engine.start(Chat(riverside.party, 1))
    riverside.turn()
    riverside.engine.deliver(mercy.party, mercy.turn().envelopes[riverside.party])
    assert riverside.engine.turn().acknowledgements == {mercy.party: 2}
    riverside.crash()
    assert riverside.engine.connected(mercy.party).received == 2


def test_many_flows_share_a_turn_but_never_more_inputs_than_its_cap() -> None:
    mercy, riverside, wires = pair(double_run=False)
    flows = [mercy.engine.submit(Chat(riverside.party, 3)) for _ in range(100)]
    wires.run()
    assert {mercy.finished[flow].result for flow in flows} == {echoed(3)}
    assert counted(mercy, "chat") == 300
    assert counted(riverside, "echo-sessions") == 100


def test_only_a_refusals_words_reach_the_other_side() -> None:
    mercy, riverside, wires = pair()
    polite = mercy.engine.start(Ask(riverside.party, "refuse/1", "politely"))
    secret = mercy.engine.start(Ask(riverside.party, "refuse/1", "secretly"))
    wires.run()
    assert mercy.finished[polite].result == encode(
        Word("failed no-consent: there is no consent for this")
    )
    assert mercy.finished[secret].result == encode(Word("failed failed: "))
    assert not any(b"Ada" in envelope.body for _, _, envelope in wires.sent)
    failed = [f for f in riverside.finished.values() if f.status is Status.FAILED]
    assert len(failed) == 2


def test_what_a_flow_did_before_its_own_refusal_stays_done() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.start(Ask(riverside.party, "refuse/1", "politely"))
    wires.run()
    assert counted(riverside, "refused") == 1


def test_an_end_raises_in_who_still_listens() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Ask(riverside.party, "refuse/1", "nothing"))
    wires.run()
    assert mercy.finished[flow].result == encode(Word("ended"))


def test_an_unknown_responder_is_rejected() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Ask(riverside.party, "nobody/1", "x"))
    wires.run()
    assert mercy.finished[flow].result == encode(Word("failed unknown-responder: "))
    assert riverside.engine.flows() == []


def test_a_letter_for_an_unknown_responder_is_kept_for_an_operator() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.start(SendLetter(riverside.party, "later/1", "notarised"))
    wires.run()
    (kept,) = riverside.engine.flows((Status.OBSERVED,))
    assert kept.tag == "later/1"
    assert riverside.engine.admissions(kept.id)[0].error == "unknown responder"


def test_a_letter_outlives_its_flow_and_waits_for_the_connection() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.disconnected(riverside.party)
    flow = mercy.engine.start(SendLetter(riverside.party, "postbox/1", "first"))
    wires.run()
    assert mercy.status(flow) is Status.DONE
    assert counted(riverside, "letter first") == 0
    mercy.crash()
    wires.connect()
    wires.run()
    assert counted(riverside, "letter first") == 1
    wires.wait(1_000)
    assert mercy.count("flow_outbox") == 0


def test_a_malformed_message_ends_the_flow_that_took_it() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 2))
    wires.step(mercy)
    wires.step(mercy)
    wires.held = type(wires.held)(
        (a, b, Envelope(e.number, e.kind, e.session, e.seq, b"\xc1", ()) if e.seq == 1 else e)
        for a, b, e in wires.held
    )
    wires.run()
    assert mercy.finished[flow].status is Status.FAILED
    assert [f.status for f in riverside.finished.values()] == [Status.FAILED]


def test_the_same_client_key_is_the_same_flow() -> None:
    mercy, riverside, wires = pair()
    first = mercy.engine.start(Chat(riverside.party, 1), "key-1")
    assert mercy.engine.start(Chat(riverside.party, 1), "key-1") == first
    wires.run()
    assert mercy.engine.start(Chat(riverside.party, 1), "key-1") == first
    with pytest.raises(Exception, match="started another flow"):
        mercy.engine.start(Chat(riverside.party, 2), "key-1")
    assert len(mercy.engine.flows()) == 1


def test_a_started_flow_is_durable_before_it_ran() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 1))
    mercy.crash()
    wires.connect()
    wires.run()
    assert mercy.finished[flow].result == echoed(1)


def test_a_start_goes_with_the_transaction_it_was_made_in() -> None:
    mercy, riverside, wires = pair()
    mercy.connection.execute("BEGIN")
    flow = mercy.engine.start(Chat(riverside.party, 1))
    mercy.connection.execute("ROLLBACK")
    wires.run()
    assert mercy.engine.flow(flow) is None


def test_a_flow_that_is_not_registered_is_not_started() -> None:
    node = Node("Mercy", Registry(), handlers(), Clock())
    with pytest.raises(UnknownFlow):
        node.engine.start(Chat(node.party, 1))


def test_progress_is_numbered_without_gaps_and_can_be_read_later() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 2))
    wires.run()
    assert [row.number for row in mercy.progress] == list(range(1, len(mercy.progress) + 1))
    assert [row.step for row in mercy.progress] == ["started", "heard 0", "heard 1", "ended"]
    assert mercy.engine.progress(after=1, flow_id=flow) == mercy.progress[1:]
    mercy.crash()
    mercy.engine.start(Chat(riverside.party, 0))
    assert mercy.turn().progress[0].number == 5


def test_ended_flows_are_forgotten_after_their_time_and_keys_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.engine.PROGRESS_PRUNED", 1)
    mercy, riverside, wires = pair(double_run=False)
    keyed = mercy.engine.start(Chat(riverside.party, 0), "key-1")
    plain = mercy.engine.start(Chat(riverside.party, 0))
    waits = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    mercy.clock.now += ENDED_KEPT_MS - 1
    mercy.engine.start(Chat(riverside.party, 0))
    wires.run()
    assert mercy.engine.flow(plain) is not None
    mercy.clock.now += 2
    mercy.engine.start(Chat(riverside.party, 0))
    wires.run()
    assert mercy.engine.flow(plain) is None
    assert mercy.status(keyed) is Status.DONE
    assert mercy.status(waits) is Status.RUNNING
    assert mercy.engine.start(Chat(riverside.party, 0), "key-1") == keyed


def test_flows_are_listed_by_pages_the_youngest_first() -> None:
    mercy, riverside, wires = pair(double_run=False)
    for _ in range(5):
        mercy.engine.start(Chat(riverside.party, 0))
        mercy.clock.now += 1
    wires.run()
    page = mercy.engine.flows(limit=2)
    after = mercy.engine.flows(before=(page[-1].created, page[-1].id), limit=9)
    created = [row.created for row in page + after]
    assert created == sorted(created, reverse=True)
    assert len(created) == 5


def test_a_parked_flow_is_woken_by_its_message() -> None:
    mercy, riverside, wires = pair(double_run=False)
    flow = mercy.engine.start(Chat(riverside.party, 3))
    while riverside.engine.live() + mercy.engine.live() or not wires.sent:
        wires.step(mercy)
        wires.step(riverside)
        wires.carry()
        mercy.engine.park(0)
        riverside.engine.park(0)
        assert mercy.engine.live() == riverside.engine.live() == 0
        if not wires.held and not mercy.engine.has_work() and not riverside.engine.has_work():
            break
    wires.run()
    assert mercy.finished[flow].result == echoed(3)


@pytest.mark.parametrize("seed", range(12))
def test_loss_repetition_and_disorder_change_nothing(seed: int) -> None:
    mercy, riverside, wires = pair(double_run=False)
    random = Random(seed)
    wires.shuffle = random
    wires.fate = lambda _a, _b, _e: random.choices((0, 1, 2), (25, 60, 15))[0]
    flows = [mercy.engine.submit(Chat(riverside.party, 4)) for _ in range(6)]
    letter = mercy.engine.submit(SendLetter(riverside.party, "postbox/1", "x", 300))
    for _ in range(200):
        wires.wait(5_000)
        if len(mercy.finished) == 7 and not mercy.count("flow_outbox"):
            break
    assert [mercy.finished[flow].result for flow in flows] == [echoed(4)] * 6
    assert mercy.finished[letter].status is Status.DONE
    assert counted(riverside, "letter x") == 1
    assert counted(riverside, "echo-sessions") == 6
    assert counted(riverside, "echo") == counted(mercy, "chat") == 24
    assert mercy.count("flow_part") == 0


def test_a_hostile_gap_loses_the_session_on_both_sides() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    (session,) = mercy.engine.store.sessions(flow)
    forged = Envelope(1, Kind.DATA, session.session, 7, encode(Word("later")), ())
    mercy.engine.deliver(riverside.party, [forged])
    wires.run()
    assert mercy.finished[flow].result == encode(Word("lost"))
    (silent,) = riverside.engine.flows((Status.RUNNING,))
    riverside.engine.raise_event(silent.id, "speak", "once", b"hello")
    wires.run()
    assert riverside.finished[silent.id].result == encode(Number(0))


def test_a_session_may_not_pile_up_early_messages() -> None:
    mercy, riverside, wires = pair(double_run=False)
    flow = mercy.engine.start(Flood(riverside.party, 300))
    wires.run()
    assert mercy.finished[flow].result == encode(Word("lost"))
    assert riverside.count("flow_inbox") == 257  # what came before, and the note that it was lost


def test_a_peer_may_not_open_sessions_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.arrivals.SESSIONS_OPEN_MAX", 3)
    mercy, riverside, wires = pair()
    flows = [mercy.engine.start(Ask(riverside.party, "silent/1", "x")) for _ in range(4)]
    wires.run()
    assert [mercy.status(flow) for flow in flows].count(Status.DONE) == 1
    assert next(iter(mercy.finished.values())).result == encode(Word("failed busy: "))
    (open_flow, *_) = riverside.engine.flows((Status.RUNNING,))
    riverside.engine.kill(open_flow.id)
    wires.run()
    again = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    assert mercy.status(again) is Status.RUNNING


def test_letters_beyond_the_limit_wait_at_their_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.arrivals.LETTERS_OPEN_MAX", 1)
    mercy, riverside, wires = pair()
    for word in ("a", "b"):
        mercy.engine.start(SendLetter(riverside.party, "later/1", word))
    wires.run()
    (kept,) = riverside.engine.flows((Status.OBSERVED,))
    assert mercy.count("flow_outbox") == 2  # the first is acknowledged with the next commit
    riverside.engine.kill(kept.id)
    wires.wait(60_000)
    (second,) = riverside.engine.flows((Status.OBSERVED,))
    assert second.id != kept.id
    assert mercy.count("flow_outbox") == 0


def test_a_peers_letters_wait_when_their_bytes_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.correspondent.KEPT_BYTES_MAX", 25_000)
    mercy, riverside, wires = pair()
    for word in ("one", "two", "three"):
        mercy.engine.start(SendLetter(riverside.party, "unknown/1", word, 10_000))
        wires.run()
    assert len(riverside.engine.flows((Status.OBSERVED,))) == 2
    (first, _) = riverside.engine.flows((Status.OBSERVED,))
    riverside.engine.kill(first.id)
    wires.wait(60_000)
    assert len(riverside.engine.flows((Status.OBSERVED,))) == 2
    assert mercy.count("flow_outbox") == 0


def test_a_peers_sessions_are_refused_when_their_bytes_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.correspondent.KEPT_BYTES_MAX", 25_000)
    mercy, riverside, wires = pair()
    words = ["x" * 10_000] * 3
    flows = [mercy.engine.start(Ask(riverside.party, "silent/1", word)) for word in words]
    wires.run()
    assert [mercy.status(flow) for flow in flows].count(Status.DONE) == 1
    assert next(iter(mercy.finished.values())).result == encode(Word("failed busy: "))


def test_early_messages_are_limited_by_bytes_and_the_sum_is_counted_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.correspondent.KEPT_BYTES_MAX", 300)
    mercy, riverside, wires = pair(double_run=False)
    for _ in range(20):  # what has ended does not count
        flow = mercy.engine.start(Chat(riverside.party, 2))
        wires.run()
        assert mercy.finished[flow].result == echoed(2)
        wires.wait(2_000)
    flow = mercy.engine.start(Flood(riverside.party, 250))
    wires.run()
    assert mercy.finished[flow].result == encode(Word("lost"))
    assert 20 < riverside.count("flow_inbox") < 200


def test_too_large_a_message_ends_its_flow_and_is_not_sent() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(SendLetter(riverside.party, "postbox/1", "x", (1 << 20) + 1))
    wires.run()
    assert mercy.finished[flow].status is Status.FAILED
    assert wires.sent == []
    assert mercy.count("flow_part") == 0


def test_parts_are_kept_until_the_peer_has_them_and_go_with_its_flow() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.disconnected(riverside.party)
    mercy.engine.start(SendLetter(riverside.party, "postbox/1", "x", 5_000))
    wires.run()
    assert mercy.count("flow_part") == 1
    wires.connect()
    wires.run()
    wires.wait(1_000)
    (taken,) = riverside.finished.values()
    assert taken.result == encode(Number(5_000))
    assert mercy.count("flow_part") == riverside.count("flow_part") == 0


def test_a_flow_may_not_await_what_is_not_the_engines() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Wander("off"))
    wires.run()
    row = mercy.engine.flow(flow)
    assert row is not None
    assert (row.status, row.why[:12]) == (Status.OBSERVED, "ForeignAwait")


def test_an_unfaithful_flow_is_found_by_running_it_twice() -> None:
    times = iter(range(1_000))

    class Fickle(Ask, frozen=True, array_like=True, tag="fickle/1"):
        async def call(self, flow: FlowContext) -> Word:
            flow.initiate(self.party, self.responder, Word(str(next(times))))
            return await super().call(flow)

    node = Node("Mercy", Registry((Fickle,)), handlers(), Clock())
    node.engine.start(Fickle(Party("did:key:zRiverside"), "silent/1", "x"))
    with pytest.raises(NotDeterministic):
        node.turn()


def test_a_turn_that_fails_leaves_nothing_and_the_engine_goes_on() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Chat(riverside.party, 1))
    mercy.connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON flow_outbox BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(Exception, match="full"):
        mercy.engine.turn()
    assert counted(mercy, "chat") == mercy.count("flow_session") == 0
    mercy.connection.execute("DROP TRIGGER full")
    wires.connect()
    wires.run()
    assert mercy.finished[flow].result == echoed(1)


def test_a_flow_that_expects_no_lost_session_ends_by_it() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(AskPlainly(riverside.party, "silent/1"))
    wires.run()
    (session,) = mercy.engine.store.sessions(flow)
    gap = Envelope(1, Kind.DATA, session.session, 7, encode(Word("later")), ())
    mercy.engine.deliver(riverside.party, [gap])
    wires.run()
    said("session", failure(mercy, flow))


def test_a_flow_that_expects_its_peer_to_answer_ends_where_nobody_does() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(AskPlainly(riverside.party, "nobody/1"))
    wires.run()
    said("responder", failure(mercy, flow))


def failure(node: Node, flow: bytes) -> str:
    row = node.engine.flow(flow)
    assert row is not None
    assert row.status == Status.FAILED
    return row.why


def test_a_peer_cannot_take_over_a_session_that_was_opened_to_it() -> None:
    mercy, riverside, wires = pair()
    flow = mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    (session,) = mercy.engine.store.sessions(flow)
    opening = encode(Opening("ask/1", "silent/1", encode(Word("mine"))))
    mercy.engine.deliver(riverside.party, [Envelope(1, Kind.INIT, session.session, 0, opening, ())])
    mercy.turn()
    assert mercy.engine.store.sessions(flow) == [session]
    assert len(mercy.engine.flows()) == 1


def test_a_flow_does_not_talk_to_its_own_node() -> None:
    mercy, _, wires = pair()
    flow = mercy.engine.start(Ask(mercy.party, "silent/1", "x"))
    wires.run()
    assert mercy.finished[flow].status is Status.FAILED
    assert mercy.count("flow_outbox") == 0


def test_answered_deadlines_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.waiting.STALE_MAX", 8)
    mercy, riverside, wires = pair(double_run=False)
    for _ in range(40):
        mercy.engine.submit(Ask(riverside.party, "refuse/1", "nothing", NOON + 90_000))
        wires.run()
    assert len(mercy.finished) == 40
    assert len(mercy.engine._runner.waiting._due) <= 10


def test_after_its_end_nothing_of_a_session_counts() -> None:
    mercy, riverside, wires = pair()
    mercy.engine.start(Ask(riverside.party, "silent/1", "x"))
    wires.run()
    (silent,) = riverside.engine.flows((Status.RUNNING,))
    (session,) = riverside.engine.store.sessions(silent.id)
    forged = [
        Envelope(2, Kind.END, session.session, 1, b"", ()),
        Envelope(3, Kind.DATA, session.session, 2, encode(Word("one more thing")), ()),
    ]
    riverside.engine.deliver(mercy.party, forged)
    riverside.turn()
    assert riverside.count("flow_inbox") == 1
    riverside.engine.raise_event(silent.id, "speak", "once", b"hello")
    left = riverside.turn().envelopes[mercy.party]
    assert riverside.finished[silent.id].result == encode(Number(0))
    assert [envelope.kind for envelope in left] == [
        Kind.DATA
    ]  # an END is not answered with another
