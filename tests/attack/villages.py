"""A village whose disks lie in folders, so that an attacker can take a copy of any of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from app.storage.database import open_database
from notaries.log import LogSigner
from notaries.request import RequestChecker
from notaries.service import NotaryService
from notaries.sqlite import SqliteProvider
from tests.simulation.village import Resident, Village

SEAL_KEY = bytes(range(32))


class Eavesdropper(NotaryService):
    """A notary's desk that writes down what it is told, which an honest one does not."""

    def __init__(
        self,
        heard: list[bytes],
        checker: RequestChecker,
        provider: SqliteProvider,
        signer: LogSigner,
        clock: Callable[[], int],
    ) -> None:
        super().__init__(checker, provider, signer, clock)
        self._heard = heard

    def answer_all(self, questions: Sequence[bytes]) -> list[bytes]:
        self._heard += questions
        return super().answer_all(questions)


class VillageOnDisk(Village):
    """Each resident's database and the notary's log in a folder of its own; what the notary hears is kept apart."""

    def __init__(self, root: Path, seed: int, *, only_notary: bool = False) -> None:
        self.root = root
        self._only_notary = only_notary
        self.heard: list[bytes] = []
        self._provider: SqliteProvider | None = None
        super().__init__(seed)

    def folder(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Stop everybody, as a copy of a disk is taken after a graceful stop."""
        for node in self.nodes.values():
            node.db.close()
        assert self._provider is not None
        self._provider.close()
        yield

    def _serve(self, notary: Resident) -> NotaryService:
        signer = self.founding.signer_of(notary)
        self._provider = SqliteProvider(self.folder("Notary"), signer, SEAL_KEY, self.clock.now)
        return Eavesdropper(
            self.heard, self.founding.checker(notary), self._provider, signer, self.clock
        )

    def _database(self, name: str) -> Connection:
        return open_database(":memory:" if self._only_notary else self.folder(name) / "node.db")
