"""The desks of custodians, where patients are given one-time codes and are enrolled by them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from flows.flow import Flow
from flows.store import Status
from flows.subjects.enrolment import EnrolmentOffer, EnrolPatient, OfferEnrolment
from tests.simulation.node import SimNode

if TYPE_CHECKING:
    from tests.simulation.world import World

_ENROLLED = "SELECT patient, local FROM enrolment WHERE custodian = ? AND signed IS NOT NULL ORDER BY patient"


@dataclass(slots=True)
class Code:
    """A one-time code that a custodian's desk is about to give to a patient."""

    custodian: SimNode
    flow_key: str
    patient: bytes


class Desks:
    """Gives out codes, and lets patients use them."""

    def __init__(self, world: "World", launch: Callable[[SimNode, Flow], str]) -> None:
        self._world = world
        self._launch = launch
        self._codes: list[Code] = []
        self.handles: dict[str, str] = {}
        """By a custodian's name of a patient, her agent's."""

    def offer(self, custodian: SimNode, patient: bytes) -> None:
        """Let a patient have a code of a custodian where she is not enrolled."""
        mark = self._world.oracle.canaries.new(custodian.name)
        name = f"MRN {patient.hex()[:6]} {mark}"
        if any(local.startswith(name[:10]) for _, local in self.enrolled(custodian)):
            return
        self.handles[name] = patient.hex()
        self._codes.append(Code(custodian, self._launch(custodian, OfferEnrolment(name)), patient))

    def serve(self) -> None:
        """Let whoever has got her code by now use it."""
        for code in tuple(self._codes):
            node = code.custodian
            if node.assembly is None:
                continue
            row = node.assembly.engine.store.flow_by_client_key(code.flow_key)
            if row is None or row.status < Status.DONE:
                continue
            self._codes.remove(code)
            if row.status == Status.DONE:
                offer = msgspec.msgpack.decode(row.result, type=EnrolmentOffer)
                words = node.assembly.enrolments.open_offer(offer)
                agent = self._world.nodes["Agent"]
                self._launch(agent, EnrolPatient(code.patient, node.me, words))

    def enrolled(self, custodian: SimNode, patient: bytes | None = None) -> list[tuple[bytes, str]]:
        """Return whom a custodian calls its patients: all, or one of them."""
        rows: list[tuple[bytes, str]]
        rows = custodian.disk.execute(_ENROLLED, (custodian.me,)).fetchall()
        return [row for row in rows if patient in {None, bytes.fromhex(self.handles[row[1]])}]
