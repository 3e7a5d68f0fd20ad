"""What an operator may order about a flow, and when (flows/README.md §6)."""

from collections.abc import Callable
from enum import StrEnum

from flows.envelope import Fault
from flows.registry import UnknownFlow
from flows.runner import Runner, U
from flows.store import FlowRow, FlowStore, Status
from states.errors import LedgerError


class Order(StrEnum):
    """The verbs of an operator."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    KILL = "kill"


ALLOWED = {
    Order.PAUSE: frozenset({Status.RUNNING, Status.RETRYING}),
    Order.RESUME: frozenset({Status.PAUSED}),
    Order.RETRY: frozenset({Status.OBSERVED, Status.RETRYING}),
    Order.KILL: frozenset(status for status in Status if status < Status.DONE),
}


class NotPossible(LedgerError):
    """An operator asked of a flow what its status does not allow."""

    def __init__(self, flow: bytes, order: Order, status: Status) -> None:
        super().__init__(f"flow {flow.hex()} is {status.name}: {order} is not possible")
        self.flow = flow
        self.order = order
        self.status = status


class Operator:
    """Carries out orders, inside the turn's transaction."""

    def __init__(
        self, store: FlowStore[U], runner: Runner[U], entropy: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._runner = runner
        self._entropy = entropy

    def check(self, order: Order, flow: bytes) -> FlowRow:
        """Return the flow if the order is possible; raises UnknownFlow, NotPossible."""
        row = self._store.flow(flow)
        if row is None:
            raise UnknownFlow(f"no flow {flow.hex()}")
        status = Status(row.status)
        if status not in ALLOWED[order]:
            raise NotPossible(flow, order, status)
        return row

    def obey(self, order: Order, flow: bytes) -> None:
        """Carry out an order that was possible when it was given; nothing if the flow has gone on since."""
        self._runner.changes.flush()
        try:
            row = self.check(order, flow)
        except (UnknownFlow, NotPossible):
            return
        match order:
            case Order.PAUSE:
                self._runner.stop(flow, Status.PAUSED, "paused by an operator")
            case Order.RESUME | Order.RETRY:
                self._runner.go_on(row._replace(attempts=0))
            case Order.KILL:
                fault = Fault("killed", "", self._entropy(8).hex())
                row = self._runner.set_aside(flow)
                self._runner.fail(row, Status.KILLED, fault, "killed by an operator")
