"""Sealed messages of one connection: a greeting each way, then frames that fit this place and no other.

The key that two members share outlives their connections, so a recorded frame would open again. It is refused by its
nonce: after the greetings a nonce is

    H("link", network ‖ dialler's challenge ‖ answerer's challenge ‖ sender's DID)[:16] ‖ counter u64 BE

which both sides know before the frame arrives. A frame of another connection, of the other direction, a frame twice,
left out or out of order has another nonce. The challenges are random, so no nonce is ever used twice with a key.
And if it could be replayed, the numbers of its envelopes would make it a duplicate (flows §3.2).
"""

from collections.abc import Callable
from hmac import compare_digest

from app.keystore.keys import PeerBox
from app.transport.errors import LinkRefused, Reason
from app.transport.frames import VERSION, Greeting, Message, open_message
from app.transport.limits import NONCE_SIZE
from states.crypto.hashes import tagged_hash
from states.encoding import encode
from states.errors import InvalidSignature
from states.identity import Party

CHALLENGE_SIZE = 32
_PREFIX_SIZE = 16
_COUNTER_SIZE = 8

Entropy = Callable[[int], bytes]


def judge_greeting(greeting: Message, network: bytes, holder: Party) -> Greeting:
    """Return the greeting of the member who holds the connection's certificate.

    Raises LinkRefused for another message, version or network, and for another member's name.
    """
    if not isinstance(greeting, Greeting):
        raise LinkRefused(Reason.MALFORMED)
    if greeting.version != VERSION:
        raise LinkRefused(Reason.WRONG_VERSION)
    if not compare_digest(greeting.network, network):
        raise LinkRefused(Reason.WRONG_NETWORK)
    if greeting.party != holder:
        raise LinkRefused(Reason.LYING_IDENTITY)
    return greeting


class Channel:
    """Seals and opens the frames of one connection, each with the one nonce that belongs there."""

    __slots__ = (
        "_box",
        "_challenge",
        "_dialled",
        "_entropy",
        "_me",
        "_network",
        "_received",
        "_receiving",
        "_sending",
        "_sent",
        "peer",
    )

    def __init__(
        self,
        box: PeerBox,
        network: bytes,
        pair: tuple[Party, Party],
        entropy: Entropy,
        *,
        dialled: bool,
    ) -> None:
        """`pair` is (this node, the holder of the connection's certificate)."""
        self._box = box
        self._network = network
        self._me, self.peer = pair
        self._entropy = entropy
        self._dialled = dialled
        self._challenge = entropy(CHALLENGE_SIZE)
        self._sending = b""
        self._receiving = b""
        self._sent = 0
        self._received = 0

    def greeting(self) -> bytes:
        """Return the first frame: its nonce is random, for nothing is agreed yet."""
        mine = Greeting(VERSION, self._network, self._me, self._challenge)
        return self._box.seal(encode(mine), self._entropy(NONCE_SIZE))

    def take_greeting(self, frame: bytes) -> Greeting:
        """Judge the other side's first frame; from now on both nonces are fixed. Raises LinkRefused."""
        theirs = judge_greeting(open_message(self._open(frame)), self._network, self.peer)
        both = (self._challenge, theirs.challenge)
        challenges = b"".join(both if self._dialled else reversed(both))
        self._sending = _prefix(self._network, challenges, self._me)
        self._receiving = _prefix(self._network, challenges, self.peer)
        return theirs

    def seal(self, message: Message) -> bytes:
        """Return nonce and box of the next frame."""
        assert self._sending, "the greetings come first"
        nonce = self._sending + self._sent.to_bytes(_COUNTER_SIZE)
        self._sent += 1
        return self._box.seal(encode(message), nonce)

    def open(self, frame: bytes) -> Message:
        """Return the next message; LinkRefused for a frame that does not belong at this place."""
        nonce = self._receiving + self._received.to_bytes(_COUNTER_SIZE)
        if frame[:NONCE_SIZE] != nonce:
            raise LinkRefused(Reason.NOT_SEALED)
        plain = self._open(frame)
        self._received += 1
        return open_message(plain)

    def _open(self, frame: bytes) -> bytes:
        try:
            return self._box.open(frame)
        except InvalidSignature as refused:
            raise LinkRefused(Reason.NOT_SEALED) from refused


def _prefix(network: bytes, challenges: bytes, sender: Party) -> bytes:
    return tagged_hash("link", network, challenges, sender.encode("ascii"))[:_PREFIX_SIZE]
