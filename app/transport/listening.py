"""What the node does with links: the engine's side of the transport."""

from collections.abc import Sequence
from typing import Protocol

from flows.envelope import Envelope, Hello
from states.identity import Party


class LinkListener(Protocol):
    """Hears what happens on links. Called on the event loop's thread, and never for two links of one peer at a time.

    In order, for each link: `hello_for`, `on_up`, any of the others, `on_down`. A link that fails between the first
    two has no `on_down`. A LedgerError from `on_up`, `on_envelopes` or `on_acked` ends the link: the peer broke the
    protocol.
    """

    def hello_for(self, peer: Party) -> Hello:
        """Return our hello for a connection that has just been proven to be the peer's."""

    def on_up(self, peer: Party, hello: Hello) -> None:
        """The link is there; `hello` is the peer's. What is unacknowledged may be sent now."""

    def on_down(self, peer: Party) -> None:
        """The link is gone. What was sent on it may or may not have arrived."""

    def on_envelopes(self, peer: Party, envelopes: Sequence[Envelope]) -> None:
        """Envelopes came, in the order in which they were sent on this link. Call `ack` when they are durable."""

    def on_acked(self, peer: Party, upto: int) -> None:
        """The peer has all envelopes up to this number durably."""

    def on_room(self, peer: Party) -> None:
        """`send` may be called again for a peer for which it took less than it was given."""
