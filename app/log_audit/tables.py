"""Rows of a member's copies of notaries' logs: a database of their own, which may be lost and is then made again."""

from typing import ClassVar

from sqlmodel import Field, SQLModel


class CopiedLogRow(SQLModel, table=True):
    """How far one log is copied, and what shows that the notary signed what is copied."""

    __tablename__ = "copied_log"

    number: int | None = Field(default=None, primary_key=True)
    origin: str = Field(unique=True)
    size: int
    edge: bytes  # roots of the complete subtrees of the first `size` entries, the largest first
    at: int  # the latest time of an entry, ms
    note: str  # a signed checkpoint of at least `size` entries
    path: bytes  # the consistency path from `size` to that checkpoint's


class CopiedEntryRow(SQLModel, table=True):
    """An entry as it was served."""

    __tablename__ = "copied_entry"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    log: int = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    entry: bytes


class CopiedMarkRow(SQLModel, table=True):
    """What may stand in a log once: a transaction's id, or the nullifier of a consumed state; and where it does."""

    __tablename__ = "copied_mark"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    log: int = Field(primary_key=True)
    mark: bytes = Field(primary_key=True)
    idx: int


LOG_COPY_TABLES: tuple[type[SQLModel], ...] = (CopiedLogRow, CopiedEntryRow, CopiedMarkRow)
