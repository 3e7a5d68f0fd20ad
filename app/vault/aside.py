"""What a recovering node was brought too early: put aside until what it lacks has come from somebody else.

Peers bring in their own order, each what it sees: a disclosure may come before the consent that it rests on, and a
consent's agent sees more of it than custodian or grantee, but no more than both: what they show is joined. What is
put aside is notarised and verified but for what it lacks, so a peer can put nothing there that it has not paid for at
the notary; how much of one peer's is kept has a limit. It stays for a while after the last peer was asked, for a peer
that was still taking a transaction brings its share of it later; then all of it goes.
"""

from collections.abc import Iterable
from sqlite3 import Connection
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from app.storage.statements import sql, table_of
from app.vault.reader import NotYet
from app.vault.restored import restored_at
from app.vault.subject import Step
from app.vault.tables import AsideRow, AskedAllRow, RecoveryRow
from app.vault.vault import Vault
from flows.services import FETCH_MAX, Recorded, Remembered
from states.encoding import encode
from states.errors import LedgerError
from states.identity import Party
from states.signed import PROVEN_TRANSACTION, ProvenTransaction
from states.state import TransactionId
from states.tearoff import open_tearoff
from states.verifier import UnresolvedInput

ASIDE_MAX = 65_536  # transactions of one bringer: what a large house does in a day
ASIDE_BYTES_MAX = 256 << 20
BRINGERS_MAX = 16
KEPT_MS = 30 * 86_400_000  # after a restore: longer than a flow of a peer waits for its operator

_OTHERS = ""  # in the place of those whom the node, when it was restored, did not know
_ASIDE, _RECOVERY, _ASKED = table_of(AsideRow), table_of(RecoveryRow), table_of(AskedAllRow)
_PUT = sql(insert(_ASIDE).prefix_with("OR REPLACE"))
_GET = sql(
    select(_ASIDE.c.bringer, _ASIDE.c.peers, _ASIDE.c.proven).where(_ASIDE.c.tx == bindparam("tx"))
)
_OF_BRINGER = sql(
    select(func.count(), func.coalesce(func.sum(_ASIDE.c.size), 0)).where(
        _ASIDE.c.bringer == bindparam("bringer")
    )
)
_READY = sql(
    select(_ASIDE.c.tx, _ASIDE.c.peers, _ASIDE.c.proven)
    .where(_ASIDE.c.awaits.is_(None))
    .order_by(_ASIDE.c.tx)
    .limit(1)
)
_AWAIT = sql(update(_ASIDE).where(_ASIDE.c.tx == bindparam("id")).values(awaits=bindparam("what")))
_DROP = sql(delete(_ASIDE).where(_ASIDE.c.tx == bindparam("id")))
_DROP_ALL = sql(delete(_ASIDE))
_BEGIN = sql(insert(_RECOVERY).prefix_with("OR IGNORE"))
_END = sql(delete(_RECOVERY).where(_RECOVERY.c.flow == bindparam("id")))
_ASKS = sql(select(_RECOVERY.c.flow).limit(1))
_REMEMBER = sql(insert(_ASKED).prefix_with("OR REPLACE"))
_REMEMBER_OTHERS = sql(insert(_ASKED).prefix_with("OR IGNORE"))
_ASKED_SINCE = sql(select(_ASKED.c.peer, _ASKED.c.since))
_UNENDED = sql(
    select(_RECOVERY.c.flow, _RECOVERY.c.peer, _RECOVERY.c.since).order_by(_RECOVERY.c.peer)
)


def awaited(refused: LedgerError) -> bytes | None:
    """Return what a refused transaction lacks and may still come; None where nothing can make it acceptable."""
    if isinstance(refused, UnresolvedInput):
        return refused.ref.tx
    return refused.awaits or None if isinstance(refused, NotYet) else None


class Recovery(NamedTuple):
    """A flow that asks a peer for all since a moment (ms) before this node's backup, and has not ended well."""

    flow: bytes
    peer: Party
    since: int


def recoveries(db: Connection) -> list[Recovery]:
    """Return whom this node, restored, has not heard out yet."""
    return [
        Recovery(flow, Party(peer), since) for flow, peer, since in db.execute(_UNENDED).fetchall()
    ]


def recovering_from(db: Connection) -> frozenset[str]:
    """Return the peers that may know what this restored node has forgotten."""
    return frozenset(each.peer for each in recoveries(db))


def remember_asked(db: Connection, peers: Iterable[Party], since: int) -> None:
    """Keep whom a restored node asks for all since then, so that it can tell who else there is."""
    # Of the others the earliest: who was never asked may know what an earlier restore has lost.
    db.execute(_REMEMBER_OTHERS, {"peer": _OTHERS, "since": since})
    db.executemany(_REMEMBER, [{"peer": peer, "since": since} for peer in peers])


