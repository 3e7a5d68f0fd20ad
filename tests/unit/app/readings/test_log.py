"""A node's own reading log: what is appended verifies offline, survives a restart, and erasure keeps it provable."""

import sqlite3
from pathlib import Path

import pytest

from app.keystore.keys import NodeKey
from app.keystore.memory import SeededEntropy, memory_key_store
from app.readings.log import NOBODY, ChainOf, NoSuchReading, Reading, ReadingLog
from app.storage.database import open_database, transaction
from states.checkpoint import open_checkpoint
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.hashes import tagged_hash
from states.errors import InvalidProof
from states.identity import Party, PatientId
from states.parameters import Member, ReadingLogKey
from states.reading import (
    EMPTY_CHAIN,
    ReadingContradicted,
    ReadingsMissing,
    ReportedReading,
    VerifiedReading,
    contradict,
    follow,
    item_hash,
    reading_logs_of,
    verify_reading,
)
from states.state import TransactionId

NOW = 1_795_341_600_000
ME = Party(did_of(Ed25519Signer(b"\1" * 32).key))
AGENT = Party(did_of(Ed25519Signer(b"\2" * 32).key))
KEYS = memory_key_store(b"node")
MEMBER = Member(
    network=bytes(32),
    party=ME,
    name="Riverside",
    kind="hospital",
    identity=(),
    box_key=bytes(32),
    tls_key=bytes(32),
    reading_log=(ReadingLogKey(KEYS.public(NodeKey.READING_LOG).raw, 0, 1 << 60),),
    endpoints=(),
    serial=1,
    active=True,
)


def disclosure(number: int) -> ChainOf:
    return ChainOf(TransactionId(tagged_hash("test", bytes([number]))), None, AGENT)


def reading(of: ChainOf, *commitments: bytes) -> Reading:
    return Reading(of, b"s" * 16, "Dr A. Reed", "clinician", "TREAT", "read", commitments)


def new_log(db: sqlite3.Connection) -> ReadingLog:
    log = ReadingLog(ME, KEYS, SeededEntropy(b"log"))
    with transaction(db):
        log.create(db)
    return log


@pytest.fixture
def db() -> sqlite3.Connection:
    return open_database(":memory:", cache_kib=1_024)


def append(db: sqlite3.Connection, log: ReadingLog, each: Reading) -> int:
    with transaction(db):
        return log.append(db, NOW, each)


def verified(db: sqlite3.Connection, log: ReadingLog, index: int) -> VerifiedReading:
    return verify_reading(log.reports(db, [index])[0], MEMBER)


def test_an_entry_verifies_by_the_log_key_of_the_map_and_says_what_was_appended(
    db: sqlite3.Connection,
) -> None:
    log = new_log(db)
    index = append(db, log, reading(disclosure(1), b"c" * 32))
    found = verified(db, log, index)
    assert found.entry.shown_as == "Dr A. Reed"
    assert found.entry.items == (item_hash(found.salt, b"c" * 32),)
    assert (found.entry.number, found.place.index) == (1, index)
    assert follow(EMPTY_CHAIN, found).number == 1


def test_every_entry_of_a_log_of_many_tiles_verifies_and_each_chain_is_unbroken(
    db: sqlite3.Connection,
) -> None:
    log = new_log(db)
    with transaction(db):
        for at in range(600):
            log.append(db, NOW + at, reading(disclosure(at % 7)))
    heads = {disclosure(n).disclosure: EMPTY_CHAIN for n in range(7)}
    for report in log.reports(db, range(600)):
        found = verify_reading(report, MEMBER)
        heads[found.entry.disclosure] = follow(heads[found.entry.disclosure], found)
    assert sorted(head.number for head in heads.values()) == [85, 85, 86, 86, 86, 86, 86]


def test_a_restart_goes_on_with_the_same_tree_chains_and_secret(tmp_path: Path) -> None:
    file = tmp_path / "node.db"
    first = open_database(file)
    log = new_log(first)
    for at in range(300):
        append(first, log, reading(disclosure(at % 2)))
    note = log.checkpoint(first)
    first.close()
    again = open_database(file)
    log = new_log(again)
    assert log.checkpoint(again) == note
    index = append(again, log, reading(disclosure(0)))
    assert index == 300
    found = verified(again, log, index)
    assert found.entry.number == 151
    assert found.entry.chain == verified(again, log, 0).entry.chain
    again.close()


def test_what_is_rolled_back_was_never_there(db: sqlite3.Connection) -> None:
    log = new_log(db)
    append(db, log, reading(disclosure(1)))
    db.execute("BEGIN IMMEDIATE")
    log.append(db, NOW, reading(disclosure(1), b"x" * 32))
    db.execute("ROLLBACK")
    index = append(db, log, reading(disclosure(1)))
    assert index == 1
    assert verified(db, log, 1).entry.number == 2
    key = reading_logs_of(MEMBER, NOW)[0].log_key
    assert open_checkpoint(log.checkpoint(db), key).size == 2


def test_an_entry_without_a_transaction_is_our_own_mistake(db: sqlite3.Connection) -> None:
    with pytest.raises(AssertionError):
        new_log(db).append(db, NOW, reading(disclosure(1)))


