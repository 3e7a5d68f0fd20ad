"""Who looked: what is reported about nobody known here is kept up to a limit, found by itself, and not lost."""

import re

import pytest

from app.keystore.keys import NodeKey
from app.keystore.signers import HandleSigner
from app.readings import alarms, concern_statements, looks_statements
from app.readings.alarms import Alarm
from app.storage.database import transaction
from flows.store import Status
from flows.subjects.reading import BATCH_MAX, ToldHead, ToldReading
from states.identity import Party, PatientId
from states.reading import DailyHead, sign_head
from states.state import TransactionId
from tests.contracts.cast import seeded
from tests.unit.app.readings.test_crowded_looks import Early
from tests.unit.app.readings.test_looks import (
    ADA,
    AGENT,
    COMMITMENT,
    NETWORK,
    RESULT,
    RIVERSIDE,
    Network,
    Pen,
    member,
)
from tests.unit.flows.nodes import NOON

FEW = 40


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "UNMATCHED_MAX", FEW)
    monkeypatch.setattr(alarms, "UNMATCHED_ALARMS_MAX", FEW)


def nobodys(pen: Pen, at: int, **changes: object) -> ToldReading:
    """A reading of a disclosure that this agent never hears of."""
    about = {"disclosure": TransactionId(seeded(f"d{at}")), "chain": seeded(f"c{at}")}
    return pen.write(**about, **changes)


def nobodys_head(network: Network, at: int) -> ToldHead:
    tx, chain = TransactionId(seeded(f"d{at}")), seeded(f"c{at}")
    said = DailyHead(NETWORK, RIVERSIDE, chain, 1, seeded("last"), 1, NOON, None)
    signer = HandleSigner(network.keys, NodeKey.READING_LOG)
    return ToldHead(None, tx, sign_head(signer, said))


def count(network: Network, what: str) -> int:
    return int(network.there.execute(f"SELECT count(*) FROM {what}").fetchone()[0])


@pytest.mark.usefixtures("few")
def test_lines_about_nobody_are_kept_up_to_a_limit_and_she_is_told_what_was_left_out() -> None:
    network = Network()
    pen = Pen(network)
    hers = pen.write()
    for start in range(0, 3 * FEW, FEW):
        network.tell(*(nobodys(pen, at, items=(seeded("x"),)) for at in range(start, start + FEW)))
    assert count(network, "look") == count(network, "look_chain") == FEW
    assert count(network, "look_item") == 0, "of nobody's line nothing is known yet"
    assert network.alarms() == [Alarm.LEFT_OUT]
    (left,) = network.there.execute("SELECT last FROM look_alarm WHERE kind = 'LEFT_OUT'")
    assert left == (2 * FEW,)
    assert network.alarms("somebody else's") == []
    network.tell(hers)
    assert network.lines() == [1], "what is hers has room"


@pytest.mark.usefixtures("few")
def test_daily_heads_about_nobody_are_kept_up_to_the_limit() -> None:
    network = Network()
    for start in range(0, 3 * FEW, FEW):
        network.tell(*(nobodys_head(network, at) for at in range(start, start + FEW)))
    assert count(network, "look_chain") == FEW
    assert Alarm.LEFT_OUT in network.alarms()


@pytest.mark.usefixtures("few")
def test_alarms_about_nobody_are_kept_up_to_a_limit_in_all_chains_together() -> None:
    network = Network()
    pen = Pen(network)
    for _ in range(3):
        network.tell(*(nobodys(pen, at, number=9, previous=seeded("8")) for at in range(FEW)))
    assert count(network, "look_alarm WHERE chain <> x''") == FEW
    assert network.alarms() == [Alarm.FLOODED]
    network.tell(pen.write(number=2, previous=seeded("1")))
    assert network.alarms() == [Alarm.FLOODED, Alarm.MISSING], "what is said of her has room"


@pytest.mark.usefixtures("few")
def test_what_was_left_out_of_her_chain_is_missing_as_soon_as_it_is_known_to_be_hers() -> None:
    network = Early()
    network.tell(*(nobodys(network.pen, at) for at in range(FEW)))
    first = network.pen.write()
    second = network.pen.write(number=2, previous=Pen.digest(first))
    network.tell(first)
    network.bring()
    network.tell(second)
    assert (network.lines(), network.alarms()) == ([2], [Alarm.LEFT_OUT, Alarm.MISSING])
    network.tell(first)
    assert (network.lines(), network.alarms()) == ([2, 1], [Alarm.LEFT_OUT])


