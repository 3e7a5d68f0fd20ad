"""Given a notary's whole disk: what links one patient's transactions is the spend edge, and nothing else."""

import itertools
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from app.bench.workshop import Held, Made
from notaries.sqlite import SqliteProvider
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.policy import policy_digest
from states.encoding import encode
from states.lock import nullifier
from tests.unit.notaries.desk import SEAL_KEY, Desk, sqlite_in

PATIENTS = 40
CHUNK = 16  # the shortest run of bytes that could be a name for something: a label, a half hash


@dataclass
class Patient:
    """One patient's agent: a lock secret of hers, and all that was done for her."""

    secret: bytes
    made: list[Made] = field(default_factory=list)


@dataclass
class Model:
    """Every patient does the same things; the notary is asked in a shuffled order, at one time."""

    desk: Desk
    patients: list[Patient] = field(default_factory=list)

    def run(self) -> None:
        rng = random.Random(3)
        self.patients = [Patient(rng.randbytes(32)) for _ in range(PATIENTS)]
        lives = [self._life(patient) for patient in self.patients]
        steps = [life for life in lives for _ in range(6)]
        rng.shuffle(steps)
        for life in steps:
            next(life)

    def _life(self, patient: Patient) -> Iterator[None]:
        """Grant, publish, disclose (refers to the grant), amend, disclose again, revoke."""
        grant = self._commit(patient, [], [], 1)
        yield
        record = self._commit(patient, [], [], 2)
        yield
        self._commit(patient, [], grant, 1)
        yield
        self._commit(patient, record[:1], [], 1)
        yield
        self._commit(patient, [], grant, 1)
        yield
        self._commit(patient, grant, [], 0)
        yield

    def _commit(
        self, patient: Patient, inputs: list[Held], references: list[Held], outputs: int
    ) -> list[Held]:
        made = self.desk.workshop.make(inputs, references, outputs=outputs, secret=patient.secret)
        at = self.desk.commit(made).index
        patient.made.append(made)
        return [held.placed(at) for held in made.outputs]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    place = tmp_path_factory.mktemp("privacy") / "notary"
    model = Model(Desk(sqlite_in(place)))
    model.run()
    model.desk.provider.close()
    return model, place


def everything(place: Path) -> bytes:
    """All files, as bytes."""
    return b"".join(path.read_bytes() for path in sorted(place.iterdir()))


def rows(place: Path) -> dict[bytes, list[object]]:
    """Transaction id → every value that any table has in a row about it, but for ids of its creator."""
    found: dict[int, list[object]] = {}
    with closing(sqlite3.connect(place / "log.db")) as db:
        ids = dict(db.execute("SELECT n, id FROM log"))
        for n, *values in db.execute("SELECT n, at, until, spends, seal FROM log"):
            found.setdefault(n, []).extend(values)
        for n, *values in db.execute("SELECT at >> 16, nullifier, seal FROM spend"):
            found.setdefault(n, []).extend(values)
        for number, hashes in db.execute("SELECT number, hashes FROM tile WHERE level = 0"):
            for at in range(256):
                found[number * 256 + at].append(hashes[at * 32 : at * 32 + 32])
    return {ids[n]: values for n, values in found.items()}


def edges(place: Path) -> set[tuple[bytes, bytes]]:
    """The spend edges on the disk: (spender, creator)."""
    with closing(sqlite3.connect(place / "log.db")) as db:
        return set(
            db.execute(
                "SELECT a.id, b.id FROM spend s JOIN log a ON a.n = s.at >> 16"
                " JOIN log b ON b.n = s.k >> 16"
            )
        )


def chunks(value: object) -> Iterable[bytes]:
    """Every run of CHUNK bytes in a stored value."""
    data = value if isinstance(value, bytes) else b""
    return (data[at : at + CHUNK] for at in range(len(data) - CHUNK + 1))


def test_spend_edges_are_stored_and_are_the_true_ones(model: tuple[Model, Path]) -> None:
    world, place = model
    true = {
        (made.built.id, held.built.id)
        for patient in world.patients
        for made in patient.made
        for held in made.inputs
    }
    assert edges(place) == true
    assert len(true) == 2 * PATIENTS


