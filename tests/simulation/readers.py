"""Who reads: clinicians what was disclosed to them, a custodian's staff its own records, patients theirs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from app.auth.sessions import Role, Session
from app.gate import Opened, Refused
from flows.flow import Flow
from flows.subjects.consent import ConfirmConsents
from flows.subjects.enrolment import Practitioner
from states.state import StateRef, TransactionId
from tests.simulation.disk import Killed
from tests.simulation.faults import Fault
from tests.simulation.node import SimNode
from tests.simulation.openings import Document

if TYPE_CHECKING:
    from tests.simulation.world import World

READER = bytes(range(16))
BEAT_MS = 1_000  # after which what was read is reported, as a node's beat does
AGAIN_MS = (2_000, 9_000)  # after which a patient tries once more what had to be fetched
WAITS_MS = (1_500, 8_000, 40_000)
AT_ONCE_MS = (0, 300)  # after a restart: before its peers have said anything, as a rule
EAGER_SHARE = 0.5  # of restarts, after which somebody reads at once
EAGER_LOOKS = 3  # at a node that is back from an image: what it has forgotten must not open
SESSION = timedelta(hours=8)

_DISCLOSED = (
    "SELECT tx, item FROM disclosure JOIN disclosure_item USING (tx) WHERE recipient = ?"
    " ORDER BY tx, item"
)
_OWN = "SELECT tx, idx FROM record WHERE custodian = ? AND key IS NOT NULL ORDER BY tx, idx"
_HERS = "SELECT tx, idx, patient FROM record WHERE patient IS NOT NULL ORDER BY tx, idx"
_WHY = "SELECT why FROM reading WHERE idx > ? ORDER BY idx DESC LIMIT 1"


class Readers:
    """Lets people read at random, and nodes do at their beats what follows from it."""

    def __init__(self, world: "World", launch: Callable[[SimNode, Flow], object]) -> None:
        self._world = world
        self._random = Random(f"{world.seed}/readers")
        self._launch = launch
        self._agent = world.nodes["Agent"]
        self._reporting: set[str] = set()
        world.on_start = self._started
        for node in world.nodes.values():
            if node is not self._agent:
                self._employ(node)

    def _employ(self, node: SimNode) -> None:
        assert node.assembly is not None
        mark = self._world.oracle.canaries.new("Mercy", "Riverside", "Northside", "Agent")
        doctor = Practitioner(READER, f"Dr {mark}", "clinician")
        node.assembly.enrolments.add_practitioner(node.disk, doctor)

    # -- who reads what --------------------------------------------------------------------------------

    def read(self) -> None:
        """Let somebody read something somewhere."""
        self.read_at(self._random.choice(list(self._world.nodes.values())))

    def read_at(self, node: SimNode) -> None:
        """Let somebody read at a node: at an agent a patient, elsewhere a clinician what is disclosed or its own."""
        if node is self._agent:
            self._read_hers()
        elif self._random.random() < 0.7:
            self._choose(node, _DISCLOSED, self._read_disclosed)
        else:
            self._choose(node, _OWN, self._read_own)

    def wait_at(self, node: SimNode) -> None:
        """Whoever asked for a disclosure looks again and again whether something has come, and what still opens."""
        for most in WAITS_MS:
            look = partial(self._choose, node, _DISCLOSED, self._read_disclosed)
            self._world.after(self._random.randint(200, most), look)

    def _choose(
        self, node: SimNode, rows: str, read: Callable[[SimNode, bytes, int], None]
    ) -> None:
        found = node.disk.execute(rows, (node.me,)).fetchall()
        if found:
            read(node, *self._random.choice(found))

    def _read_disclosed(self, node: SimNode, tx: bytes, item: int) -> None:
        assembly, openings = node.assembly, self._world.oracle.openings
        if assembly is not None:
            session = self._session(node, Role.CLINICIAN, READER)
            of = TransactionId(tx)
            self._read(
                node,
                "disclosed",
                lambda: assembly.gate.read_record(session, of, item, "TREAT"),
                lambda document: openings.by_consent(node, tx, document),
            )

    def _read_own(self, node: SimNode, tx: bytes, index: int) -> None:
        assembly, openings = node.assembly, self._world.oracle.openings
        if assembly is not None:
            session = self._session(node, Role.CLINICIAN, READER)
            ref = StateRef(TransactionId(tx), index)
            self._read(
                node,
                "own",
                lambda: assembly.gate.read_own(session, ref, "TREAT"),
                lambda document: openings.by_staff(node, document),
            )

    def _read_hers(self) -> None:
        rows = self._agent.disk.execute(_HERS).fetchall()
        if rows:
            tx, index, patient = self._random.choice(rows)
            if not self._read_one_of_hers(StateRef(TransactionId(tx), index), patient):
                again = partial(self._read_one_of_hers, StateRef(TransactionId(tx), index), patient)
                self._world.after(self._random.randint(*AGAIN_MS), again)

    def _read_one_of_hers(self, ref: StateRef, patient: str) -> bool:
        """Let a patient read; what is not there yet her agent asks for. Return whether it was there."""
        assembly = self._agent.assembly
        if assembly is None:
            return False
        session = self._session(self._agent, Role.PATIENT, bytes.fromhex(patient))
        openings = self._world.oracle.openings
        self._read(
            self._agent,
            "hers",
            lambda: assembly.gate.read_hers(session, ref, "PATRQT"),
            lambda document: openings.by_patient(patient, document),
        )
        lacking = None if self._agent.assembly is None else assembly.gate.lacking(session, ref)
        if lacking is not None:
            self._world.guard(self._agent, lambda: assembly.obtain(lacking))
            self._world.wake(self._agent)
        return lacking is None

    def _session(self, node: SimNode, role: Role, person: bytes) -> Session:
        now = datetime.fromtimestamp(node.clock() / 1_000, UTC)
        return Session("s", "reader", role, person.hex(), node.me, now, now + SESSION)

    # -- at the gate -----------------------------------------------------------------------------------

    def _read(
        self,
        node: SimNode,
        path: str,
        read: Callable[[], Opened | Refused],
        judge: Callable[[Document], None],
    ) -> None:
        """Ask a gate, which may die over it, or its disk fail; judge what it opens, and report it later."""
        world, openings = self._world, self._world.oracle.openings
        last = openings.last(node)
        node.fate = world.fate_of_start()
        if world.swarm.strikes(Fault.KILLED_WITHIN):
            node.disk.fuse, node.disk.blows = self._random.randint(1, 6), Killed
        found = world.guard(node, read)
        node.fate, node.disk.fuse = None, 0
        if found is None:
            openings.interrupted(node, last)
            world.met["interrupted", path, "-"] += 1
        elif isinstance(found, Refused):
            (why,) = node.disk.execute(_WHY, (last,)).fetchone()
            world.met["refused", path, why] += 1
        else:
            digest = openings.logged(node, found.entry)
            document = openings.opened(node, digest, b"".join(found.chunks))
            world.tell(node.name, "opens", path, document.category)
            judge(document)
            world.met["opened", path, self._where(node)] += 1
        self._report_soon(node)

    def _where(self, node: SimNode) -> str:
        if node.restored:
            return "restored"
        others = [each for each in self._world.nodes.values() if each is not node]
        up = all(self._world.wire.link(node, each).is_up for each in others)
        return "usual" if up else "cut off"

    # -- beats -----------------------------------------------------------------------------------------

    def _started(self, node: SimNode, restored: bool) -> None:  # noqa: FBT001 - what the world says
        """Somebody is waiting for a node to come back; and it does at once what its beats would."""
        eager = EAGER_LOOKS if restored else self._random.random() < EAGER_SHARE
        for _ in range(eager):
            self._world.after(self._random.randint(*AT_ONCE_MS), partial(self.read_at, node))
        self._report_soon(node)
        if restored:
            self._world.after(self._random.randint(*AGAIN_MS), partial(self.obtain_keys, node))

    def _report_soon(self, node: SimNode) -> None:
        if node.name not in self._reporting:
            self._reporting.add(node.name)
            self._world.after(BEAT_MS, partial(self._report, node))

    def _report(self, node: SimNode) -> None:
        self._reporting.discard(node.name)
        if node.assembly is None:
            return  # it reports when it starts
        # Not by World.launch, which begins it later where a node is dead: what was due may be restored away by then.
        node.fate = self._world.fate_of_start()
        self._world.guard(node, node.assembly.report_readings)
        node.fate = None
        self._world.wake(node)

    def report_heads(self, node: SimNode) -> None:
        if node.assembly is not None:
            self._world.launch(node, *node.assembly.reports.heads_due(node.clock()))

    def confirm(self, node: SimNode) -> None:
        self._launch(node, ConfirmConsents())

    def obtain_keys(self, node: SimNode) -> None:
        assembly = node.assembly
        if assembly is not None:
            self._world.guard(node, assembly.obtain_keys)
            self._world.wake(node)

    def close_the_day(self) -> None:
        """All is healed: everybody reads whatever her gate still opens, and each node does what its beats are for."""
        for node in self._world.nodes.values():
            assert node.assembly is not None, "all nodes live"
            self.obtain_keys(node)
            self._world.guard(node, node.assembly.ask_again)
            self._report_soon(node)
            self._world.wake(node)
        self._world.run_to_rest()
        for node in self._world.nodes.values():
            if node is not self._agent:
                for tx, item in node.disk.execute(_DISCLOSED, (node.me,)).fetchall():
                    self._read_disclosed(node, tx, item)
        self._world.run_to_rest()
