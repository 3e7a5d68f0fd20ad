"""What custodians withhold from the patient whom it is about, and release to her later."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from flows.flow import Flow
from flows.subjects.patient_access import ReleaseToPatient, WithheldReason
from states.state import StateRef, TransactionId
from tests.simulation.node import SimNode

if TYPE_CHECKING:
    from tests.simulation.world import World

CUSTODIANS = ("Mercy", "Riverside", "Northside")
WITHHELD_SHARE = 0.25  # of what is published

_WITHHELD = (
    "SELECT tx, idx, commitment FROM record WHERE custodian = ? AND withheld IS NOT NULL"
    " ORDER BY tx, idx"
)


class Withholding:
    """Draws what is withheld, and when it is not any more."""

    def __init__(
        self, world: "World", random: Random, launch: Callable[[SimNode, Flow], object]
    ) -> None:
        self._world = world
        self._random = random
        self._launch = launch

    def draw(self, commitment: bytes) -> WithheldReason | None:
        """Return why a record that is about to be published is withheld; mostly it is not."""
        if self._random.random() >= WITHHELD_SHARE:
            return None
        self._world.oracle.openings.withheld.add(commitment)
        return "to-be-discussed"

    def release(self) -> None:
        """Let a custodian show a patient what it has withheld from her."""
        node = self._world.nodes[self._random.choice(CUSTODIANS)]
        rows = node.disk.execute(_WITHHELD, (node.me,)).fetchall()
        if rows:
            tx, index, commitment = self._random.choice(rows)
            self._world.oracle.openings.withheld.discard(commitment)
            self._launch(node, ReleaseToPatient(StateRef(TransactionId(tx), index)))
