"""The vault's own tables; each subject adds one or two beside them."""

from enum import IntEnum
from typing import ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel


class Status(IntEnum):
    """What a stored transaction is here."""

    HELD = 0  # signed, not notarised: dropped only when the notary says never
    RECORDED = 1


class TransactionRow(SQLModel, table=True):
    """A transaction, as the tear-off that this node may see. `seq` numbers what is recorded, from 1, without gaps.

    Ids are random: rows lie in the order in which they came, so that those of one commit share their pages, and only
    the index over the ids is written all over.
    """

    __tablename__ = "ledger_tx"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("ledger_tx_id", "tx", unique=True),
        Index("ledger_tx_seq", "seq", unique=True),
        Index("ledger_tx_held", "status", "until"),
    )

    number: int | None = Field(default=None, primary_key=True)  # never leaves this database
    tx: bytes
    status: int
    tearoff: bytes
    signatures: bytes
    receipt: str | None = None
    until: int
    seq: int | None = None
    at: int | None = None  # the notary's time, ms
    log_index: int | None = None
    erased: int = 0


class StateRow(SQLModel, table=True):
    """An output that this node may see. Live at ledger moment m: created_seq ≤ m < consumed_seq."""

    __tablename__ = "ledger_state"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("ledger_state_live", "contract", "consumed_seq", "created_seq"),
        Index("ledger_state_made", "created_seq", "idx"),
    )

    tx: bytes = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    contract: str
    state: bytes  # TransactionState, encoded
    created_seq: int
    consumed_seq: int | None = None
    consumed_by: bytes | None = None


class HolderRow(SQLModel, table=True):
    """Who else holds a transaction, and in which roles: what it is given of it, and to whom it is brought."""

    __tablename__ = "ledger_holder"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("ledger_holder_party", "party", "number"),
        {"sqlite_with_rowid": False},
    )

    number: int = Field(primary_key=True)  # of the transaction
    party: str = Field(primary_key=True)
    roles: str  # comma-separated


class LockRow(SQLModel, table=True):
    """A lock of this node's making by the secret of a patient; one by its own secret is told by trying."""

    __tablename__ = "ledger_lock"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    label: bytes = Field(primary_key=True)
    owner: bytes  # the patient's handle


class OpeningRow(SQLModel, table=True):
    """How to refer to a state of another's lock: what its holders got in a sealed component."""

    __tablename__ = "ledger_opening"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    tx: bytes = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    salt: bytes
    policy_digest: bytes


class UpdateRow(SQLModel, table=True):
    """The feed of what changed: one row a state created (0) or consumed (1), in order for ever."""

    __tablename__ = "ledger_update"

    number: int | None = Field(default=None, primary_key=True)
    seq: int
    kind: int
    tx: bytes
    idx: int
    contract: str


class CheckpointRow(SQLModel, table=True):
    """The newest checkpoint of a notary's log that this node has seen and found consistent."""

    __tablename__ = "ledger_checkpoint"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    origin: str = Field(primary_key=True)
    size: int
    note: str


class DistrustRow(SQLModel, table=True):
    """A notary that broke its promise, or whose log is not proven, and what shows it: nothing of it is believed."""

    __tablename__ = "ledger_distrust"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    notary: str = Field(primary_key=True)
    at: int  # ms, by this node's clock
    why: str  # a code; see app/witness.py
    note: str  # the signed checkpoint that this node had accepted; empty where none was
    evidence: str  # what cannot be true, or is not proven, beside it


class SeenRow(SQLModel, table=True):
    """A state that was shown with its proof (an offered record) and is not recorded here: what a later check needs."""

    __tablename__ = "ledger_seen"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    tx: bytes = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    state: bytes


class EntryRow(SQLModel, table=True):
    """Where another notary's log has a change of notary: what opens the moved state's lock there."""

    __tablename__ = "ledger_entry"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    tx: bytes = Field(primary_key=True)
    notary: str = Field(primary_key=True)
    log_index: int
    receipt: str


class AsideRow(SQLModel, table=True):
    """A notarised transaction that a recovering node was brought and cannot record yet; see app/vault/aside.py."""

    __tablename__ = "ledger_aside"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("ledger_aside_awaits", "awaits"),
        Index("ledger_aside_bringer", "bringer", "size"),
        {"sqlite_with_rowid": False},
    )

    tx: bytes = Field(primary_key=True)
    bringer: str  # who brought it first: counted against him
    peers: str  # all who brought it, comma-separated
    size: int
    proven: bytes
    awaits: bytes | None = None  # what it lacks; None: it has come, to be tried again


class RecoveryRow(SQLModel, table=True):
    """A flow that asks a peer for what this restored node has lost since then (ms), and has not ended well.

    As long as there is one, the peer may know what this node has forgotten.
    """

    __tablename__ = "ledger_recovery"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    flow: bytes = Field(primary_key=True)
    peer: str
    since: int


class AskedAllRow(SQLModel, table=True):
    """A peer that this restored node asks, or has asked, for what it has lost since then (ms).

    The row without a name stands for members that join, or are heard of, after the restore.
    """

    __tablename__ = "ledger_asked_all"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    peer: str = Field(primary_key=True)
    since: int


class RestoredRow(SQLModel, table=True):
    """When (ms, by this node's clock) a restored peer was told all that is recorded here; see app/vault/restored.py.

    The row without a name says when this node was restored itself.
    """

    __tablename__ = "ledger_restored"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    peer: str = Field(primary_key=True)
    at: int


VAULT_TABLES: tuple[type[SQLModel], ...] = (
    TransactionRow,
    StateRow,
    SeenRow,
    EntryRow,
    HolderRow,
    LockRow,
    OpeningRow,
    UpdateRow,
    CheckpointRow,
    DistrustRow,
    AsideRow,
    RecoveryRow,
    AskedAllRow,
    RestoredRow,
)
