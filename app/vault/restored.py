"""Which members were restored from a backup, this node among them: what one of them may have lost it is brought again.

A restored node asks once, and is answered with what is recorded by then. What somebody was still taking it is owed:
whoever records it later brings it. The debt is one row a member, however much comes, and lasts for what was notarised
before the question.
"""

from sqlite3 import Connection

from sqlalchemy import bindparam, or_, select
from sqlalchemy.dialects.sqlite import insert

from app.storage.statements import sql, table_of
from app.vault.tables import HolderRow, RestoredRow, TransactionRow
from states.identity import Party

CLOCKS_MS = 3_600_000  # by which notary and node may differ; more only brings again what is known

_HERE = ""  # in the place of this node's own name
_ROW, _HOLDER, _TX = table_of(RestoredRow), table_of(HolderRow), table_of(TransactionRow)
_NOTE = sql(insert(_ROW).prefix_with("OR REPLACE"))
_AT = sql(select(_ROW.c.at).where(_ROW.c.peer == bindparam("peer")))
_LACKING = sql(
    select(_HOLDER.c.party)
    .distinct()
    .select_from(_TX)
    .join(_HOLDER, _HOLDER.c.number == _TX.c.number)
    .join(_ROW, or_(_ROW.c.peer == _HOLDER.c.party, _ROW.c.peer == bindparam("every")))
    .where(
        _TX.c.tx == bindparam("tx"),
        _HOLDER.c.party != bindparam("me"),
        _TX.c.at <= _ROW.c.at + CLOCKS_MS,
    )
    .order_by(_HOLDER.c.party)
)


def note_restored(db: Connection, peer: Party, now: int) -> None:
    """Keep that a peer, which was restored, has been told now (ms) all that is recorded here."""
    db.execute(_NOTE, {"peer": peer, "at": now})


def note_own_restore(db: Connection, now: int) -> None:
    """Keep that this node was restored now (ms). Whom it had told what since its backup, it has forgotten."""
    db.execute(_NOTE, {"peer": _HERE, "at": now})


def restored_at(db: Connection) -> int | None:
    """Return when (ms) this node was last restored; None if it never was."""
    row = db.execute(_AT, {"peer": _HERE}).fetchone()
    return None if row is None else int(row[0])


def who_may_lack(
    db: Connection, tx: bytes, me: Party, *, from_before: bool = False
) -> tuple[Party, ...]:
    """Return the other holders of a recorded transaction that were restored, and told all, before it came here.

    All of them where it may have been brought here before this node's own restore (`from_before`).
    """
    names = {"tx": tx, "me": me, "every": _HERE if from_before else me}
    return tuple(Party(party) for (party,) in db.execute(_LACKING, names))
