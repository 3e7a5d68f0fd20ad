"""What the gate stands on: declared by it, given by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Protocol

from app.blobs.store import BlobStore
from app.closure import PatientsStatements
from app.keystore.keys import KeyStore
from app.readings.log import ReadingLog
from states.identity import Party
from states.parameters import ParametersHistory


class StaffDirectory(Protocol):
    """Who works here."""

    def practitioner(self, db: Connection, person: bytes) -> "NamedPerson | None": ...


class NamedPerson(Protocol):
    """An entry of the staff directory."""

    @property
    def person(self) -> bytes: ...
    @property
    def shown_as(self) -> str: ...
    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class GateParts:
    """What the gate stands on; put together once by the composition root."""

    me: Party
    db: Connection
    keys: KeyStore
    blobs: BlobStore
    log: ReadingLog
    staff: StaffDirectory
    statements: PatientsStatements
    parameters: ParametersHistory
    clock: Callable[[], int]