def test_an_erased_body_is_gone_and_its_neighbours_still_verify(db: sqlite3.Connection) -> None:
    log = new_log(db)
    for _ in range(3):
        append(db, log, reading(disclosure(1)))
    kept = log.reports(db, [1])[0]
    with transaction(db):
        log.erase(db, 1)
    with pytest.raises(NoSuchReading):
        log.reports(db, [1])
    assert verified(db, log, 0).place.checkpoint.checkpoint.size == 3
    assert verified(db, log, 2).entry.number == 3
    verify_reading(kept, MEMBER)  # who was told before can still show it
    dump = "\n".join(db.iterdump()).lower()
    assert kept.salt.hex() not in dump
    assert kept.body.hex() not in dump


def test_erasing_a_chain_touches_no_other(db: sqlite3.Connection) -> None:
    log = new_log(db)
    for at in range(4):
        append(db, log, reading(disclosure(at % 2)))
    with transaction(db):
        assert log.erase_chain(db, disclosure(0)) == 2
    with pytest.raises(NoSuchReading):
        log.reports(db, [0])
    assert verified(db, log, 1).entry.number == 1


def test_an_altered_entry_salt_or_index_proves_nothing(db: sqlite3.Connection) -> None:
    log = new_log(db)
    for _ in range(5):
        append(db, log, reading(disclosure(1)))
    good, other = log.reports(db, [2, 3])
    forged = (
        ReportedReading(good.body, other.salt, good.proof),
        ReportedReading(other.body, good.salt, good.proof),
        ReportedReading(good.body, good.salt, other.proof),
    )
    for each in forged:
        with pytest.raises(InvalidProof):
            verify_reading(each, MEMBER)


def test_an_omitted_a_repeated_and_a_relinked_entry_show(db: sqlite3.Connection) -> None:
    log = new_log(db)
    for _ in range(3):
        append(db, log, reading(disclosure(1)))
    first, second, third = (verify_reading(r, MEMBER) for r in log.reports(db, range(3)))
    head = follow(EMPTY_CHAIN, first)
    with pytest.raises(ReadingsMissing) as missing:
        follow(head, third)
    assert (missing.value.first, missing.value.last) == (2, 2)
    with pytest.raises(ReadingContradicted):
        follow(head, first)
    with pytest.raises(ReadingContradicted):
        follow(head._replace(digest=bytes(32)), second)


def test_chains_of_one_patient_cannot_be_told_to_be_hers_by_another(db: sqlite3.Connection) -> None:
    log = new_log(db)
    other = ReadingLog(ME, memory_key_store(b"another"), SeededEntropy(b"other"))
    elsewhere = open_database(":memory:", cache_kib=1_024)
    with transaction(elsewhere):
        other.create(elsewhere)
    patient = PatientId(b"p" * 16)
    assert log.chain(db, patient) == log.chain(db, patient)
    assert log.chain(db, patient) != other.chain(elsewhere, patient)


def test_the_nodes_own_chain_is_for_no_agent(db: sqlite3.Connection) -> None:
    log = new_log(db)
    append(db, log, reading(NOBODY))
    append(db, log, reading(disclosure(1)))
    rows = db.execute("SELECT idx, reported FROM reading ORDER BY idx").fetchall()
    assert rows == [(0, 1), (1, 0)]


def test_a_restored_log_goes_on_from_what_it_kept_and_signs_no_second_version(
    db: sqlite3.Connection,
) -> None:
    log = new_log(db)
    for _ in range(2):
        append(db, log, reading(disclosure(1)))
    image = open_database(":memory:", cache_kib=1_024)
    db.backup(image)
    append(db, log, reading(disclosure(1), b"lost" * 8))
    said = log.checkpoint(db)
    again = ReadingLog(ME, KEYS, SeededEntropy(b"after the restore"))
    with transaction(image):
        again.begin_epoch(image, NOW + 5)
    kept = verified(image, again, 1)
    assert kept.entry.restored is None, "what was written before verifies in the log that goes on"
    index = append(image, again, reading(disclosure(1), b"new." * 8))
    found = verified(image, again, index)
    assert found.entry.restored is not None
    assert (found.entry.restored.at, found.entry.restored.after) == (NOW + 5, 2)
    assert (found.entry.number, found.entry.previous) == (3, kept.digest)
    assert not contradict(found, verified(db, log, 2)), "a number of another epoch"
    (name, size, _), (other, same_size, _) = (
        note.splitlines()[:3] for note in (said, again.checkpoint(image))
    )
    assert size == same_size
    assert name != other, "one log of one size and two roots would be a fork"
    begun = verified(image, again, append(image, again, reading(disclosure(2))))
    assert begun.entry.restored is not None
    assert (begun.entry.number, begun.entry.restored.after) == (1, 0)


def test_every_restore_begins_another_epoch_after_what_that_backup_had(
    db: sqlite3.Connection,
) -> None:
    log = new_log(db)
    append(db, log, reading(disclosure(1)))
    told = []
    for at in (1, 2):
        with transaction(db):
            log.begin_epoch(db, NOW + at)
        told.append(verified(db, log, append(db, log, reading(disclosure(1)))).entry.restored)
    assert [(each.at, each.after) for each in told if each is not None] == [
        (NOW + 1, 1),
        (NOW + 2, 2),
    ]
    assert len({each.epoch for each in told if each is not None}) == 2
