"""A custodian's decision over a request: all statements of the local patient against all her records here."""

from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Protocol

from app.subjects.statement import LiveStatement
from app.vault.subject import Step
from flows.subjects.disclosure import AskFor
from states.subjects.content import Content


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live record of the patient at this custodian."""

    commitment: bytes
    blob: str
    size_class: int
    version: int
    content: Content


class Deciding(Protocol):
    def permitted(self, step: Step, asked: AskFor, consent: LiveStatement) -> list[Candidate]: ...
    def log_refusal(self, step: Step, asked: AskFor) -> None: ...
    def log_release(self, step: Step, tx: bytes, *, released: bool) -> None: ...


_ = (Callable, Connection)
