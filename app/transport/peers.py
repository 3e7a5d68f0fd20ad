"""Who may be at the other end of a link: what the transport asks of the network map."""

from typing import Protocol

from states.identity import Party
from states.parameters import Member


class Peers(Protocol):
    """The network map, as a connection needs it. Only members that are in the network now."""

    @property
    def network(self) -> bytes:
        """The network's id, 32 bytes."""

    def holder_of_tls(self, pin: bytes) -> Member | None:
        """Return the member whose TLS key has this hash."""

    def member(self, party: Party) -> Member:
        """Return a member; raises UnknownParty."""
