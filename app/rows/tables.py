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
    keepsake: bytes | None = (
        None  # at an agent: the custodian's; None as long as it has not said that it kept it
    )
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

    `patient` is what this node calls her: the custodian and the agent by enrolment (`local`), a grantee where she is
    enrolled there, too. `pairwise` is the id by which the statement names her to this node; None at her agent.
    `closed_at` is when a signed withdrawal arrived, before its receipt.
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
    pairwise: bytes | None = None
    start: int
    end: int | None = None
    terms: bytes
    exceptions: bytes | None = None
    notary: str  # that entered it first, with its time (ms) and index: what "later" means
    at: int
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


class BatchRow(SQLModel, table=True):
    """A record that intake has sealed and staged: its ciphertext is durable, its data key wrapped at rest."""

    __tablename__ = "record_batch"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    batch: bytes = Field(primary_key=True)
    number: int = Field(primary_key=True)
    patient: bytes  # the pairwise id
    local: str
    content: bytes
    commitment: bytes
    blob: str
    size_class: int
    length: int
    key: bytes
    resource_id: str
    withheld: str | None = None


class RecordRow(SQLModel, table=True):
    """A version of a record, as this node may read it: metadata, and at its custodian the wrapped data key.

    `withheld` is the coded reason for which its content is withheld from the patient, as the custodian says.
    `passed_to` is who has taken custody of the record since: nobody here reads it, or a version before it, any more.
    """

    __tablename__ = "record"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("record_patient", "patient", "custodian", "consumed_seq", "created_seq", "idx"),
        Index("record_commitment", "commitment"),
        Index("record_made", "created_seq", "idx"),
        {"sqlite_with_rowid": False},
    )

    tx: bytes = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    custodian: str
    patient: str | None = None
    version: int
    commitment: bytes
    blob: str
    size_class: int
    content: bytes
    category: str
    kind: str
    day: str | None = None
    key: bytes | None = None
    length: int | None = None
    resource_id: str | None = None
    withheld: str | None = None
    created_seq: int
    consumed_seq: int | None = None
    passed_to: str | None = None


class PatientWrapRow(SQLModel, table=True):
    """At an agent: a key that the data keys of one publication are wrapped under, wrapped for its epoch key."""

    __tablename__ = "patient_wrap"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("patient_wrap_tx", "tx"),
        {"sqlite_with_rowid": False},
    )

    id: bytes = Field(primary_key=True)  # SHA-256 of `wrapped`
    tx: bytes
    epoch: int
    wrapped: bytes


class PatientKeyRow(SQLModel, table=True):
    """At an agent: the data key of a patient's record, under the key that `wrap` names."""

    __tablename__ = "patient_key"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("patient_key_commitment", "commitment"),
        {"sqlite_with_rowid": False},
    )

    tx: bytes = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    commitment: bytes
    wrap: bytes
    wrapped: bytes


class DisclosureRow(SQLModel, table=True):
    """A disclosure: what was disclosed to whom, on which consent, until when.

    `at` is the notary's time; `since` is when it was recorded here, by this node's clock: how long the receipt's word
    that the consent lives may count is measured from the earlier of the two, whose clock ever is behind.
    """

    __tablename__ = "disclosure"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("disclosure_patient", "patient", "created_seq"),
        Index("disclosure_consent", "consent_tx", "consent_idx"),
        Index("disclosure_made", "created_seq"),
        {"sqlite_with_rowid": False},
    )

    tx: bytes = Field(primary_key=True)
    custodian: str
    recipient: str
    agent: str
    patient: str | None = None
    consent_tx: bytes
    consent_idx: int
    person: bytes
    shown_as: str
    role: str
    purpose: str
    release_by: int
    read_until: int
    items: int
    at: int
    since: int
    created_seq: int
    released: int = 0  # ms, 0 while not; -1 not released and never will be