def never_asked(db: Connection, members: Iterable[Party]) -> list[tuple[Party, int]]:
    """Return those whom this node, restored, has not asked, and since when to ask them; nobody if it never was."""
    asked = dict(db.execute(_ASKED_SINCE).fetchall())
    if _OTHERS not in asked:
        return []
    return [(member, asked[_OTHERS]) for member in members if member not in asked]


class Aside:
    """The transactions that wait, and the flows that may bring what they wait for."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    # -- recoveries ----------------------------------------------------------------------------------

    @staticmethod
    def begin(db: Connection, recovery: Recovery) -> None:
        """Let transactions be put aside until this flow has ended its recovery."""
        db.execute(_BEGIN, recovery._asdict())

    @classmethod
    def follow(cls, db: Connection, ended: Recovery, flow_id: bytes) -> None:
        """Let another flow ask in the place of one that has ended without an answer."""
        cls.begin(db, Recovery(flow_id, ended.peer, ended.since))
        db.execute(_END, {"id": ended.flow})

    @staticmethod
    def is_open(db: Connection, now: int) -> bool:
        """Whether what comes too early is put aside: while a peer is asked for all, and for KEPT_MS after a restore."""
        restored = restored_at(db)
        if restored is not None and now < restored + KEPT_MS:
            return True
        return db.execute(_ASKS).fetchone() is not None

    @staticmethod
    def end(db: Connection, flow_id: bytes) -> None:
        """End a flow's recovery."""
        db.execute(_END, {"id": flow_id})

    @classmethod
    def drop_stale(cls, db: Connection, now: int) -> None:
        """Forget what nobody has completed for so long that nobody will."""
        if not cls.is_open(db, now):
            db.execute(_DROP_ALL)

    # -- transactions --------------------------------------------------------------------------------

    def put(self, step: Step, peer: Party, part: bytes, refused: LedgerError) -> bool:
        """Put aside what was refused after its verification; False if it can never be taken, or there is no room."""
        what = awaited(refused)
        if what is None:
            return False
        proven = PROVEN_TRANSACTION.decode(part)
        filtered = open_tearoff(proven.tearoff)
        known = step.unit.execute(_GET, {"tx": filtered.id}).fetchone()
        if known is None:
            if not self._has_room(step.unit, peer, len(part)):
                return False
            bringer, peers = str(peer), [str(peer)]
        else:
            bringer, peers = known[0], known[1].split(",")
            if peer not in peers:
                peers = [*peers[: BRINGERS_MAX - 1], str(peer)]
            shown = open_tearoff(PROVEN_TRANSACTION.decode(known[2]).tearoff).joined(filtered)
            part = encode(ProvenTransaction(shown, proven.signatures, proven.receipt))
            if what == filtered.id and len(shown.positions) > len(filtered.tearoff.positions):
                what = None  # more of it than was just refused for too little
        row = {"tx": filtered.id, "bringer": bringer, "peers": ",".join(peers), "size": len(part)}
        step.unit.execute(_PUT, row | {"proven": part, "awaits": what})
        return True

    @staticmethod
    def _has_room(db: Connection, peer: Party, size: int) -> bool:
        count, total = db.execute(_OF_BRINGER, {"bringer": peer}).fetchone()
        return bool(count < ASIDE_MAX and total + size <= ASIDE_BYTES_MAX)

    @staticmethod
    def has_ready(db: Connection) -> bool:
        return db.execute(_READY).fetchone() is not None

    def take(self, step: Step) -> Remembered:
        """Record of what lacks nothing any more as much as one answer holds; each frees what waited for it."""
        recorded: list[Recorded] = []
        while len(recorded) < FETCH_MAX:
            row = step.unit.execute(_READY).fetchone()
            if row is None:
                break
            found = self._try(step, TransactionId(row[0]), row[1], row[2])
            recorded += () if found is None else (found,)
        return Remembered(tuple(recorded), self.has_ready(step.unit))

    def _try(self, step: Step, tx: TransactionId, peers: str, part: bytes) -> Recorded | None:
        step.unit.execute("SAVEPOINT aside")
        try:
            found = self._vault.remember(step, tuple(map(Party, peers.split(","))), part)
            step.unit.execute(_DROP, {"id": tx})
        except LedgerError as refused:
            step.unit.execute("ROLLBACK TO aside")
            what = awaited(refused)
            step.unit.execute(
                *((_DROP, {"id": tx}) if what is None else (_AWAIT, {"id": tx, "what": what}))
            )
            return None
        else:
            return found
        finally:
            step.unit.execute("RELEASE aside")