def test_no_stored_value_is_shared_by_two_transactions_of_a_patient(
    model: tuple[Model, Path],
) -> None:
    """Join on every run of bytes of every column: no pair but what chance and equal numbers give."""
    world, place = model
    stored = rows(place)
    assert len(stored) == 6 * PATIENTS
    seen: dict[bytes, bytes] = {}
    for tx, values in stored.items():
        for chunk in {chunk for value in values for chunk in chunks(value)}:
            assert seen.setdefault(chunk, tx) == tx, "two transactions share bytes on the disk"
    owner: dict[bytes, int] = {
        made.built.id: n for n, patient in enumerate(world.patients) for made in patient.made
    }
    for column in range(3):  # time, end of window, count: the same distribution for every patient
        kinds = Counter((owner[tx], repr(values[column])) for tx, values in stored.items())
        per_patient = {
            n: tuple(sorted((value, count) for (who, value), count in kinds.items() if who == n))
            for n in range(PATIENTS)
        }
        assert len(set(per_patient.values())) == 1, "a number tells patients apart"


def test_the_best_clustering_of_the_disk_is_the_spend_edges(model: tuple[Model, Path]) -> None:
    """Link whatever shares a value that is rarer than every patient's; compare with edges alone."""
    world, place = model
    stored = rows(place)
    common = Counter(repr(value) for values in stored.values() for value in set(map(repr, values)))
    linked = set()
    by_value: dict[str, list[bytes]] = {}
    for tx, values in stored.items():
        for value in {repr(value) for value in values}:
            if common[repr(value)] <= 6:
                by_value.setdefault(value, []).append(tx)
    for group in by_value.values():
        linked |= {frozenset(pair) for pair in itertools.combinations(group, 2)}
    assert linked == set()
    of_a_patient = {
        frozenset(pair)
        for patient in world.patients
        for pair in itertools.combinations([made.built.id for made in patient.made], 2)
    }
    by_edge = {frozenset(edge) for edge in edges(place)}
    assert by_edge < of_a_patient
    assert len(by_edge) / len(of_a_patient) == pytest.approx(2 / 15)


def secrets_of(patient: Patient) -> Iterator[tuple[str, bytes]]:
    """What the notary was shown, or could be shown, and must not keep."""
    yield "lock secret", patient.secret
    for made in patient.made:
        for held in (*made.outputs, *made.inputs, *made.references):
            yield "salt", held.salt
            yield "lock key", held.signer.key.raw
            yield "policy digest", policy_digest(held.policy)
            lock = held.shown.leaves[1]
            yield "lock label", lock[36:52]
            yield "lock digest", lock[54:]
            yield "lock leaf", sha256(b"\0" + lock).digest()
        for signature in made.request().signatures:
            yield "lock signature", signature.raw[:CHUNK]
        for held in made.references:
            yield "nullifier of a reference", nullifier(held.salt, held.ref)
        for leaf in made.seen_by_notary.leaves[1:]:
            yield "nonce", leaf[:CHUNK]


def test_nothing_that_opens_or_names_a_state_is_on_the_disk(model: tuple[Model, Path]) -> None:
    """Consumed states leave their nullifier; openings, policies, keys, labels and references leave nothing."""
    world, place = model
    data = everything(place)
    spent = {
        nullifier(held.salt, held.ref)
        for patient in world.patients
        for made in patient.made
        for held in made.inputs
    }
    assert all(each in data for each in spent), "the search finds what is there"
    for patient in world.patients:
        for what, secret in secrets_of(patient):
            if secret in spent:
                continue  # the grant, when it was revoked at last
            for form in (secret, secret.hex().encode(), secret[::-1]):
                assert form not in data, f"{what} is on the disk"


def test_no_references_and_no_requester_are_on_the_disk(model: tuple[Model, Path]) -> None:
    """A disclosure differs from a publication in nothing that is stored; who asked is nowhere."""
    world, place = model
    data = everything(place)
    assert encode(world.desk.notary.party)[2:] not in data
    stored = rows(place)
    for patient in world.patients:
        publish, disclose = patient.made[1], patient.made[2]
        shapes = [[type(v) for v in stored[made.built.id]] for made in (publish, disclose)]
        assert shapes[0] == shapes[1]
        assert stored[publish.built.id][:3] == stored[disclose.built.id][:3]


def test_the_seal_key_is_not_on_the_disk_and_seals_tell_nothing(tmp_path: Path) -> None:
    desk = Desk(sqlite_in(tmp_path / "notary"))
    desk.commit(desk.workshop.make(desk.issue(), lock_key=Ed25519Signer(bytes(32))))
    provider = desk.provider
    assert isinstance(provider, SqliteProvider)
    provider.close()
    data = everything(tmp_path / "notary")
    assert SEAL_KEY not in data
    with closing(sqlite3.connect(tmp_path / "notary" / "log.db")) as db:
        seals = [
            seal for (seal,) in db.execute("SELECT seal FROM log UNION ALL SELECT seal FROM spend")
        ]
    assert len(set(seals)) == len(seals) == 3