class DisclosureItemRow(SQLModel, table=True):
    """One record of a disclosure, and at the recipient its key wrapped for the epoch key."""

    __tablename__ = "disclosure_item"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("disclosure_item_commitment", "commitment"),
        {"sqlite_with_rowid": False},
    )

    tx: bytes = Field(primary_key=True)
    item: int = Field(primary_key=True)
    commitment: bytes
    blob: str
    size_class: int
    version: int
    content: bytes
    category: str
    wrapped: bytes | None = None
    epoch: int | None = None
    withdrawn_at: int | None = None
    superseded: int | None = None  # the newer version


class EarlyNoticeRow(SQLModel, table=True):
    """At a recipient: what a custodian said of an item of a disclosure that is signed here, and not recorded yet."""

    __tablename__ = "early_notice"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    tx: bytes = Field(primary_key=True)
    commitment: bytes = Field(primary_key=True)
    withdrawn_at: int | None = None
    superseded: int | None = None


class UnconfirmedRow(SQLModel, table=True):
    """At a restored recipient: a custodian that has not said again what it withdrew, and the flow that asks it."""

    __tablename__ = "unconfirmed"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    custodian: str = Field(primary_key=True)
    flow: bytes


class AskedRow(SQLModel, table=True):
    """A request for disclosure: at the recipient what it asked, at the custodian whom it answers."""

    __tablename__ = "disclosure_request"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("disclosure_request_tx", "tx"),
        {"sqlite_with_rowid": False},
    )

    number: bytes = Field(primary_key=True)
    asked: bytes  # Asked, encoded
    at: int
    tx: bytes | None = None
    outcome: str | None = None


class LivenessRow(SQLModel, table=True):
    """The newest statement of liveness for a state, by its nullifier.

    `at` is the notary's time, `heard` when it came, by this node's clock; it counts from the earlier of the two.
    """

    __tablename__ = "liveness"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    tx: bytes = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    at: int
    heard: int
    live: int
    statement: bytes


ENROLMENT_TABLES: tuple[type[SQLModel], ...] = (EnrolmentRow, OfferRow, PractitionerRow)
STATEMENT_TABLES: tuple[type[SQLModel], ...] = (StatementRow, InForceRow)


class IntroductionRow(SQLModel, table=True):
    """At a new custodian: whom an agent announced, and what this node made for the offer."""

    __tablename__ = "introduction"
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("introduction_record", "record_tx", "record_idx"),
        {"sqlite_with_rowid": False},
    )

    token: bytes = Field(primary_key=True)
    agent: str
    patient: bytes
    comes: str
    record_tx: bytes
    record_idx: int
    until: int  # ms, exclusive
    leaf: bytes | None = None  # this node's sealed name of the patient, with its nonce
    lock: bytes | None = None
    withheld: str | None = None  # from the patient, as the old custodian said with its offer


class TransferPermitRow(SQLModel, table=True):
    """At an agent: between which custodians a patient (her handle, hex) lets her records pass, until when."""

    __tablename__ = "transfer_permit"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    patient: str = Field(primary_key=True)
    custodian: str = Field(primary_key=True)
    to: str = Field(primary_key=True)
    until: int  # ms, exclusive


class TransferRow(SQLModel, table=True):
    """At an old custodian: for whom the keys of a transferred record are to be wrapped."""

    __tablename__ = "transfer"
    __table_args__: ClassVar[tuple[object, ...]] = ({"sqlite_with_rowid": False},)

    tx: bytes = Field(primary_key=True)
    to: str
    epoch: int
    epoch_key: bytes
    commitment: bytes
    blob: str
    size_class: int


RECORD_TABLES: tuple[type[SQLModel], ...] = (
    BatchRow,
    RecordRow,
    IntroductionRow,
    TransferPermitRow,
    TransferRow,
    PatientWrapRow,
    PatientKeyRow,
)
DISCLOSURE_TABLES: tuple[type[SQLModel], ...] = (
    DisclosureRow,
    DisclosureItemRow,
    EarlyNoticeRow,
    UnconfirmedRow,
    AskedRow,
    LivenessRow,
)
