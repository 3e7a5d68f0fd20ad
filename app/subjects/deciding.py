"""A custodian's decision: all statements of the local patient, over all enrolments, against her records here."""

from dataclasses import dataclass
from sqlite3 import Connection

from sqlalchemy import bindparam, select, update

from app.gate_facts import consent_facts
from app.readings.log import NOBODY, ChainOf, Reading, ReadingLog
from app.rows.tables import DisclosureItemRow, DisclosureRow, RecordRow, StatementRow
from app.storage.statements import sql, table_of
from app.subjects.enrolment import Enrolments
from app.subjects.statement import LiveStatement, current
from app.vault.aside import recovering_from
from app.vault.ground import Ground
from app.vault.subject import Step
from flows.notices import Letter, Withdrawn
from flows.subjects.disclosure import AskFor
from flows.subjects.statement import Bind, BindAtStart, Heeded
from states.decision import (
    NOTHING_EXCEPTED,
    LogPlace,
    Outcome,
    Request,
    Ruling,
    Statement,
    StatementKind,
    rule_on,
)
from states.identity import Party
from states.ledger import LedgerTransaction
from states.reading import Outcome as Outcomes
from states.state import StateRef, TransactionId
from states.subjects.codes import Purpose, RoleCode
from states.subjects.consent import Consent
from states.subjects.content import CONTENT, Content
from states.subjects.disclosure import Who
from states.subjects.restriction import Restriction
from states.subjects.terms import EXCEPTIONS, TERMS, Exceptions, SubjectAt, Terms
from states.verifier import VerifiedTransaction

