"""The rows that a turn has changed so far, so that one statement a table writes them."""

from flows.execution import Execution
from flows.session import Session
from flows.store import Batch, FlowRow, FlowStore, SessionRow, U_co, WaitRow


class Changes:
    """Collects; `flush` writes into the open transaction, before a read that must see it and before the commit."""

    def __init__(self, store: FlowStore[U_co]) -> None:
        self._store = store
        self.clear()

    def clear(self) -> None:
        self.batch = Batch()
        self._started: dict[bytes, FlowRow] = {}
        self._changed: dict[bytes, FlowRow] = {}
        self._touched: dict[tuple[str, bytes], tuple[bytes, Session]] = {}
        self._kept: dict[tuple[str, bytes], SessionRow] = {}
        self._waits: dict[bytes, WaitRow | None] = {}
        self._ended: set[bytes] = set()

    def started(self, row: FlowRow) -> None:
        self._started[row.id] = row

    def changed(self, row: FlowRow) -> None:
        (self._started if row.id in self._started else self._changed)[row.id] = row

    def is_started(self, flow: bytes) -> bool:
        return flow in self._started

    def touched(self, run: Execution, session: Session) -> None:
        self._touched[session.counterparty, session.id] = run.id, session

    def kept(self, row: SessionRow) -> None:
        """A session whose flow does not run now has changed."""
        self._kept[row.peer, row.session] = row

    def session(self, peer: str, key: bytes) -> SessionRow | None:
        """Return a session as it is at this point of the turn; None where there is none, or none any more.

        Most that are asked about have ended: what came was the other side's word that it has, too. So nothing is
        written to find that out.
        """
        if (peer, key) in self._touched:
            if self._touched[peer, key][0] in self._ended:
                return None
            self.flush()
        row = self._kept.get((peer, key)) or self._store.session(peer, key)
        return None if row is None or row.flow in self._ended else row

    def wait(self, flow: bytes, row: WaitRow | None) -> None:
        self._waits[flow] = row

    def ended(self, flow: bytes) -> None:
        self._ended.add(flow)
        self._waits.pop(flow, None)

    def flush(self) -> None:
        batch = self.batch
        batch.started += self._started.values()
        batch.changed += self._changed.values()
        batch.sessions += [
            SessionRow(peer, key, flow, session.committed, session.received, int(session.open))
            for (peer, key), (flow, session) in self._touched.items()
            if flow not in self._ended
        ]
        batch.sessions += [row for row in self._kept.values() if row.flow not in self._ended]
        for flow, row in self._waits.items():
            if row is None:
                batch.awake.append((flow,))
            else:
                batch.waits.append(row)
        if self._ended:
            batch.journal = [row for row in batch.journal if row.flow not in self._ended]
            batch.ended = [(flow,) for flow in sorted(self._ended)]
        self._store.write(batch)
        self.clear()
