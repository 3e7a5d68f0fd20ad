"""Two hundred patients, everything that a notary has: what clusters one patient's transactions is the spend edge.

The nodes are real ones, so that locks, labels, windows and openings are those that the product makes.
"""

import itertools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import pytest

from app.demo.linking import owners_in, shared_bytes
from flows.flow import Flow
from flows.subjects.consent import GrantConsent, RevokeConsent
from flows.subjects.disclosure import Disclosed, RequestDisclosure
from flows.subjects.enrolment import Practitioner
from flows.subjects.record import Published, PublishRecords
from flows.subjects.statement import Stated
from states.groups import Group
from states.notarisation import QUESTION, NotarisationRequest
from states.state import STATE_REF, StateRef
from states.subjects.terms import Exceptions, Terms
from states.tearoff import open_tearoff
from tests.attack.liar import enrol_patient
from tests.attack.villages import VillageOnDisk
from tests.simulation.neighbours import DAY, REED, result, stage

PATIENTS = 200
CHUNK = 16  # bytes: the shortest run that can be a name of something
HALF = 8
RARE_MAX = 8  # a patient has four transactions here: what more of them share tells nobody apart
TERMS = Terms("permit", REED, None, ("TREAT",), ("laboratory",), ())

Pair = frozenset[bytes]
R = TypeVar("R", bound=msgspec.Struct)


@dataclass
class Town:
    """What happened, and whose it was: the truth that no cluster may come near."""

    village: VillageOnDisk
    owner: dict[bytes, int] = field(default_factory=dict)

    def live(self) -> None:
        """Everybody does the same; each round in another order, one transaction as good as another."""
        village, agent = self.village, self.village.nodes["Agent"]
        riverside = village.nodes["Riverside"]
        riverside.enrolments.add_practitioner(
            riverside.db, Practitioner(REED, "Dr A. Reed", "clinician")
        )
        for number in range(PATIENTS):
            agent.given.keys.add_patient(_handle(number))
            enrol_patient(village, "Mercy", f"MRN {number}", _handle(number))
        documents = [("laboratory", b"HbA1c 6.1 %")]
        batches = {
            n: stage(village, "Mercy", f"MRN {n}", documents)  # type: ignore[arg-type]  # a category
            for n in range(PATIENTS)
        }
        for number, made in self._each("Mercy", lambda n: PublishRecords(batches[n]), Published):
            self.owner[made.tx] = number
        consents = {}
        for number, stated in self._each("Agent", self._grant, Stated):
            consents[number] = stated.ref
            self.owner[stated.ref.tx] = number
        asked = self._each(
            "Riverside", lambda n: RequestDisclosure(consents[n], REED, "TREAT", ()), Disclosed
        )
        for number, disclosed in asked:
            assert disclosed.tx is not None
            self.owner[disclosed.tx] = number
        for _ in self._each("Agent", lambda n: RevokeConsent(consents[n]), Stated):
            pass
        spent = agent.db.execute("SELECT tx, consumed_by FROM ledger_state").fetchall()
        self.owner |= {by: self.owner[tx] for tx, by in spent if by is not None}

    def _grant(self, number: int) -> GrantConsent:
        village, now = self.village, self.village.clock.now
        custodian, grantee = village.party("Mercy"), village.party("Riverside")
        left_out = Exceptions((), ())
        return GrantConsent(
            _handle(number), custodian, grantee, now, now + 7 * DAY, TERMS, left_out
        )

    def _each(
        self, name: str, flow_of: Callable[[int], Flow], kind: type[R]
    ) -> Iterator[tuple[int, R]]:
        order = list(range(PATIENTS))
        self.village.random.shuffle(order)
        engine = self.village.nodes[name].engine
        started = {number: engine.start(flow_of(number)) for number in order}
        self.village.settle()
        for number, flow in started.items():
            yield number, result(self.village, name, flow, kind)


def _handle(number: int) -> bytes:
    return b"patient %08d" % number


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    town = Town(VillageOnDisk(tmp_path_factory.mktemp("town"), seed=31, only_notary=True))
    town.live()
    with town.village.closed():
        return town


@dataclass
class Stored:
    """All rows of all tables of the notary, by the transaction that they are about."""

    values: dict[bytes, list[object]]
    edges: set[Pair]


