"""What a patient closes to the staff of her own custodian: one answer, for the gate's bytes and for lists of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Protocol

from states.decision import Outcome, Request, Ruling, Statement, rule_on
from states.identity import Party
from states.parameters import ParametersHistory
from states.subjects.codes import Purpose
from states.subjects.content import Content


class PatientsStatements(Protocol):
    """What the patients of this custodian permit and deny."""

    def statements(self, db: Connection, patient: str) -> list[Statement]: ...


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

    def ruling(
        self, db: Connection, patient: str, asker: Asker, purpose: Purpose, now: int
    ) -> Ruling:
        """Settle all but the record; `db` says which statements there are."""
        request = Request(self.me, asker.person, asker.role, purpose)
        policy = self.parameters.in_force(now)[1].implicit_policy
        return rule_on(request, self.statements.statements(db, patient), policy, now)


RulingOf = Callable[[Connection, str, Asker, Purpose, int], Ruling]


def closes(ruling: Ruling, content: Content) -> bool:
    """Whether the patient denies it: inside the custodian silence permits, a denial does not."""
    return ruling.judge(content).outcome is Outcome.DENY
