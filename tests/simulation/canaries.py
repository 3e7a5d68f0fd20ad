"""Marks in records and names, and who may ever hold each: whatever is overheard or kept is searched for them."""

import re
from random import Random

from tests.simulation.observer import Violation

_MARK = re.compile(rb"CANARY[0-9A-F]{8}")


class Canaries:
    """A mark is text that nobody makes by accident. Names are those of nodes."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._may: dict[bytes, set[str]] = {}

    def new(self, *may: str) -> str:
        """Return a mark that only these may hold; none: nobody may, in any readable form."""
        mark = f"CANARY{self._random.getrandbits(32):08X}"
        self._may[mark.encode()] = set(may)
        return mark

    def let(self, mark: str, name: str) -> None:
        """Let one more hold a mark, before it is brought there."""
        self._may[mark.encode()].add(name)

    def search(self, where: str, name: str, data: bytes) -> None:
        for mark in set(_MARK.findall(data)):
            if name not in self._may.get(mark, ()):
                raise Violation("no canary outside", f"{mark.decode()} is {where} {name}")
