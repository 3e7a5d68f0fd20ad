"""The simulated notary: the real service on a real provider, behind questions that get lost and a process that dies."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from notaries.memory import MemoryProvider
from notaries.service import NotaryService
from notaries.sqlite import Indexing, SqliteProvider
from notaries.sqlite_log import Point
from notaries.uniqueness import UniquenessProvider
from tests.simulation.disk import Killed
from tests.simulation.village import Founding

SEAL_KEY = bytes(32)
PROCESSES = 2  # that share one directory, where the provider is on a disk

Reply = Callable[[bytes], None]


class Waiting(NamedTuple):
    """A question that has arrived, and where its answer goes."""

    data: bytes
    reply: Reply


class SimulatedNotary:
    """Answers batches. What its provider keeps outlives a crash: memory is kept, files are opened anew."""

    def __init__(
        self,
        founding: Founding,
        clock: Callable[[], int],
        random: Random,
        directory: Path | None,
    ) -> None:
        self._founding = founding
        self._clock = clock
        self._random = random
        self._directory = directory
        self._memory = None if directory else MemoryProvider(founding.log_signer, clock())
        self._dies_at: Point | None = None
        self.waiting: list[Waiting] = []
        self.away_until = 0
        self.held_up: dict[str, int] = {}  # by flow: until when answers to it are on their way
        self.providers: list[UniquenessProvider] = []
        self._services: list[NotaryService] = []
        self.start()

    @property
    def provider(self) -> UniquenessProvider:
        return self.providers[0]

    def start(self) -> None:
        """Start its processes anew, from what is durable."""
        self.stop()
        count = 1 if self._memory is not None else PROCESSES
        self.providers = [self._memory or self._on_disk() for _ in range(count)]
        self._services = [
            NotaryService(
                self._founding.checker(), provider, self._founding.log_signer, self._clock
            )
            for provider in self.providers
        ]

    def stop(self) -> None:
        for provider in self.providers:
            provider.close()

    def _on_disk(self) -> SqliteProvider:
        assert self._directory is not None, "a provider on a disk has a directory"
        return SqliteProvider(
            self._directory,
            self._founding.log_signer,
            SEAL_KEY,
            self._clock(),
            indexing=Indexing(every=16, slice_rows=8, background=False),
            reached=self._reached,
        )

    def _reached(self, point: Point) -> None:
        if point is self._dies_at:
            self._dies_at = None
            raise Killed(point)

    def answer(self, *, dies: bool) -> list[tuple[Waiting, bytes]]:
        """Answer all that waits as one batch; nothing where the process dies over it, be it before or after."""
        batch, self.waiting = self.waiting, []
        service = self._random.choice(self._services)
        if dies and self._directory is not None:
            self._dies_at = self._random.choice(tuple(Point))
        elif dies and self._random.random() < 0.5:
            self.start()
            return []
        try:
            answers = service.answer_all([each.data for each in batch])
        except Killed:
            self.start()
            return []
        self._dies_at = None
        if dies:
            self.start()
            return []
        return list(zip(batch, answers, strict=True))
