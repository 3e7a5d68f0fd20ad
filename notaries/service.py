"""The notary as its clients meet it: questions in, answers out, both as bytes (clauses N1 and N5)."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import msgspec

from notaries.log import LogSigner
from notaries.queue import FairQueue, QueueLimits, Reply, Waiting
from notaries.request import (
    CheckedQuestion,
    CheckedRequest,
    KeyCheck,
    Reason,
    RequestChecker,
    RequestRefused,
)
from notaries.signatures import Found, InlineChecker, SignatureChecker, Verdicts
from notaries.uniqueness import CommitRequest, StoreFailed, UniquenessProvider
from states.encoding import encode
from states.errors import LedgerError, OverLimit
from states.identity import Party
from states.liveness import Liveness, sign_liveness
from states.notarisation import (
    QUESTION,
    Answer,
    Busy,
    EntryRequest,
    LivenessAnswer,
    LivenessRequest,
    NotAllowed,
    NotarisationRequest,
    Question,
    StatusRequest,
)
from states.parameters import UnknownParameters

QUESTION_BYTES_MAX = 1 << 18  # 240 inputs and 64 references under single keys are about 110 kB
BUSY_MS_MIN = 20
QUEUED_A_MS = 4  # what a notary clears in a millisecond, about
CHUNK = 24  # signatures: what is sent to a helper at once
RETRY_MS = 1_000  # after a fault of the store

NOT_ALLOWED = NotAllowed("not-allowed")


class _Signed(msgspec.Struct, frozen=True):
    """A checked request; whether its signatures verify, begins at `first` in the batch's verdicts."""

    request: CheckedRequest
    first: int


