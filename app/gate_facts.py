"""What the gate reads of the vault: one row an object, by primary keys."""

from dataclasses import dataclass
from sqlite3 import Connection

from sqlalchemy import bindparam, select

from app.access import AskedConsent, DisclosedItem
from app.readings.log import NOBODY, ChainOf
from app.rows.tables import (
    DisclosureItemRow,
    DisclosureRow,
    EnrolmentRow,
    LivenessRow,
    PatientKeyRow,
    PatientWrapRow,
    RecordRow,
    StatementRow,
    UnconfirmedRow,
)
from app.storage.statements import sql, table_of
from states.errors import LedgerError
from states.identity import Party, PatientId
from states.state import StateRef, TransactionId
from states.subjects.content import CONTENT, Content
from states.subjects.terms import TERMS

_D, _I = table_of(DisclosureRow), table_of(DisclosureItemRow)
_S, _L = table_of(StatementRow), table_of(LivenessRow)
_R, _E = table_of(RecordRow), table_of(EnrolmentRow)
_U = table_of(UnconfirmedRow)
_K, _W = table_of(PatientKeyRow), table_of(PatientWrapRow)

_THIS = (_R.c.tx == bindparam("tx"), _R.c.idx == bindparam("idx"))
# What `_sealed` is made of, of records and of items.
_SEALED = (_R.c.content, _R.c.commitment, _R.c.blob, _R.c.size_class)
_SEALED_ITEM = (_I.c.content, _I.c.commitment, _I.c.blob, _I.c.size_class)

