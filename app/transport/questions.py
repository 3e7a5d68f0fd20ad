"""Questions of one link: those asked here and not answered yet, and the ids of those asked there."""

from asyncio import AbstractEventLoop, Future

from app.transport.errors import LinkRefused, Reason, RequestRefused, Unreachable
from app.transport.frames import ANSWERED, REFUSED, Question, Reply
from app.transport.limits import CODE_CHARACTERS_MAX
from states.errors import OverLimit
from states.identity import Party


class Questions:
    """Correlates replies with questions; an answer to a question that nobody awaits any more is dropped."""

    __slots__ = ("_asked", "_awaited", "_heard", "_loop", "_max", "_peer")

    def __init__(self, peer: Party, asked_max: int, loop: AbstractEventLoop) -> None:
        self._peer = peer
        self._max = asked_max
        self._loop = loop
        self._asked = 0
        self._heard = 0
        self._awaited: dict[int, tuple[str, Future[bytes]]] = {}

    @property
    def awaited(self) -> int:
        return len(self._awaited)

    def ask(self, kind: str, body: bytes) -> tuple[Question, "Future[bytes]"]:
        """Return the question to send and its answer to come; OverLimit where too many are open."""
        if len(self._awaited) >= self._max:
            raise OverLimit("questions open to one peer", len(self._awaited) + 1, self._max)
        self._asked += 1
        answer: Future[bytes] = self._loop.create_future()
        self._awaited[self._asked] = kind, answer
        return Question(self._asked, kind, body), answer

    def forget(self, question: Question) -> None:
        self._awaited.pop(question.id, None)

    def settle(self, reply: Reply) -> None:
        """Give a reply to who waits for it; LinkRefused for one to a question never asked."""
        if not 0 < reply.id <= self._asked:
            raise LinkRefused(Reason.MALFORMED)
        kind, answer = self._awaited.pop(reply.id, ("", None))
        if answer is None or answer.done():
            return
        if reply.outcome == ANSWERED:
            answer.set_result(reply.body)
        elif reply.outcome == REFUSED:
            answer.set_exception(RequestRefused(self._peer, kind, _code(reply.body)))
        else:
            raise LinkRefused(Reason.MALFORMED)

    def heard(self, question: Question) -> None:
        """Note a question of the other side; LinkRefused unless its id is larger than all before."""
        if question.id <= self._heard:
            raise LinkRefused(Reason.MALFORMED)
        self._heard = question.id

    def fail(self) -> None:
        """Tell everybody who waits that the link is gone."""
        for _, answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(Unreachable(self._peer))
        self._awaited.clear()


def _code(body: bytes) -> str:
    """Return the peer's one word, whatever it sent."""
    text = body[:CODE_CHARACTERS_MAX].decode("ascii", "replace")
    return text if text.isprintable() else "unreadable"
