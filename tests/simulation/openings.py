"""What gates have opened, judged by what patients said and what was brought to whom: never by a gate's own tables."""

from dataclasses import dataclass
from sqlite3 import Connection
from typing import TYPE_CHECKING

from app.subjects.catalogue import CONTRACTS
from states.groups import Group
from states.reading import READING
from states.sealed import SEALED
from states.state import StateRef, TransactionId, TransactionState
from states.subjects.consent import Consent
from states.subjects.disclosure import Disclosure, Item
from states.subjects.restriction import Restriction
from states.subjects.terms import SubjectAt, Terms
from states.tearoff import FilteredTransaction
from tests.simulation.node import SimNode
from tests.simulation.observer import Closed, Confirmed, Violation

if TYPE_CHECKING:
    from tests.simulation.oracle import Oracle
    from tests.simulation.world import World

CONSENT, STAFF, HERS = "read by consent", "read by its staff", "read by the patient"
CLOSED = "what is closed is withdrawn"
DURABLE, TOLD, HONEST = "logged before it opens", "each reading is told", "nobody honest is accused"

_NAMED = "SELECT local FROM enrolment WHERE custodian = ? AND patient = ?"
_ENTRY = "SELECT digest FROM reading WHERE idx = ?"
_SINCE = "SELECT digest FROM reading WHERE idx > ?"
_LAST = "SELECT coalesce(max(idx), -1) FROM reading"
_KEPT = "SELECT digest FROM reading WHERE body IS NOT NULL UNION SELECT digest FROM look"
_LINES = "SELECT digest, patient, body FROM look WHERE organisation <> ?"
_ACCUSED = (
    "SELECT organisation, kind, words FROM look_alarm WHERE organisation <> ? AND"
    " kind IN ('FORGED', 'CONTRADICTED', 'FORKED', 'BEYOND', 'FLOODED', 'LEFT_OUT', 'OTHER_LOG')"
    " AND settled_at IS NULL ORDER BY number"
)
_ITEM_HELD = "SELECT withdrawn_at FROM disclosure_item WHERE tx = ? AND commitment = ?"
_RECORDED = "SELECT 1 FROM ledger_tx WHERE tx = ? AND status = 1"


@dataclass(frozen=True, slots=True)
class Document:
    """What somebody reads, by the mark in its text: whose it is (her agent's name of her), and of what kind."""

    patient: str
    category: str
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A consent (it has a grantee and an end) or a restriction, as its patient stated it.

    `start` is by her agent's clock. It is in force where a node's own clock or the notary's has reached that.
    """

    patient: str
    custodian: str
    categories: tuple[str, ...]
    start: int
    grantee: str = ""
    end: int = 0


@dataclass(frozen=True, slots=True)
class Opening:
    """A gate opened something; its entry in the node's log is known by its digest."""

    node: str
    document: Document


