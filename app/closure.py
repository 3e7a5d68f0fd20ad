"""What a patient closes to the staff of her own custodian: one answer, for the gate's bytes and for lists of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Protocol

from states.crypto.hashes import HASH_SIZE
from states.decision import (
    LogPlace,
    Outcome,
    Request,
    Ruling,
    Statement,
    StatementKind,
    rule_on,
)
from states.identity import Party
from states.parameters import ParametersHistory
from states.state import StateRef, TransactionId
from states.subjects.codes import Purpose
from states.subjects.content import Content
from states.subjects.terms import Terms

_EVERYTHING = Terms("deny", None, None, (), (), ())


class PatientsStatements(Protocol):
    """What the patients of this custodian permit and deny."""

    def statements(self, db: Connection, patient: str) -> list[Statement]: ...
    def is_told(self, db: Connection, patient: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """A member of the staff, as the staff directory has her."""

    person: bytes
    role: str


@dataclass(frozen=True, slots=True)
class Closure:
    """Rules on the records of one patient for one member of the staff at one moment (ms)."""

    me: Party
    statements: PatientsStatements
    parameters: ParametersHistory

    def is_told(self, db: Connection, patient: str) -> bool:
        """Whether this node knows all that a patient has stated: not restored, or told again by her agent."""
        return self.statements.is_told(db, patient)

    def ruling(
        self, db: Connection, patient: str, asker: Asker, purpose: Purpose, now: int
    ) -> Ruling:
        """Settle all but the record; `db` says which statements there are. What is not known counts as a denial."""
        request = Request(self.me, asker.person, asker.role, purpose)
        policy = self.parameters.in_force(now)[1].implicit_policy
        told = self.is_told(db, patient)
        stated = self.statements.statements(db, patient) if told else [self._denial()]
        return rule_on(request, stated, policy, now)

    def _denial(self) -> Statement:
        return Statement(
            ref=StateRef(TransactionId(bytes(HASH_SIZE)), 0),
            kind=StatementKind.RESTRICTION,
            grantee=None,
            terms=_EVERYTHING,
            start=0,
            end=None,
            place=LogPlace(self.me, 0, 0),
            in_force_since=0,
        )


RulingOf = Callable[[Connection, str, Asker, Purpose, int], Ruling]


def closes(ruling: Ruling, content: Content) -> bool:
    """Whether the patient denies it: inside the custodian silence permits, a denial does not."""
    return ruling.judge(content).outcome is Outcome.DENY
