"""Disclosures: what was opened to whom, on which consent; and requests, refused ones included."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry
from sqlalchemy import and_, bindparam, exists, not_, or_

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.enums import documented
from app.graphql.scalars import Digest, LedgerSeq, UInt53
from app.graphql.schema.codes import Category
from app.graphql.schema.consent import KIND as CONSENT_KIND
from app.graphql.schema.consent import Consent, find_consent
from app.graphql.schema.content import (
    CONTENT_COST,
    TOLD_BY_READING,
    PurposeArgument,
    RecordContent,
    purpose_of,
    shown,
)
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.listing import After, Before, First, Last, Listing, Parameter, find, page
from app.graphql.schema.moment import Cell, Row, content_of
from app.graphql.schema.node import Id, Node, filter_keys, info_keys
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.patient import Patient, whose
from app.graphql.schema.policy import Reach, Subject
from app.graphql.schema.record import Life, PatientFilter, chosen
from app.graphql.schema.transaction import AsOf, Transaction, creating
from app.rows.tables import (
    DisclosureItemRow,
    DisclosureRow,
    LivenessRow,
    RecordRow,
    StatementRow,
    UnconfirmedRow,
)
from app.storage.statements import table_of
from states.state import TransactionId

KIND = "disclosure"
ITEM_KIND = "disclosed-item"

_D, _I = table_of(DisclosureRow), table_of(DisclosureItemRow)
_S, _L = table_of(StatementRow), table_of(LivenessRow)
_R, _U = table_of(RecordRow), table_of(UnconfirmedRow)
_ME: Parameter = bindparam("viewer_me")
_NOW: Parameter = bindparam("now")
_CONSENT_LIVES = exists().where(
    _S.c.tx == _D.c.consent_tx,
    _S.c.idx == _D.c.consent_idx,
    _S.c.consumed_seq.is_(None),
    _S.c.closed_at.is_(None),
    _S.c.end > _NOW,
)
_SAID_OF_CONSENT = and_(_L.c.tx == _D.c.consent_tx, _L.c.idx == _D.c.consent_idx)
_STALE: Parameter = bindparam("stale")
# As GateRule.LEASE: the receipt or a later statement says that the consent lived, and none that it does not.
_LEASED = and_(
    or_(
        and_(_D.c.at > _STALE, _D.c.since > _STALE),
        exists().where(_SAID_OF_CONSENT, _L.c.at > _STALE, _L.c.heard > _STALE),
    ),
    not_(exists().where(_SAID_OF_CONSENT, _L.c.live == 0)),
)
# As GateRule.CONFIRMED: after a restore, nothing of a custodian that has not said again what it has withdrawn.
_CONFIRMED = not_(exists().where(_U.c.custodian == _D.c.custodian))
_ADDRESSED = and_(
    _D.c.recipient == _ME,
    _D.c.person == bindparam("viewer_bytes"),
    _D.c.role == bindparam("viewer_role"),
    _D.c.released > 0,
    _D.c.read_until > _NOW,
    _CONSENT_LIVES,
    _LEASED,
    _CONFIRMED,
)
# Looked for when it is asked, for a publication may come behind the disclosure: at the agent, which alone holds both.
_ANNOUNCED = or_(
    _D.c.agent != _ME,
    exists().where(_R.c.commitment == _I.c.commitment, _R.c.custodian == _D.c.custodian),
).label("announced")
_INVOLVED = or_(_D.c.custodian == _ME, _D.c.recipient == _ME)
_HERS = _D.c.patient == bindparam("viewer_person")
_THEN = _D.c.created_seq <= bindparam("seq")

DISCLOSURES = Listing(
    name="disclosures",
    subject=Subject.DISCLOSURE,
    source=_D,
    columns=(
        _D.c.tx,
        _D.c.custodian,
        _D.c.recipient,
        _D.c.patient,
        _D.c.consent_tx,
        _D.c.consent_idx,
        _D.c.person,
        _D.c.shown_as,
        _D.c.role,
        _D.c.purpose,
        _D.c.release_by,
        _D.c.read_until,
        _D.c["items"],
        _D.c.at,
        _D.c.created_seq,
        _D.c.released,
    ),
    key=(_D.c.tx,),
    order=(_D.c.created_seq,),
    visible={Reach.OWN: _HERS, Reach.ADDRESSED: _ADDRESSED, Reach.INVOLVED: _INVOLVED},
    at=_THEN,
    filters={
        "patient": _D.c.patient == bindparam("filter_patient"),
        "consent_tx": _D.c.consent_tx == bindparam("filter_consent_tx"),
        "consent_idx": _D.c.consent_idx == bindparam("filter_consent_idx"),
    },
)
ITEMS = Listing(
    name="disclosed items",
    subject=Subject.DISCLOSURE,
    source=_I.join(_D, _D.c.tx == _I.c.tx),
    columns=(
        _I.c.tx,
        _I.c.item,
        _I.c.commitment,
        _I.c.size_class,
        _I.c.version,
        _I.c.content,
        _I.c.withdrawn_at,
        _I.c.superseded,
        _ANNOUNCED,
    ),
    key=(_I.c.tx, _I.c.item),
    order=(_I.c.tx, _I.c.item),
    visible={
        Reach.OWN: _HERS,
        Reach.ADDRESSED: and_(_ADDRESSED, _I.c.withdrawn_at.is_(None), _I.c.wrapped.is_not(None)),
        # What they are stays with whose records they are: at the recipient only whom they were opened to lists them,
        # and only as long as she may open them. Its privacy officer has the disclosure and how many it names.
        Reach.INVOLVED: _D.c.custodian == _ME,
    },
    at=_THEN,
    filters={"disclosure": _I.c.tx == bindparam("filter_disclosure")},
    newest_first=False,
)


@documented(
    "Whether the keys of a disclosure came.",
    {
        "PENDING": "Not yet; they may still come.",
        "RELEASED": "They came.",
        "NOT_RELEASED": "They did not come in time, and never will.",
    },
)
class ReleaseStatus(StrEnum):
    """A disclosure without its keys opens nothing."""

    PENDING = "pending"
    RELEASED = "released"
    NOT_RELEASED = "not-released"


@strawberry.type(description="For whom something is disclosed, and why.")
class Reader:
    """As the recipient names the person."""

    person: str = strawberry.field(description="The recipient's own id of the person (hex).")
    shown_as: str = strawberry.field(description="The name to show.")
    role: str = strawberry.field(description="The role in which she reads.")
    purpose: str = strawberry.field(description="HL7 purpose of use.")


async def _content(root: "DisclosedItem", info: Info, purpose: PurposeArgument) -> RecordContent:
    context = info.context
    gate = context.api.gate
    tx = TransactionId(bytes(root.disclosure_id))
    session, why = context.caller.session, purpose_of(purpose)
    return await shown(
        context, root.size_class, lambda: gate.read_record(session, tx, root.number, why)
    )


@strawberry.type(description="One record that a disclosure opens.")
class DisclosedItem(Node):
    """What its bytes must be, and what it is."""

    disclosure_id: Digest = strawberry.field(description="The disclosure's transaction.")
    number: int = strawberry.field(description="Its place in the disclosure.")
    kind: str = strawberry.field(description="FHIR resource type.")
    code: str | None = strawberry.field(
        description="Its clinical code; may be empty. " + TOLD_BY_READING
    )
    code_system: str | None = strawberry.field(
        description="The code's system; may be empty. " + TOLD_BY_READING
    )
    category: Category = strawberry.field(description="What kind of record it is.")
    labels: list[str] | None = strawberry.field(
        description="Confidentiality and sensitivity. " + TOLD_BY_READING
    )
    day: str | None = strawberry.field(
        description="Day of care, as YYYY-MM-DD; null where the resource has none."
    )
    version: int = strawberry.field(description="The version that was disclosed.")
    superseded_by: int | None = strawberry.field(
        description="The number of a newer version that exists; null where none is known."
    )
    withdrawn_at: datetime | None = strawberry.field(
        description="Since when it is withdrawn; null where it is not."
    )
    announced: bool = strawberry.field(
        description="False where the patient's agent knows no such record: ask the custodian."
    )
    commitment: Digest = strawberry.field(description="What its bytes must hash to.")
    size_class: UInt53 = strawberry.field(description="Bytes of ciphertext, padded.")
    content: RecordContent | None = strawberry.field(
        resolver=_content,
        description="The FHIR resource. Reading it is logged, also where it is refused.",
        metadata={"cost": CONTENT_COST},
    )


def item_of(context: ApiContext, row: Row) -> DisclosedItem:
    tx, number, commitment, size, version, content, withdrawn, superseded, announced = row
    assert isinstance(tx, bytes), "a primary key"
    assert isinstance(commitment, bytes), "a column of bytes"
    said = content_of(content)
    hers = context.viewer.reach(Subject.DISCLOSURE) is Reach.OWN
    return DisclosedItem(
        id=context.api.ids.seal(ITEM_KIND, tx, int(number or 0)),
        disclosure_id=Digest(tx),
        number=int(number or 0),
        kind=said.kind,
        code=said.code if hers else None,
        code_system=said.system if hers else None,
        category=Category(said.category),
        labels=list(said.labels) if hers else None,
        day=said.day,
        version=int(version or 0),
        superseded_by=None if superseded is None else int(superseded),
        withdrawn_at=None if withdrawn is None else instant(int(withdrawn)),
        announced=bool(announced),
        commitment=Digest(commitment),
        size_class=UInt53(int(size or 0)),
    )


def find_item(context: ApiContext, keys: tuple[SortKey, ...]) -> DisclosedItem | None:
    row = find(context, ITEMS, keys)
    return None if row is None else item_of(context, row)


def _items(
    root: "Disclosure",
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[DisclosedItem]:
    context = info.context
    return page(
        context,
        ITEMS,
        PageArguments(first, after, last, before),
        lambda row: item_of(context, row),
        {"disclosure": bytes(root.transaction_id)},
    )


def _consent(root: "Disclosure", info: Info) -> Consent | None:
    return find_consent(info.context, root.basis)


@strawberry.type(description="That a custodian opened records to a person of a recipient.")
class Disclosure(Node):
    """On the ledger before any key was given."""

    patient_name: strawberry.Private[Cell]
    basis: strawberry.Private[tuple[SortKey, ...]]
    transaction_id: Digest = strawberry.field(description="The transaction that made it.")
    custodian: Party = strawberry.field(description="Who disclosed.")
    recipient: Party = strawberry.field(description="To whom.")
    reader: Reader = strawberry.field(description="For whom there, and why.")
    release_by: datetime = strawberry.field(description="Until when keys could be released.")
    read_until: datetime = strawberry.field(description="Until when it may be read.")
    recorded_at: datetime = strawberry.field(description="The notary's time.")
    release: ReleaseStatus = strawberry.field(description="Whether the keys came.")
    released_at: datetime | None = strawberry.field(
        description="When they came; null while they have not."
    )
    item_count: int = strawberry.field(description="Records that it names on the ledger.")
    created_seq: LedgerSeq = strawberry.field(description="Since when it is here.")
    items: Connection[DisclosedItem] = strawberry.field(
        resolver=_items, description="The records, as far as you may see them."
    )
    consent: Consent | None = strawberry.field(
        resolver=_consent, description="Its basis; null where you may not see it."
    )
    patient: Patient | None = strawberry.field(
        resolver=whose, description="Whose records; null where you may not see her."
    )
    transaction: Transaction | None = strawberry.field(
        resolver=creating, description="What made it; null where you may not see it."
    )


def disclosure_of(context: ApiContext, row: Row) -> Disclosure:
    tx, custodian, recipient, patient, consent_tx, consent_idx, person, name = row[:8]
    role, purpose, release_by, read_until, items, at, made, released = row[8:]
    assert isinstance(tx, bytes), "a primary key"
    assert isinstance(person, bytes), "a column of bytes"
    assert consent_tx is not None, "a disclosure has its basis"
    moment = int(released or 0)
    release = ReleaseStatus.RELEASED if moment > 0 else ReleaseStatus.PENDING
    return Disclosure(
        id=context.api.ids.seal(KIND, tx),
        patient_name=patient,
        basis=(consent_tx, int(consent_idx or 0)),
        transaction_id=Digest(tx),
        custodian=party_of(context, str(custodian)),
        recipient=party_of(context, str(recipient)),
        reader=Reader(
            person=person.hex(), shown_as=str(name), role=str(role), purpose=str(purpose)
        ),
        release_by=instant(int(release_by or 0)),
        read_until=instant(int(read_until or 0)),
        recorded_at=instant(int(at or 0)),
        release=ReleaseStatus.NOT_RELEASED if moment < 0 else release,
        released_at=instant(moment) if moment > 0 else None,
        item_count=int(items or 0),
        created_seq=LedgerSeq(int(made or 0)),
    )


def find_disclosure(context: ApiContext, keys: tuple[SortKey, ...]) -> Disclosure | None:
    row = find(context, DISCLOSURES, keys)
    return None if row is None else disclosure_of(context, row)


def disclosure(info: Info, id: Id) -> Disclosure | None:  # noqa: A002  its name in the API
    keys = info_keys(info, id, KIND)
    return None if keys is None else find_disclosure(info.context, keys)


def disclosures(  # noqa: PLR0913, PLR0917  filters, and a Relay connection's four arguments
    info: Info,
    patient: PatientFilter = None,
    consent: Annotated[
        strawberry.ID | None, strawberry.argument(description="Only those on this consent.")
    ] = None,
    as_of: AsOf = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Disclosure]:
    context = info.context
    filters = chosen(info, patient, Life.ALL)
    if consent is not None:
        tx, idx = filter_keys(context, "consent", consent, CONSENT_KIND)
        filters |= {"consent_tx": tx, "consent_idx": idx}
    return page(
        context,
        DISCLOSURES,
        PageArguments(first, after, last, before),
        lambda row: disclosure_of(context, row),
        filters,
        as_of,
    )
