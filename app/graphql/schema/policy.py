"""Who sees what over GraphQL: one table, role by subject.

A reach is a choice of rows. Each listing (`app.graphql.schema.listing`) says as SQL which rows a reach has, and knows
no other way to rows; so `node`, lists, paging, links and streams cannot differ. A reach that a listing does not name
has none, and a role that the table does not name has none: what is new is closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType

from app.auth.sessions import Role, Session
from states.identity import Party

NOBODY = ""
"""A person that no row names: what a user without a person id is compared as."""


class Subject(StrEnum):
    """What a listing shows."""

    PATIENT = "patient"
    RECORD = "record"
    CONSENT = "consent"
    RESTRICTION = "restriction"
    DISCLOSURE = "disclosure"
    REQUEST = "request"
    LOOK = "look"
    READING = "reading"
    TRANSACTION = "transaction"
    STATE = "state"
    FLOW = "flow"
    TRANSFER_PERMIT = "transfer permit"


class Reach(StrEnum):
    """Which rows of a subject."""

    NOTHING = "nothing"
    OWN = "own"
    """Of a patient: hers. Of flows: those that the user started."""
    HOUSE = "house"
    """Those of which this organisation is the custodian; of records, those that their patients leave open."""
    ADDRESSED = "addressed"
    """Those that open something to the user's person, here, now."""
    INVOLVED = "involved"
    """Those of which this organisation is custodian, grantee or recipient."""
    EVERYTHING = "everything"


class Action(StrEnum):
    """What a mutation does."""

    OFFER_ENROLMENT = "offer enrolment"
    ENROL = "enrol"
    FIND_PRACTITIONER = "find practitioner"
    PUBLISH = "publish"
    STATE = "consent and restrict"
    REQUEST_DISCLOSURE = "request disclosure"
    TRANSFER = "transfer custody"
    PERMIT_TRANSFER = "permit transfers"
    OPERATE = "operate flows"
    KEEP_STAFF = "keep the staff directory"


_MAY: Mapping[Role, frozenset[Action]] = MappingProxyType(
    {
        Role.PATIENT: frozenset(
            {Action.ENROL, Action.FIND_PRACTITIONER, Action.STATE, Action.PERMIT_TRANSFER}
        ),
        Role.CLINICIAN: frozenset(
            {
                Action.OFFER_ENROLMENT,
                Action.PUBLISH,
                Action.REQUEST_DISCLOSURE,
                Action.TRANSFER,
            }
        ),
        Role.OPERATOR: frozenset({Action.OPERATE, Action.KEEP_STAFF}),
    }
)

_TABLE: Mapping[Role, Mapping[Subject, Reach]] = MappingProxyType(
    {
        Role.PATIENT: {
            Subject.PATIENT: Reach.OWN,
            Subject.RECORD: Reach.OWN,
            Subject.CONSENT: Reach.OWN,
            Subject.RESTRICTION: Reach.OWN,
            Subject.DISCLOSURE: Reach.OWN,
            Subject.LOOK: Reach.OWN,
            Subject.TRANSACTION: Reach.OWN,
            Subject.STATE: Reach.OWN,
            Subject.FLOW: Reach.OWN,
            Subject.TRANSFER_PERMIT: Reach.OWN,
        },
        Role.CLINICIAN: {
            Subject.PATIENT: Reach.HOUSE,
            Subject.RECORD: Reach.HOUSE,
            Subject.CONSENT: Reach.ADDRESSED,
            Subject.DISCLOSURE: Reach.ADDRESSED,
            Subject.FLOW: Reach.OWN,
        },
        Role.PRIVACY_OFFICER: {
            Subject.PATIENT: Reach.HOUSE,
            Subject.CONSENT: Reach.INVOLVED,
            Subject.RESTRICTION: Reach.HOUSE,
            Subject.DISCLOSURE: Reach.INVOLVED,
            Subject.REQUEST: Reach.EVERYTHING,
            Subject.READING: Reach.EVERYTHING,
            Subject.FLOW: Reach.OWN,
        },
        Role.OPERATOR: {Subject.FLOW: Reach.EVERYTHING},
        Role.AUDITOR: {
            Subject.TRANSACTION: Reach.EVERYTHING,
            Subject.STATE: Reach.EVERYTHING,
        },
    }
)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in user as the policy sees her, at one node.

    `person` is a patient's handle (hex) at her agent, or a practitioner's id (hex) at her organisation. `keys` is the
    beginning of the client keys of the flows that she started.
    """

    user_id: str
    role: Role
    person: str
    me: Party
    acts_here: bool
    at_agent: bool
    staff_role: str = NOBODY

    @classmethod
    def of(cls, session: Session, me: Party, staff_role: str, *, at_agent: bool) -> "Viewer":
        """Return the viewer that a session is at the node of `me`; `staff_role` is the staff directory's, or empty."""
        person, here = session.person_id or NOBODY, session.organisation == me
        return cls(session.user_id, session.role, person, me, here, at_agent, staff_role)

    @property
    def is_somebody(self) -> bool:
        """A patient is one only at her agent, a clinician only while the staff directory has her (as in app.access)."""
        if self.role is Role.PATIENT:
            return self.acts_here and self.at_agent and self.person != NOBODY
        if self.role is Role.CLINICIAN:
            return self.acts_here and self.staff_role != NOBODY
        return self.acts_here

    def reach(self, subject: Subject) -> Reach:
        """Return which rows of `subject` this user sees."""
        if not self.is_somebody:
            return Reach.NOTHING
        return _TABLE.get(self.role, {}).get(subject, Reach.NOTHING)

    def may(self, action: Action) -> bool:
        """Whether this user may do such a thing at all; to what, is a matter of reach."""
        return self.is_somebody and action in _MAY.get(self.role, frozenset())

    @property
    def person_bytes(self) -> bytes:
        """The person id as the ledger has it; empty where the user is no person of it."""
        try:
            return bytes.fromhex(self.person)
        except ValueError:
            return b""

    @property
    def keys(self) -> str:
        """A hash, so that neither length nor characters of a user id come into a client key."""
        return sha256(self.user_id.encode()).hexdigest()[:32] + ":"

    def parameters(self) -> dict[str, object]:
        """Return what the conditions of every listing may name."""
        return {
            "viewer_person": self.person,
            "viewer_bytes": self.person_bytes,
            "viewer_role": self.staff_role,
            "viewer_me": self.me,
            "viewer_keys": self.keys,
            "viewer_keys_end": self.keys[:-1] + ";",  # the character after ":"
        }
