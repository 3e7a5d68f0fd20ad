"""What a copy of a disk tells, after a whole story: the notary's, an uninvolved node's, and each party's own."""

import base64
import hashlib
import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flows.subjects.consent import GrantConsent, RevokeConsent
from flows.subjects.disclosure import RequestDisclosure
from flows.subjects.enrolment import Practitioner
from flows.subjects.record import AmendRecord
from flows.subjects.restriction import Restrict
from flows.subjects.statement import Stated
from states.encoding import encode
from states.groups import Group
from states.sealed import SEALED
from states.state import StateRef
from states.subjects.terms import Exceptions, Terms
from states.tearoff import NONCE_SIZE, TEAROFF, open_tearoff
from tests.attack.canary_scan import dresses, scan
from tests.attack.villages import VillageOnDisk
from tests.simulation.neighbours import ADA, DAY, REED, enrol, publish, result, stage

WORD = "Quetzalcoatlus 4711"
LOCAL, LOCAL_AT_RIVERSIDE, LOCAL_AT_NORTHSIDE = "MRN-Xylophagous", "RV-Zymurgy", "ORD-Quixotic"
LABORATORY, NOTE = b"HbA1c kwashiorkor 6.1 %", b"a note of borborygmus"
NAME = "Dr Aloysius Ptolemaeus"
PURPOSE_NOTICE = hashlib.sha256(b"what she was shown").digest()


@dataclass
class Told:
    """What was said in the story that somebody must not have."""

    root: Path
    pairwise: dict[str, bytes] = field(default_factory=dict)
    hidden_from_grantee: list[bytes] = field(default_factory=list)
    undisclosed: list[bytes] = field(default_factory=list)
    restriction: bytes = b""

    def folder(self, name: str) -> Path:
        return self.root / name


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    root = tmp_path_factory.mktemp("disks")
    village = VillageOnDisk(root, seed=21)
    told = Told(root)
    consent = _live(village, told)
    _write_down(village, told, consent)
    with village.closed():
        return told


def _live(village: VillageOnDisk, told: Told) -> StateRef:
    mercy, riverside, agent = (village.nodes[n] for n in ("Mercy", "Riverside", "Agent"))
    riverside.enrolments.add_practitioner(riverside.db, Practitioner(REED, NAME, "clinician"))
    agent.given.keys.add_patient(ADA)
    enrol(village, "Mercy", LOCAL)
    enrol(village, "Riverside", LOCAL_AT_RIVERSIDE)
    publish(village, "Mercy", LOCAL, [("laboratory", LABORATORY), ("note", NOTE)])
    now = village.clock.now
    terms = Terms("permit", REED, None, ("TREAT",), ("laboratory", "medication"), ())
    left_out = Exceptions(("genetics",), ("HIV", "STD"))
    grant = GrantConsent(
        ADA, mercy.me, riverside.me, now, now + 7 * DAY, terms, left_out, PURPOSE_NOTICE
    )
    consent = result(village, "Agent", village.run("Agent", grant), Stated).ref
    ask = RequestDisclosure(consent, REED, "TREAT", ())
    village.run("Riverside", ask)
    closing_terms = Terms("deny", None, None, (), ("note",), ("PSY",))
    told.restriction = encode(closing_terms)
    village.run("Agent", Restrict(ADA, mercy.me, closing_terms))
    old = mercy.db.execute("SELECT tx, idx FROM record WHERE category = 'laboratory'").fetchone()
    batch = stage(village, "Mercy", LOCAL, [("laboratory", LABORATORY + b" corrected")])
    village.run("Mercy", AmendRecord(StateRef(*old), batch))
    village.run("Agent", RevokeConsent(consent))
    village.run("Riverside", ask)
    village.pass_time(DAY)
    return consent


def _write_down(village: VillageOnDisk, told: Told, consent: StateRef) -> None:
    agent, mercy = village.nodes["Agent"], village.nodes["Mercy"]
    for name in ("Mercy", "Riverside"):
        party = village.party(name)
        told.pairwise[name] = agent.enrolments.of_local(agent.db, party, ADA.hex()).patient
    row = agent.db.execute("SELECT tearoff FROM ledger_tx WHERE tx = ?", (consent.tx,)).fetchone()
    whole = open_tearoff(TEAROFF.decode(row[0]))
    for index, component in whole.components(Group.SEALED):
        if "grantee" not in SEALED.decode(component).readers:
            leaf = whole.tearoff.leaves[
                whole.tearoff.positions.index(whole.layout.position(Group.SEALED, index))
            ]
            told.hidden_from_grantee += [leaf[:NONCE_SIZE], component]
    told.undisclosed = [
        value
        for commitment, blob in mercy.db.execute(
            "SELECT commitment, blob FROM record WHERE category = 'note'"
        )
        for value in (commitment, blob.encode())
    ]


SAID: tuple[str | bytes, ...] = (
    LOCAL,
    LOCAL_AT_RIVERSIDE,
    LABORATORY,
    NOTE,
    NAME,
    ADA,
    REED,
    "4548-4",
    "laboratory",
    "clinician",
)


