"""Marks in records and names, and who may ever hold each: whatever is overheard or kept is searched for them."""

import re
from collections.abc import Iterable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from app.demo.scan import Canary, Scanner
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

    def search_every_form(self, where: str, name: str, files: Iterable[bytes]) -> None:
        """Search whole files for marks as the scan of the demonstration does: encoded, compressed and hashed, too.

        It takes long: so not of every seed.
        """
        strange = [mark for mark, may in self._may.items() if name not in may]
        scanner = Scanner(Canary(mark.decode(), mark) for mark in strange)
        with TemporaryDirectory() as folder:
            for number, data in enumerate(files):
                (Path(folder) / str(number)).write_bytes(data)
            for found in scanner.scan(Path(folder)):
                what = f"{found.canary} ({found.form}) is {where} {name}"
                raise Violation("no canary outside", what)