@pytest.mark.usefixtures("few")
def test_what_was_left_out_is_to_be_asked_for_when_there_is_room_again() -> None:
    network = Early()
    lines = [network.pen.write()]
    for number in range(2, FEW + 1):
        lines.append(network.pen.write(number=number, previous=Pen.digest(lines[-1])))
    network.tell(*lines)
    network.tell(nobodys(network.pen, 1))
    assert network.looks.left_out(network.there) == []
    network.bring()
    network.tell(network.pen.write())
    (brought,) = network.looks.left_out(network.there)
    assert (brought.peer, brought.lines) == (RIVERSIDE, 1)
    with transaction(network.there) as db:
        network.looks.end_left_out(db, NOON, brought)
    assert Alarm.LEFT_OUT not in network.alarms()
    assert network.looks.left_out(network.there) == []


def test_a_line_that_waited_says_what_it_is_about_when_it_is_hers() -> None:
    network = Early()
    network.read()
    network.report()
    network.bring()
    network.looks.check(network.there, NOON)
    (look,) = network.looks.who_looked(network.there, ADA)
    assert look.items == (RESULT,)
    assert count(network, f"look_item WHERE commitment = x'{COMMITMENT.hex()}'") == 1


@pytest.mark.parametrize("of_patient", [False, True])
def test_a_chain_of_which_only_heads_came_is_hers_when_it_is_known_whose_it_is(
    *, of_patient: bool
) -> None:
    network = Network()
    there = network.there
    table = "enrolment" if of_patient else "disclosure"
    row = there.execute(f"SELECT * FROM {table}").fetchone()
    there.execute(f"DELETE FROM {table}")
    subject = PatientId(seeded("a@R")[:16]) if of_patient else None
    tx = None if of_patient else TransactionId(seeded("disclosure"))
    said = DailyHead(NETWORK, RIVERSIDE, seeded("chain"), 3, seeded("third"), 1, NOON, None)
    head = sign_head(HandleSigner(network.keys, NodeKey.READING_LOG), said)
    network.tell(ToldHead(subject, tx, head))
    assert network.all_alarms() == ["MISSING"]
    there.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    assert network.alarms() == []
    with transaction(there) as db:
        network.looks.check(db, NOON)
    assert network.alarms() == [Alarm.MISSING]
    assert count(network, "look_chain WHERE patient IS NULL") == 0


def test_a_member_that_is_no_agent_keeps_nothing_of_a_report_forged_or_not() -> None:
    network = Network()
    pen = Pen(network)
    network.members[AGENT] = member(network.keys, AGENT)
    forged = pen.write()
    network.members[RIVERSIDE] = member(network.keys, Party("did:key:zAnother"))
    network.tell(forged, nobodys_head(network, 1))
    assert [count(network, table) for table in ("look", "look_chain", "look_alarm", "look_log")] == [0] * 4  # fmt: skip
    (flow,) = network.there.execute("SELECT status FROM flow").fetchall()
    assert flow == (Status.FAILED,)


# -- what it costs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (concern_statements.COUNT_UNMATCHED, "look_unmatched (patient=? AND organisation=?)"),
        (
            concern_statements.COUNT_UNMATCHED_CHAINS,
            "look_chain_unmatched (patient=? AND organisation=?)",
        ),
        (concern_statements.UNMATCHED, "look_unmatched (patient=?)"),
        (concern_statements.UNMATCHED_CHAINS, "look_chain_unmatched (patient=?)"),
        (concern_statements.OF_UNKNOWN_BY, "look_item_unknown"),
        (looks_statements.COUNT_CONFLICTS, "look_contradicted (mark=? AND patient=? AND"),
        (looks_statements.GET_CHAIN, "look_chain_subject (subject=?)"),
    ],
)
def test_what_a_report_asks_for_is_found_by_an_index_of_its_own(statement: str, index: str) -> None:
    asked = dict.fromkeys(re.findall(r":(\w+)", statement))
    rows = Network().there.execute(f"EXPLAIN QUERY PLAN {statement}", asked).fetchall()
    plan = [str(row[3]) for row in rows]
    assert any(index in step for step in plan), plan
    whole = [step for step in plan if step.endswith("PRIMARY KEY (organisation=?)")]
    whole += [step for step in plan if step.startswith("SCAN") and "USING" not in step]
    assert whole == []


@pytest.mark.parametrize("statement", ["UNMATCHED", "UNMATCHED_CHAINS", "OF_UNKNOWN"])
def test_to_look_for_it_costs_no_more_with_a_long_list(statement: str) -> None:
    network = Network()
    for _ in range(10):
        for _ in range(BATCH_MAX):
            network.read()
        network.report()
    assert len(network.looks.who_looked(network.there, ADA, most=10_000)) == 10 * BATCH_MAX
    steps = 0

    def counted() -> int:
        nonlocal steps
        steps += 1
        return 0

    network.there.set_progress_handler(counted, 100)
    asked = {"me": AGENT, "most": 9}
    assert network.there.execute(getattr(concern_statements, statement), asked).fetchall() == []
    network.there.set_progress_handler(None, 0)
    assert steps <= 1
