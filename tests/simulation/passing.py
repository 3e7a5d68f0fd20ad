"""Records that pass to another custodian: mostly their patient has permitted it, and sometimes she thinks again."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from app.storage.database import transaction
from app.subjects.transfer_permit import NotPermissible
from flows.flow import Flow
from flows.subjects.record import TransferCustody
from states.state import StateRef
from tests.simulation.disk import DiskFull, Killed
from tests.simulation.node import SimNode
from tests.simulation.observer import present

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY = 86_400_000
PERMITTED_SHARE = 0.9  # of transfers: the others are refused
PERMITTED_MS = (7 * DAY, 30_000)
WITHDRAWN_SHARE = 0.15  # of permits
WITHDRAWN_MS = (0, 5_000)

_PATIENT = "SELECT patient FROM record WHERE tx = ? AND idx = ? AND patient IS NOT NULL"
_ENROLMENTS = (
    "SELECT local, custodian FROM enrolment WHERE signed IS NOT NULL ORDER BY patient, custodian"
)


class Passing:
    """Draws to whom a record passes, and what its patient says about that."""

    def __init__(
        self, world: "World", random: Random, launch: Callable[[SimNode, Flow], object]
    ) -> None:
        self._world = world
        self._random = random
        self._permitting = Random(f"{world.seed}/permits")
        self._launch = launch
        self._agent = world.nodes["Agent"]

    def taker(self, node: SimNode, ref: StateRef, among: tuple[str, ...]) -> str:
        """Another custodian: where its patient is enrolled as well, if the agent knows one."""
        row = self._patient_of(ref)
        rows = [] if row is None else self._agent.disk.execute(_ENROLMENTS).fetchall()
        at = [
            other
            for local, party in rows
            if (local,) == row and (other := self._world.node_of(party))
        ]
        names = [other.name for other in at if other is not node]
        return self._random.choice(names or [each for each in among if each != node.name])

    def pass_on(self, node: SimNode, ref: StateRef, to: SimNode) -> None:
        """Let a custodian try to pass a record on. If its agent does not know the patient yet, she cannot permit it."""
        row = self._patient_of(ref)
        if row is not None and self._permitting.random() < PERMITTED_SHARE:
            self._permit(row[0], node, to)
        self._launch(node, TransferCustody(ref, self._agent.me, to.me))

    def _permit(self, patient: str, old: SimNode, new: SimNode) -> None:
        agent = self._agent.assembly
        if agent is None:
            return
        now = self._agent.clock()
        until = now + self._permitting.choice(PERMITTED_MS)
        try:
            with present(self._agent.observer), transaction(self._agent.disk) as db:
                agent.transfer_permits.permit(db, now, patient, old.me, new.me, until)
        except (Killed, DiskFull, NotPermissible):
            return
        self._world.oracle.permits.say(patient, str(old.me), str(new.me), now, until)
        if self._permitting.random() < WITHDRAWN_SHARE:
            later = self._permitting.randint(*WITHDRAWN_MS)
            self._world.after(later, partial(self._withdraw, patient, old, new))

    def _withdraw(self, patient: str, old: SimNode, new: SimNode) -> None:
        agent, now = self._agent.assembly, self._agent.clock()
        if agent is None:
            return
        try:
            with present(self._agent.observer), transaction(self._agent.disk) as db:
                agent.transfer_permits.withdraw(db, patient, old.me, new.me)
        except (Killed, DiskFull):
            return
        self._world.oracle.permits.say(patient, str(old.me), str(new.me), now, now)

    def _patient_of(self, ref: StateRef) -> tuple[str] | None:
        """Return the patient of a record, if her agent knows it."""
        found: tuple[str] | None
        found = self._agent.disk.execute(_PATIENT, (ref.tx, ref.index)).fetchone()
        return found