_RECORD, _STATEMENT = table_of(RecordRow), table_of(StatementRow)
_DISCLOSURE, _ITEM = table_of(DisclosureRow), table_of(DisclosureItemRow)
_RECORDS_OF = sql(
    select(
        _RECORD.c.commitment,
        _RECORD.c.blob,
        _RECORD.c.size_class,
        _RECORD.c.version,
        _RECORD.c.content,
    )
    .where(
        _RECORD.c.patient == bindparam("patient"),
        _RECORD.c.custodian == bindparam("custodian"),
        _RECORD.c.consumed_seq.is_(None),
        _RECORD.c.key.is_not(
            None
        ),  # what cannot be opened any more, after a restore, is not disclosed
    )
    .order_by(_RECORD.c.created_seq, _RECORD.c.idx)
)
_STATEMENTS_OF = sql(
    select(
        _STATEMENT.c.tx,
        _STATEMENT.c.idx,
        _STATEMENT.c.grantee,
        _STATEMENT.c.start,
        _STATEMENT.c.end,
        _STATEMENT.c.terms,
        _STATEMENT.c.exceptions,
        _STATEMENT.c.at,
        _STATEMENT.c.log_index,
        _STATEMENT.c.notary,
        _STATEMENT.c.since,
        _STATEMENT.c.closed_at,
    ).where(
        _STATEMENT.c.patient == bindparam("patient"),
        _STATEMENT.c.custodian == bindparam("custodian"),
        _STATEMENT.c.consumed_seq.is_(None),
    )
)
_PATIENT_OF = sql(
    select(_STATEMENT.c.patient, _STATEMENT.c.start).where(
        _STATEMENT.c.tx == bindparam("tx"),
        _STATEMENT.c.idx == bindparam("idx"),
        _STATEMENT.c.custodian == bindparam("custodian"),
        _STATEMENT.c.consumed_seq.is_(None),
    )
)
_JUDGED = (
    _DISCLOSURE.c.recipient,
    _DISCLOSURE.c.person,
    _DISCLOSURE.c.role,
    _DISCLOSURE.c.purpose,
    _DISCLOSURE.c.consent_tx,
    _DISCLOSURE.c.consent_idx,
)
_DISCLOSED = sql(
    select(_DISCLOSURE.c.tx, *_JUDGED).where(
        _DISCLOSURE.c.patient == bindparam("patient"),
        _DISCLOSURE.c.custodian == bindparam("custodian"),
        _DISCLOSURE.c.read_until > bindparam("now"),
    )
)
_WHO = sql(
    select(
        _DISCLOSURE.c.person,
        _DISCLOSURE.c.shown_as,
        _DISCLOSURE.c.role,
        _DISCLOSURE.c.purpose,
        _DISCLOSURE.c.agent,
    ).where(_DISCLOSURE.c.tx == bindparam("tx"))
)
_COMMITMENTS = sql(
    select(_ITEM.c.commitment).where(_ITEM.c.tx == bindparam("tx")).order_by(_ITEM.c.item)
)
_DISCLOSED_BY = sql(
    select(_DISCLOSURE.c.patient, _DISCLOSURE.c["items"], *_JUDGED).where(
        _DISCLOSURE.c.tx == bindparam("tx")
    )
)
_READABLE = sql(
    select(_DISCLOSURE.c.patient, *_JUDGED).where(
        _DISCLOSURE.c.tx == bindparam("tx"),
        _DISCLOSURE.c.patient.is_not(None),
        _DISCLOSURE.c.read_until > bindparam("now"),
    )
)
_ITEMS_OF = sql(
    select(_ITEM.c.item, _ITEM.c.commitment, _ITEM.c.content).where(
        _ITEM.c.tx == bindparam("tx"), _ITEM.c.withdrawn_at.is_(None)
    )
)
_KEPT = sql(
    select(_RECORD.c.commitment).where(
        _RECORD.c.patient == bindparam("patient"),
        _RECORD.c.custodian == bindparam("custodian"),
        _RECORD.c.consumed_seq.is_(None),
        _RECORD.c.commitment.in_(select(_ITEM.c.commitment).where(_ITEM.c.tx == bindparam("tx"))),
    )
)
_WITHDRAW = sql(
    update(_ITEM)
    .where(_ITEM.c.tx == bindparam("id"), _ITEM.c.item == bindparam("which"))
    .values(withdrawn_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live record of the patient at this custodian."""

    commitment: bytes
    blob: str
    size_class: int
    version: int
    content: Content


class Deciding:
    """Applies the decision (states.decision) to what the vault holds."""

    def __init__(self, ground: Ground, enrolments: Enrolments, readings: ReadingLog) -> None:
        self._ground = ground
        self._enrolments = enrolments
        self._readings = readings

    def permitted(self, step: Step, asked: AskFor, consent: LiveStatement) -> list[Candidate]:
        """Return the records that the recipient may have by this consent, of those that it asked for."""
        if consent.patient is None:
            return []
        who = asked.who
        request = Request(Party(asked.recipient), who.person, who.role, who.purpose)
        ruling = self._ruling(step.unit, consent.patient, request, step.now)
        rows = step.unit.execute(_RECORDS_OF, self._key(consent.patient)).fetchall()
        found = []
        for commitment, blob, size_class, version, data in rows:
            content = CONTENT.decode(data)
            if asked.categories and content.category not in asked.categories:
                continue
            judged = ruling.judge(content)
            if judged.outcome is Outcome.PERMIT and consent.ref in judged.opened_by:
                found.append(Candidate(commitment, blob, size_class, version, content))
        return found

    def consequences(self, step: Step, verified: VerifiedTransaction) -> tuple[Letter, ...]:
        """Withdraw what a denial that this custodian has just recorded now closes, or will when it begins."""
        ledger = verified.checked.ledger
        if not _denies(ledger):
            return ()
        letters: tuple[Letter, ...] = ()
        at = verified.receipt.entry.at
        for _, named in ledger.seals_of(SubjectAt):
            if named.party == self._ground.me:
                _, local = self._enrolments.of_patient(step.unit, self._ground.me, named.patient)
                letters += self.withdrawals(step, local, at)
        made: list[tuple[int, Consent | Restriction]] = [
            *ledger.outputs_of(Consent),
            *ledger.outputs_of(Restriction),
        ]
        for index, said in made:
            begins = _begins(said.start, at, step.now)
            if said.custodian == self._ground.me and begins > step.now:
                step.start(BindAtStart(StateRef(ledger.id, index), begins))
        return letters

    def bind(self, step: Step, request: Bind) -> Heeded:
        """See Bind."""
        ref = current(self._ground.vault, step.unit, request.ref)
        key = {"tx": ref.tx, "idx": ref.index, "custodian": self._ground.me}
        row = step.unit.execute(_PATIENT_OF, key).fetchone()
        return Heeded(() if row is None else self.withdrawals(step, *row))

    def withdrawals(self, step: Step, patient: str, begun: int) -> tuple[Letter, ...]:
        """Judge a patient's live disclosures anew, and tell each recipient what it may not read any more.

        Never why: a grantee is not shown a restriction (architecture §7.4). `begun` (ms) is when what closes them
        began: a clock that is ahead would take them for ended.
        """
        letters = []
        since = {"now": min(step.now, begun)}
        disclosed = step.unit.execute(_DISCLOSED, self._key(patient) | since).fetchall()
        for tx, *judged in disclosed:
            commitments = self._withdraw(step, tx, patient, _Rests.of(*judged))
            if commitments:
                letters.append(Letter(Party(judged[0]), Withdrawn(tx, commitments)))
        return tuple(letters)

    def withdraw_closed(self, step: Step, tx: bytes) -> tuple[Letter, ...]:
        """Judge one disclosure that can still be read anew, and tell its recipient what is not permitted any more.

        What it rests on may have changed before this node recorded it: a restored custodian gets its transactions
        back in any order, and a denial that came first found nothing that it would have withdrawn.
        """
        row = step.unit.execute(_READABLE, {"tx": tx, "now": step.now}).fetchone()
        if row is None:
            return ()
        patient, *judged = row
        commitments = self._withdraw(step, tx, patient, _Rests.of(*judged))
        if not commitments:
            return ()
        return (Letter(Party(judged[0]), Withdrawn(TransactionId(tx), commitments)),)

    def _withdraw(self, step: Step, tx: bytes, patient: str, rests: "_Rests") -> tuple[bytes, ...]:
        ruling = self._ruling(step.unit, patient, rests.request, step.now)
        closed = [
            (item, commitment)
            for item, commitment, data in step.unit.execute(_ITEMS_OF, {"tx": tx})
            if rests.basis not in ruling.judge(CONTENT.decode(data)).opened_by
        ]
        commitments = tuple(commitment for _, commitment in closed)
        if commitments:
            step.unit.executemany(
                _WITHDRAW, [{"id": tx, "which": item, "at": step.now} for item, _ in closed]
            )
            self._log(step, tx, "withdrawn", commitments)
        return commitments

    def is_open(self, step: Step, tx: bytes) -> bool:
        """Whether every item of a disclosure is still kept here, and permitted by the consent that it rests on.

        Its recipient chooses when to sign, so a denial, a newer version or a transfer may have come between decision
        and receipt; a disclosure that was not recorded then is one of which nobody was told (`withdrawals`).
        """
        patient, items, *judged = step.unit.execute(_DISCLOSED_BY, {"tx": tx}).fetchone()
        rests = _Rests.of(*judged)
        ruling = self._ruling(step.unit, patient, rests.request, step.now)
        kept = {row[0] for row in step.unit.execute(_KEPT, self._key(patient) | {"tx": tx})}
        held = step.unit.execute(_ITEMS_OF, {"tx": tx}).fetchall()
        return len(held) == items and all(
            commitment in kept and rests.basis in ruling.judge(CONTENT.decode(data)).opened_by
            for _, commitment, data in held
        )

    def log_refusal(
        self, step: Step, asked: AskFor, consent: LiveStatement | None, why: str
    ) -> None:
        """Keep a refused request in the reading log: the patient's agent is told where this node knows the patient."""
        of = NOBODY
        if consent is not None and consent.patient is not None:
            enrolment = self._enrolments.of_local(step.unit, self._ground.me, consent.patient)
            of = ChainOf(patient=enrolment.patient, agent=enrolment.agent)
        who = asked.who
        reading = Reading(of, who.person, who.shown_as, who.role, who.purpose, "refused", why=why)
        self._readings.append(step.unit, step.now, reading)

    def log_own_refusal(self, step: Step, consent: StateRef, who: Who, why: str) -> None:
        """At a recipient: keep that this node itself refused a request for a disclosure, before it asked anybody.

        Her agent is told where the consent, live or ended, is held here: it names the patient to this node.
        """
        found = consent_facts(step.unit, consent, self._ground.me, who.person, who.role)
        of = NOBODY if found is None else found.chain(self._ground.me)
        reading = Reading(of, who.person, who.shown_as, who.role, who.purpose, "refused", why=why)
        self._readings.append(step.unit, step.now, reading)

    def log_release(self, step: Step, tx: TransactionId, *, released: bool) -> None:
        """Keep in the reading log that a disclosure's keys were released, or were not."""
        rows = step.unit.execute(_COMMITMENTS, {"tx": tx}).fetchall()
        outcome: Outcomes = "released" if released else "not-released"
        self._log(step, tx, outcome, tuple(row[0] for row in rows))

    def _log(
        self, step: Step, tx: bytes, outcome: Outcomes, commitments: tuple[bytes, ...]
    ) -> None:
        person, shown_as, role, purpose, agent = step.unit.execute(_WHO, {"tx": tx}).fetchone()
        of = ChainOf(disclosure=TransactionId(tx), agent=Party(agent))
        reading = Reading(of, person, shown_as, role, purpose, outcome, commitments, by="system")
        self._readings.append(step.unit, step.now, reading)

    def _ruling(self, db: Connection, patient: str, request: Request, now: int) -> Ruling:
        policy = self._ground.in_force(now).implicit_policy
        return rule_on(request, self.statements(db, patient), policy, now)

    def is_told(self, db: Connection, patient: str) -> bool:
        """Whether each agent of a patient has told this node, if it was restored, what she has stated since."""
        unheard = recovering_from(db)
        if not unheard:
            return True
        agents = self._enrolments.agents_of(db, patient)
        return bool(agents) and unheard.isdisjoint(agents)

    def statements(self, db: Connection, patient: str) -> list[Statement]:
        """Return every live statement of a local patient here, as the decision takes them."""
        return [
            _statement(row) for row in db.execute(_STATEMENTS_OF, self._key(patient)).fetchall()
        ]

    def _key(self, patient: str) -> dict[str, str]:
        return {"patient": patient, "custodian": self._ground.me}


@dataclass(frozen=True, slots=True)
class _Rests:
    """A disclosure as it is judged again: who asked, and the consent on which it rests.

    That alone: another that opens the same now may end before it does, and nobody would judge it then.
    """

    request: Request
    basis: StateRef

    @classmethod
    def of(
        cls, recipient: str, person: bytes, role: RoleCode, purpose: Purpose, tx: bytes, idx: int
    ) -> "_Rests":
        request = Request(Party(recipient), person, role, purpose)
        return cls(request, StateRef(TransactionId(tx), idx))


def _begins(start: int, at: int, since: int) -> int:
    """Return by this node's clock when a statement begins that was notarised at `at` and recorded here at `since`.

    What had begun by the notary's time has begun, also where this node's clock is behind or was set back. It is held
    here, so this custodian has given its word that it acts on it. What begins so much later than that, begins not later
    than so much after it came.
    """
    return min(start, since + start - at) if start > at else 0


_Row = tuple[
    bytes, int, str | None, int, int | None, bytes, bytes | None, int, int, str, int, int | None
]


def _statement(row: _Row) -> Statement:
    tx, idx, grantee, start, end, terms, exceptions, at, log_index, notary, since, closed = row
    kind = StatementKind.RESTRICTION if grantee is None else StatementKind.CONSENT
    return Statement(
        ref=StateRef(TransactionId(tx), idx),
        kind=kind,
        grantee=None if grantee is None else Party(grantee),
        terms=TERMS.decode(terms),
        start=_begins(start, at, since),
        end=end,
        place=LogPlace(Party(notary), at, log_index),
        exceptions=NOTHING_EXCEPTED if exceptions is None else EXCEPTIONS.decode(exceptions),
        closed=closed is not None,
    )


def _denies(ledger: LedgerTransaction) -> bool:
    """Whether a statement in it closes anything; what a permit leaves out is a denial (states.decision, rule 3)."""
    return any(terms.decision == "deny" for _, terms in ledger.seals_of(Terms)) or any(
        left_out != NOTHING_EXCEPTED for _, left_out in ledger.seals_of(Exceptions)
    )
