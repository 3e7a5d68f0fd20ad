"""The engine's tables: what a turn writes is there as a whole, and post keeps its order when it is renumbered."""

from pathlib import Path

import pytest

from app.storage.database import open_database
from app.storage.flow_store import SqliteFlowStore
from flows.envelope import Kind, SessionMark
from flows.execution import id_floor
from flows.store import (
    AdmissionRow,
    Batch,
    FlowRow,
    HeldPartRow,
    OutboxRow,
    PartRow,
    SessionRow,
    Status,
    WaitRow,
)

FLOW, OTHER = bytes(16), bytes(15) + b"\1"
PEER = "did:key:zRiverside"


def a_store() -> SqliteFlowStore:
    return SqliteFlowStore(open_database(":memory:"))


def flow(ident: bytes, status: Status = Status.RUNNING, created: int = 1, torn: int = 0) -> FlowRow:
    return FlowRow(ident, "chat/1", b"", status, torn, 0, 0, created, None, "", b"", b"", "")


def post(number: int, kind: Kind = Kind.DATA, session: bytes = FLOW, seq: int = 0) -> OutboxRow:
    return OutboxRow(PEER, number, kind, session, seq, b"body", b"\x90")


def test_the_vault_and_the_engine_commit_together(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "node.db")
    store = SqliteFlowStore(connection)
    connection.execute("CREATE TABLE vault (x INTEGER)")
    store.begin()
    store.unit.execute("INSERT INTO vault VALUES (1)")
    store.write(Batch(started=[flow(FLOW)]))
    store.rollback()
    assert store.flow(FLOW) is None
    assert connection.execute("SELECT count(*) FROM vault").fetchone() == (0,)
    connection.close()


def test_a_savepoint_undoes_its_step_only() -> None:
    store = a_store()
    store.begin()
    store.add_flow(flow(FLOW))
    store.savepoint()
    store.add_flow(flow(OTHER))
    store.rollback_to()
    store.savepoint()
    store.release()
    store.commit()
    assert store.flow(FLOW) == flow(FLOW)
    assert store.flow(OTHER) is None


def test_an_init_is_remembered_for_ever() -> None:
    store = a_store()
    assert store.bury(PEER, FLOW)
    assert not store.bury(PEER, FLOW)
    assert store.bury("did:key:zMercy", FLOW)


@pytest.mark.parametrize("down_by", [1, 3, 40])
def test_renumbered_post_keeps_its_order_and_its_parts(down_by: int) -> None:
    store = a_store()
    numbers = range(down_by + 1, down_by + 50)
    rows = [post(n, seq=n) for n in numbers]
    held = [HeldPartRow(PEER, n, b"p%16d" % n) for n in numbers]
    store.write(Batch(outbox=rows, held=held))
    store.renumber(PEER, down_by)
    assert [(r.number, r.seq) for r in store.outbox(PEER, 0, 99)] == [
        (n - down_by, n) for n in numbers
    ]
    store.put_part(PartRow(b"p%16d" % (down_by + 1), b"", b"bytes"))
    store.acknowledge(PEER, 1)
    assert store.part(b"p%16d" % (down_by + 1)) is None
    assert store.outbox_first(PEER) == 2


def test_a_part_lives_as_long_as_its_flow_or_the_post_that_names_it() -> None:
    store = a_store()
    parts = [b"p" + bytes([n]) * 16 for n in range(2)]
    for part in parts:
        store.put_part(PartRow(part, FLOW, b"bytes"))
    store.write(
        Batch(started=[flow(FLOW)], outbox=[post(1)], held=[HeldPartRow(PEER, 1, parts[0])])
    )
    store.write(Batch(ended=[(FLOW,)]))
    assert [store.part(part) for part in parts] == [b"bytes", None]
    store.acknowledge(PEER, 1)
    assert store.part(parts[0]) is None


