"""Kinds of requests that members serve each other beside the numbered stream; all of them are idempotent."""

from collections.abc import Awaitable, Callable

from states.identity import Party

NOTARY = "notary/1"
"""A question to a notary (states.notarisation, encoded) → its answer."""
CHECKPOINT = "checkpoint/1"
"""The origin of a log that the peer keeps → its newest signed checkpoint."""
TILE = "tile/1"
"""A tile's path (states.tiles) → its bytes."""
MAP = "map/1"
"""What one knows of the network (app.network.exchange) → what the peer knows besides."""
FETCH = "fetch/1"
"""A chunk of a disclosed item → its ciphertext."""

Handler = Callable[[Party, bytes], Awaitable[bytes]]
"""Answers one kind: (who asks, body) → body. Raise RequestDenied to refuse with one word."""
