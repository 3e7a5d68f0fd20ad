"""A key store from one seed, for the simulator: the same seed gives the same keys, always."""

from app.keystore.ring import KeyRing
from app.keystore.secrets import new_secrets
from states.crypto.hashes import hkdf


class SeededEntropy:
    """Bytes that look random and follow from a seed. Never for a node that holds anything real."""

    __slots__ = ("_drawn", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hkdf(self._seed, self._drawn.to_bytes(8, "big"), "seeded-entropy", size)


def memory_key_store(seed: bytes) -> KeyRing:
    """Return a KeyStore that forgets with the process."""
    entropy = SeededEntropy(seed)
    return KeyRing(new_secrets(entropy), entropy, lambda _: None)
