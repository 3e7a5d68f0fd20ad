"""What a node logs: one line an event, as JSON or for people; never what an exception says.

An exception's text may quote what it was about, and that may be a patient: its class and the places that it passed are
logged, its words are not. What code logs by itself names members, ids and codes only.
"""

import json
import logging
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from app.config import LogSettings

MESSAGE_CHARACTERS_MAX = 2_000
FRAMES_MAX = 30
_LOUD = {
    "uvicorn": logging.WARNING,  # it tells of starts and stops, as we do
    "asyncio": logging.WARNING,
}


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message; of an exception its class and where it passed."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, str | list[str]] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        failure = _failure(record)
        if failure is not None:
            fields["error"], fields["passed"] = failure
        return json.dumps(fields, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """The same for people; control characters are escaped, so that one event stays one line."""

    def format(self, record: logging.LogRecord) -> str:
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in _message(record))
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {message}"
        failure = _failure(record)
        if failure is None:
            return line
        error, passed = failure
        return "\n    ".join((f"{line} [{error}]", *passed))


def log_to(stream: TextIO, settings: LogSettings) -> None:
    """Send every logger's lines to `stream`, and nowhere else."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if settings.form == "json" else PlainLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root.setLevel(level)
    for name, least in _LOUD.items():
        logging.getLogger(name).setLevel(max(level, least))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    return message if len(message) <= MESSAGE_CHARACTERS_MAX else message[:MESSAGE_CHARACTERS_MAX]


def _failure(record: logging.LogRecord) -> tuple[str, list[str]] | None:
    if not record.exc_info or record.exc_info[0] is None:
        return None
    kind, _, trace = record.exc_info
    return f"{kind.__module__}.{kind.__qualname__}", _places(trace)


def _places(trace: TracebackType | None) -> list[str]:
    places = list[str]()
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[-FRAMES_MAX:]
