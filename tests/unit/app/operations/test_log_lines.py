"""Claims about log lines: one event is one line, and what an exception says is not in it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from app.config import LogSettings
from app.operations.log_lines import MESSAGE_CHARACTERS_MAX, log_to
from app.samples import CANARIES


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def _lines(form: str, level: str, text: str = "a word") -> str:
    stream = io.StringIO()
    log_to(stream, LogSettings(level, form))
    logger = logging.getLogger("carecord.test")
    logger.info("about %s", text)
    try:
        _fail()
    except ValueError:
        logger.exception("a turn failed")
    return stream.getvalue()


def _fail() -> None:
    raise ValueError(f"cannot read {CANARIES[0]}") from KeyError(CANARIES[1])


@pytest.mark.usefixtures("root")
def test_of_an_exception_its_class_and_places_are_logged_and_never_its_words() -> None:
    for form in ("json", "text"):
        written = _lines(form, "info")
        assert "ValueError" in written
        assert "_fail" in written
        assert not [canary for canary in CANARIES if canary in written]


@pytest.mark.usefixtures("root")
def test_a_json_line_is_one_event_with_time_level_logger_and_message() -> None:
    first, second = (json.loads(line) for line in _lines("json", "info", "two\nlines").splitlines())
    assert (first["level"], first["logger"], first["message"]) == (
        "info",
        "carecord.test",
        "about two\nlines",
    )
    assert first["time"].endswith("Z")
    assert second["error"] == "builtins.ValueError"


@pytest.mark.usefixtures("root")
def test_nobody_forges_a_line_for_people_with_a_line_break() -> None:
    written = _lines("text", "info", "x\n2026-01-01 INFO forged\x1b[2J")
    assert "\x1b" not in written
    assert not [line for line in written.splitlines() if line.startswith("2026-01-01")]


@pytest.mark.usefixtures("root")
def test_a_long_message_is_cut_and_a_quiet_level_is_quiet() -> None:
    first = json.loads(_lines("json", "info", "x" * 10_000).splitlines()[0])
    assert len(first["message"]) == MESSAGE_CHARACTERS_MAX
    assert [json.loads(line)["level"] for line in _lines("json", "error").splitlines()] == ["error"]


def test_a_logger_of_a_library_is_no_louder_than_the_node(root: logging.Logger) -> None:
    log_to(io.StringIO(), LogSettings("debug", "json"))
    assert root.level == logging.DEBUG
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
