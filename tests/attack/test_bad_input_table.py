"""Each row of the table of bad input stands for tests that are there and judge it (tests/attack/bad_input.py).

`python -m tests.attack.test_bad_input_table` prints the table.
"""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from states.errors import MalformedBytes, OverLimit
from tests.attack.bad_input import TABLE, Row, said, type_of

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"


@cache
def _tests_in(file: Path) -> frozenset[str]:
    """The tests that a file defines, without those that are always skipped or expected to fail."""
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(
            word in ast.unparse(d) for d in node.decorator_list for word in ("xfail", "mark.skip(")
        )
    )


@pytest.mark.parametrize("row", TABLE, ids=[row.key for row in TABLE])
def test_every_test_that_a_row_names_is_there(row: Row) -> None:
    assert row.tests
    for named in row.tests:
        path, _, name = named.partition("::")
        assert name in _tests_in(TESTS / path), f"{named} is gone"


@cache
def _judging(file: Path) -> frozenset[tuple[str, str]]:
    """The tests of a file that hand what they met to `said`, with each row's key that the file names."""
    tree = ast.parse(file.read_text("utf-8"))
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    judges = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "said"
    }
    return frozenset((name, text) for name in judges for text in texts)


@pytest.mark.parametrize("row", TABLE, ids=[row.key for row in TABLE])
def test_a_test_of_each_row_judges_its_error_and_its_words(row: Row) -> None:
    assert type_of(row).__name__ in row.error
    assert row.words
    named = [test.partition("::") for test in row.tests]
    assert any((name, row.key) in _judging(TESTS / path) for path, _, name in named)


def test_what_a_row_does_not_say_is_noticed() -> None:
    said("oversized", OverLimit("a value", 2, 1))
    said("oversized", "OverLimit: a value of 2 is over the limit of 1")
    for other in (
        MalformedBytes("a value", "is over the limit of 1"),
        "MalformedBytes: a value of 2 is over the limit of 1",
        "OverLimit: something else",
    ):
        with pytest.raises(AssertionError):
            said("oversized", other)


def test_no_input_stands_twice_and_none_says_nothing() -> None:
    assert len({row.given for row in TABLE}) == len({row.key for row in TABLE}) == len(TABLE)
    assert all(row.given and row.unchanged for row in TABLE)


def as_markdown() -> str:
    """Return the table as the README shows it."""
    lines = ["| input | error | what is unchanged | tests |", "|---|---|---|---|"]
    for row in TABLE:
        error = row.error.partition(":")[2]
        tests = "<br>".join(f"`{named}`" for named in row.tests)
        lines.append(f"| {row.given} | {error}: … {row.words} … | {row.unchanged} | {tests} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(as_markdown() + "\n")
