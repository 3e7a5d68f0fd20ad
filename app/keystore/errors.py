"""What can be wrong with a key store; no text here ever holds a key."""

from pathlib import Path


class KeyStoreError(Exception):
    """The operator must look at the key store."""


class WrongPassphrase(KeyStoreError):
    """The file is whole, and its passphrase is another one."""

    def __init__(self) -> None:
        super().__init__("the key file does not open with this passphrase")


class KeyStoreDamaged(KeyStoreError):
    """The file is not what was written: cut, altered, or never a key file."""

    def __init__(self, why: str) -> None:
        super().__init__(f"key file: {why}")
        self.why = why


class KeyStoreExposed(KeyStoreError):
    """Others on this machine may read or replace the file; it is not opened until that has an end."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class UnknownKey(KeyStoreError):
    """There is no such key, or none any more."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no key: {what}")
        self.what = what


class KeyExists(KeyStoreError):
    """There is such a key already, and what it opened would be lost with it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"there is a key already: {what}")
        self.what = what
