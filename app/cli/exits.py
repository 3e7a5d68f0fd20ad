"""Exit codes, and which failure has which; documented in `carecord --help`."""

import sqlite3
from enum import IntEnum

from app.config import ConfigRefused
from app.keystore.errors import KeyStoreError
from app.network.errors import FoundingKeyLocked, MapDamaged, MapIncomplete
from app.operations.ownership import FolderOwned
from app.operations.refusals import BackupRefused
from app.storage.database import DatabaseDamaged, LogDamaged, SchemaTooNew
from states.errors import LedgerError


class Exit(IntEnum):
    """What a script can tell apart."""

    OK = 0
    FAILED = (
        1  # a check found something: a bundle does not verify, a log was changed, a record is bad
    )
    USAGE = 2  # the command, a file or the configuration is not as it must be
    UNREACHABLE = 3  # a node does not answer
    REFUSED = 4  # it answers, and refuses: not signed in, not permitted, against the rules


class CommandFailed(Exception):
    """A command ends here; the sentence is for the person at the terminal."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (ConfigRefused, Exit.USAGE),
    (KeyStoreError, Exit.USAGE),
    (FoundingKeyLocked, Exit.USAGE),
    (MapDamaged, Exit.FAILED),
    (MapIncomplete, Exit.USAGE),
    (BackupRefused, Exit.USAGE),
    (FolderOwned, Exit.USAGE),
    (SchemaTooNew, Exit.USAGE),
    (DatabaseDamaged, Exit.USAGE),
    (LogDamaged, Exit.USAGE),
    (LedgerError, Exit.REFUSED),
    (sqlite3.Error, Exit.FAILED),
    (OSError, Exit.USAGE),
)


def sentence_of(failure: Exception) -> str:
    """Return what a person reads of an expected failure; of a file, its path and what is wrong with it."""
    if isinstance(failure, OSError) and failure.filename is not None and failure.strerror:
        return f"{failure.filename}: {failure.strerror}"
    return str(failure) or type(failure).__name__


def code_of(failure: Exception) -> Exit | None:
    """Return the exit code of an expected failure; None for a fault of ours, whose trace must be seen."""
    if isinstance(failure, CommandFailed):
        return failure.code
    return next((code for kind, code in _CODES if isinstance(failure, kind)), None)
