"""Numbers of a node for Prometheus, in a registry of their own; labels are states and kinds, never members or people.

What changes with each turn is counted as it happens; what stands in the database is read when somebody asks.
"""

from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.node import DATABASE, MemberNode
from app.notary_node import NotaryNode
from flows.store import Status
from flows.turn import TurnResult
from notaries.sqlite import INDEX_NAME, LOG_NAME

TURN_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_LIVE = tuple(status for status in Status if status < Status.DONE)
_ENDED = tuple(status for status in Status if status >= Status.DONE)
_FLOWS = "SELECT status, count(*) FROM flow WHERE status < ? GROUP BY status"
_OUTBOX = "SELECT count(*) FROM flow_outbox"
_READINGS = "SELECT size FROM reading_head"


class TurnMetrics:
    """What turns tell: how long they took, and which flows ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._turns = Histogram(
            "carecord_turn_seconds",
            "Time of a turn of the engine, its commit included.",
            buckets=TURN_SECONDS,
            registry=registry,
        )
        self._ended = Counter(
            "carecord_flows_ended",
            "Flows that ended since the process started.",
            ["status"],
            registry=registry,
        )
        for status in _ENDED:
            self._ended.labels(status.name.lower())

    def took(self, seconds: float) -> None:
        """A meter of the pump."""
        self._turns.observe(seconds)

    def watch(self, result: TurnResult) -> None:
        """A watcher of the pump."""
        for finished in result.finished:
            self._ended.labels(finished.status.name.lower()).inc()


class MemberNumbers(Collector):
    """What stands in a member's database and on its links; asked on the event loop, between turns."""

    def __init__(self, node: MemberNode) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        node = self._node
        counts = dict(node.db.execute(_FLOWS, (int(Status.DONE),)).fetchall())
        flows = GaugeMetricFamily(
            "carecord_flows", "Flows that have not ended, by status.", labels=["status"]
        )
        for status in _LIVE:
            flows.add_metric([status.name.lower()], counts.get(int(status), 0))
        yield flows
        yield _gauge("flows_in_memory", "Flows with a coroutine.", node.assembly.engine.live())
        yield _gauge(
            "outbox_messages", "Messages that no peer has acknowledged.", _one(node.db, _OUTBOX)
        )
        yield _total("readings", "Entries of the reading log.", _readings(node.db))
        yield _gauge("database_bytes", "The database on disk.", _bytes(node.folders.data, DATABASE))
        yield _gauge("links_up", "Members and notaries that are reached.", len(node.transport.up()))
        yield _gauge(
            "notaries_distrusted",
            "Notaries that contradicted themselves: more than 0 is an alarm.",
            len(node.assembly.vault.verifier.distrusted),
        )
        yield _gauge(
            "notary_entries_unread",
            "Entries that notaries have signed and this node has not audited.",
            node.auditor.behind(),
        )
        yield _total(
            "connections_refused",
            "Connections closed unheard, because too many strangers were there.",
            node.transport.turned_away,
        )


class NotaryNumbers(Collector):
    """What a notary's log and queue have."""

    def __init__(self, node: NotaryNode) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        node, folder = self._node, self._node.folders.data
        yield _gauge(
            "notary_queue_questions", "Questions that wait for a batch.", node.service.waiting
        )
        yield _total("notary_log_entries", "Transactions in the log.", node.provider.head().size)
        yield _gauge("notary_log_bytes", "The log on disk.", _bytes(folder, LOG_NAME))
        yield _gauge("notary_index_bytes", "The derived index on disk.", _bytes(folder, INDEX_NAME))
        yield _gauge("links_up", "Members that are connected.", len(node.transport.up()))
        yield _total(
            "connections_refused",
            "Connections closed unheard, because too many strangers were there.",
            node.transport.turned_away,
        )


def _readings(db: Connection) -> int:
    there = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'reading_head'").fetchone()
    return _one(db, _READINGS) if there else 0


def _one(db: Connection, query: str) -> int:
    row = db.execute(query).fetchone()
    return 0 if row is None else int(row[0])


def _bytes(folder: Path, name: str) -> int:
    """Return the size of a database with its write-ahead log."""
    total = 0
    for path in (folder / name, folder / f"{name}-wal"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _gauge(name: str, meaning: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"carecord_{name}", meaning, value=value)


def _total(name: str, meaning: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(f"carecord_{name}", meaning, value=value)
