"""Flows that are in flight when a node is upgraded go on: what they were answered still leads to the same place.

`tests/vectors/journals/real` has a file for every flow and every responder of the catalogue: journals of one run of the
village (`whole_story.py`), one for each way in which the flow went. If a test here fails, the code of a flow does
something else than it did for flows that have begun. Either that was a mistake, or it was on purpose, and then:

- the tag is in a release: leave this version and its file as they are, and register the new code beside it under the
  next tag ("grant-consent/2"), which needs a file of its own; the old one goes when no node has a flow of it any more;
- no release has the tag: `python -m tests.vectors.journals.real.generate TAG ...` writes its file again;
- a new flow or responder: let `whole_story.py` tell of it, and run the generator without arguments.
"""

from itertools import pairwise
from random import Random
from sqlite3 import Connection

import pytest

from app.storage.database import open_database
from app.storage.flow_store import SqliteFlowStore
from app.subjects.catalogue import registry
from flows.engine import Engine
from flows.flow import FlowContext, FlowSession, Untrusted
from flows.journal import Answered, JournalMismatch, operation_hash
from flows.registry import Registry
from flows.services import Done, Now
from flows.step import Handlers
from flows.store import Batch, FlowRow, JournalRow, Status
from flows.subjects.consent import BuildRevocation, PartiesOf, RevokeConsent
from flows.subjects.statement import Heed, HeedAtOnce, Stated, state
from states.identity import Party
from tests.simulation.golden_journals import REAL, GoldenJournal, file_of, read, replayed, tags
from tests.simulation.whole_story import WholeStory

FILES = sorted(REAL.glob("*.json"))
GOLDEN = [journal for path in FILES for journal in read(path)]
BYTES_MAX = 300_000  # of all files: they are read by people when they change
SUSPENSIONS = frozenset(Answered) - {Answered.RESULT}


def name_of(journal: GoldenJournal) -> str:
    return f"{journal.tag} {Status(journal.status).name} {len(journal.entries)}"


every = pytest.mark.parametrize("journal", GOLDEN, ids=name_of)
REAL_CODE = registry()


def node(
    journal: GoldenJournal, row: FlowRow, rows: list[JournalRow], code: Registry = REAL_CODE
) -> Engine[Connection]:
    """Return the engine of a node that was upgraded to `code` while this flow was in flight."""
    db = open_database(":memory:")
    store = SqliteFlowStore(db)
    with store.transaction():
        store.write(Batch(started=[row], journal=rows))
    return Engine(
        store=store,
        registry=code,
        handlers=Handlers(),
        me=Party(journal.me),
        clock=lambda: journal.created,
        entropy=Random(1).randbytes,
    )


def woken(engine: Engine[Connection]) -> FlowRow:
    """Let the engine do what it has to do, and return its one flow."""
    while engine.has_work():
        engine.turn()
    (row,) = engine.flows()
    return row


def test_every_flow_and_responder_has_a_golden_journal() -> None:
    assert {file_of(tag).name for tag in tags(REAL_CODE)} == {path.name for path in FILES}
    for path in FILES:
        journals = read(path)
        assert journals, path
        assert {file_of(each.tag) for each in journals} == {path}
        assert all(each.entries for each in journals)


def test_the_whole_story_tells_of_every_flow_and_responder() -> None:
    story = WholeStory()
    story.tell()
    assert {row.tag for _, row, rows in story.ended() if rows} == tags(REAL_CODE)


def test_golden_journals_are_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < BYTES_MAX


@every
def test_a_replay_comes_to_the_same_place_and_sends_the_same(journal: GoldenJournal) -> None:
    row = journal.row(Status.RUNNING, torn=True)
    assert replayed(row, journal.rows, REAL_CODE, Party(journal.me)) == journal.place


@pytest.mark.parametrize("journal", [j for j in GOLDEN if j.place.how != "awaits"], ids=name_of)
def test_an_engine_ends_a_flow_whose_last_step_was_not_done(journal: GoldenJournal) -> None:
    row = woken(node(journal, journal.row(Status.RUNNING, torn=True), journal.rows))
    assert (row.status, row.result.hex(), row.why) == (
        journal.status,
        journal.result,
        journal.why,
    )


@every
def test_a_flow_that_was_suspended_is_suspended_again_at_the_same_answer(
    journal: GoldenJournal,
) -> None:
    rows = journal.rows
    for seq in [each.seq for each in rows if each.kind in SUSPENSIONS]:
        engine = node(journal, journal.row(Status.PAUSED, torn=False), rows[:seq])
        engine.resume(bytes.fromhex(journal.flow))
        row = woken(engine)
        assert row.status == Status.RUNNING, row.why
        (run,) = engine._runner.live.values()
        assert run.operation is not None
        assert operation_hash(run.operation, run._sent) == rows[seq].hash


@pytest.mark.parametrize("journal", [j for j in GOLDEN if len(j.entries) > 1], ids=name_of)
def test_operations_in_another_order_do_not_fit(journal: GoldenJournal) -> None:
    row, rows = journal.row(Status.RUNNING, torn=True), journal.rows
    for one, two in pairwise(rows):
        if one.hash == two.hash:
            continue
        changed = list(rows)
        changed[one.seq], changed[two.seq] = two._replace(seq=one.seq), one._replace(seq=two.seq)
        with pytest.raises(JournalMismatch) as mismatch:
            replayed(row, changed, REAL_CODE, Party(journal.me))
        assert mismatch.value.seq == one.seq


@every
def test_code_that_lost_its_first_operation_parks_the_flow(journal: GoldenJournal) -> None:
    """The journal has one operation more than the code."""
    first = JournalRow(bytes.fromhex(journal.flow), 0, Answered.RESULT, bytes(8), b"\x91\xa4done")
    rows = [first, *(each._replace(seq=each.seq + 1) for each in journal.rows)]
    row = woken(node(journal, journal.row(Status.RUNNING, torn=True), rows))
    assert row.status == Status.OBSERVED
    assert row.why.startswith("JournalMismatch: entry 0: ")


class HastyRevocation(RevokeConsent, frozen=True, array_like=True, tag="revoke-consent/1"):
    """The revocation, changed by somebody who did not give it a new name: it asks whom to tell when all is done."""

    async def call(self, flow: FlowContext) -> Stated:
        await state(flow, BuildRevocation(self))
        await PartiesOf(self.ref)
        return Stated(self.ref)


class PunctualHeeding(HeedAtOnce):
    """The responder, changed in the same way: it looks at the clock first."""

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Heed]) -> Done:
        await Now()
        return await super().call(flow, session, first)


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("revoke-consent/1", Registry(flows=(HastyRevocation,))),
        ("heed-at-once/1", Registry(responders=(PunctualHeeding,))),
    ],
)
def test_a_flow_whose_code_was_changed_under_its_tag_is_parked_with_the_difference(
    tag: str, code: Registry
) -> None:
    journal = read(file_of(tag))[0]
    engine = node(journal, journal.row(Status.RUNNING, torn=True), journal.rows, code)
    row = woken(engine)
    assert row.status == Status.OBSERVED
    assert row.why.startswith("JournalMismatch: entry 0: another ")
    assert engine.store.journal(row.id) == journal.rows, (
        "nothing is lost: the old code may come back"
    )


def test_a_flow_whose_tag_is_gone_is_parked() -> None:
    for journal in GOLDEN:
        row = journal.row(Status.RUNNING, torn=True)
        assert woken(node(journal, row, journal.rows, Registry())).status == Status.OBSERVED
