"""Rows of reading logs: a node's own, and at an agent what others reported of its patients."""

from typing import ClassVar

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel


class ReadingRow(SQLModel, table=True):
    """One entry of this node's log, by its index there. Erased: `body` and `salt` are gone, the digest stays.

    `why` is the gate's reason of a refusal: for the privacy officer, never part of the entry.
    """

    __tablename__ = "reading"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("reading_chain_number", "chain", "number", unique=True),
        Index("reading_unreported", "idx", sqlite_where=text("reported = 0")),
        Index("reading_agent", "agent", "idx", sqlite_where=text("body IS NOT NULL")),
        {"sqlite_with_rowid": False},
    )

    idx: int = Field(primary_key=True)
    chain: bytes
    number: int
    digest: bytes
    body: bytes | None = None
    salt: bytes | None = None
    at: int
    reported: int  # 0: an agent is still to be told
    why: str = ""
    agent: str | None = (
        None  # the chain's: an agent's readings are found without a walk through the log
    )


class ReadingChainRow(SQLModel, table=True):
    """One chain of this node: of a disclosure, of an enrolment (`patient`), or the node's own (neither).

    `kept` is how long the chain was when the node was restored last; 0 for what began since.
    """

    __tablename__ = "reading_chain"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("reading_chain_id", "chain", unique=True),
        {"sqlite_with_rowid": False},
    )

    subject: bytes = Field(primary_key=True)
    chain: bytes
    disclosure: bytes | None = None
    patient: bytes | None = None
    agent: str | None = None
    number: int
    digest: bytes
    kept: int = 0


class ReadingTileRow(SQLModel, table=True):
    """A full tile of the log's tree: 256 hashes of a tile level."""

    __tablename__ = "reading_tile"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    level: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    hashes: bytes


class ReadingHeadRow(SQLModel, table=True):
    """The log as it is: size, root, newest signed checkpoint, epoch; and the secret of its chains, wrapped."""

    __tablename__ = "reading_head"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    id: int = Field(primary_key=True)
    size: int
    root: bytes
    note: str
    secret: bytes
    epoch: bytes
    restored_at: int = 0  # ms; when the epoch began


class LookRow(SQLModel, table=True):
    """At an agent: a line of "who looked", with the evidence for it.

    Lines are told apart by their digest: an organisation may have signed two of one number (`mark`).
    """

    __tablename__ = "look"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("look_patient", "patient", "at", "organisation", "chain", "number", "digest"),
        Index("look_disclosure", "disclosure"),
        # These begin with what is the same in all of it: else SQLite would go through all lines of an organisation.
        Index(
            "look_contradicted",
            "mark",
            "patient",
            "organisation",
            sqlite_where=text("mark = 'CONTRADICTED'"),
        ),
        Index(
            "look_unmatched",
            "patient",
            "organisation",
            "subject",
            sqlite_where=text("patient IS NULL"),
        ),
        {"sqlite_with_rowid": False},
    )

    organisation: str = Field(primary_key=True)
    chain: bytes = Field(primary_key=True)
    number: int = Field(primary_key=True)
    digest: bytes = Field(primary_key=True)
    epoch: bytes  # of the log in which it was written
    subject: bytes  # the disclosure, or the pairwise id by which the organisation reported it
    patient: str | None = None  # this agent's own name of her; None while the subject is unknown
    disclosure: bytes | None = None
    at: int
    previous: bytes
    body: bytes
    salt: bytes
    proof: str
    taken_at: int
    mark: str | None = None  # a name of app.readings.chains.Mark


class LookItemRow(SQLModel, table=True):
    """What a line is about: the record's commitment, or None where the agent knows no such record."""

    __tablename__ = "look_item"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("look_item_unknown", "organisation", sqlite_where=text("commitment IS NULL")),
        {"sqlite_with_rowid": False},
    )

    organisation: str = Field(primary_key=True)
    chain: bytes = Field(primary_key=True)
    number: int = Field(primary_key=True)
    digest: bytes = Field(primary_key=True)
    item: int = Field(primary_key=True)
    commitment: bytes | None = None
    content: bytes | None = None  # Content, encoded


class LookChainRow(SQLModel, table=True):
    """At an agent: how far an organisation's chain is known in an epoch of its log. One chain a subject, for ever."""

    __tablename__ = "look_chain"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("look_chain_subject", "subject", "organisation", "head_at"),
        Index("look_chain_epoch", "organisation", "epoch"),
        Index(
            "look_chain_unmatched",
            "patient",
            "organisation",
            "subject",
            sqlite_where=text("patient IS NULL"),
        ),
        {"sqlite_with_rowid": False},
    )

    organisation: str = Field(primary_key=True)
    chain: bytes = Field(primary_key=True)
    epoch: bytes = Field(primary_key=True)
    restored_at: int = 0  # when the epoch began, by the organisation's clock
    kept: int = 0  # after which number it goes on
    branch: bytes = b""  # the digest of that entry; empty where nothing has named it
    subject: bytes
    patient: str | None = None  # as a line's
    number: int
    digest: bytes
    head_at: int = 0  # of the newest daily head


class LookLogRow(SQLModel, table=True):
    """At an agent: the largest checkpoint of an organisation's reading log, in each epoch, that was seen."""

    __tablename__ = "look_log"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    organisation: str = Field(primary_key=True)
    epoch: bytes = Field(primary_key=True)
    size: int
    root: bytes
    note: str
    since: int  # when it was seen first


class LookAlarmRow(SQLModel, table=True):
    """At an agent: what does not fit, which the patient sees. Settled where what was missing came later."""

    __tablename__ = "look_alarm"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("look_alarm_patient", "patient", "at"),
        Index(
            "look_alarm_open",
            "organisation",
            "patient",
            "chain",
            sqlite_where=text("settled_at IS NULL"),
        ),
        Index("look_alarm_chain", "organisation", "chain", sqlite_where=text("settled_at IS NULL")),
        Index(
            "look_alarm_whole",
            "kind",
            "organisation",
            sqlite_where=text("patient IS NULL AND settled_at IS NULL"),
        ),
    )

    number: int | None = Field(default=None, primary_key=True)
    at: int
    organisation: str
    chain: bytes
    epoch: bytes
    patient: str | None = None
    kind: str
    words: str
    first: int
    last: int
    evidence: bytes
    settled_at: int | None = None


class ReadingRecallRow(SQLModel, table=True):
    """At an agent: a peer that is asked for its readings, by which flow; kept until one has ended well."""

    __tablename__ = "reading_recall"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    peer: str = Field(primary_key=True)
    flow: bytes


LOG_TABLES: tuple[type[SQLModel], ...] = (
    ReadingRow,
    ReadingChainRow,
    ReadingTileRow,
    ReadingHeadRow,
)
LOOK_TABLES: tuple[type[SQLModel], ...] = (
    LookRow,
    LookItemRow,
    LookChainRow,
    LookLogRow,
    LookAlarmRow,
    ReadingRecallRow,
)
