"""A member reads what a notary logs: what is consumed twice is found, whatever else is served, after any restart."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from app.bench.workshop import START
from app.log_audit.auditor import UNREAD_MS_MAX, LogAuditor
from app.log_audit.copied_log import FILE_NAME, STRIDE, CopiedLog, CopyAudit, open_copies
from app.log_audit.edge import Edge
from app.transport.errors import RequestTimedOut
from app.witness import SPENT_TWICE, ReadTile
from notaries.audit import DoubleSpend, Finding, LoggedTwice, NotAsSigned, TimeFell
from states.crypto.merkle import leaf_hash, root_of
from states.errors import InvalidProof, MalformedBytes
from states.tiles import encode_bundle
from tests.simulation.village import Village
from tests.unit.notaries.desk import NOTARY
from tests.unit.notaries.lying_log import LyingStore, entry

KEYS = NOTARY.info.log_keys


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    with closing(open_copies(tmp_path / "copies.db")) as db:
        yield db


class Reader:
    """Serves a log's tiles; counts what was asked, and answers one path with other bytes."""

    def __init__(self, store: LyingStore) -> None:
        self.store = store
        self.asked = list[str]()
        self.instead: dict[str, bytes] = {}

    async def __call__(self, path: str) -> bytes:
        self.asked.append(path)
        return self.instead.get(path) or self.store.serve(path) or b""


def follow(db: Connection, reader: Reader) -> list[Finding]:
    """Follow to the end, a new object for each stride: nothing is remembered but on the disk."""
    seen, findings = KEYS.open(reader.store.note), list[Finding]()
    while CopiedLog(db, KEYS).size < seen.checkpoint.size:
        findings += asyncio.run(CopiedLog(db, KEYS).follow(seen, reader))
    return findings


def test_an_honest_log_is_followed_in_strides_and_only_what_is_new_is_read(db: Connection) -> None:
    store = LyingStore([entry(n, START, 10_000 + n) for n in range(STRIDE + 300)])
    reader = Reader(store)
    assert follow(db, reader) == []
    reader.asked.clear()
    store.add([entry(20_000, START)])
    assert follow(db, reader) == []
    assert reader.asked == ["tile/entries/003.p/45"]
    size = STRIDE + 301
    assert CopiedLog(db, KEYS).audit() == CopyAudit(size, size, ())


def test_a_state_consumed_twice_is_found_across_strides_and_offline(db: Connection) -> None:
    reader = Reader(LyingStore([entry(n, START, 10_000 + n) for n in range(STRIDE)]))
    assert follow(db, reader) == []
    reader.store.add([entry(5_000 + n) for n in range(700)])
    reader.store.add([entry(9_000, START, 10_003)])
    twice = DoubleSpend((10_003).to_bytes(32, "big"), 3, STRIDE + 700)
    assert follow(db, reader) == [twice]
    again = CopiedLog(db, KEYS).audit()
    assert again is not None
    assert again.findings == (twice,)


def test_a_transaction_logged_twice_and_time_that_falls_are_found(db: Connection) -> None:
    reader = Reader(LyingStore([entry(1), entry(2, START + 9)]))
    assert follow(db, reader) == []
    reader.store.add([entry(3, START + 4), entry(1, START + 9)])
    broken = [TimeFell(2, START + 9, START + 4), LoggedTwice((1).to_bytes(32, "big"), 0, 3)]
    assert follow(db, reader) == broken


@pytest.mark.parametrize(
    ("served", "error"),
    [
        (encode_bundle([b"\1" + bytes(42)] * 44), InvalidProof),
        (b"\0", MalformedBytes),
    ],
)
def test_entries_that_are_not_what_was_signed_are_not_copied_and_asked_for_again(
    db: Connection, served: bytes, error: type[Exception]
) -> None:
    reader = Reader(LyingStore([entry(n) for n in range(300)]))
    path = "tile/entries/001.p/44"
    reader.instead[path] = served
    with pytest.raises(error):
        follow(db, reader)
    assert CopiedLog(db, KEYS).size == 0
    del reader.instead[path]
    assert follow(db, reader) == []


def test_an_altered_copy_is_not_what_the_notary_signed(db: Connection) -> None:
    reader = Reader(LyingStore([entry(n) for n in range(300)]))
    assert follow(db, reader) == []
    db.execute("UPDATE copied_entry SET entry = zeroblob(43) WHERE idx = 7")
    again = CopiedLog(db, KEYS).audit()
    assert again is not None
    told = [each for each in again.findings if isinstance(each, NotAsSigned)]
    assert [each.path for each in told] == ["entry 7", "entries"]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 255, 256, 300])
def test_the_edge_has_the_root_of_the_tree(size: int) -> None:
    leaves = [bytes([n % 256]) for n in range(size)]
    edge = Edge().grown(leaves[: size // 2])
    edge = Edge.parse(edge.size, edge.data).grown(leaves[size // 2 :])
    assert edge.size == size
    assert edge.root() == root_of([leaf_hash(each) for each in leaves])


# -- in a node ---------------------------------------------------------------------------------------


def test_a_notary_that_spent_a_state_twice_is_distrusted_like_one_that_forked(
    db: Connection,
) -> None:
    village = Village(seed=24)
    mercy = village.nodes["Mercy"]
    (witness,) = mercy.witnesses.all()
    store = LyingStore([entry(1), entry(2, START, 7)], village.founding.log_signer)
    reader = Reader(store)

    def reading(_: object) -> ReadTile:
        return reader

    auditor = LogAuditor(db, mercy.witnesses, reading, lambda: START)
    asyncio.run(witness.see(store.note, reader))
    assert asyncio.run(auditor.catch_up(witness)) == 2
    assert mercy.witnesses.trusts(witness.notary)
    store.add([entry(3, START, 7)])
    asyncio.run(witness.see(store.note, reader))
    assert asyncio.run(auditor.catch_up(witness)) == 1
    assert not mercy.witnesses.trusts(witness.notary)
    nullifier = (7).to_bytes(32, "big").hex()
    assert witness.distrust == (SPENT_TWICE, store.note, f"{nullifier} 1 2")


def test_a_notary_that_shows_no_entries_is_found_wanting_after_some_hours(db: Connection) -> None:
    village = Village(seed=25)
    mercy, now = village.nodes["Mercy"], [START]
    (witness,) = mercy.witnesses.all()
    store = LyingStore([entry(1), entry(2)], village.founding.log_signer)
    reader = Reader(store)
    is_silent = [True]

    async def read(path: str) -> bytes:
        if is_silent[0] and "entries" in path:
            raise RequestTimedOut(witness.notary, "tile")
        return await reader(path)

    auditor = LogAuditor(db, mercy.witnesses, lambda _: read, lambda: now[0])
    asyncio.run(witness.see(store.note, reader))
    for _ in range(2):
        with pytest.raises(RequestTimedOut):
            asyncio.run(auditor.catch_up(witness))
    assert (auditor.behind(), auditor.keeps_up(witness.notary)) == (2, True)
    now[0] += UNREAD_MS_MAX
    assert not auditor.keeps_up(witness.notary)
    is_silent[0] = False
    assert asyncio.run(auditor.catch_up(witness)) == 2
    assert (auditor.behind(), auditor.keeps_up(witness.notary)) == (0, True)


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 300])
def test_copies_that_are_damaged_are_made_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(damage)
    reader = Reader(LyingStore([entry(n) for n in range(3)]))
    with closing(open_copies(path)) as db:
        assert follow(db, reader) == []
        assert CopiedLog(db, KEYS).size == 3
