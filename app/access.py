"""The rules of the one gate: pure decisions over what a session is and what the vault says of an object.

Each path has its rules in one fixed order; the first that is broken decides. Its sentence is for the privacy officer
and for this node's own reading log: outwards every refusal is "Nothing available.", but for the few that `WORDS`
lists, which are said only to the person to whom the item was disclosed (architecture §7.2).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.auth.sessions import Role, Session
from states.identity import Party
from states.subjects.codes import Purpose, purpose_covers

NOTHING_AVAILABLE = "Nothing available."
MS = 1_000


class GateRule(StrEnum):
    """What the gate asks for: its name is stored, its sentence explains a refusal to a privacy officer."""

    SESSION_LIVES = "the session has expired"
    OF_THIS_NODE = "the session acts for another organisation"
    ROLE = "this role has no access on this path"
    STAFF = "the person is not, or not any more, in the staff directory"
    SAME_PERSON = "the disclosure is for another person"
    SAME_ROLE = "the disclosure is for this person in another role"
    SAME_PURPOSE = "the declared purpose is not the one that was disclosed for"
    HELD = "no such disclosure, or no such item of it, is held here as recipient"
    RELEASED = "the custodian has not released the key of the item"
    NOT_WITHDRAWN = "the custodian has withdrawn the item"
    CONFIRMED = "this node was restored, and the custodian has not said again what it has withdrawn"
    IN_TIME = "the time until which it may be read has passed"
    CONSENT_LIVES = "the consent has been withdrawn or has ended"
    LEASE = "no statement of the notary that the consent lives is young enough"
    READABLE = "the stored bytes or their key are not what the ledger promises"
    OWN_RECORD = "no such record is in the custody of this node"
    TREATMENT = "the declared purpose is not treatment"
    TOLD = "this node was restored, and the patient's agent has not told it yet what she has closed since"
    NOT_CLOSED = "the patient has closed it to this person or purpose"
    CONSENT_HELD = "no such consent is held here as grantee"
    ADDRESSED = "the consent is for another person or role"
    HERS = "no record of this patient in another's custody is known here by that name"
    NOT_WITHHELD = "its custodian withholds it from the patient"
    KEY_GIVEN = "its custodian has not given the key for the patient yet"
    FETCHED = "its ciphertext has not been fetched from its custodian yet"
    GENUINE = "what its custodian gave does not open, or is not what the ledger promises"


WORDS = {
    GateRule.NOT_WITHDRAWN: "The custodian has withdrawn this item.",
    GateRule.CONFIRMED: (
        "This organisation's system was restored from a backup, and the custodian has not said yet what may still be "
        "read. Try again soon."
    ),
    GateRule.IN_TIME: "The time until which this could be read has passed. Ask the custodian again.",
    GateRule.CONSENT_LIVES: (
        "This patient's consent has ended. Ask the patient for a new one, or in danger of life declare an emergency."
    ),
    GateRule.LEASE: "It cannot be confirmed at the moment that the patient's consent still holds. Try again soon.",
    GateRule.NOT_WITHHELD: "The custodian withholds this from you, for the reason that it names.",
    GateRule.KEY_GIVEN: "The custodian has been asked to open this for you. Try again soon.",
    GateRule.FETCHED: "It is being fetched from its custodian. Try again soon.",
    GateRule.GENUINE: "What the custodian gave does not open, or is not what it published. Ask the custodian.",
}
"""Refusals that may be named: only after SAME_PERSON, SAME_ROLE, SAME_PURPOSE and HELD, so only to a party of the
consent; or after HERS, to the patient whose record it is."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Allowed now, and until `until` (ms) if nothing changes: whoever holds it asks again by then, and per event."""

    until: int


@dataclass(frozen=True, slots=True)
class Deny:
    """Refused, and the rule that decided: never shown to whom it refuses."""

    rule: GateRule


Decision = Permit | Deny


@dataclass(frozen=True, slots=True)
class Here:
    """Which node decides, when by its clock (ms), and for how long the network lets a word of liveness count."""

    me: Party
    now: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class Staff:
    """A person as the staff directory has her."""

    person: bytes
    shown_as: str
    role: str


@dataclass(frozen=True, slots=True)
class DisclosedItem:
    """An item of a disclosure, as its recipient's vault has it. Times are ms.

    `role`: that of the person when the custodian decided, by the patient's consents and denials for that role.
    `confirmed`: no restore made this node forget what the custodian has withdrawn, or that has said it again.
    `consent_ended`: consumed, or closed by a signed withdrawal. `lives_at`: the newest time at which the notary said
    that the consent lived (the disclosure's receipt says so, too), but none later than when that was heard here; None
    where its newest word is that it does not.
    """

    recipient: Party
    person: bytes
    role: str
    purpose: Purpose
    released: bool
    withdrawn: bool
    confirmed: bool
    read_until: int
    consent_ended: bool
    lives_at: int | None


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A version of a record in this node's own custody. `closed`: the patient's statements deny it to the asker.

    `told`: no restore made this node forget what she has stated, or her agent has told it again. `passed_on`: another
    has taken custody of it since.
    """

    custodian: Party
    has_key: bool
    told: bool
    closed: bool
    passed_on: bool


@dataclass(frozen=True, slots=True)
class AskedConsent:
    """A consent under which somebody asks for a disclosure, as the grantee's vault has it. `end` is ms, exclusive.

    `addressed`: its terms permit something to the asker. `ended`: consumed, or closed by a signed withdrawal.
    """

    grantee: Party
    addressed: bool
    ended: bool
    end: int


@dataclass(frozen=True, slots=True)
class PatientsRecord:
    """A version of a record in another's custody, as the agent of its patient has it. `patient` is its name of her."""

    custodian: Party
    patient: str
    withheld: bool
    has_key: bool
    has_ciphertext: bool


