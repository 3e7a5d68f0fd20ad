"""A notary in a process of its own, asked over pipes; it may be told at which write to kill itself.

argv: directory, point ("" for none), which passing of it, "thread" or "inline" for the index.
Each frame is a length (u32) and msgpack: in `(now, questions)`, out `(answers)`.
"""

import os
import signal
import sys
from pathlib import Path

import msgspec

from app.bench.workshop import START, Network, NotaryKeys
from notaries.log import LogSigner
from notaries.request import RequestChecker
from notaries.service import NotaryService
from notaries.sqlite import Indexing, SqliteProvider
from notaries.sqlite_log import Point

NOTARY = NotaryKeys(1, "killed.test.example")
NETWORK = Network((NOTARY,))
SEAL_KEY = bytes(range(32))
LENGTH_SIZE = 4

Asked = tuple[int, list[bytes]]
decode_asked = msgspec.msgpack.Decoder(Asked).decode


class Death:
    """Kills this process when a point is passed for the n-th time: no finally, no flush, no close."""

    def __init__(self, point: str, passing: int) -> None:
        self._point, self._left = point, passing

    def reached(self, point: Point) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    directory, point, passing, index = sys.argv[1:]
    signer = LogSigner(NOTARY.origin, NOTARY.log_key, NOTARY.cosigner_key)
    provider = SqliteProvider(
        Path(directory),
        signer,
        SEAL_KEY,
        START,
        indexing=Indexing(every=20, slice_rows=4, background=index == "thread"),
        reached=Death(point, int(passing)).reached,
    )
    now = START
    checker = RequestChecker(NOTARY.party, NETWORK.parameters.network, lambda: NETWORK.history)
    service = NotaryService(checker, provider, signer, lambda: now)
    while length := sys.stdin.buffer.read(LENGTH_SIZE):
        now, questions = decode_asked(sys.stdin.buffer.read(int.from_bytes(length)))
        told = msgspec.msgpack.encode(service.answer_all(questions))
        sys.stdout.buffer.write(len(told).to_bytes(LENGTH_SIZE) + told)
        sys.stdout.buffer.flush()
    provider.close()


if __name__ == "__main__":
    main()
