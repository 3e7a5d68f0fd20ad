"""Why a part of the network map was refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from states.errors import LedgerError
from states.identity import Party


class MapRule(StrEnum):
    """A clause of the map; the value is the sentence that an operator reads."""

    NEWER_VERSION = "new parameters have the next higher version and a later beginning"
    ONE_OF_A_VERSION = "there is one text of a version, and of an entry with one serial number"
    NEWER_SERIAL = "a newer entry has a higher serial number"
    HISTORY_KEPT = "an entry keeps every identity key that a former one named, and its beginning"
    KEYS_OF_ONE = "no two members share a key"
    ENDPOINTS_READABLE = "an endpoint is written host:port"
    PARAMETERS_FIRST = "the network's parameters come before its members"
    ANNOUNCED = "new parameters are announced a day before they begin"
    NOT_REMOVED = "a removed member comes back with a higher serial number than its removal"
    OPERATOR_SIGNS = "an operator of the map, by the parameters in force, signs"
    MEMBER_KNOWN = "a removal names a member that there is"


class MapRefused(LedgerError):
    """A part of the map breaks a clause; nothing was changed."""

    def __init__(self, rule: MapRule, what: Party | str) -> None:
        super().__init__(f"{what} breaks {rule.name}: {rule.value}")
        self.rule = rule
        self.what = what


class FileRefused(LedgerError):
    """A file that somebody brought is not what it should be, or is refused; `refused` says why."""

    def __init__(self, path: Path, refused: LedgerError) -> None:
        super().__init__(f"{path}: {refused}")
        self.path = path
        self.refused = refused


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Raise what is refused of a file's content with the file's name, as FileRefused."""
    try:
        yield
    except LedgerError as refused:
        raise FileRefused(path, refused) from refused


class MapIncomplete(Exception):  # named for what is missing
    """What is in the map's folder does not suffice to run a node."""

    def __init__(self, path: Path, lacks: str) -> None:
        super().__init__(f"{path} lacks {lacks}: take it in with carecord network admit")
        self.path = path
        self.lacks = lacks


class MapDamaged(Exception):  # named for what happened
    """A file of the map's folder is not what was written there: the operator must look."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class FoundingKeyLocked(Exception):  # named for what happened
    """A founding key's file does not open: another passphrase, or another file."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why
