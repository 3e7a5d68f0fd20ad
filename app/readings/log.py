"""A node's own reading log: an entry is durable with its caller's commit, before the first byte leaves the gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from sqlalchemy import bindparam, literal_column, null, select, update
from sqlalchemy.dialects.sqlite import insert

from app.keystore.keys import KeyStore, NodeKey
from app.keystore.signers import HandleSigner
from app.readings.tables import (
    LOG_TABLES,
    ReadingChainRow,
    ReadingHeadRow,
    ReadingRow,
    ReadingTileRow,
)
from app.storage.statements import creation, sql, table_of
from states.checkpoint import Checkpoint
from states.crypto.merkle import EMPTY_ROOT, TILE_WIDTH, FullTile, GrowingTree, leaf_hash
from states.encoding import encode
from states.identity import Party, PatientId
from states.log_proof import write_proof
from states.note import NoteSigner, sign_note
from states.reading import (
    EMPTY_CHAIN,
    EPOCH_SIZE,
    FIRST_EPOCH,
    By,
    ChainHead,
    Outcome,
    ReadingEntry,
    ReportedReading,
    Restored,
    chain_id,
    entry_digest,
    item_hash,
    leaf_of,
    origin_of,
)
from states.state import TransactionId
from states.subjects.codes import Purpose
from states.tiles import TiledTree, TileName

SALT_SIZE = 32
NO_STAFF = "somebody without a staff entry"  # what an entry shows as the name of one
SECRET_AAD = b"reading-chain-secret"
_HEAD_ID = 0

_READING, _CHAIN = table_of(ReadingRow), table_of(ReadingChainRow)
_TILE, _HEAD = table_of(ReadingTileRow), table_of(ReadingHeadRow)
_GET_HEAD = sql(select(_HEAD.c.size, _HEAD.c.root, _HEAD.c.note, _HEAD.c.secret))
_GET_EPOCH = sql(select(_HEAD.c.epoch, _HEAD.c.restored_at))
_ADD_HEAD = sql(insert(_HEAD))
_SET_HEAD = sql(
    update(_HEAD)
    .where(_HEAD.c.id == _HEAD_ID)
    .values(size=bindparam("new_size"), root=bindparam("new_root"), note=bindparam("new_note"))
)
_BEGIN_EPOCH = sql(
    update(_HEAD)
    .where(_HEAD.c.id == _HEAD_ID)
    .values(
        epoch=bindparam("new_epoch"), restored_at=bindparam("began"), note=bindparam("new_note")
    )
)
_KEEP_CHAINS = sql(update(_CHAIN).values(kept=_CHAIN.c.number))
_GET_CHAIN = sql(
    select(_CHAIN.c.chain, _CHAIN.c.number, _CHAIN.c.digest, _CHAIN.c.kept, _CHAIN.c.agent).where(
        _CHAIN.c.subject == bindparam("subject")
    )
)
_ADD_CHAIN = sql(insert(_CHAIN))
_SET_CHAIN = sql(
    update(_CHAIN)
    .where(_CHAIN.c.subject == bindparam("which"))
    .values(number=bindparam("last"), digest=bindparam("hash"))
)
_ADD_READING = sql(insert(_READING))
_ADD_TILE = sql(insert(_TILE))
_GET_TILE = sql(
    select(_TILE.c.hashes).where(
        _TILE.c.level == bindparam("level"), _TILE.c.number == bindparam("number")
    )
)
_DIGESTS_FROM = sql(
    select(_READING.c.digest).where(_READING.c.idx >= bindparam("start")).order_by(_READING.c.idx)
)
_GET_READING = sql(
    select(_READING.c.body, _READING.c.salt).where(_READING.c.idx == bindparam("idx"))
)
_ERASE = sql(
    update(_READING)
    .where(_READING.c.idx == bindparam("at_idx"))
    .values(body=null(), salt=null(), reported=1, why=literal_column("''"))
)
_ERASE_CHAIN = sql(
    update(_READING)
    .where(
        _READING.c.chain
        == select(_CHAIN.c.chain).where(_CHAIN.c.subject == bindparam("s")).scalar_subquery()
    )
    .values(body=null(), salt=null(), reported=1, why=literal_column("''"))
)


@dataclass(frozen=True, slots=True)
class ChainOf:
    """Which chain an entry belongs to, and which agent is told of it.

    Of a disclosure; of a patient's enrolment here; or, with neither, the node's own, of which nobody is told.
    """

    disclosure: TransactionId | None = None
    patient: PatientId | None = None
    agent: Party | None = None

    def __post_init__(self) -> None:
        if self.disclosure is not None and self.patient is not None:
            raise ValueError("a chain is of a disclosure or of an enrolment")

    @property
    def subject(self) -> bytes:
        return self.disclosure or self.patient or b""


NOBODY = ChainOf()
"""The node's own chain: looks at what is of nobody known here."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What happened: the log adds organisation, number, time and link. `why` stays at this node."""

    of: ChainOf
    person: bytes
    shown_as: str
    role: str
    purpose: Purpose
    outcome: Outcome
    commitments: tuple[bytes, ...] = ()
    by: By = "person"
    emergency: bool = False
    why: str = ""


