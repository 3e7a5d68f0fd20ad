"""The served log: read by an independent reader of the C2SP texts, and by members who saw a fork."""

import re
import shutil
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest

from app.bench.workshop import START
from states.checkpoint import ForkedLog, RolledBack, VerifiedCheckpoint, advance
from states.crypto.merkle import verify_consistency
from states.errors import InvalidProof
from states.notarisation import Committed
from tests.unit.notaries.desk import NOTARY, Desk, sqlite_in


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, by its recursive definition."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + mth(leaves[:split]) + mth(leaves[split:])).digest()


def expected_tiles(leaves: list[bytes]) -> dict[str, bytes]:
    """Every tile of a tree of these leaves, by the definition in tlog-tiles: small numbers only."""
    tiles, level, row = {}, 0, leaves
    while row:
        for number in range(0, len(row), 256):
            part = row[number : number + 256]
            suffix = "" if len(part) == 256 else f".p/{len(part)}"
            tiles[f"tile/{level}/{number // 256:03}{suffix}"] = b"".join(part)
        row = [mth(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
        level += 1
    return tiles


def unbundle(data: bytes) -> list[bytes]:
    entries = []
    while data:
        length = int.from_bytes(data[:2], "big")
        entries.append(data[2 : 2 + length])
        data = data[2 + length :]
    return entries


def served_entries(desk: Desk, size: int) -> list[bytes]:
    entries = []
    for number in range(0, size, 256):
        width = min(256, size - number)
        suffix = "" if width == 256 else f".p/{width}"
        data = desk.log.serve(f"tile/entries/{number // 256:03}{suffix}")
        assert data is not None
        entries += unbundle(data)
    return entries


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_the_served_log_is_c2sp_tlog_tiles(desk: Desk, size: int) -> None:
    made = desk.fill(size)
    entries = served_entries(desk, size)
    assert [entry[1:33] for entry in entries] == [each.built.id for each in made]
    assert {entry[:1] + entry[33:] for entry in entries} == {
        b"\1" + START.to_bytes(8, "big") + b"\0\0"
    }
    leaves = [sha256(b"\0" + entry).digest() for entry in entries]
    for path, tile in expected_tiles(leaves).items():
        assert desk.log.serve(path) == tile, path
    note = desk.log.serve("checkpoint")
    assert note is not None
    origin, decimal, root, blank, *signatures = note.decode().split("\n")
    assert (origin, int(decimal), blank) == (NOTARY.origin, size, "")
    assert b64decode(root) == mth(leaves)
    assert (
        len(
            [
                line
                for line in signatures
                if re.match("— notary.test.example [A-Za-z0-9+/=]+$", line)
            ]
        )
        == 2
    )
    desk.notary.info.log_keys.open(note.decode())


def test_the_empty_log_has_a_signed_checkpoint_and_no_tiles(desk: Desk) -> None:
    note = desk.log.serve("checkpoint")
    assert note is not None
    assert desk.notary.info.log_keys.open(note.decode()).checkpoint.size == 0
    assert desk.log.serve("tile/0/000") is None
    assert desk.log.serve("tile/entries/000.p/1") is None


def test_narrow_tiles_of_older_checkpoints_stay_served(desk: Desk) -> None:
    desk.fill(40)
    narrow = desk.log.serve("tile/0/000.p/40")
    bundle = desk.log.serve("tile/entries/000.p/40")
    assert narrow is not None
    assert bundle is not None
    assert desk.log.serve("tile/0/000.p/17") == narrow[: 17 * 32]
    desk.fill(300)
    assert desk.log.serve("tile/0/000.p/40") == narrow
    assert desk.log.serve("tile/entries/000.p/40") == bundle
    full = desk.log.serve("tile/0/000")
    assert full is not None
    assert full[: 40 * 32] == narrow
    assert desk.log.serve("tile/1/000.p/1") == mth(
        [full[at : at + 32] for at in range(0, 8192, 32)]
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/checkpoint",
        "checkpoint/",
        "tile/0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/21",
        "tile/0/000.p/256",
        "tile/0/001.p/1",
        "tile/1/000.p/1",
        "tile/0/0",
        "tile/00/000.p/1",
        "tile/-1/000.p/1",
        "tile/entries/000.p/21",
        "tile/entries/x000/000.p/1",
        "tile/8/000.p/1",
        "tile/0/../../log.db",
        "tile/0/000.p/1\n",
        "x" * 10_000,
    ],
)
def test_what_is_not_there_is_not_served(desk: Desk, path: str) -> None:
    desk.fill(20)
    assert desk.log.serve(path) is None


def test_every_older_checkpoint_is_proven_a_beginning_of_the_newest(desk: Desk) -> None:
    seen = []
    for count in (1, 2, 61, 192, 1, 43, 260):
        desk.fill(count)
        seen.append(desk.provider.head())
    newest = desk.provider.head()
    for head in seen:
        path = desk.log.consistency_path(head.size, newest)
        if head.size < newest.size:
            verify_consistency(head.size, newest.size, path, head.root, newest.root)
    with pytest.raises(InvalidProof):
        desk.log.consistency_path(newest.size + 1, newest)


def test_a_receipt_that_is_rebuilt_is_as_good_as_the_first(desk: Desk) -> None:
    made = desk.fill(290)
    head = desk.provider.head()
    for index in (0, 1, 254, 255, 256, 289):
        proven = desk.receipts.verify(made[index].built.id, desk.log.receipt(index, head))
        assert proven.index == index


# -- forks -------------------------------------------------------------------------------------------


def seen(desk: Desk) -> VerifiedCheckpoint:
    return desk.notary.info.log_keys.open(desk.provider.head().note)


def offered(desk: Desk, known: VerifiedCheckpoint | None) -> VerifiedCheckpoint:
    """What a node keeps after this notary showed it its newest checkpoint and the path from the known one."""
    head = desk.provider.head()
    path: list[bytes] = []
    if known is not None and 0 < known.checkpoint.size < head.size:
        path = desk.log.tree(head).prefix_hashes(known.checkpoint.size)
    return advance(known, seen(desk), path)


def forked(tmp_path: Path) -> tuple[Desk, Desk]:
    """Two copies of one disk, with one key, continued differently."""
    desk = Desk(sqlite_in(tmp_path / "one"))
    desk.fill(30)
    desk.provider.close()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = Desk(sqlite_in(tmp_path / "one"), seed=1), Desk(sqlite_in(tmp_path / "two"), seed=2)
    return one, two


@pytest.mark.parametrize(("first", "second"), [(5, 5), (5, 9), (9, 300)])
def test_a_node_that_saw_one_branch_catches_the_other(
    tmp_path: Path, first: int, second: int
) -> None:
    one, two = forked(tmp_path)
    common = seen(one)
    one.fill(first)
    two.fill(second)
    known = offered(one, offered(one, common))
    assert known.checkpoint.size == 30 + first
    with pytest.raises(ForkedLog) as caught:
        offered(two, known)
    assert bool(caught.value.hashes) is (first != second)
    assert (caught.value.known, caught.value.offered) == (known.note, two.provider.head().note)
    assert offered(two, common).checkpoint.size == 30 + second, "who saw neither branch cannot tell"
    one.provider.close()
    two.provider.close()


def test_a_notary_that_was_set_back_is_caught(tmp_path: Path) -> None:
    one, two = forked(tmp_path)
    one.fill(9)
    known = offered(one, None)
    honest = advance(known, seen(two), one.log.tree(one.provider.head()).prefix_hashes(30))
    assert honest is known, "an old checkpoint of the same log is late, not false"
    two.now += 1_000
    two.fill(3)
    with pytest.raises(RolledBack):
        offered(two, known)
    one.provider.close()
    two.provider.close()


def test_a_fork_that_spends_one_state_twice_fools_no_node_that_saw_the_first(
    tmp_path: Path,
) -> None:
    desk = Desk(sqlite_in(tmp_path / "one"))
    (state,) = desk.issue()
    desk.provider.close()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = Desk(sqlite_in(tmp_path / "one"), seed=1), Desk(sqlite_in(tmp_path / "two"), seed=2)
    receipts = []
    for branch in (one, two):
        answer = branch.ask(branch.workshop.make([state]))
        assert isinstance(answer, Committed)
        receipts.append(branch.notary.info.log_keys.open(answer.receipt.partition("\n\n")[2]))
    with pytest.raises(ForkedLog):
        advance(receipts[0], receipts[1], [])
    one.provider.close()
    two.provider.close()
