"""What subjects keep beside the ledger: rows that answer the questions of flows, gate and screens."""

from typing import ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel


class EnrolmentRow(SQLModel, table=True):
    """A patient between a custodian and her agent. `local` is this node's own name of her.

    At a custodian that is its patient number; at an agent the handle of the patient (hex).
    """

    __tablename__ = "enrolment"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("enrolment_local", "local", "custodian"),
        {"sqlite_with_rowid": False},
    )

    patient: bytes = Field(primary_key=True)
    custodian: str = Field(primary_key=True)
    agent: str
    local: str
    authority: bytes  # Policy, encoded
    signed: bytes | None = None  # SignedEnrolment; None while an agent waits for the custodian
    from_time: int = 0


class OfferRow(SQLModel, table=True):
    """A one-time code at a custodian's desk, by its hash."""

    __tablename__ = "enrolment_offer"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    code_hash: bytes = Field(primary_key=True)
    local: str
    until: int
    used_by: bytes | None = (
        None  # the patient id that it was used for: a repeated application gets the same answer
    )


class PractitionerRow(SQLModel, table=True):
    """Somebody who works here, as this organisation names her to others."""

    __tablename__ = "practitioner"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("practitioner_name", "shown_as"),
        {"sqlite_with_rowid": False},
    )

    person: bytes = Field(primary_key=True)
    shown_as: str
    role: str
    active: int = 1


class StatementRow(SQLModel, table=True):
    """A patient's consent or restriction, as this node may read it.

    `patient` is what this node calls her: the custodian and the agent by enrolment (`local`), a grantee by the id
    that the consent told it. `closed_at` is when a signed withdrawal arrived, before its receipt.
    """

    __tablename__ = "statement"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("statement_patient", "patient", "custodian"),
        Index("statement_grantee", "grantee", "end"),
        {"sqlite_with_rowid": False},
    )

    tx: bytes = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    contract: str
    custodian: str
    grantee: str | None = None
    agent: str
    patient: str | None = None
    start: int
    end: int | None = None
    terms: bytes
    exceptions: bytes | None = None
    at: int  # the notary's time, ms: what "later" means
    log_index: int
    since: int  # in force here since, ms
    created_seq: int
    consumed_seq: int | None = None
    closed_at: int | None = None


class InForceRow(SQLModel, table=True):
    """An *in force since* that a party owes for a statement of a patient: the agent keeps them."""

    __tablename__ = "in_force"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    tx: bytes = Field(primary_key=True)
    party: str = Field(primary_key=True)
    at: int
    signed: bytes


ENROLMENT_TABLES: tuple[type[SQLModel], ...] = (EnrolmentRow, OfferRow, PractitionerRow)
STATEMENT_TABLES: tuple[type[SQLModel], ...] = (StatementRow, InForceRow)