class NoSuchReading(Exception):
    """The log has no entry at this index, or its body was erased."""


class ReadingLog:
    """One writer: whoever holds the node's database connection."""

    def __init__(self, me: Party, keys: KeyStore, entropy: Callable[[int], bytes]) -> None:
        self.me = me
        self._keys = keys
        self._entropy = entropy
        self._signer = HandleSigner(keys, NodeKey.READING_LOG)
        self._tree = GrowingTree()
        self._secret = b""

    def create(self, db: Connection) -> None:
        """Create the tables, and the secret of the chains, if they are not there; in the caller's transaction."""
        for statement in creation(*LOG_TABLES):
            db.execute(statement)
        if db.execute(_GET_HEAD).fetchone() is None:
            row = {
                "id": _HEAD_ID,
                "size": 0,
                "root": EMPTY_ROOT,
                "note": self._sign(0, EMPTY_ROOT, FIRST_EPOCH),
                "secret": self._keys.wrap_at_rest(self._entropy(SALT_SIZE), SECRET_AAD),
                "epoch": FIRST_EPOCH,
                "restored_at": 0,
            }
            db.execute(_ADD_HEAD, row)

    def begin_epoch(self, db: Connection, now: int) -> None:
        """Go on from a backup, in the caller's transaction: before anything is read, for numbers are given anew.

        Every entry and head from here on says so, and the log bears another name: what was reported between the
        backup and now is neither contradicted nor forked.
        """
        size, root, *_ = db.execute(_GET_HEAD).fetchone()
        epoch = self._entropy(EPOCH_SIZE)
        note = self._sign(size, root, epoch)
        db.execute(_BEGIN_EPOCH, {"new_epoch": epoch, "began": now, "new_note": note})
        db.execute(_KEEP_CHAINS)

    # -- writing -----------------------------------------------------------------------------------

    def append(self, db: Connection, now: int, reading: Reading) -> int:
        """Add one entry inside the caller's open transaction; return its index in the log."""
        return self.append_all(db, now, (reading,))[0]

    def append_all(self, db: Connection, now: int, readings: Sequence[Reading]) -> list[int]:
        """Add entries under one signed checkpoint, inside the caller's open transaction; return their indexes."""
        assert db.in_transaction, "an entry is durable with what it is about, or not there"
        if not readings:
            return []
        tree = self._current(db)
        first = tree.size
        epoch: tuple[bytes, int] = db.execute(_GET_EPOCH).fetchone()
        digests = [self._add(db, now, first + at, each, epoch) for at, each in enumerate(readings)]
        result = tree.append([leaf_hash(leaf_of(digest)) for digest in digests])
        self._add_tiles(db, result.tiles)
        note = self._sign(tree.size, result.root, epoch[0])
        db.execute(_SET_HEAD, {"new_size": tree.size, "new_root": result.root, "new_note": note})
        return list(range(first, tree.size))

    def erase(self, db: Connection, index: int) -> None:
        """Drop an entry's body and salt; its leaf stays, and what was proven stays provable."""
        db.execute(_ERASE, {"at_idx": index})

    def erase_chain(self, db: Connection, of: ChainOf) -> int:
        """Drop the bodies of a whole chain; return how many entries it has."""
        return db.execute(_ERASE_CHAIN, {"s": of.subject}).rowcount

    def _add(
        self, db: Connection, now: int, index: int, reading: Reading, epoch: tuple[bytes, int]
    ) -> bytes:
        chain, known, kept, agent = self._link(db, reading.of)
        salt = self._entropy(SALT_SIZE)
        entry = ReadingEntry(
            organisation=self.me,
            chain=chain,
            number=known.number + 1,
            previous=known.digest,
            at=now,
            person=reading.person,
            shown_as=reading.shown_as,
            role=reading.role,
            purpose=reading.purpose,
            by=reading.by,
            emergency=reading.emergency,
            disclosure=reading.of.disclosure,
            items=tuple(item_hash(salt, each) for each in reading.commitments),
            outcome=reading.outcome,
            restored=_restored(*epoch, kept),
        )
        body = encode(entry)
        digest = entry_digest(salt, body)
        row = {
            "idx": index,
            "chain": chain,
            "number": entry.number,
            "digest": digest,
            "body": body,
            "salt": salt,
            "at": now,
            "reported": int(reading.of.agent is None),
            "why": reading.why,
            "agent": agent,
        }
        db.execute(_ADD_READING, row)
        last = {"which": reading.of.subject, "last": entry.number, "hash": digest}
        db.execute(_SET_CHAIN, last)
        return digest

    def _link(self, db: Connection, of: ChainOf) -> tuple[bytes, ChainHead, int, str | None]:
        row = db.execute(_GET_CHAIN, {"subject": of.subject}).fetchone()
        if row is not None:
            return row[0], ChainHead(row[1], row[2]), row[3], row[4]
        return self.begin_chain(db, of), EMPTY_CHAIN, 0, of.agent

    def begin_chain(self, db: Connection, of: ChainOf) -> bytes:
        """Make the row of a chain that has no entry yet; return the chain."""
        chain = self.chain(db, of.subject)
        new = {
            "subject": of.subject,
            "chain": chain,
            "disclosure": of.disclosure,
            "patient": of.patient,
            "agent": of.agent,
            "number": EMPTY_CHAIN.number,
            "digest": EMPTY_CHAIN.digest,
            "kept": 0,
        }
        db.execute(_ADD_CHAIN, new)
        return chain

    def _add_tiles(self, db: Connection, tiles: Sequence[FullTile]) -> None:
        rows = [{"level": t.level, "number": t.number, "hashes": t.hashes} for t in tiles]
        db.executemany(_ADD_TILE, rows)

    def _sign(self, size: int, root: bytes, epoch: bytes) -> str:
        origin = origin_of(self.me, epoch)
        signer = NoteSigner(origin, self._signer)
        return sign_note(Checkpoint(origin, size, root).text, (signer,)).render()

    # -- reading -----------------------------------------------------------------------------------

    def chain(self, db: Connection, subject: bytes) -> bytes:
        """Return the chain of a disclosure or an enrolment, also of one without entries."""
        if not self._secret:
            wrapped = db.execute(_GET_HEAD).fetchone()[3]
            self._secret = self._keys.unwrap_at_rest(wrapped, SECRET_AAD)
        return chain_id(self._secret, subject)

    @staticmethod
    def restored(db: Connection, kept: int) -> Restored | None:
        """Return what the log says of its last restore in a chain that had `kept` entries then; None for none."""
        epoch: tuple[bytes, int] = db.execute(_GET_EPOCH).fetchone()
        return _restored(*epoch, kept)

    def checkpoint(self, db: Connection) -> str:
        """Return the newest signed checkpoint."""
        note: str = db.execute(_GET_HEAD).fetchone()[2]
        return note

    def reports(self, db: Connection, indexes: Sequence[int]) -> list[ReportedReading]:
        """Return entries with their salts and proofs under the newest checkpoint; raises NoSuchReading."""
        tree = self._current(db)
        tiled, note = TiledTree(tree.size, self._tile_reader(db, tree)), self.checkpoint(db)
        reports = []
        for index in indexes:
            row = db.execute(_GET_READING, {"idx": index}).fetchone()
            if row is None or row[0] is None:
                raise NoSuchReading(index)
            proof = write_proof(index, tiled.inclusion_path(index), note)
            reports.append(ReportedReading(row[0], row[1], proof))
        return reports

    def _current(self, db: Connection) -> GrowingTree:
        """Return the tree as the database has it: a rolled-back transaction leaves ours behind or ahead."""
        size, root, *_ = db.execute(_GET_HEAD).fetchone()
        if (self._tree.size, self._tree.root()) != (size, root):
            start = size - size % TILE_WIDTH
            tail = [
                leaf_hash(leaf_of(digest))
                for (digest,) in db.execute(_DIGESTS_FROM, {"start": start})
            ]
            self._tree = GrowingTree.restore(size, lambda *at: self._tile(db, *at), tail)
            assert self._tree.root() == root, "the log's rows lead to its own root"
        return self._tree

    @staticmethod
    def _tile(db: Connection, level: int, number: int) -> bytes:
        hashes: bytes = db.execute(_GET_TILE, {"level": level, "number": number}).fetchone()[0]
        return hashes

    def _tile_reader(self, db: Connection, tree: GrowingTree) -> Callable[[TileName], bytes]:
        begun = {(level, number): hashes for level, number, hashes in tree.partial_tiles()}

        def read(name: TileName) -> bytes:
            assert name.level is not None, "a proof is made of hashes"
            partial = begun.get((name.level, name.number))
            return self._tile(db, name.level, name.number) if partial is None else partial

        return read


def _restored(epoch: bytes, began: int, kept: int) -> Restored | None:
    return None if epoch == FIRST_EPOCH else Restored(epoch, began, kept)