Clause = tuple[GateRule, bool]


def _first_broken(clauses: Iterable[Clause]) -> GateRule | None:
    return next((rule for rule, holds in clauses if not holds), None)


def _session_ends(session: Session) -> int:
    return int(session.expires.timestamp() * MS)


def _acts_here(session: Session, here: Here, *roles: Role) -> Iterable[Clause]:
    yield GateRule.SESSION_LIVES, here.now < _session_ends(session)
    yield GateRule.OF_THIS_NODE, session.organisation == here.me
    yield GateRule.ROLE, session.role in roles


def judge_disclosed(
    session: Session,
    staff: Staff | None,
    item: DisclosedItem | None,
    purpose: Purpose,
    here: Here,
) -> Decision:
    """May this session's person open this item of a disclosure now? (Story, step e.)"""

    def clauses() -> Iterable[Clause]:
        yield from _acts_here(session, here, Role.CLINICIAN)
        yield GateRule.STAFF, staff is not None
        yield GateRule.HELD, item is not None and item.recipient == here.me
        assert item is not None, "required above"
        assert staff is not None, "required above"
        yield GateRule.SAME_PERSON, item.person == staff.person
        yield GateRule.SAME_ROLE, item.role == staff.role
        yield GateRule.SAME_PURPOSE, item.purpose == purpose
        yield GateRule.RELEASED, item.released
        yield GateRule.NOT_WITHDRAWN, not item.withdrawn
        yield GateRule.CONFIRMED, item.confirmed
        yield GateRule.IN_TIME, here.now < item.read_until
        yield GateRule.CONSENT_LIVES, not item.consent_ended
        yield GateRule.LEASE, item.lives_at is not None and here.now < item.lives_at + here.lease_ms

    broken = _first_broken(clauses())
    if broken is not None or item is None or item.lives_at is None:
        return Deny(broken or GateRule.HELD)
    return Permit(min(_session_ends(session), item.read_until, item.lives_at + here.lease_ms))


def judge_own(
    session: Session,
    staff: Staff | None,
    record: OwnRecord | None,
    purpose: Purpose,
    here: Here,
) -> Decision:
    """May a member of the custodian's staff open a record of its own custody now?"""

    def clauses() -> Iterable[Clause]:
        yield from _acts_here(session, here, Role.CLINICIAN)
        yield GateRule.STAFF, staff is not None
        yield GateRule.TREATMENT, purpose_covers("TREAT", purpose)
        yield (
            GateRule.OWN_RECORD,
            record is not None
            and record.custodian == here.me
            and record.has_key
            and not record.passed_on,
        )
        yield GateRule.TOLD, record is not None and record.told
        yield GateRule.NOT_CLOSED, record is not None and not record.closed

    broken = _first_broken(clauses())
    return Permit(_session_ends(session)) if broken is None else Deny(broken)


def judge_request(
    session: Session, staff: Staff | None, consent: AskedConsent | None, here: Here
) -> Decision:
    """May this session's person ask for a disclosure under this consent now? What it permits, its custodian decides."""

    def clauses() -> Iterable[Clause]:
        yield from _acts_here(session, here, Role.CLINICIAN)
        yield GateRule.STAFF, staff is not None
        yield GateRule.CONSENT_HELD, consent is not None and consent.grantee == here.me
        assert consent is not None, "required above"
        yield GateRule.ADDRESSED, consent.addressed
        yield GateRule.CONSENT_LIVES, not consent.ended and here.now < consent.end

    broken = _first_broken(clauses())
    if broken is not None or consent is None:
        return Deny(broken or GateRule.CONSENT_HELD)
    return Permit(min(_session_ends(session), consent.end))


def judge_hers(session: Session, record: PatientsRecord | None, here: Here) -> Decision:
    """May a patient open a record of her own, at her agent, now? For any purpose: it is hers."""

    def clauses() -> Iterable[Clause]:
        yield from _acts_here(session, here, Role.PATIENT)
        hers = record is not None and record.patient == session.person_id
        yield GateRule.HERS, hers and record is not None and record.custodian != here.me
        assert record is not None, "required above"
        yield GateRule.NOT_WITHHELD, record.has_key or not record.withheld
        yield GateRule.KEY_GIVEN, record.has_key
        yield GateRule.FETCHED, record.has_ciphertext

    broken = _first_broken(clauses())
    return Permit(_session_ends(session)) if broken is None else Deny(broken)