_Prepared = Answer | _Signed | CommitRequest | StatusRequest | tuple[CheckedQuestion, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions whose stateless checks are done, but for signatures that are being verified, in chunks."""

    prepared: tuple[_Prepared, ...]
    chunks: tuple[Verdicts, ...]

    @property
    def is_ready(self) -> bool:
        """Whether there is nothing to wait for."""
        return all(isinstance(chunk, Found) for chunk in self.chunks)

    def verdicts(self) -> list[bool]:
        return [verdict for chunk in self.chunks for verdict in chunk.result()]


class NotaryService:
    """A non-validating notary: it sees what is consumed, by whom opened and when; never what a state says.

    `submit` queues for the thread that `start` begins. Who has no threads (a simulation) calls `answer_all`.
    """

    def __init__(
        self,
        checker: RequestChecker,
        provider: UniquenessProvider,
        signer: LogSigner,
        clock: Callable[[], int],
        *,
        signatures: SignatureChecker | None = None,
        limits: QueueLimits | None = None,
    ) -> None:
        self._checker, self._provider, self._signer = checker, provider, signer
        self._clock, self._latest = clock, 0
        self._signatures = signatures or InlineChecker()
        self._queue = FairQueue(_fitting(limits or QueueLimits(), self._signatures))
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="notary", daemon=True)

    # -- the queue ---------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    @property
    def is_working(self) -> bool:
        """Whether the thread that `start` began still answers."""
        return self._thread.is_alive() and not self._stopping

    @property
    def waiting(self) -> int:
        """How many questions wait for a batch."""
        return len(self._queue)

    def submit(self, requester: Party, data: bytes, reply: Reply) -> None:
        """Queue a question of `requester`, which the transport has authenticated. From any thread.

        `reply` gets the answer once, in the notary's thread (it must not block), or at once where the queue is full:
        then nothing was kept. The requester decides whose turn it is and is forgotten with the question.
        """
        with self._changed:
            if not self._stopping and self._queue.put(requester, Waiting(data, reply)):
                self._changed.notify()
                return
            after = BUSY_MS_MIN + len(self._queue) // QUEUED_A_MS
        reply(encode(Busy(after)))

    def stop(self) -> None:
        """Answer what is queued, then end the thread; the provider stays open."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()
        self._signatures.close()

    def _work(self) -> None:
        """Read one batch while the signatures of the one before are verified, then finish that one."""
        under_way: tuple[list[Waiting], Batch] | None = None
        taken: list[Waiting] = []
        try:
            while True:
                taken = self._next(wait=under_way is None)
                read = self.prepare([each.data for each in taken]) if taken else None
                if under_way is not None:
                    _reply(under_way[0], self.finish(under_way[1]))
                elif read is None:
                    return
                under_way, taken = None if read is None else (taken, read), []
                if under_way is not None and under_way[1].is_ready:
                    _reply(under_way[0], self.finish(under_way[1]))  # nothing to wait for
                    under_way = None
        except BaseException:
            # A fault of ours. Who asks again, asks the next process: nothing was said that is not durable.
            with self._changed:
                self._stopping = True
                left = self._queue.take_all()
            early = under_way[0] if under_way is not None else []
            _reply(
                unanswered := [*early, *taken, *left], [encode(Busy(RETRY_MS))] * len(unanswered)
            )
            raise

    def _next(self, *, wait: bool) -> list[Waiting]:
        """Take all that waits, up to a batch. There is no timer: under low load a batch is one question."""
        with self._changed:
            while wait and not self._queue and not self._stopping:
                self._changed.wait()
            return self._queue.take()

    # -- a batch -----------------------------------------------------------------------------------

    def answer_all(self, questions: Sequence[bytes]) -> list[bytes]:
        """Answer a batch here and now, in order."""
        return self.finish(self.prepare(questions))

    def prepare(self, questions: Sequence[bytes]) -> Batch:
        """Do what needs no memory, and begin to verify signatures."""
        prepared, checks, chunks = list[_Prepared](), list[KeyCheck](), list[Verdicts]()
        begun = 0
        for data in questions:
            each = self._read(data)
            if isinstance(each, CheckedRequest):
                prepared.append(_Signed(each, begun + len(checks)))
                checks += each.signatures
                if len(checks) >= CHUNK:  # a helper verifies these while the next ones are read
                    chunks.append(self._signatures.begin(checks))
                    begun, checks = begun + len(checks), []
            else:
                prepared.append(each)
        return Batch(tuple(prepared), (*chunks, self._signatures.begin(checks)))

    def _read(self, data: bytes) -> CheckedRequest | _Prepared:
        question: Question | None = None
        try:
            if len(data) > QUESTION_BYTES_MAX:
                raise OverLimit("question in bytes", len(data), QUESTION_BYTES_MAX)
            question = QUESTION.decode(data)  # N2.1
            return self._check(question)
        except LedgerError as refused:
            if isinstance(question, LivenessRequest):
                return NOT_ALLOWED  # why, is none of a stranger's business
            return NotAllowed(_reason(refused))

    def _check(self, question: Question) -> CheckedRequest | _Prepared:
        match question:
            case NotarisationRequest():
                return self._checker.check(question)
            case EntryRequest():
                return self._checker.check_entry(question)
            case LivenessRequest():
                return self._checker.check_liveness(question)
            case StatusRequest():
                return question
            case unreachable:
                assert_never(unreachable)

    def finish(self, batch: Batch) -> list[bytes]:
        """Commit what may be, then answer everything in order."""
        verdicts = batch.verdicts()
        prepared = [_settled(each, verdicts) for each in batch.prepared]
        self._latest = now = max(self._latest, self._clock())
        try:
            asked = [each for each in prepared if isinstance(each, CommitRequest)]
            outcomes = iter(self._provider.commit(asked, now) if asked else ())
            return [
                encode(next(outcomes) if isinstance(each, CommitRequest) else self._told(each, now))
                for each in prepared
            ]
        except StoreFailed:
            return [encode(Busy(RETRY_MS))] * len(prepared)  # to ask again finds what did happen

    def _told(self, each: Answer | StatusRequest | tuple[CheckedQuestion, ...], now: int) -> Answer:
        if isinstance(each, StatusRequest):
            return self._provider.status(each.tx, each.until, now)
        return self._liveness(each, now) if isinstance(each, tuple) else each

    def _liveness(self, questions: tuple[CheckedQuestion, ...], now: int) -> Answer:
        """N7: all at one head; a state that the log does not know is as strange as its asker."""
        head, consumed = self._provider.are_consumed([each.claim for each in questions])
        statements = list[bytes]()
        for question, spent in zip(questions, consumed, strict=True):
            if spent is None:
                return NOT_ALLOWED
            statement = Liveness(
                network=self._checker.network,
                notary=self._checker.party,
                nullifier=question.nullifier,
                size=head.size,
                root=head.root,
                at=now,
                live=not spent,
            )
            statements.append(sign_liveness(self._signer.log_key, statement))
        return LivenessAnswer(tuple(statements))


def _fitting(limits: QueueLimits, signatures: SignatureChecker) -> QueueLimits:
    if signatures.batch is None:
        return limits
    return replace(limits, batch=min(limits.batch, signatures.batch))


def _settled(
    each: _Prepared, verdicts: Sequence[bool]
) -> Answer | CommitRequest | StatusRequest | tuple[CheckedQuestion, ...]:
    """N2.10: every lock signature verifies, or the request is refused."""
    if not isinstance(each, _Signed):
        return each
    count = len(each.request.signatures)
    if all(verdicts[each.first : each.first + count]):
        return each.request.commit
    return NotAllowed(Reason.SIGNATURES)


def _reason(refused: LedgerError) -> str:
    if isinstance(refused, RequestRefused):
        return refused.reason
    if isinstance(refused, UnknownParameters):
        return Reason.PARAMETERS
    return Reason.LIMIT if isinstance(refused, OverLimit) else Reason.MALFORMED


def _reply(waiting: Sequence[Waiting], answers: Sequence[bytes]) -> None:
    for each, answer in zip(waiting, answers, strict=True):
        each.reply(answer)
