"""A log line never says what an exception says: that may be about a patient. Its class, and a code, may stand."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for package in ("states", "flows", "notaries", "app")
    for path in sorted((ROOT / package).rglob("*.py"))
]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
TOLD = {"code", "reason", "strerror"}  # of an exception: one of a fixed set, ours or the system's


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def words_logged(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of calls of a logger that are given an exception, or more of it than its class and code."""
    for handler in ast.walk(tree):
        if isinstance(handler, ast.ExceptHandler) and handler.name:
            calls = [each for each in ast.walk(handler) if isinstance(each, ast.Call)]
            for call in filter(_is_log, calls):
                if any(_says(each, handler.name) for each in _arguments(call)):
                    yield call.lineno


def _is_log(node: ast.Call) -> bool:
    if not isinstance(node.func, ast.Attribute):
        return False
    logger = ast.unparse(node.func.value)
    return node.func.attr in LEVELS and (logger.endswith("_log") or "logg" in logger)


def _arguments(call: ast.Call) -> Iterator[ast.AST]:
    yield from call.args
    yield from (each.value for each in call.keywords if each.arg != "exc_info")


def _says(node: ast.AST, error: str) -> bool:
    """Whether an expression has more of the exception `error` than its class or code."""
    if ast.unparse(node) in {f"type({error}).__name__", *(f"{error}.{each}" for each in TOLD)}:
        return False
    if isinstance(node, ast.Name):
        return node.id == error
    return any(_says(child, error) for child in ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_line_of_a_log_has_the_words_of_an_exception(path: Path) -> None:
    assert list(words_logged(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    ("line", "noticed"),
    [
        ('_log.warning("a part: %s", refused)', True),
        ('_log.error("%s", str(refused))', True),
        ('self._log.info(f"no: {refused}")', True),
        ('logging.getLogger("x").error(refused.args[0])', True),
        ('_log.log(level, "%s", refused.why)', True),
        ('_log.info("no answer: %s", type(refused).__name__)', False),
        ('_log.info("%s: %s", type(refused).__name__, refused.code)', False),
        ('_log.exception("a turn failed")', False),
        ('_log.error("a turn failed", exc_info=refused)', False),
        ("raise Other(str(refused))", False),
    ],
)
def test_the_search_notices_what_it_looks_for(line: str, *, noticed: bool) -> None:
    source = f"try:\n    pass\nexcept LedgerError as refused:\n    {line}\n"
    assert bool(list(words_logged(ast.parse(source)))) is noticed
