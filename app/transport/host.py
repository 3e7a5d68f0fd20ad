"""Whose links they are: what one link asks of the transport that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.keystore.keys import KeyStore
from app.transport.channel import Entropy
from app.transport.frames import Batch, Question
from app.transport.limits import LinkLimits
from app.transport.peers import Peers
from flows.envelope import Hello
from states.identity import Party

if TYPE_CHECKING:
    from app.transport.link import Link


class LinkHost(Protocol):
    """The transport, as its links see it."""

    @property
    def me(self) -> Party: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def peers(self) -> Peers: ...

    @property
    def entropy(self) -> Entropy: ...

    @property
    def limits(self) -> LinkLimits: ...

    def link_proven(self, link: Link) -> Hello:
        """Choose between this link and the one that is kept; LinkRefused where that stays."""

    def link_up(self, link: Link, hello: Hello) -> None: ...

    def link_batch(self, link: Link, batch: Batch) -> None: ...

    def link_question(self, link: Link, question: Question) -> None: ...

    def link_room(self, link: Link) -> None: ...

    def link_ended(self, link: Link) -> None: ...

    def link_lost(self, link: Link) -> None: ...
