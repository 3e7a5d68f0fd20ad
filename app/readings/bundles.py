"""Writes proof bundles at a patient's agent: of a line of "who looked", of a disclosure, of a record."""

from collections.abc import Iterable, Mapping
from sqlite3 import Connection
from typing import NamedTuple, Protocol

from sqlalchemy import bindparam, select

from app.readings import looks_statements as text
from app.readings.alarms import CONFLICTS_MAX
from app.readings.chains import Mark
from app.rows.tables import DisclosureRow, EnrolmentRow, RecordRow
from app.storage.statements import sql, table_of
from states.bundle import KNOWN
from states.bundle_format import Bundle, BundleSubject
from states.encoding import encode
from states.errors import LedgerError
from states.groups import Group
from states.identity import Party
from states.ledger import Data
from states.parameters import SIGNED_PARAMETERS, parameters_id
from states.reading import (
    READING,
    ReadingEntry,
    ReportedReading,
    contradict,
    entry_digest,
    item_hash,
)
from states.sealed import SEALED
from states.signed import ProvenTransaction, SignedTransaction
from states.subjects.disclosure import Item
from states.subjects.record import About
from states.subjects.terms import Exceptions, SubjectAt
from states.tearoff import FilteredTransaction, open_tearoff
from states.verifier import HASH

NEIGHBOURS_MAX = 4 * CONFLICTS_MAX  # lines that are looked at for one that contradicts

_D, _R, _E = table_of(DisclosureRow), table_of(RecordRow), table_of(EnrolmentRow)
_CONSENT_OF = sql(
    select(_D.c.consent_tx, _D.c.custodian, _D.c.recipient).where(_D.c.tx == bindparam("tx"))
)
_RECORD_OF = sql(
    select(_R.c.tx, _R.c.idx, _R.c.custodian)
    .where(_R.c.commitment == bindparam("commitment"), _R.c.custodian == bindparam("custodian"))
    .limit(1)
)
_CUSTODIAN_OF = sql(
    select(_R.c.custodian).where(_R.c.tx == bindparam("tx"), _R.c.idx == bindparam("idx"))
)
_ENROLMENT = sql(
    select(_E.c.signed).where(
        _E.c.local == bindparam("patient"),
        _E.c.custodian == bindparam("custodian"),
        _E.c.signed.is_not(None),
    )
)


class Transactions(Protocol):
    """The vault, as far as bundles need it."""

    def transaction(self, db: Connection, tx: bytes) -> SignedTransaction | ProvenTransaction: ...


class PublishedMap(Protocol):
    """The network map, as it was signed."""

    def published(self) -> Mapping[int, bytes]:
        """Return the signed parameters by version."""

    def entry(self, party: Party) -> bytes:
        """Return the newest signed entry of a member; raises UnknownParty."""


class Line(NamedTuple):
    """Which line of "who looked"."""

    organisation: Party
    chain: bytes
    number: int
    digest: bytes


class _Kept(NamedTuple):
    entry: ReadingEntry
    digest: bytes


class NothingToProve(LedgerError):
    """There is no such line, disclosure or record here, or its evidence was erased."""