def test_the_notarys_disk_has_nothing_that_was_said(told: Told) -> None:
    ids = tuple(told.pairwise.values())
    hidden = (*told.hidden_from_grantee, *told.undisclosed, told.restriction)
    assert scan(told.folder("Notary"), (*SAID, *ids, *hidden, PURPOSE_NOTICE)) == []


def test_an_uninvolved_nodes_disk_has_nothing_that_was_said(told: Told) -> None:
    ids = tuple(told.pairwise.values())
    hidden = (*told.hidden_from_grantee, *told.undisclosed, told.restriction)
    words = (*SAID, *ids, *hidden, PURPOSE_NOTICE)
    assert scan(told.folder("Northside"), words) == []


def test_a_grantee_has_no_restriction_exception_foreign_name_or_undisclosed_item(
    told: Told,
) -> None:
    """Neither what was torn off nor its nonce, by which it could be guessed."""
    secret: tuple[str | bytes, ...] = (
        LOCAL, ADA, NOTE, told.pairwise["Mercy"], told.restriction,
        encode(Exceptions(("genetics",), ("HIV", "STD"))), *told.hidden_from_grantee, *told.undisclosed,
    )  # fmt: skip
    assert scan(told.folder("Riverside"), secret) == []


def test_an_agent_has_metadata_and_no_record(told: Told) -> None:
    assert scan(told.folder("Agent"), (LABORATORY, NOTE, LOCAL, LOCAL_AT_RIVERSIDE)) == []


def test_a_custodian_has_no_name_of_the_patient_but_its_own(told: Told) -> None:
    foreign = (ADA, LOCAL_AT_RIVERSIDE, told.pairwise["Riverside"])
    assert scan(told.folder("Mercy"), foreign) == []


def test_no_record_lies_in_plain_on_any_disk(told: Told) -> None:
    assert scan(told.root, (LABORATORY, NOTE)) == []


def test_the_scan_finds_what_is_there(told: Told) -> None:
    assert {f.canary for f in scan(told.folder("Mercy"), (LOCAL, "laboratory"))} == {
        LOCAL,
        "laboratory",
    }
    assert scan(told.folder("Riverside"), (NAME, told.pairwise["Riverside"]))
    assert scan(told.folder("Agent"), told.hidden_from_grantee)


# -- the scan itself: each dress is found, or it would prove nothing --------------------------------------


@pytest.mark.parametrize(
    "dressed",
    [
        WORD.encode(),
        WORD.upper().encode(),
        WORD.replace(" ", "").encode(),
        WORD.encode("utf-16-le"),
        WORD.encode("utf-16-be"),
        WORD.encode().hex().encode(),
        WORD.encode()[::-1],
        base64.b64encode(WORD.encode()),
        base64.b64encode(b"x" + WORD.encode() + b"yz"),
        base64.b64encode(b"xy" + WORD.encode()),
        base64.urlsafe_b64encode(b"xy" + WORD.encode() + b"?"),
        zlib.compress(b"before " + WORD.encode()),
        zlib.compress(zlib.compress(WORD.encode()), 1),
        hashlib.sha256(WORD.encode()).digest(),
        hashlib.md5(WORD.lower().encode(), usedforsecurity=False).hexdigest().encode(),
        b"Quetzalcoatlus%204711",
    ],
)
def test_a_word_is_found_in_every_dress(dressed: bytes) -> None:
    found = scan(b"\0\1 " + dressed + b" behind", (WORD,))
    assert found
    assert found[0].canary == WORD


def test_a_word_is_found_where_a_database_deleted_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as db:
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("CREATE TABLE t (v TEXT)")
        db.executemany(
            "INSERT INTO t VALUES (?)", [(f"{WORD} {n} " + "x" * 900,) for n in range(40)]
        )
        db.commit()
        db.execute("DELETE FROM t")
        db.commit()
    assert scan(tmp_path, (WORD,))


def test_a_word_is_found_though_a_long_value_lies_on_several_pages(tmp_path: Path) -> None:
    long = "Quetzalcoatlus " * 400
    with closing(sqlite3.connect(tmp_path / "long.db")) as db:
        db.execute("CREATE TABLE t (v TEXT)")
        db.execute("INSERT INTO t VALUES (?)", (long,))
        db.commit()
    assert scan(tmp_path, (long,), hashes=False)


def test_a_word_is_found_in_a_write_ahead_log_and_in_a_files_name(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "live.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("CREATE TABLE t (v TEXT)")
        db.execute("INSERT INTO t VALUES (?)", (WORD,))
        db.commit()
        assert any("live.db-wal" in found.where for found in scan(tmp_path, (WORD,)))
    (tmp_path / "Quetzalcoatlus.txt").write_text("nothing")
    assert scan(tmp_path / "Quetzalcoatlus.txt", ("Quetzalcoatlus",))


def test_a_word_that_is_too_short_to_mean_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 6 bytes"):
        dresses("Ada")
    with pytest.raises(FileNotFoundError):
        scan(Path("/nonexistent"), (WORD,))
