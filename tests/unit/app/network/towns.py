"""A small network for tests: a founder, an operator, and members whose keys come from a seed."""

from pathlib import Path

from app.keystore.keys import KeyStore
from app.keystore.memory import SeededEntropy, memory_key_store
from app.network.bootstrap import Terms, countersign, publish_first, request_entry
from app.network.entries import Profile, first_entry, public_keys
from app.network.folder import MapFolder
from app.network.network_map import NetworkMap
from app.transport.certificate import new_tls_key
from states.crypto.did import did_of
from states.crypto.ed25519 import Ed25519Signer
from states.identity import Party
from states.parameters import Member, network_id

NOW = 1_700_000_000_000
DAY = 24 * 60 * 60 * 1_000

FOUNDER = Ed25519Signer(b"\xf0" * 32)
OPERATOR = Ed25519Signer(b"\x0f" * 32)
SECOND_OPERATOR = Ed25519Signer(b"\x1f" * 32)
NAME = "test network"
NETWORK = network_id(FOUNDER.key, NAME)
TERMS = Terms(NAME, (), (), (OPERATOR.key,))
FIRST = publish_first(FOUNDER, TERMS, NOW - DAY)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Organisation:
    """A member to be: its founding key, its key store, its TLS key, its entry."""

    def __init__(
        self, seed: int, endpoints: tuple[str, ...] = ("127.0.0.1:7100",), network: bytes = NETWORK
    ) -> None:
        self.founding = Ed25519Signer(bytes([seed]) * 32)
        self.party = Party(did_of(self.founding.key))
        self.keys: KeyStore = memory_key_store(bytes([seed, 1]) * 16)
        self.entropy = SeededEntropy(bytes([seed, 2]) * 16)
        self.tls = new_tls_key(self.keys, self.entropy)
        self.entry: Member = first_entry(
            network,
            self.party,
            Profile(f"organisation {seed}", "hospital", endpoints),
            public_keys(self.keys, self.tls.pin),
            NOW - DAY,
        )

    def signed(self, operators_map: NetworkMap, entry: Member | None = None) -> bytes:
        """Return its entry (or another) as an operator countersigned it into `operators_map`."""
        return countersign(
            request_entry(entry or self.entry, self.founding), OPERATOR, operators_map
        )


def empty_map(folder: Path, clock: Clock | None = None) -> NetworkMap:
    return NetworkMap(NETWORK, MapFolder(folder), clock or Clock())


def founded_map(folder: Path, clock: Clock | None = None) -> NetworkMap:
    made = empty_map(folder, clock)
    made.take_parameters(FIRST)
    return made