@pytest.fixture(scope="module")
def stored(town: Town) -> Stored:
    values: dict[bytes, list[object]] = defaultdict(list)
    edges = set()
    with closing(sqlite3.connect(town.village.folder("Notary") / "log.db")) as db:
        tables = {
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        assert tables - {"sqlite_sequence"} == {"log", "spend", "tile", "head"}, (
            "all tables are read below"
        )
        ids = dict(db.execute("SELECT n, id FROM log"))
        for n, *rest in db.execute("SELECT n, at, until, spends, seal FROM log"):
            values[ids[n]] += rest
        for n, created, *rest in db.execute("SELECT at >> 16, k >> 16, nullifier, seal FROM spend"):
            values[ids[n]] += rest
            edges.add(frozenset((ids[n], ids[created])))
        for number, hashes in db.execute("SELECT number, hashes FROM tile WHERE level = 0"):
            for at in range(256):
                if number * 256 + at in ids:
                    values[ids[number * 256 + at]].append(hashes[at * 32 : at * 32 + 32])
    return Stored(dict(values), edges)


def test_the_story_was_told_of_everybody(town: Town, stored: Stored) -> None:
    assert len(stored.values) == len(town.owner) == 4 * PATIENTS
    assert set(stored.values) == set(town.owner)
    assert len(stored.edges) == PATIENTS, "one spend a patient: her revocation of her grant"


def test_no_value_on_the_notarys_disk_links_a_patients_transactions(stored: Stored) -> None:
    """Cluster by every rare number and every run of sixteen bytes, of every column of every table."""
    assert _linked(stored.values, _runs) - stored.edges == set()
    assert _linked(stored.values, _numbers) - stored.edges == set()


def test_the_numbers_of_a_patient_are_those_of_every_other(town: Town, stored: Stored) -> None:
    shapes: dict[int, list[tuple[object, ...]]] = defaultdict(list)
    for tx, values in stored.values.items():
        shapes[town.owner[tx]].append(tuple(v for v in values if isinstance(v, int))[1:])
    assert len({tuple(sorted(map(str, each))) for each in shapes.values()}) == 1


def test_what_a_notary_hears_links_a_patient_by_spends_and_references_alone(
    town: Town, stored: Stored
) -> None:
    """An eavesdropping notary keeps every request: openings, lock keys, nonces, tear-offs."""
    heard: dict[bytes, list[object]] = {}
    named: set[Pair] = set()
    for data in town.village.heard:
        question = QUESTION.decode(data)
        if isinstance(question, NotarisationRequest):
            filtered = open_tearoff(question.tearoff)
            heard[filtered.id] = [data]
            named |= {frozenset((filtered.id, ref.tx)) for ref in _refs(question)}
    assert set(heard) == set(town.owner)
    fixed = _common(data for (data,) in heard.values() if isinstance(data, bytes))
    linked = _linked(heard, lambda value: {run for run in _runs(value) if not _has(run, fixed)})
    assert linked - _closure(named) == set()
    assert linked, "a disclosure shows the lock of its grant again, and that is found"
    assert stored.edges <= named
    records = {tx for tx in heard if not any(tx in pair for pair in named)}
    assert len(records) == PATIENTS, "a publication is linked with nothing of its patient's"


def test_no_bytes_of_any_file_of_the_notary_link_a_patients_transactions(
    town: Town, stored: Stored
) -> None:
    """Log and index, free pages and write-ahead logs: what lies beside an id is beside no other of the patient's."""
    folder = town.village.folder("Notary")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert {path.name for path in files} >= {"log.db", "index.db"}
    owners = owners_in(folder / "log.db")
    assert len(owners) == 5 * PATIENTS, "each transaction, and one nullifier a patient"
    linked = {frozenset(pair) for pair in shared_bytes(files, owners)} - stored.edges
    assert {pair for pair in linked if len({town.owner[tx] for tx in pair}) == 1} == set()
    assert len(linked) < len(owners) // 100, "what strangers share is chance"


def test_the_clustering_can_fail(town: Town, stored: Stored) -> None:
    """One name of each patient beside her rows, and every pair is found."""
    marked = {
        tx: [*values, b"pairwise id %04d" % town.owner[tx]] for tx, values in stored.values.items()
    }
    found = _linked(marked, _runs)
    assert len(found) == 6 * PATIENTS


def _refs(question: NotarisationRequest) -> list[StateRef]:
    filtered = open_tearoff(question.tearoff)
    return [
        STATE_REF.decode(component)
        for group in (Group.INPUTS, Group.REFERENCES)
        for _, component in filtered.components(group)
    ]


def _linked(
    rows: dict[bytes, list[object]], features: Callable[[object], Iterable[object]]
) -> set[Pair]:
    """Return the pairs that share a feature which is rarer than a round of all patients."""
    having: dict[object, set[bytes]] = defaultdict(set)
    for tx, values in rows.items():
        for value in values:
            for feature in features(value):
                having[feature].add(tx)
    return {
        frozenset(pair)
        for sharing in having.values()
        if 1 < len(sharing) <= RARE_MAX
        for pair in itertools.combinations(sharing, 2)
    }


def _runs(value: object) -> set[bytes]:
    data = value if isinstance(value, bytes) else b""
    return {data[at : at + CHUNK] for at in range(len(data) - CHUNK + 1)}


def _common(requests: Iterable[bytes]) -> set[bytes]:
    """Return the half runs that many requests have: names of notary and network, heads, times.

    The end of a nonce beside one of them is a run that two requests share by chance.
    """
    having = Counter(
        half
        for data in requests
        for half in {data[at : at + HALF] for at in range(len(data) - HALF + 1)}
    )
    return {half for half, count in having.items() if count > RARE_MAX}


def _has(run: bytes, halves: set[bytes]) -> bool:
    return any(run[at : at + HALF] in halves for at in range(CHUNK - HALF + 1))


def _numbers(value: object) -> list[object]:
    return [] if isinstance(value, bytes) else [value]


def _closure(pairs: set[Pair]) -> set[Pair]:
    """All pairs within the components of a graph."""
    of: dict[bytes, set[bytes]] = {}
    for one, other in pairs:
        joined = of.get(one, {one}) | of.get(other, {other})
        of |= dict.fromkeys(joined, joined)
    return {
        frozenset(pair)
        for component in {id(c): c for c in of.values()}.values()
        for pair in itertools.combinations(component, 2)
    }
