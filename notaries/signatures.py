"""Verifies lock signatures, here or in a process of its own beside the one that commits."""

import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol

import msgspec

from notaries.request import KeyCheck
from states.crypto import ed25519, p256
from states.crypto.keys import SCHEME_ED25519

INLINE_BELOW = 4  # signatures: fewer are verified sooner than sent
BATCH_BESIDE = (
    120  # questions: a tenth faster at 200 in flight than all of them at once (`carecord bench`)
)
STOP_S = 5.0

_WORK = msgspec.msgpack.Decoder(list[tuple[int, bytes, bytes, bytes]])
_encode = msgspec.msgpack.Encoder().encode


class Verdicts(Protocol):
    """Work that is under way."""

    def result(self) -> Sequence[bool]:
        """Wait, and return for each signature, in order, whether it verifies."""


class SignatureChecker(Protocol):
    """Verifies lock signatures. Results are asked for in the order in which the work was begun.

    `batch`: how many questions a batch has at most, so that one is verified while the next is read; None where that
    gains nothing.
    """

    batch: int | None

    def begin(self, checks: Sequence[KeyCheck]) -> Verdicts: ...

    def close(self) -> None: ...


class Found:
    """Verdicts that are there already."""

    def __init__(self, verdicts: Sequence[bool]) -> None:
        self._verdicts = verdicts

    def result(self) -> Sequence[bool]:
        return self._verdicts


def _verifies(scheme: int, public: bytes, digest: bytes, raw: bytes) -> bool:
    if scheme == SCHEME_ED25519:
        return ed25519.verify(public, digest, raw)
    return p256.verify(public, digest, raw)


class InlineChecker:
    """Verifies where it is asked."""

    batch: int | None = None

    def begin(self, checks: Sequence[KeyCheck]) -> Found:
        return Found([_verifies(c.key.scheme, c.key.raw, c.digest, c.raw) for c in checks])

    def close(self) -> None:
        """Hold nothing that could be let go of."""


def _serve(pipe: "Connection[bytes, bytes]") -> None:
    with suppress(EOFError):  # the notary is gone, and so is the work
        while work := pipe.recv_bytes():
            pipe.send_bytes(bytes(_verifies(*each) for each in _WORK.decode(work)))


class ProcessChecker:
    """Verifies in a helper process, so that the next batch is read meanwhile.

    The helper gets keys, digests and signatures and nothing else. Should it die, work goes on inline.
    """

    batch: int | None = BATCH_BESIDE

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._inline = InlineChecker()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, checks: Sequence[KeyCheck]) -> Verdicts:
        if len(checks) < INLINE_BELOW:
            return self._inline.begin(checks)
        work = [(each.key.scheme, each.key.raw, each.digest, each.raw) for each in checks]
        try:
            self._pipe.send_bytes(_encode(work))
        except OSError:
            return self._inline.begin(checks)
        return _UnderWay(self._pipe, self._inline, checks)

    def close(self) -> None:
        try:
            self._pipe.send_bytes(b"")
        except OSError:
            self._process.kill()
        self._process.join(STOP_S)
        self._pipe.close()


class _UnderWay:
    def __init__(
        self, pipe: "Connection[bytes, bytes]", inline: InlineChecker, checks: Sequence[KeyCheck]
    ) -> None:
        self._pipe, self._inline, self._checks = pipe, inline, checks

    def result(self) -> Sequence[bool]:
        try:
            verdicts = self._pipe.recv_bytes()
        except (EOFError, OSError):
            return self._inline.begin(self._checks).result()
        return [bool(each) for each in verdicts]