class BundleWriter:
    """Puts bundles together from what the agent holds; what strangers need not see is torn off."""

    def __init__(self, transactions: Transactions, published: PublishedMap) -> None:
        self._transactions = transactions
        self._published = published

    def of_look(self, db: Connection, line: Line, *, named: bool = False) -> bytes:
        """Prove a line of "who looked". With `named` it carries the enrolment: then the key is shown to be hers.

        With a line that another contradicts goes that other: the organisation signed both. Raises NothingToProve.
        """
        organisation, key = line.organisation, line._asdict()
        row = db.execute(text.GET_EVIDENCE, key).fetchone()
        if row is None:
            raise NothingToProve("no such line is kept here")
        reported, patient = ReportedReading(row[0], row[1], row[2]), row[3]
        disclosure = READING.decode(reported.body).disclosure
        if disclosure is None:
            proven = self._own_records(db, organisation, key)
            custodian, members = organisation, {organisation}
        else:
            proven, custodian, members = self._disclosure(db, disclosure, reported)
        enrolment = self._enrolment(db, patient, custodian) if named else None
        other = None
        if row[4] == Mark.CONTRADICTED.name:
            other = self._contradicting(db, reported, key | {"patient": patient})
        return self._bundle("reading", (reported, other), proven, members, enrolment)

    def _contradicting(
        self, db: Connection, reported: ReportedReading, line: Mapping[str, object]
    ) -> ReportedReading | None:
        """Return a line of hers that contradicts this one by what both say; None where only the agent can tell."""
        said = _read(reported)
        near = {"first": said.entry.number - 1, "last": said.entry.number + 1}
        about = {"disclosure": said.entry.disclosure, "most": NEIGHBOURS_MAX}
        for row in db.execute(text.NEIGHBOURS, {**line, **near, **about}).fetchall():
            other = ReportedReading(*row)
            if contradict(said, _read(other)):
                return other
        return None

    def of_disclosure(self, db: Connection, tx: bytes) -> bytes:
        """Prove that something was disclosed, with all its items. Raises NothingToProve."""
        proven, _, members = self._disclosure(db, tx, None)
        return self._bundle("disclosure", (None, None), proven, members, None)

    def of_record(self, db: Connection, tx: bytes, index: int) -> bytes:
        """Prove that a custodian published a record. Raises NothingToProve."""
        row = db.execute(_CUSTODIAN_OF, {"tx": tx, "idx": index}).fetchone()
        if row is None:
            raise NothingToProve("no such record is known here")
        proven = (self._record(db, tx, {index}),)
        return self._bundle("record", (None, None), proven, {Party(row[0])}, None)

    # -- transactions --------------------------------------------------------------------------------

    def _disclosure(
        self, db: Connection, tx: bytes, reported: ReportedReading | None
    ) -> tuple[tuple[ProvenTransaction, ...], Party, set[Party]]:
        row = db.execute(_CONSENT_OF, {"tx": tx}).fetchone()
        if row is None:
            raise NothingToProve("the disclosure is not held here")
        disclosure, consent = self._proven(db, tx), self._proven(db, row[0])
        if reported is not None:
            disclosure = _showing_items(disclosure, reported)
        custodian, recipient = Party(row[1]), Party(row[2])
        shown = (disclosure, _hiding(consent, SubjectAt, Exceptions))
        return shown, custodian, {custodian, recipient}

    def _own_records(
        self, db: Connection, custodian: Party, line: Mapping[str, object]
    ) -> tuple[ProvenTransaction, ...]:
        """Return the publications of what was read; of each only the records that were."""
        wanted: dict[bytes, set[int]] = {}
        for commitment, _ in db.execute(text.ITEMS_OF, dict(line)).fetchall():
            key = {"commitment": commitment, "custodian": custodian}
            row = db.execute(_RECORD_OF, key).fetchone()
            if row is None:
                raise NothingToProve("a record that was read is not known here")
            wanted.setdefault(row[0], set()).add(row[1])
        return tuple(self._record(db, tx, indexes) for tx, indexes in wanted.items())

    def _record(self, db: Connection, tx: bytes, indexes: set[int]) -> ProvenTransaction:
        """Return a publication that shows these records and no other: a batch may hold other patients'."""
        proven = self._proven(db, tx)
        filtered = open_tearoff(proven.tearoff)
        layout = filtered.layout
        hidden = {
            layout.position(group, at)
            for group in (Group.OUTPUTS, Group.LOCKS)
            for at, _ in filtered.components(group)
            if at not in indexes
        }
        for at, component in filtered.components(Group.SEALED):
            sealed = SEALED.decode(component)
            about = isinstance(KNOWN.seals.decode(sealed.data), About)
            if not about or sealed.about.index not in indexes:
                hidden.add(layout.position(Group.SEALED, at))
        return _narrowed(proven, filtered, hidden)

    def _proven(self, db: Connection, tx: bytes) -> ProvenTransaction:
        proven = self._transactions.transaction(db, tx)
        if not isinstance(proven, ProvenTransaction):
            raise NothingToProve(f"transaction {tx.hex()[:16]} is not notarised")
        return proven

    # -- what they rest on ---------------------------------------------------------------------------

    def _bundle(
        self,
        subject: BundleSubject,
        readings: tuple[ReportedReading | None, ReportedReading | None],
        proven: tuple[ProvenTransaction, ...],
        members: Iterable[Party],
        enrolment: bytes | None,
    ) -> bytes:
        bundle = Bundle(
            subject=subject,
            reading=readings[0],
            other=readings[1],
            transactions=proven,
            liveness=None,  # the agent has none: the disclosure's receipt is one
            parameters=self._parameters(proven),
            members=tuple(self._published.entry(party) for party in sorted(members)),
            enrolment=enrolment,
        )
        return encode(bundle)

    def _parameters(self, proven: tuple[ProvenTransaction, ...]) -> tuple[bytes, ...]:
        """Return the published versions that the transactions name, and the newest, which judges the map."""
        by_version = self._published.published()
        named = {_parameters_of(each) for each in proven}
        newest = max(by_version)
        return tuple(
            data
            for version, data in sorted(by_version.items())
            if version == newest or parameters_id(SIGNED_PARAMETERS.decode(data).body) in named
        )

    @staticmethod
    def _enrolment(db: Connection, patient: str | None, custodian: Party) -> bytes:
        row = db.execute(_ENROLMENT, {"patient": patient, "custodian": custodian}).fetchone()
        if row is None:
            raise NothingToProve("the patient is not enrolled there")
        signed: bytes = row[0]
        return signed


def _read(reported: ReportedReading) -> _Kept:
    return _Kept(READING.decode(reported.body), entry_digest(reported.salt, reported.body))


def _parameters_of(proven: ProvenTransaction) -> bytes:
    component = open_tearoff(proven.tearoff).component(Group.PARAMETERS, 0)
    assert component is not None, "a recorded transaction shows its parameters"
    return HASH.decode(component)


def _hiding(proven: ProvenTransaction, *kinds: type[Data]) -> ProvenTransaction:
    """Return the transaction without the sealed components of these kinds."""
    filtered = open_tearoff(proven.tearoff)
    hidden = {
        filtered.layout.position(Group.SEALED, at)
        for at, component in filtered.components(Group.SEALED)
        if isinstance(KNOWN.seals.decode(SEALED.decode(component).data), kinds)
    }
    return _narrowed(proven, filtered, hidden)


def _showing_items(proven: ProvenTransaction, reported: ReportedReading) -> ProvenTransaction:
    """Return a disclosure that shows, of its items, only those that were read."""
    read = set(READING.decode(reported.body).items)
    filtered = open_tearoff(proven.tearoff)
    hidden = set[int]()
    for at, component in filtered.components(Group.SEALED):
        said = KNOWN.seals.decode(SEALED.decode(component).data)
        if isinstance(said, Item) and item_hash(reported.salt, said.commitment) not in read:
            hidden.add(filtered.layout.position(Group.SEALED, at))
    return _narrowed(proven, filtered, hidden)


def _narrowed(
    proven: ProvenTransaction, filtered: FilteredTransaction, hidden: set[int]
) -> ProvenTransaction:
    kept = filtered.narrowed(at for at in proven.tearoff.positions if at not in hidden)
    return ProvenTransaction(kept, proven.signatures, proven.receipt)
