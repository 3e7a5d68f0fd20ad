"""A notary as a process: the service of `notaries` behind links; it keeps no vault and runs no flows."""

import asyncio
import logging
import os
from collections.abc import Sequence

from app.keystore.keys import KeyStore, NodeKey
from app.keystore.signers import HandleSigner
from app.network.exchange import map_handler
from app.node_folder import OpenFolder, Opening, clock
from app.storage.database import LogDamaged
from app.transport.errors import RequestDenied
from app.transport.kinds import CHECKPOINT, MAP, NOTARY, TILE
from app.transport.transport import Transport
from flows.envelope import Envelope, Hello
from notaries.log import LogSigner, ServedLog
from notaries.queue import QueueLimits
from notaries.request import RequestChecker
from notaries.service import NotaryService
from notaries.signatures import SignatureChecker
from notaries.sqlite import LOG_NAME, SqliteProvider
from notaries.uniqueness import StoreFailed
from states.errors import MalformedBytes
from states.identity import Party

_log = logging.getLogger("carecord.notary")

SEAL_LABEL = b"notary-row-seals"
INCARNATION = bytes(16)  # a notary has no numbered stream: nothing of it can be restored or lost


class _NoFlows:
    """A `LinkListener` for a node without flows: whoever sends envelopes to a notary breaks the protocol."""

    def hello_for(self, peer: Party) -> Hello:
        return Hello(INCARNATION, b"", 0, ())

    def on_up(self, peer: Party, hello: Hello) -> None:
        _log.debug("a member is here")

    def on_down(self, peer: Party) -> None:
        _log.debug("a member is gone")

    def on_envelopes(self, peer: Party, envelopes: Sequence[Envelope]) -> None:
        raise MalformedBytes("envelope", "a notary takes questions, and no envelopes")

    def on_acked(self, peer: Party, upto: int) -> None:
        raise MalformedBytes("acknowledgement", "a notary sends no envelopes")

    def on_room(self, peer: Party) -> None:
        """Nothing waits here."""


class NotaryNode:
    """One process: links on the event loop, the notary's thread beside it."""

    def __init__(
        self,
        opening: Opening,
        signatures: SignatureChecker | None = None,
        limits: QueueLimits | None = None,
    ) -> None:
        """Open the folder. Raises LogDamaged, and what OpenFolder raises."""
        opened = OpenFolder(opening)
        self.map, self.me = opened.map, opened.me
        info = opened.map.parameters().notary(opened.me)
        if info is None:
            raise ValueError(f"{opened.me} is no notary of this network")
        signer = LogSigner(
            info.origin,
            HandleSigner(opened.keys, NodeKey.NOTARY_LOG),
            HandleSigner(opened.keys, NodeKey.NOTARY_COSIGNER),
        )
        self.folders, self.keys = opened.folders, opened.keys
        try:
            self.provider = SqliteProvider(
                opened.folders.data, signer, seal_key(opened.keys), clock()
            )
        except StoreFailed as failed:
            raise LogDamaged(opened.folders.data / LOG_NAME, str(failed)) from failed
        self._log = ServedLog(self.provider)
        self.service = NotaryService(
            RequestChecker(opened.me, opening.network, lambda: opened.map.history),
            self.provider,
            signer,
            clock,
            signatures=signatures,
            limits=limits,
        )
        self.transport = Transport(
            opened.credentials,
            opened.map,
            opening.transport,
            _NoFlows(),
            {
                NOTARY: self._answer,
                CHECKPOINT: self._checkpoint,
                TILE: self._tile,
                MAP: map_handler(opened.map),
            },
            os.urandom,
        )

    async def start(self) -> None:
        """Begin to answer. Raises OSError where the port is taken."""
        self.service.start()
        await self.transport.start()

    async def stop(self) -> None:
        """Answer what is queued, then close."""
        await self.transport.stop()
        await asyncio.get_running_loop().run_in_executor(None, self.service.stop)
        self.provider.close()

    @property
    def is_ready(self) -> bool:
        return self.service.is_working

    async def _answer(self, peer: Party, body: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()

        def reply(answer: bytes) -> None:
            loop.call_soon_threadsafe(_settle, answered, answer)

        self.service.submit(peer, body, reply)
        return await answered

    async def _checkpoint(self, _peer: Party, _origin: bytes) -> bytes:
        return self.provider.head().note.encode()

    async def _tile(self, _peer: Party, path: bytes) -> bytes:
        found = self._log.serve(path.decode("ascii", "replace"))
        if found is None:
            raise RequestDenied("not-found")
        return found


def _settle(answered: "asyncio.Future[bytes]", answer: bytes) -> None:
    if not answered.done():
        answered.set_result(answer)


def seal_key(keys: KeyStore) -> bytes:
    """Return the key under which the notary seals its rows: derived like a lock's salt, from a label of its own."""
    return keys.derive_lock(SEAL_LABEL).salt
