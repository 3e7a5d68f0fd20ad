"""The source keeps its own rules: small modules and functions, named for a noun, with nothing of one machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for package in ("states", "flows", "notaries", "app")
    for path in sorted((ROOT / package).rglob("*.py"))
]
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
DUMPING_GROUNDS = {"utils", "util", "helpers", "common", "misc", "manager", "core", "base"}

ELSEWHERE = re.compile(
    rb"(?<![\w./-])/(?:work|root|home/\w+|Users/\w+|tmp)/\w"  # a directory of somebody's machine
    # where packages and images happen to come from
    rb"|\b(?:pypi|npmjs)\.(?:org|com)\b|\bpythonhosted\.org\b|--(?:extra-)?index-url"
    rb"|\b(?:ghcr|quay)\.io\b|\bregistry\.[a-z0-9.-]+\.(?:com|dev|io|net|org)\b"
)
BORROWED = ("app/web/static/graphiql/",)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    lines = source.count("\n")
    assert lines <= MODULE_LINES_MAX, f"{lines} lines"
    if source:
        assert ast.get_docstring(tree), "a module says in its first line what it is for"
    long = {name: count for name, count in functions(tree) if count > FUNCTION_LINES_MAX}
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_and_its_folders_are_named_for_a_noun(path: Path) -> None:
    assert not DUMPING_GROUNDS & {*path.relative_to(ROOT).parent.parts, path.stem}


def tracked() -> list[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("missing: git, or the checkout that it would list")
    return [name for name in listed.decode().split("\0") if name]


def test_no_tracked_file_names_a_path_of_one_machine_or_a_registry() -> None:
    found = [
        f"{name}: {match[0].decode(errors='replace')}"
        for name in tracked()
        if not name.startswith(BORROWED) and name != name_of(Path(__file__))
        if (ROOT / name).is_file()
        if (match := ELSEWHERE.search((ROOT / name).read_bytes()))
    ]
    assert not found


@pytest.mark.parametrize(
    ("line", "noticed"),
    [
        (b'open("' + b"/wo" + b'rk/main/x")', True),
        (b"cd /home/ada/carecord", True),
        (b"--index-url https://packages.example/simple", True),
        (b"https://" + b"pypi" + b".org/project/x", True),
        (b"FROM ghcr.io/x/y", True),
        (b"app/work/list.py", False),
        (b"/framework/root/thing", False),
        (b"Path(tmp_path)", False),
    ],
)
def test_the_search_notices_what_it_looks_for(line: bytes, *, noticed: bool) -> None:
    assert bool(ELSEWHERE.search(line)) is noticed