class Openings:
    """Raises Violation where a gate opens what it must not, or where somebody looked and her agent does not say so."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.documents: dict[str, Document] = {}
        self.withheld: set[bytes] = set()
        """Commitments of what its custodian has never yet released to its patient."""
        self._said: dict[bytes, Said] = {}
        self._items: dict[bytes, tuple[bytes, ...]] = {}
        self._opened: dict[bytes, Opening] = {}
        self._interrupted: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._closed_items: set[tuple[str, bytes, bytes]] = set()
        self._closed_consents: set[tuple[str, StateRef]] = set()
        self._unconfirmed: dict[str, set[str]] = {}

    # -- what is said and told -------------------------------------------------------------------------

    def learn(self, tx: bytes, made: list[TransactionState], filtered: FilteredTransaction) -> None:
        """Remember what a patient states, and what is disclosed; her agent knows whom she is to the custodian."""
        for state in made:
            data = CONTRACTS.states.decode(state.data)
            sealed = [SEALED.decode(c).data for _, c in filtered.components(Group.SEALED)]
            seals = [CONTRACTS.seals.decode(each) for each in sealed]
            if isinstance(data, Disclosure):
                self._items[tx] = tuple(e.commitment for e in seals if isinstance(e, Item))
            if not isinstance(data, Consent | Restriction):
                continue
            (terms,) = [each for each in seals if isinstance(each, Terms)]
            (there,) = [
                each.patient
                for each in seals
                if isinstance(each, SubjectAt) and each.party == data.custodian
            ]
            row = self._agent.disk.execute(_NAMED, (data.custodian, there)).fetchone()
            ends = (str(data.grantee), data.end) if isinstance(data, Consent) else ("", 0)
            closed = str(data.custodian), terms.categories, data.start
            self._said[tx] = Said(row[0], *closed, *ends)

    @property
    def _agent(self) -> SimNode:
        return self._world.nodes["Agent"]

    def closed(self, node: SimNode, closed: Closed) -> None:
        """A node has taken for good what may not be read any more: also a restore may not make it forget."""
        self._closed_items |= {(node.name, tx, commitment) for tx, commitment in closed.items}
        self._closed_consents |= {(node.name, ref) for ref in closed.consents}

    def confirmed(self, node: SimNode, confirmed: Confirmed) -> None:
        self._unconfirmed.get(node.name, set()).discard(confirmed.custodian)

    def restoring(self, node: SimNode) -> None:
        """What only the lost disk had of who looked is gone; and what custodians disclosed is to be confirmed."""
        assert node.image is not None
        kept = _kept(node.image.disk)
        for other in self._world.nodes.values():
            kept |= set() if other is node else _kept(other.disk)
        self._gone |= self._opened.keys() - kept
        known = self._world.oracle.known
        held = {row[0] for row in node.image.disk.execute("SELECT tx FROM ledger_tx")}
        self._unconfirmed[node.name] = {
            party
            for tx in held & known.keys()
            if "recipient" in known[tx].roles.get(str(node.me), ())
            for party, roles in known[tx].roles.items()
            if "custodian" in roles
        }

    # -- what is opened --------------------------------------------------------------------------------

    def last(self, node: SimNode) -> int:
        """Return the number of the newest entry of a node's log."""
        found: int = node.disk.execute(_LAST).fetchone()[0]
        return found

    def interrupted(self, node: SimNode, last: int) -> None:
        """A node died over a reading: what it had logged by then it may tell, though nothing was opened."""
        self._interrupted |= {digest for (digest,) in node.disk.execute(_SINCE, (last,))}

    def logged(self, node: SimNode, entry: int) -> bytes:
        """Return the digest of the entry of what is about to be opened: it is durable."""
        row = node.disk.execute(_ENTRY, (entry,)).fetchone()
        if row is None or node.disk.in_transaction:
            raise Violation(DURABLE, f"{node.name} opens what entry {entry} does not yet say")
        digest: bytes = row[0]
        return digest

    def opened(self, node: SimNode, digest: bytes, text: bytes) -> Document:
        """Somebody reads this text now."""
        document = self.documents[text.split()[1].decode()]
        self._opened[digest] = Opening(node.name, document)
        return document

    def by_consent(self, node: SimNode, tx: bytes, document: Document) -> None:
        """A recipient's gate has opened an item of a disclosure."""
        oracle = self._world.oracle
        (consent,) = oracle.known[tx].references
        said = self._said[consent.tx]
        if (said.patient, said.grantee) != (document.patient, node.me):
            raise Violation(CONSENT, f"{node.name} opens what this patient has not permitted it")
        if document.category not in said.categories or node.clock() >= said.end:
            raise Violation(CONSENT, f"{node.name} opens what is beyond the consent")
        if said.custodian in self._unconfirmed.get(node.name, ()):
            raise Violation(CONSENT, f"{node.name}, restored, opens what nobody has confirmed")
        if (node.name, tx, document.commitment) in self._closed_items:
            raise Violation(CONSENT, f"{node.name} opens what it was told is withdrawn")
        if (node.name, consent) in self._closed_consents:
            raise Violation(CONSENT, f"{node.name} opens on a consent that it was told is over")
        if consent in oracle.consumed:
            self._consumed(node, consent)

    def _consumed(self, node: SimNode, consent: StateRef) -> None:
        """It opened on a consent that is over: only what has not come there yet, and not for long."""
        world, oracle = self._world, self._world.oracle
        index, at = oracle.consumed[consent]
        consumer = bytes(oracle.log[index].transaction)
        if consumer in oracle.gone.get(node.name, ()) or _has(node, consumer):
            raise Violation(CONSENT, f"{node.name} opens on a consent whose end it has recorded")
        lease = world.founding.parameters.limits.lease_ms + abs(node.skew)
        if world.now >= at + lease:
            raise Violation(CONSENT, f"{world.now - at} ms after the consent had ended")

    def by_staff(self, node: SimNode, document: Document) -> None:
        """A custodian's gate has opened a record of its own to its staff."""
        oracle = self._world.oracle
        for tx, said in self._said.items():
            if said.grantee or not _has(node, tx):
                continue
            if max(node.clock(), oracle.log[oracle.places[tx]].at) < said.start:
                continue
            about = said.custodian, said.patient
            lifted = oracle.consumed.get(StateRef(TransactionId(tx), 0))
            if lifted and _has(node, bytes(oracle.log[lifted[0]].transaction)):
                continue
            if about == (node.me, document.patient) and document.category in said.categories:
                raise Violation(STAFF, f"{node.name} opens what the patient has closed")

    def by_patient(self, patient: str, document: Document) -> None:
        """An agent's gate has opened a record to a patient."""
        if document.patient != patient:
            raise Violation(HERS, "the record of another patient")
        if document.commitment in self.withheld:
            raise Violation(HERS, "what its custodian withholds from her")

    def judge_closed(self) -> None:
        """All letters have come: what was disclosed before a restriction that closes it, its recipient cannot read."""
        oracle = self._world.oracle
        places = oracle.places
        for tx, closing in self._said.items():
            if closing.grantee or tx not in places or _over(oracle, StateRef(TransactionId(tx), 0)):
                continue
            for disclosure, items in self._items.items():
                (consent,) = oracle.known[disclosure].references
                permit = self._said[consent.tx]
                about = permit.patient, permit.custodian
                if about != (closing.patient, closing.custodian) or _over(oracle, consent):
                    continue
                if max(places.get(disclosure, len(places)), places[consent.tx]) < places[tx]:
                    self._judge_items(permit, closing, disclosure, items)

    def _judge_items(
        self, permit: Said, closing: Said, disclosure: bytes, items: tuple[bytes, ...]
    ) -> None:
        node = self._world.node_of(permit.grantee)
        assert node is not None, "the stranger is no grantee"
        if permit.end <= self._world.now:
            return  # it opens nothing any more
        category_of = {each.commitment: each.category for each in self.documents.values()}
        for commitment in items:
            held = node.disk.execute(_ITEM_HELD, (disclosure, commitment)).fetchone()
            if held == (None,) and category_of[commitment] in closing.categories:
                raise Violation(CLOSED, f"{node.name} may read {disclosure.hex()[:12]}")

    # -- what is told ----------------------------------------------------------------------------------

    def judge(self) -> None:
        """Everybody has reported: each patient's list says of each opening that it was, once, and of no other."""
        self.judge_closed()
        told: dict[bytes, list[tuple[str | None, bytes]]] = {}
        stranger = (str(self._world.stranger.party),)
        for digest, patient, body in self._agent.disk.execute(_LINES, stranger):
            told.setdefault(digest, []).append((patient, body))
        for digest, opening in self._opened.items():
            lines = [patient for patient, _ in told.pop(digest, [])]
            if lines != [opening.document.patient] and (lines or digest not in self._gone):
                raise Violation(TOLD, f"what {opening.node} opened is told as {lines}")
        for digest in told.keys() - self._interrupted:
            if any(READING.decode(body).outcome == "read" for _, body in told[digest]):
                raise Violation(TOLD, "a reading that never was is told")
        for organisation, kind, words in self._agent.disk.execute(_ACCUSED, stranger):
            node = self._world.node_of(organisation)
            assert node is not None, "the stranger was left out"
            raise Violation(HONEST, f"{node.name}: {kind}: {words}")


def _kept(disk: Connection) -> set[bytes]:
    return {digest for (digest,) in disk.execute(_KEPT)}


def _over(oracle: "Oracle", ref: StateRef) -> bool:
    return ref in oracle.consumed


def _has(node: SimNode, tx: bytes) -> bool:
    return node.disk.execute(_RECORDED, (tx,)).fetchone() is not None
