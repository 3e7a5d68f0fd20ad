"""Which flows and responders this node runs, by the names that journals and peers use for them."""

from collections.abc import Iterable
from typing import Never, cast

import msgspec

from flows.flow import Flow, FlowCoroutine, Received, Responder, Untrusted
from flows.session import Context, Session, message_codec
from states.encoding import Codec, encode
from states.errors import LedgerError
from states.identity import Party


class UnknownFlow(LedgerError):
    """No flow of this id, or no code of this name, is here."""


Answering = type[Responder[Never]]
"""A responder's class: it is made anew, without arguments, for each session."""

_first = Codec(Received, "first message")


class Registry:
    """The flows and responders of a node, given once at its composition."""

    def __init__(
        self, flows: Iterable[type[msgspec.Struct]] = (), responders: Iterable[Answering] = ()
    ) -> None:
        self._flows: dict[str, Codec[msgspec.Struct]] = {}
        for kind in flows:
            tag = kind.__struct_config__.tag
            if not isinstance(tag, str) or not hasattr(kind, "call"):
                raise TypeError(f"{kind.__name__} is no flow: it needs a text tag and a call")
            self._flows[tag] = Codec[msgspec.Struct](kind, tag)
        self._responders = {responder.name: responder for responder in responders}

    def responds(self, name: str) -> bool:
        return name in self._responders

    def arguments(self, flow: Flow) -> tuple[str, bytes]:
        """Return the tag and the encoded arguments of a flow.

        Raises UnknownFlow where it is not registered, OverLimit or MalformedBytes where it could not be read again.
        """
        assert isinstance(flow, msgspec.Struct)
        tag = str(flow.__struct_config__.tag)
        if tag not in self._flows:
            raise UnknownFlow(f"no flow {tag} is registered")
        arguments = encode(flow)
        self._flows[tag].decode(arguments)
        return tag, arguments

    def coroutine(self, tag: str, arguments: bytes, context: Context) -> FlowCoroutine:
        """Return a flow that has not begun; UnknownFlow where its version is not registered."""
        codec = self._flows.get(tag)
        if codec is None:
            raise UnknownFlow(f"no flow {tag} is registered")
        flow: Flow = codec.decode(arguments)  # type: ignore[assignment]  # checked when registered
        return flow.call(context)

    def answer(
        self, tag: str, arguments: bytes, context: Context, peer: Party, session: bytes
    ) -> tuple[FlowCoroutine, Session]:
        """Return a responder that has not begun, and its side of the session (a letter's is empty)."""
        answering = self._responders.get(tag)
        if answering is None:
            raise UnknownFlow(f"no responder {tag} is registered")
        received = _first.decode(arguments)
        ours = context.answering(peer, session)
        return self._answering(answering, received, context, ours), ours

    async def _answering(
        self, answering: Answering, received: Received, context: Context, session: Session
    ) -> msgspec.Struct:
        # Decoded inside the flow, so that a malformed first message ends it like any other.
        message = message_codec(answering.first).decode(received.body)
        first = Untrusted(message, received.parts)
        return await answering().call(context, session, cast("Untrusted[Never]", first))
