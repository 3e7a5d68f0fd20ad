"""What the API keeps of its own: its secret, what idempotency keys stand for, which codes were shown."""

from typing import ClassVar

from sqlmodel import Field, SQLModel


class SecretRow(SQLModel, table=True):
    """The secret of cursors and ids, wrapped at rest; so that both outlive a restart."""

    __tablename__ = "api_secret"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    id: int = Field(primary_key=True)
    wrapped: bytes


class RequestRow(SQLModel, table=True):
    """A mutation that was carried out: by the user's own key, what was asked, and what came of it."""

    __tablename__ = "api_request"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    client_key: str = Field(primary_key=True)
    digest: bytes
    made: bytes  # the id of the flow, or of what was made


class ShownRow(SQLModel, table=True):
    """An enrolment's one-time code that was shown, by the flow that drew it."""

    __tablename__ = "api_shown_code"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    flow: bytes = Field(primary_key=True)
    at: int


API_TABLES: tuple[type[SQLModel], ...] = (SecretRow, RequestRow, ShownRow)
