"""What every subject of a node stands on: who the node is, its keys, its map, its vault."""

from collections.abc import Callable
from dataclasses import dataclass

from app.keystore.keys import KeyStore
from app.vault.drafts import Drafts
from app.vault.locks import Locks
from app.vault.vault import Vault
from states.crypto.signatures import Signer
from states.identity import Party
from states.parameters import Directory, NetworkParameters, ParametersHistory


@dataclass(frozen=True, slots=True)
class Ground:
    """Made once by the composition root."""

    me: Party
    keys: KeyStore
    identity: Signer
    parameters: ParametersHistory
    directory: Directory
    entropy: Callable[[int], bytes]
    vault: Vault
    locks: Locks
    drafts: Drafts

    def in_force(self, now: int) -> NetworkParameters:
        """Return the network's parameters at `now` (ms)."""
        return self.parameters.in_force(now)[1]
