"""A notary to test against: a network, one engine, the service, and a clock that the test moves."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.bench.workshop import START, Held, Made, Network, NotaryKeys, Workshop
from notaries.log import LogSigner, ServedLog
from notaries.memory import MemoryProvider
from notaries.queue import QueueLimits
from notaries.request import RequestChecker
from notaries.service import NotaryService
from notaries.signatures import SignatureChecker
from notaries.sqlite import Indexing, SqliteProvider
from notaries.uniqueness import UniquenessProvider
from states.encoding import encode
from states.notarisation import ANSWER, Answer, Committed, Question
from states.receipt import ReceiptVerifier, VerifiedReceipt

SEAL_KEY = bytes(range(32))
NOTARY = NotaryKeys(1, "notary.test.example")
OTHER_NOTARY = NotaryKeys(2, "other.test.example")
NETWORK = Network((NOTARY, OTHER_NOTARY))
FEW = Indexing(every=20, slice_rows=7, background=False)


def signer_of(notary: NotaryKeys) -> LogSigner:
    return LogSigner(notary.origin, notary.log_key, notary.cosigner_key)


def sqlite_in(directory: Path, indexing: Indexing = FEW) -> SqliteProvider:
    directory.mkdir(exist_ok=True)
    return SqliteProvider(directory, signer_of(NOTARY), SEAL_KEY, START, indexing=indexing)


def provider_of(engine: str, directory: Path) -> UniquenessProvider:
    if engine == "memory":
        return MemoryProvider(signer_of(NOTARY), START)
    return sqlite_in(directory / "notary")


@dataclass
class Desk:
    """One notary's counter: `ask` passes bytes both ways, as a transport would."""

    provider: UniquenessProvider
    notary: NotaryKeys = NOTARY
    limits: QueueLimits | None = None
    signatures: SignatureChecker | None = None
    now: int = START
    seed: int = 0
    service: NotaryService = field(init=False)
    workshop: Workshop = field(init=False)
    log: ServedLog = field(init=False)
    receipts: ReceiptVerifier = field(init=False)

    def __post_init__(self) -> None:
        checker = RequestChecker(
            self.notary.party, NETWORK.parameters.network, lambda: NETWORK.history
        )
        self.service = NotaryService(
            checker,
            self.provider,
            signer_of(self.notary),
            lambda: self.now,
            signatures=self.signatures,
            limits=self.limits,
        )
        self.workshop = Workshop(NETWORK, self.notary.party, self.seed)
        self.log = ServedLog(self.provider)
        self.receipts = ReceiptVerifier(self.notary.info.log_keys)

    def ask_all(self, questions: Sequence[Made | Question | bytes]) -> list[Answer]:
        asked = [
            each.asked()
            if isinstance(each, Made)
            else each
            if isinstance(each, bytes)
            else encode(each)
            for each in questions
        ]
        return [ANSWER.decode(answer) for answer in self.service.answer_all(asked)]

    def ask(self, question: Made | Question | bytes) -> Answer:
        return self.ask_all([question])[0]

    def proven(self, made: Made, answer: Answer) -> VerifiedReceipt:
        """Insist on a receipt that verifies, is this transaction's, and shows its nullifiers."""
        assert isinstance(answer, Committed), answer
        proven = self.receipts.verify(made.built.id, answer.receipt)
        assert len(proven.entry.nullifiers) == len(made.inputs)
        return proven

    def commit(self, made: Made) -> VerifiedReceipt:
        return self.proven(made, self.ask(made))

    def issue(self, outputs: int = 1) -> tuple[Held, ...]:
        """Commit a transaction without inputs; its outputs, ready to be consumed."""
        made = self.workshop.make(outputs=outputs)
        at = self.commit(made).index
        return tuple(held.placed(at) for held in made.outputs)

    def fill(self, count: int) -> list[Made]:
        """Commit `count` transactions without inputs, in one batch."""
        made = [self.workshop.make() for _ in range(count)]
        for each, answer in zip(made, self.ask_all(made), strict=True):
            assert isinstance(answer, Committed), each
        return made

    @property
    def size(self) -> int:
        return self.provider.head().size


def shuffled(count: int, seed: int) -> list[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order
