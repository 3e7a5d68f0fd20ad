"""Whose links they are: what one link asks of the transport that made it."""

from typing import Protocol, TypeVar

from app.keystore.keys import KeyStore
from app.transport.channel import Entropy
from app.transport.frames import Batch, Question
from app.transport.limits import LinkLimits
from app.transport.peers import Peers
from flows.envelope import Hello
from states.identity import Party

L_contra = TypeVar("L_contra", contravariant=True)  # a link, which cannot be named here


class LinkHost(Protocol[L_contra]):
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

    def link_proven(self, link: L_contra) -> Hello:
        """Choose between this link and the one that is kept; LinkRefused where that stays."""

    def link_up(self, link: L_contra, hello: Hello) -> None: ...

    def link_batch(self, link: L_contra, batch: Batch) -> None: ...

    def link_question(self, link: L_contra, question: Question) -> None: ...

    def link_room(self, link: L_contra) -> None: ...

    def link_ended(self, link: L_contra) -> None: ...

    def link_lost(self, link: L_contra) -> None: ...
