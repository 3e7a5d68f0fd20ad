"""What people do in the simulated network: enrol, publish, grant, ask, restrict, revoke and transfer, in any order."""

import io
from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import msgspec

from app.blobs.cipher import seal
from app.storage.database import transaction
from app.subjects.record import Staged
from flows.flow import Flow
from flows.subjects.consent import RevokeConsent
from flows.subjects.disclosure import MakeDisclosure, RequestDisclosure
from flows.subjects.enrolment import FindPractitioner
from flows.subjects.record import AmendRecord, PublishRecords
from states.identity import PatientId
from states.state import StateRef, TransactionId
from states.subjects.content import Content
from states.subjects.terms import Terms
from tests.simulation.desks import Desks
from tests.simulation.disk import DiskFull, Killed
from tests.simulation.node import SimNode
from tests.simulation.observer import present
from tests.simulation.openings import Document
from tests.simulation.passing import Passing
from tests.simulation.readers import READER, Readers
from tests.simulation.stating import CATEGORIES, CUSTODIANS, RECIPIENTS, Stating
from tests.simulation.withholding import Withholding

if TYPE_CHECKING:
    from tests.simulation.world import World

PATIENTS = (b"ada-at-her-agent", b"bob-at-her-agent", b"cyd-at-her-agent")
ESTRANGED_MS = 90_000

_GRANTED = "SELECT tx, idx, consumed_seq IS NULL FROM statement WHERE grantee = ? ORDER BY tx"
_RECORDS = (
    "SELECT tx, idx, patient FROM record WHERE custodian = ? AND consumed_seq IS NULL"
    " AND key IS NOT NULL ORDER BY tx, idx"
)