def test_a_mark_says_what_is_still_held() -> None:
    store = a_store()
    live, ended, letter = (bytes([n]) * 16 for n in (1, 2, 3))
    store.write(
        Batch(
            sessions=[SessionRow(PEER, live, FLOW, 5, 3, 1)],
            outbox=[
                post(4, Kind.DATA, live, 3),
                post(5, Kind.DATA, live, 4),
                post(6, Kind.END, ended, 7),
                post(7, Kind.LETTER, letter, 0),
            ],
        )
    )
    assert store.marks(PEER, 9) == [
        SessionMark(live, 5, 3, 3, closed=False),
        SessionMark(ended, 8, 7, 0, closed=True),
    ]
    store.acknowledge(PEER, 7)
    assert store.marks(PEER, 9) == [SessionMark(live, 5, 5, 3, closed=False)]


def test_what_was_closed_without_a_word_is_found_while_post_of_it_is_left() -> None:
    store = a_store()
    live, ended, unsaid, letter, refused = (bytes([n]) * 16 for n in range(1, 6))
    store.write(
        Batch(
            sessions=[
                SessionRow(PEER, live, FLOW, 1, 0, 1),
                SessionRow(PEER, unsaid, FLOW, 2, 1, 0),
            ],
            outbox=[
                post(1, Kind.INIT, live, 0),
                post(2, Kind.INIT, unsaid, 0),
                post(3, Kind.INIT, ended, 0),
                post(4, Kind.DATA, unsaid, 1),
                post(5, Kind.ERROR, ended, 1),
                post(6, Kind.LETTER, letter, 0),
                post(7, Kind.REJECT, refused, 0),
            ],
        )
    )
    assert store.unsaid(PEER) == [(unsaid, 2)]
    store.acknowledge(PEER, 7)
    assert store.unsaid(PEER) == []


def test_what_wakes_flows_is_found_without_replaying_them() -> None:
    store = a_store()
    waits = [WaitRow(FLOW, 9, 1, "", b""), WaitRow(OTHER, 5, 2, "notarise", b"row")]
    store.write(
        Batch(started=[flow(FLOW, torn=1), flow(OTHER, Status.PAUSED, torn=1)], waits=waits)
    )
    store.put_event(FLOW, "approved", "Ada", b"yes")
    assert store.waits() == waits[:1]
    assert store.torn() == [FLOW]
    assert store.with_events() == [FLOW]
    assert store.take_event(FLOW, "approved") == b"yes"
    assert store.with_events() == []
    assert not store.put_event(FLOW, "approved", "Ada", b"again")


def test_a_restore_gives_a_new_incarnation() -> None:
    store = a_store()
    assert store.incarnation() == b""
    store.new_incarnation(FLOW)
    store.new_incarnation(OTHER)
    assert store.incarnation() == OTHER


def test_flows_that_ended_are_forgotten_but_for_those_of_client_keys() -> None:
    store = a_store()
    old, young = id_floor(1_000), id_floor(2_000)
    ended, running, keyed, failed = (old + bytes([n]) * 10 for n in range(1, 5))
    recent = young + bytes(10)
    store.begin()
    admission = AdmissionRow(failed, 1, 0, "refused", "because", "fail", 0)
    store.write(
        Batch(
            started=[
                flow(ended, Status.DONE),
                flow(running),
                flow(keyed, Status.DONE)._replace(client_key="a key"),
                flow(failed, Status.FAILED),
                flow(recent, Status.DONE),
            ],
            admissions=[admission, admission._replace(flow=recent)],
        )
    )
    assert store.prune_ended(b"", young, 2) == running
    assert store.flow(ended) is None
    assert store.flow(failed) is not None, "not looked at yet"
    assert store.prune_ended(running, young, 9) == failed
    assert store.prune_ended(failed, young, 9) == failed
    store.commit()
    assert {row.id for row in store.flows(tuple(Status), None, 9)} == {running, keyed, recent}
    assert store.admissions(failed) == []
    assert store.admissions(recent) != []
