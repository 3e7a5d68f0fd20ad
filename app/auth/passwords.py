"""Passwords, kept as Argon2id in PHC form (RFC 9106; parameters of its second recommendation)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SALT_BYTES = 16
HASH_BYTES = 32
PASSWORD_CHARS_MIN = 12
PASSWORD_BYTES_MAX = 1024  # more is refused unread: hashing must not be a lever for strangers
HASHES_AT_ONCE = 2  # each takes 64 MiB; more wait their turn


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """How dear one guess is: `memory_kib` KiB, `iterations` passes, `lanes` wide."""

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4


class PasswordTooLong(ValueError):
    """A password is longer than PASSWORD_BYTES_MAX bytes of UTF-8."""


class PasswordTooShort(ValueError):
    """A new password has fewer than PASSWORD_CHARS_MIN characters."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Hashes and verifies; `entropy` makes the salts. Both take tens of milliseconds: call them in
    a thread.
    """

    entropy: Callable[[int], bytes]
    cost: Argon2Cost = Argon2Cost()
    _turns: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(HASHES_AT_ONCE), repr=False
    )

    def hash(self, password: str) -> str:
        """Return the PHC string to keep. Raise PasswordTooShort or PasswordTooLong."""
        if len(password) < PASSWORD_CHARS_MIN:
            raise PasswordTooShort(f"fewer than {PASSWORD_CHARS_MIN} characters")
        argon2 = Argon2id(
            salt=self.entropy(SALT_BYTES),
            length=HASH_BYTES,
            iterations=self.cost.iterations,
            lanes=self.cost.lanes,
            memory_cost=self.cost.memory_kib,
        )
        with self._turns:
            return argon2.derive_phc_encoded(_bytes(password))

    def verify(self, password: str, kept: str) -> bool:
        """Say whether `password` is the one behind `kept`; compared in constant time by the
        library.
        """
        try:
            with self._turns:
                Argon2id.verify_phc_encoded(_bytes(password), kept)
        except InvalidKey:
            return False
        return True


def _bytes(password: str) -> bytes:
    encoded = password.encode()
    if len(encoded) > PASSWORD_BYTES_MAX:
        raise PasswordTooLong(f"more than {PASSWORD_BYTES_MAX} bytes")
    return encoded