class Workload:
    """Draws what happens next. Whoever acts knows only what her own node shows her."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = Random(f"{world.seed}/workload")
        self._patients = PATIENTS[: self._random.choice((2, 2, 3))]
        self._keys = 0
        self._marks: dict[bytes, tuple[str, str]] = {}  # commitment → (mark of its code, category)
        self._opened: list[tuple[str, tuple[str, ...]]] = []
        self._agent = world.nodes["Agent"]
        self._desks = Desks(world, self._launch)
        self._passing = Passing(world, self._random, self._launch)
        self._withholding = Withholding(world, self._random, self._launch)
        self.readers = Readers(world, self._launch)
        self._stating = Stating(world, self._random, self._launch, self._patients, self.readers)
        self.acts: tuple[tuple[int, Callable[[], None]], ...] = (
            (3, self.enrol),
            (4, self.publish),
            (4, self._stating.grant),
            (5, self.ask),
            (3, self._stating.revoke),
            (2, self._stating.amend_consent),
            (3, self._stating.restrict),
            (1, self._stating.lift),
            (2, self.amend_record),
            (5, self.transfer),
            (3, self.look_up),
            (1, self._stating.contest),
            (8, self.readers.read),
            (1, self.beat),
            (2, self._withholding.release),
        )
        for patient in self._patients:
            self._agent.resident.keys.add_patient(patient)

    # -- the day ---------------------------------------------------------------------------------------

    def begin(self, active: int) -> None:
        """Begin the day: a story that may succeed, told with pauses, and enrolments of others."""
        self._tell_story(active)
        for patient in self._patients:
            for custodian in self._random.sample(CUSTODIANS, 2):
                self._desks.offer(self._world.nodes[custodian], patient)
        for _ in range(self._random.randint(0, 2)):
            self.publish()

    def _tell_story(self, active: int) -> None:
        """One patient, one custodian, one recipient: from enrolment to what is disclosed, passed on and withdrawn."""
        patient = self._random.choice(self._patients)
        grantee = self._random.choice(RECIPIENTS)
        custodian, taker = self._random.sample([c for c in CUSTODIANS if c != grantee] * 2, 2)
        node, reader = self._world.nodes[custodian], self._world.nodes[grantee]
        self._desks.offer(node, patient)
        self._desks.offer(self._world.nodes[taker], patient)
        acts: list[tuple[float, Callable[[], object]]] = [
            (0.05, self._desks.serve),
            (0.12, partial(self._publish_at, node, patient)),
            *(
                (at, partial(self._stating.grant_to, patient, custodian, grantee))
                for at in (0.2, 0.4, 0.6)
            ),
            (0.22, partial(self._publish_at, node, patient)),
            *((0.3 + 0.07 * turn, partial(self._ask_at, reader)) for turn in range(8)),
            *((0.35 + 0.1 * turn, self.look_up) for turn in range(3)),
            *((0.4 + 0.08 * turn, partial(self._transfer_from, node)) for turn in range(6)),
            (0.5, partial(self._amend_at, node)),
            *((at, self._withholding.release) for at in (0.35, 0.45, 0.55, 0.65, 0.75)),
            (0.55, self._stating.restrict),
            (0.6, self._stating.amend_consent),
            *((0.7 + 0.1 * turn, self._stating.lift) for turn in range(3)),
            (0.8, partial(self._amend_at, node)),
            *((0.4 + 0.09 * turn, partial(self.readers.read_at, reader)) for turn in range(7)),
            *((0.3 + 0.2 * turn, partial(self.readers.read_at, node)) for turn in range(3)),
            (0.7, partial(self.readers.read_at, self._agent)),
            *((0.75, partial(self.readers.report_heads, each)) for each in (node, reader)),
            (0.8, partial(self.readers.confirm, reader)),
        ]
        for share, act in acts:
            if self._random.random() < 0.8:
                self._world.after(int(share * active) + self._random.randint(0, 2_000), act)

    def act(self) -> None:
        """Do one thing that somebody might do now."""
        self._desks.serve()
        weights = [weight for weight, _ in self.acts]
        (act,) = self._random.choices([each for _, each in self.acts], weights)
        act()

    def _launch(self, node: SimNode, flow: Flow) -> str:
        self._keys += 1
        key = f"{node.name} {self._keys}"
        self._world.launch(node, flow, key)
        return key

    # -- enrolment -------------------------------------------------------------------------------------

    def enrol(self) -> None:
        custodian = self._world.nodes[self._random.choice(CUSTODIANS)]
        self._desks.offer(custodian, self._random.choice(self._patients))

    # -- records ---------------------------------------------------------------------------------------

    def _stage(
        self, node: SimNode, patient: bytes, local: str, count: int, *, may_withhold: bool = False
    ) -> bytes | None:
        assembly = node.assembly
        if assembly is None:
            return None
        canaries = self._world.oracle.canaries
        staged = []
        for _ in range(count):
            category = self._random.choice(CATEGORIES)
            body, code = canaries.new(), canaries.new(node.name, "Agent")
            key = self._random.randbytes(32)
            sealing = seal(io.BytesIO(f"{category} {body}".encode()), key)
            node.blobs.put(sealing)
            sealed = sealing.sealed
            self._marks[sealed.commitment] = code, category
            handle = self._desks.handles[local]
            self._world.oracle.permits.patients[sealed.commitment] = handle
            document = Document(handle, category, sealed.commitment)
            self._world.oracle.openings.documents[body] = document
            reason = self._withholding.draw(sealed.commitment) if may_withhold else None
            for name, permitted in self._opened:
                if category in permitted:
                    canaries.let(code, name)
            staged.append(
                Staged(
                    PatientId(patient),
                    local,
                    Content("Observation", code, "http://loinc.org", category, ("N",), None),
                    sealed.commitment,
                    sealed.cid,
                    sealed.size_class,
                    sealed.length,
                    node.resident.keys.wrap_at_rest(key, sealed.commitment),
                    f"obs {canaries.new(node.name)}",
                    reason,
                )
            )
        batch = self._random.randbytes(16)
        try:
            with present(node.observer), transaction(node.disk):
                assembly.records.stage(node.disk, batch, staged)
        except (Killed, DiskFull):
            return None
        return batch

    def publish(self) -> None:
        self._publish_at(self._world.nodes[self._random.choice(CUSTODIANS)])

    def _publish_at(self, node: SimNode, of: bytes | None = None) -> None:
        """Publish records of somebody who is enrolled there: of one patient, or of any."""
        rows = self._desks.enrolled(node, of)
        if rows:
            patient, local = self._random.choice(rows)
            batch = self._stage(node, patient, local, self._random.randint(1, 3), may_withhold=True)
            if batch is not None:
                self._launch(node, PublishRecords(batch))

    def _somewhere(self) -> SimNode:
        return self._world.nodes[self._random.choice(CUSTODIANS)]

    def _record(self, node: SimNode) -> tuple[SimNode, StateRef, str] | None:
        rows = node.disk.execute(_RECORDS, (node.me,)).fetchall()
        if not rows:
            return None
        tx, index, patient = self._random.choice(rows)
        return node, StateRef(TransactionId(tx), index), patient

    def amend_record(self) -> None:
        self._amend_at(self._somewhere())

    def _amend_at(self, at: SimNode) -> None:
        found = self._record(at)
        if found is None:
            return
        node, ref, local = found
        for patient, name in self._desks.enrolled(node):
            if name == local:
                batch = self._stage(node, patient, local, 1)
                if batch is not None:
                    self._launch(node, AmendRecord(ref, batch))

    def transfer(self) -> None:
        self._transfer_from(self._somewhere())

    def _transfer_from(self, at: SimNode) -> None:
        found = self._record(at)
        if found is None:
            return
        node, ref, _ = found
        to = self._passing.taker(node, ref, CUSTODIANS)
        for mark, _category in self._marks_of(node, ref):
            self._world.oracle.canaries.let(mark, to)
        self._passing.pass_on(node, ref, self._world.nodes[to])

    def _marks_of(self, node: SimNode, ref: StateRef) -> list[tuple[str, str]]:
        rows = node.disk.execute(
            "SELECT commitment FROM record WHERE tx = ? AND idx = ?", (ref.tx, ref.index)
        )
        return [self._marks[row[0]] for row in rows if row[0] in self._marks]

    # -- who reads ---------------------------------------------------------------------------------------

    def ask(self) -> None:
        self._ask_at(self._world.nodes[self._random.choice(RECIPIENTS)])

    def _ask_at(self, node: SimNode) -> None:
        rows = node.disk.execute(_GRANTED, (node.me,)).fetchall()
        live = [row for row in rows if row[2]]
        if rows:
            hopeful = live and self._random.random() < 0.85
            tx, index, _ = self._random.choice(live if hopeful else rows)
            self._open_marks(node, tx)
            ref = StateRef(TransactionId(tx), index)
            self._launch(node, RequestDisclosure(ref, READER, "TREAT", ()))
            self.readers.wait_at(node)
            if self._random.random() < 0.3:
                self._world.after(
                    self._random.randint(200, 8_000),
                    partial(self._launch, self._agent, RevokeConsent(ref)),
                )
                self._estrange()
            elif self._random.random() < 0.4:
                self._hold_up()
            elif self._random.random() < 0.3:
                self._world.after(self._random.randint(2_000, 10_000), self._stating.restrict)

    def _estrange(self) -> None:
        """Keep every custodian from hearing of a revocation, so that only the notary can tell."""
        world = self._world
        if world.swarm.over or not world.swarm.rates:
            return
        for name in CUSTODIANS:
            world.wire.cut["Agent", name] = world.now + ESTRANGED_MS
        self._hold_up()

    def _hold_up(self) -> None:
        """Let receipts of disclosures come late, when they are no word of now any more."""
        world = self._world
        if not world.swarm.over and world.swarm.rates:
            late = self._random.randint(12_000, 30_000)
            world.notary.held_up[MakeDisclosure.name] = world.now + late

    def beat(self) -> None:
        """Let a node do what it does at slower beats."""
        node = self._world.nodes[self._random.choice((*CUSTODIANS, "Agent"))]
        beats = self.readers.report_heads, self.readers.obtain_keys, self.readers.confirm
        self._random.choice(beats)(node)

    def _open_marks(self, node: SimNode, tx: bytes) -> None:
        """By this consent its grantee may see what is of the permitted categories, and nothing else."""
        (terms,) = node.disk.execute("SELECT terms FROM statement WHERE tx = ?", (tx,)).fetchone()
        permitted: tuple[str, ...]
        permitted = msgspec.msgpack.decode(terms, type=Terms, strict=False).categories
        self._opened.append((node.name, permitted))
        for mark, category in self._marks.values():
            if category in permitted:
                self._world.oracle.canaries.let(mark, node.name)

    def look_up(self) -> None:
        organisation = self._world.nodes[self._random.choice(RECIPIENTS)]
        self._launch(self._agent, FindPractitioner(organisation.me, "Dr Nobody"))
