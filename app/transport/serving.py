"""Answers the questions of peers: a bounded number at a time for each, by the handler of their kind."""

import asyncio
import logging
from asyncio import Task
from collections.abc import Mapping

from app.transport.errors import RequestDenied
from app.transport.frames import ANSWERED, REFUSED, Question, Reply
from app.transport.kinds import Handler
from app.transport.limits import BODY_BYTES_MAX, CODE_CHARACTERS_MAX, LinkLimits
from app.transport.link import Link
from states.errors import LedgerError

_log = logging.getLogger("carecord.transport")

BUSY = "busy"
UNKNOWN_KIND = "unknown-kind"
SLOW = "too-slow"
TOO_LARGE = "too-large"
FAILED = "failed"
NOT_ACCEPTED = "refused"


class Serving:
    """Runs handlers. What one raises becomes one word to the peer, and nothing more."""

    def __init__(self, handlers: Mapping[str, Handler], limits: LinkLimits) -> None:
        self._handlers = handlers
        self._limits = limits
        self._tasks: set[Task[None]] = set()

    def take(self, link: Link, question: Question) -> None:
        """Begin to answer; at once where the kind is unknown or the peer has too many questions open."""
        handler = self._handlers.get(question.kind)
        if handler is None:
            link.say(_refusal(question, UNKNOWN_KIND))
        elif link.serving >= self._limits.questions_served:
            link.say(_refusal(question, BUSY))
        else:
            link.serving += 1
            task = asyncio.get_running_loop().create_task(self._serve(link, question, handler))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, link: Link, question: Question, handler: Handler) -> None:
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                reply = await self._reply(link, question, handler)
        except TimeoutError:
            reply = _refusal(question, SLOW)
        finally:
            link.serving -= 1
        link.say(reply)

    async def _reply(self, link: Link, question: Question, handler: Handler) -> Reply:
        try:
            body = await handler(link.peer, question.body)
        except RequestDenied as denied:
            return _refusal(question, denied.code)
        except LedgerError as refused:
            _log.info("refused %s of %s: %s", question.kind, link.peer, type(refused).__name__)
            return _refusal(question, NOT_ACCEPTED)
        except TimeoutError:
            raise
        except Exception as failed:  # noqa: BLE001  # a handler's fault must not take the other links along
            # Without its text and traceback: what a handler met may be a patient's.
            where = failed.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            at = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
            _log.error("answering %s failed: %s at %s", question.kind, type(failed).__name__, at)
            return _refusal(question, FAILED)
        if len(body) > BODY_BYTES_MAX:
            return _refusal(question, TOO_LARGE)
        return Reply(question.id, ANSWERED, body)


def _refusal(question: Question, code: str) -> Reply:
    word = code.encode("ascii", "replace")[:CODE_CHARACTERS_MAX]
    return Reply(question.id, REFUSED, word)