_DISCLOSED = sql(
    select(
        _D.c.custodian,
        _D.c.recipient,
        _D.c.agent,
        _D.c.person,
        _D.c.role,
        _D.c.purpose,
        _D.c.read_until,
        _D.c.at,
        _D.c.since,
        _U.c.custodian,
        _S.c.consumed_seq,
        _S.c.closed_at,
        _S.c.end,
        _L.c.at,
        _L.c.heard,
        _L.c.live,
        *_SEALED_ITEM,
        _I.c.wrapped,
        _I.c.epoch,
        _I.c.withdrawn_at,
        _I.c.superseded,
    )
    .select_from(_D)
    .outerjoin(_I, (_I.c.tx == _D.c.tx) & (_I.c.item == bindparam("item")))
    .outerjoin(_U, _U.c.custodian == _D.c.custodian)
    .outerjoin(_S, (_S.c.tx == _D.c.consent_tx) & (_S.c.idx == _D.c.consent_idx))
    .outerjoin(_L, (_L.c.tx == _D.c.consent_tx) & (_L.c.idx == _D.c.consent_idx))
    .where(_D.c.tx == bindparam("tx"))
)
_OWN = sql(select(*_SEALED, _R.c.custodian, _R.c.patient, _R.c.key, _R.c.passed_to).where(*_THIS))
_ENROLLED = sql(
    select(_E.c.patient, _E.c.agent)
    .where(
        _E.c.local == bindparam("local"),
        _E.c.custodian == bindparam("custodian"),
        _E.c.signed.is_not(None),
    )
    .limit(1)
)
_CONSENT = sql(
    select(
        _S.c.grantee,
        _S.c.agent,
        _S.c.pairwise,
        _S.c.terms,
        _S.c.end,
        _S.c.consumed_seq,
        _S.c.closed_at,
    ).where(_S.c.tx == bindparam("tx"), _S.c.idx == bindparam("idx"), _S.c.grantee.is_not(None))
)
_HERS = sql(
    select(*_SEALED, _R.c.custodian, _R.c.patient, _R.c.withheld).where(
        *_THIS, _R.c.patient.is_not(None)
    )
)
_OF = _R.alias("of")
_ITSELF = (
    select(_R.c.tx, _R.c.idx, _R.c.commitment, _R.c.patient, _R.c.created_seq)
    .where(*_THIS)
    .cte("line", recursive=True)
)
# A commitment alone says nothing: whoever has seen one, without the key, can publish it as his own, also about the
# same patient.
_LINE = _ITSELF.union(
    select(_OF.c.tx, _OF.c.idx, _OF.c.commitment, _OF.c.patient, _OF.c.created_seq).join(
        _ITSELF,
        (_OF.c.commitment == _ITSELF.c.commitment)
        & (_OF.c.patient == _ITSELF.c.patient)
        & (_OF.c.consumed_seq == _ITSELF.c.created_seq),
    )
)
_LINE_OF = sql(select(_LINE.c.tx, _LINE.c.idx))
_KEY_OF = sql(
    select(_K.c.tx, _K.c.idx, _K.c.wrapped, _W.c.epoch, _W.c.wrapped)
    .join(_W, _W.c.id == _K.c.wrap)
    .join(_LINE, (_LINE.c.tx == _K.c.tx) & (_LINE.c.idx == _K.c.idx))
    .order_by(_LINE.c.created_seq.desc())
    .limit(1)
)
_AGENT_HERE = sql(
    select(_E.c.agent).where(
        _E.c.patient == bindparam("patient"),
        _E.c.custodian == bindparam("me"),
        _E.c.signed.is_not(None),
    )
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a record is, what its bytes must hash to, and the ciphertext that they are in."""

    content: Content
    commitment: bytes
    blob: str
    size_class: int


def _sealed(
    content: bytes, commitment: bytes, blob: str, size: int
) -> tuple[Content, bytes, str, int]:
    return CONTENT.decode(content), commitment, blob, size


@dataclass(frozen=True, slots=True)
class SealedSource(Sealed):
    """An item's bytes as its recipient holds them."""

    wrapped: bytes
    epoch: int
    superseded: int | None


@dataclass(frozen=True, slots=True)
class DisclosedFacts:
    """A disclosure and one item of it; `source` is None where there is no such item."""

    custodian: Party
    agent: Party
    item: DisclosedItem
    source: SealedSource | None


@dataclass(frozen=True, slots=True)
class OwnFacts(Sealed):
    """A version of a record; `enrolled` and `agent` are those of the patient's live enrolment here."""

    custodian: Party
    patient: str | None
    enrolled: bytes | None
    agent: Party | None
    key: bytes | None
    passed_on: bool


def disclosed_facts(db: Connection, tx: bytes, item: int) -> DisclosedFacts | None:
    """Return what is held of an item; None for a disclosure that is not here."""
    row = db.execute(_DISCLOSED, {"tx": tx, "item": item}).fetchone()
    if row is None:
        return None
    custodian, recipient, agent, person, role, purpose, read_until, at, since, unconfirmed = row[
        :10
    ]
    consumed, closed, ends, stated_at, heard, live = row[10:16]
    wrapped, epoch, withdrawn, superseded = row[20:]
    source = None
    if row[16] is not None:
        source = SealedSource(*_sealed(*row[16:20]), wrapped or b"", epoch or 0, superseded)
    # From when it came, at the latest: a clock that is behind would make a notary's word last longer.
    lives_at = min(at, since)
    if stated_at is not None:
        lives_at = max(lives_at, min(stated_at, heard))
    about = DisclosedItem(
        recipient=Party(recipient),
        person=person,
        role=role,
        purpose=purpose,
        released=wrapped is not None,
        withdrawn=withdrawn is not None,
        confirmed=unconfirmed is None,
        read_until=read_until if ends is None else min(read_until, ends),
        # A consent that is not held here (`ends` is None) counts as ended.
        consent_ended=ends is None or consumed is not None or closed is not None,
        lives_at=None if live == 0 else lives_at,
    )
    return DisclosedFacts(Party(custodian), Party(agent), about, source)


def own_facts(db: Connection, ref: StateRef, me: Party) -> OwnFacts | None:
    """Return what is held of a version of a record; None for one that is not here."""
    row = db.execute(_OWN, {"tx": ref.tx, "idx": ref.index}).fetchone()
    if row is None:
        return None
    custodian, patient, key, passed_to = row[4:]
    enrolled = db.execute(_ENROLLED, {"local": patient, "custodian": me}).fetchone()
    return OwnFacts(
        *_sealed(*row[:4]),
        custodian=Party(custodian),
        patient=patient,
        enrolled=None if enrolled is None else enrolled[0],
        agent=None if enrolled is None else Party(enrolled[1]),
        key=key,
        passed_on=passed_to is not None,
    )


@dataclass(frozen=True, slots=True)
class PatientsKey:
    """The data key of a record, as her agent keeps it: under a shared key, which is wrapped for an epoch key."""

    tx: TransactionId
    item: int
    wrapped: bytes
    epoch: int
    shared: bytes


@dataclass(frozen=True, slots=True)
class PatientsFacts(Sealed):
    """A version of a record of a patient of this agent; `key` is None where none has come."""

    custodian: Party
    patient: str
    withheld: bool
    key: PatientsKey | None


def line_of(db: Connection, ref: StateRef) -> list[StateRef]:
    """Return a record, and what it was before each transfer, which changes neither bytes nor key."""
    rows = db.execute(_LINE_OF, {"tx": ref.tx, "idx": ref.index})
    return [StateRef(TransactionId(tx), idx) for tx, idx in rows]


def patients_facts(db: Connection, ref: StateRef) -> PatientsFacts | None:
    """Return what is held of a version of a record, and the key that opens it; None for one that is not here."""
    row = db.execute(_HERS, {"tx": ref.tx, "idx": ref.index}).fetchone()
    if row is None:
        return None
    custodian, patient, withheld = row[4:]
    found = db.execute(_KEY_OF, {"tx": ref.tx, "idx": ref.index}).fetchone()
    key = None if found is None else PatientsKey(TransactionId(found[0]), *found[1:])
    return PatientsFacts(
        *_sealed(*row[:4]),
        custodian=Party(custodian),
        patient=patient,
        withheld=withheld is not None,
        key=key,
    )


@dataclass(frozen=True, slots=True)
class ConsentFacts:
    """A consent as its grantee holds it. `patient` is the id by which it names her here, `agent` who is told."""

    asked: AskedConsent
    patient: PatientId | None
    agent: Party

    def chain(self, me: Party) -> ChainOf:
        """Return the chain of the patient whom the consent names to its grantee `me`; nobody's for anybody else."""
        if self.asked.grantee != me or self.patient is None:
            return NOBODY
        return ChainOf(None, self.patient, self.agent)


def consent_facts(
    db: Connection, ref: StateRef, me: Party, person: bytes, role: str
) -> ConsentFacts | None:
    """Return what is held of a consent, live or ended, for somebody who asks by it; None for one that is not here."""
    row = db.execute(_CONSENT, {"tx": ref.tx, "idx": ref.index}).fetchone()
    if row is None:
        return None
    grantee, agent, patient, terms, end, consumed, closed = row
    ended = consumed is not None or closed is not None
    asked = AskedConsent(Party(grantee), terms_reach(terms, person, role), ended, end)
    # Where she is enrolled here, that names her agent: a grantee judges no authority, so anybody may have said another.
    here = db.execute(_AGENT_HERE, {"patient": patient, "me": me}).fetchone()
    named = None if patient is None else PatientId(patient)
    return ConsentFacts(asked, named, Party(agent if here is None else here[0]))


def terms_reach(terms: bytes, person: bytes, role: str) -> bool:
    """Whether a consent's terms permit something to this person, in this role, of the grantee."""
    try:
        said = TERMS.decode(terms)
    except LedgerError:
        return False
    if said.decision != "permit" or not person:
        return False
    if said.person is not None:
        return said.person == person
    return said.role is None or said.role == role
